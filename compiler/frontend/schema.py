"""The tree of cog.yaml × its JSON Schema → diagnostics, each at the key or value that causes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .._data import load_schema
from ..diagnostics import Diagnostic, Edit, Fix, report
from ..source import Span
from ..suggest import closest
from .parse import MappingNode, ScalarNode, SequenceNode, TreeNode
from .shape import fits

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

__all__ = ["check_schema"]

# Words that people use for keys which have another name here; too far off for an edit distance.
_SYNONYMS = {
    "apt": "system_packages",
    "apt_packages": "system_packages",
    "conda": "run",
    "cuda_version": "cuda",
    "cudnn_version": "cudnn",
    "dependencies": "python_packages",
    "env": "environment",
    "packages": "python_packages",
    "pip": "python_packages",
    "pip_packages": "python_packages",
    "python": "python_version",
    "python_package": "python_packages",
    "requirements": "python_requirements",
}


def check_schema(root: MappingNode) -> tuple[Diagnostic, ...]:
    """All violations of schemas/cog.schema.json in the document. Codes: COG120–COG123."""
    schema, document = load_schema("cog"), _plain(root)
    if fits(document, schema, schema):
        return ()
    from jsonschema import Draft202012Validator

    found = [
        diagnostic
        for error in Draft202012Validator(schema).iter_errors(document)
        for leaf in _leaves(error)
        for diagnostic in _explain(leaf, root)
    ]
    return tuple(found)


def _plain(node: TreeNode) -> Any:
    if isinstance(node, MappingNode):
        return {entry.key: _plain(entry.value) for entry in node.entries}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.items]
    return node.value


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors that say something themselves: wrappers such as `allOf` are looked through."""
    if error.context:
        for inner in error.context:
            yield from _leaves(inner)
    else:
        yield error


def _explain(error: ValidationError, root: MappingNode) -> Iterable[Diagnostic]:
    path = list(error.absolute_path)
    node = _node_at(root, path)
    where = _name(path)
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            return _unknown_keys(error, node, path)
        case "type":
            return [_wrong_type(error, node, where)]
        case "required":
            key = next(key for key in wanted if error.message.startswith(repr(key)))  # one error per missing key
            return [report("COG122", f"`{where}` needs the key `{key}`", _short(node.span))]
        case "enum":
            allowed = ", ".join(f"`{value}`" for value in wanted)
            near = closest(str(error.instance), [str(value) for value in wanted])
            hint = f"did you mean `{near}`?" if near else None
            return [report("COG123", f"`{where}` must be one of {allowed}", node.span, hint=hint)]
        case "minimum":
            return [report("COG123", f"`{where}` must be at least {wanted}", node.span)]
        case "minLength" | "minItems":
            return [report("COG123", f"`{where}` must not be empty", node.span)]
        case "pattern":
            message = f"`{where}` must be lower-case letters and digits, with single `.`, `_` or `-` between them"
            return [report("COG123", message, node.span)]
        case _:
            return [report("COG123", f"`{where}`: {error.message}", node.span)]


def _unknown_keys(error: ValidationError, node: TreeNode, path: list[str | int]) -> Iterator[Diagnostic]:
    assert isinstance(node, MappingNode)
    schema: Any = error.schema
    known = list(schema["properties"])
    section = _name(path) if path else "cog.yaml"
    for entry in node.entries:
        if entry.key not in known:
            yield _unknown_key(entry.key, entry.key_span, section, known, {e.key for e in node.entries})


def _unknown_key(key: str, span: Span, section: str, known: list[str], present: set[str]) -> Diagnostic:
    message = f"`{key}` is not a key of {'cog.yaml' if section == 'cog.yaml' else f'`{section}`'}"
    synonym = _SYNONYMS.get(key.lower())
    near = closest(key, known) if synonym is None else None
    if near is not None:
        edit = Edit(span=span, replacement=near)
        fix = Fix(title=f"rename `{key}` to `{near}`", edits=(edit,)) if near not in present else None
        return report("COG120", message, span, hint=f"did you mean `{near}`?", fix=fix)
    if section == "cog.yaml":
        if key in load_schema("cog")["$defs"]["build"]["properties"]:
            return report("COG120", message, span, hint=f"`{key}` belongs inside `build`")
        if synonym in known:
            return report("COG120", message, span, hint=f"did you mean `{synonym}`?")
    elif synonym in known:
        return report("COG120", message, span, hint=f"did you mean `{synonym}`?")
    elif key in load_schema("cog")["properties"] or synonym in load_schema("cog")["properties"]:
        return report(
            "COG120", message, span, hint=f"`{synonym or key}` stands at the top level of cog.yaml, outside `build`"
        )
    if " " in key:
        return report("COG120", message, span, hint="text with `: ` in it must be quoted")
    return report("COG120", message, span, hint=f"the keys here are {', '.join(f'`{name}`' for name in known)}")


_TYPE_NAMES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}


def _wrong_type(error: ValidationError, node: TreeNode, where: str) -> Diagnostic:
    value: Any = error.validator_value
    wanted: list[str] = [value] if isinstance(value, str) else value
    names = [_TYPE_NAMES[kind] for kind in wanted if kind != "null"]
    message = f"`{where}` must be {' or '.join(names)}, but it is {_describe(node)}"
    return report("COG121", message, _short(node.span), hint=_type_hint(wanted, node), fix=_type_fix(wanted, node))


def _type_hint(wanted: list[str], node: TreeNode) -> str | None:
    if isinstance(node, ScalarNode) and "string" in wanted:
        return f'quote it: "{node.text}"' if node.text else None
    if isinstance(node, ScalarNode) and "array" in wanted:
        return f"write it as a list: [{node.text}]"
    if isinstance(node, ScalarNode) and wanted == ["boolean"] and str(node.value).lower() in ("true", "false"):
        return f"remove the quotes: {node.text.lower()}"
    if isinstance(node, MappingNode) and "array" in wanted:
        return "start each item of the list with `- `"
    if isinstance(node, MappingNode) and "string" in wanted and len(node.entries) == 1:
        return "text with `: ` in it must be quoted"
    return None


def _type_fix(wanted: list[str], node: TreeNode) -> Fix | None:
    """Quoting text that YAML reads as something else does not change what is meant."""
    if not isinstance(node, ScalarNode) or "string" not in wanted or not node.text or node.is_quoted:
        return None
    if not node.text.replace(".", "").replace("_", "").replace("-", "").isalnum():
        return None
    return Fix(title="quote the value", edits=(Edit(span=node.span, replacement=f'"{node.text}"'),))


def _describe(node: TreeNode) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.value is None:
        return "empty"
    if isinstance(node.value, bool):
        return f"`{node.text}`, which YAML reads as true or false"
    if isinstance(node.value, (int, float)):
        return f"the number {node.text}"
    return "text"


def _node_at(node: TreeNode, path: Iterable[str | int]) -> TreeNode:
    for part in path:
        if isinstance(node, MappingNode) and isinstance(part, str):
            entry = node.get(part)
            assert entry is not None
            node = entry.value
        elif isinstance(node, SequenceNode) and isinstance(part, int):
            node = node.items[part]
    return node


def _name(path: Iterable[str | int]) -> str:
    """`build.run[2].mounts` for the path of a value; list items count from 0."""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def _short(span: Span) -> Span:
    """Only the first character of a collection: its whole extent says less than where it starts."""
    if span.end_line == span.line:
        return span
    return Span(span.file, span.line, span.column, span.line, span.column + 1)
