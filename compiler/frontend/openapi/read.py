"""The text of a JSON file → an OpenAPI document that holds together, or what is wrong with it and where.

Checked are the shape (schemas/openapi.schema.json), that every `$ref` leads to a component, and that every default is
a value of its own schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ..._data import load_schema
from ...diagnostics import Diagnostic, report
from ...source import SourceFile, Span
from .keywords import equal, type_name
from .nodes import SchemaNode, json_path, resolve

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

__all__ = ["read_document"]

MAX_CHARACTERS = 4 * 1024 * 1024
MAX_PROBLEMS = 50
_COMPONENTS = "#/components/schemas/"

# The way from the root of a document to a value: names of members and positions in arrays.
Way = Sequence[str | int]


def read_document(source: SourceFile) -> tuple[dict[str, Any] | None, tuple[Diagnostic, ...]]:
    """The document, or None with the errors. Error: COG442."""
    document, problem = _parse(source)
    if problem is not None:
        return None, (problem,)
    if not isinstance(document, dict):
        return None, (report("COG442", "the document is not a JSON object", Span.of_file(source.name)),)
    found = [*_version_problems(document, source)] or [*_shape_problems(document, source)]
    if not found:
        found = [*_reference_problems(document, source), *_default_problems(document, source)]
    # The validator reports in no order of its own.
    found.sort(key=lambda problem: (problem.span or Span.of_file(source.name), problem.message))
    return (None if found else document), tuple(found[:MAX_PROBLEMS])


# -- JSON ------------------------------------------------------------------------------------------


def _parse(source: SourceFile) -> tuple[Any, Diagnostic | None]:
    def refuse(token: str) -> NoReturn:
        raise ValueError(f"{token} is not a number of JSON")

    if len(source.text) > MAX_CHARACTERS:
        message = f"the document is larger than {MAX_CHARACTERS // (1024 * 1024)} MiB"
        return None, report("COG442", message, Span.of_file(source.name))
    try:
        return json.loads(source.text, parse_constant=refuse, object_pairs_hook=_distinct), None
    except json.JSONDecodeError as error:
        span = Span(source.name, error.lineno, error.colno, error.lineno, error.colno + 1)
        return None, report("COG442", f"the document is not valid JSON: {error.msg}", span)
    except RecursionError:
        return None, report("COG442", "the document is nested too deeply", Span.of_file(source.name))
    except ValueError as error:
        return None, report("COG442", f"the document is not valid JSON: {error}", Span.of_file(source.name))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise ValueError(f"the member `{twice}` is there twice")
    return members


_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


def _span(source: SourceFile, way: Way) -> Span:
    """Where a value stands in the text of a document that could be parsed."""
    text = source.text
    start = _skip(text, 0)
    for part in way:
        found = _member(text, start, part)
        if found is None:
            break
        start = found
    _, end = _decode(text, start)
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    last, last_column = text.count("\n", 0, end) + 1, end - text.rfind("\n", 0, end)
    return Span(source.name, line, column, last, last_column)


def _skip(text: str, index: int) -> int:
    match = _SPACE.match(text, index)
    return match.end() if match else index


def _member(text: str, index: int, wanted: str | int) -> int | None:
    """Where a member of the object or an item of the array at `index` begins."""
    is_object = text[index] == "{"
    index, position = _skip(text, index + 1), 0
    while text[index] not in "}]":
        name: str | int = position
        if is_object:
            name, index = _decode(text, index)
            index = _skip(text, _skip(text, index) + 1)
        if name == wanted:
            return index
        _, index = _decode(text, index)
        index = _skip(text, index)
        if text[index] == ",":
            index = _skip(text, index + 1)
        position += 1
    return None


def _problem(source: SourceFile, way: Way, message: str, hint: str | None = None) -> Diagnostic:
    return report("COG442", f"{json_path('$', *way)}: {message}", _span(source, way), hint=hint)


# -- the shape -------------------------------------------------------------------------------------


def _version_problems(document: Mapping[str, Any], source: SourceFile) -> Iterator[Diagnostic]:
    version = document.get("openapi", document.get("swagger"))
    if isinstance(version, str) and not version.startswith("3.0."):
        key = "openapi" if "openapi" in document else "swagger"
        hint = "servers and clients of models read OpenAPI 3.0, which `cogc schema` prints"
        yield _problem(source, [key], f"the version is {version}, not 3.0", hint)


def _shape_problems(document: Mapping[str, Any], source: SourceFile) -> Iterator[Diagnostic]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(load_schema("openapi")).iter_errors(document):
        for leaf in _leaves(error):
            yield _problem(source, list(leaf.absolute_path), _explain(leaf))


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if error.context:
        for inner in error.context:
            yield from _leaves(inner)
    else:
        yield error


def _explain(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            missing = next(key for key in wanted if error.message.startswith(repr(key)))
            return f"`{missing}` is missing"
        case "type":
            return f"must be of the type {wanted}"
        case "enum":
            return f"must be one of {', '.join(f'`{value}`' for value in wanted)}"
        case "minimum" | "exclusiveMinimum":
            return f"must not be less than {wanted}"
        case "minItems" | "minProperties":
            return "must not be empty"
        case "pattern" if error.absolute_path and error.absolute_path[-1] == "openapi":
            return "must be a version such as 3.0.2"
        case _:
            return error.message


# -- what belongs together ---------------------------------------------------------------------------


def _walk(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every object of a document with the way to it; not what stands in defaults, choices and examples."""
    pending = [(way, value)]
    while pending:
        where, current = pending.pop()
        if isinstance(current, dict):
            yield where, current
            is_schemas = where[-1:] in (("properties",), ("schemas",))
            children = [
                ((*where, name), item)
                for name, item in current.items()
                if is_schemas or name not in ("default", "enum", "example", "examples")
            ]
            pending += reversed(children)
        elif isinstance(current, list):
            pending += [((*where, index), item) for index, item in reversed(list(enumerate(current)))]


def _reference_problems(document: Mapping[str, Any], source: SourceFile) -> Iterator[Diagnostic]:
    for way, value in _walk(document):
        reference = value.get("$ref")
        if not isinstance(reference, str) or way[-1:] in (("properties",), ("schemas",)):
            continue
        if not reference.startswith("#/"):
            yield _problem(source, [*way, "$ref"], f"`{reference}` leads out of the document")
        elif _target(document, reference) is None:
            yield _problem(source, [*way, "$ref"], f"`{reference}` leads nowhere")


def _target(document: Mapping[str, Any], reference: str) -> Any:
    current: Any = document
    for part in reference.removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        current = current.get(name) if isinstance(current, dict) else None
    return current


def _default_problems(document: Mapping[str, Any], source: SourceFile) -> Iterator[Diagnostic]:
    for way, value in _walk(document):
        if "default" not in value or way[-1:] in (("properties",), ("schemas",)):
            continue
        node = resolve(document, value, json_path("$", *way))
        for message in _misfits(value["default"], node, document):
            yield _problem(source, [*way, "default"], message)


def _misfits(value: Any, node: SchemaNode, document: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a default from being a value of its schema; `minimum` and the like are named."""
    keywords = node.keywords
    start = f"the default {json.dumps(value, ensure_ascii=False)[:60]} is"
    if value is None:
        return
    if node.alternatives:
        if all(any(True for _ in _misfits(value, member, document)) for member in node.alternatives):
            yield f"{start} a value of none of its types"
        return
    if not _is_of_type(value, type_name(node)):
        yield f"{start} not of the type {keywords.get('type')}"
        return
    choices = keywords.get("enum")
    if isinstance(choices, list) and not any(equal(value, each) for each in choices):
        yield f"{start} not one of its choices"
    if isinstance(value, int | float) and not isinstance(value, bool):
        least, most = keywords.get("minimum"), keywords.get("maximum")
        if least is not None and (value < least or (value == least and keywords.get("exclusiveMinimum"))):
            yield f"{start} less than its minimum {least}"
        if most is not None and (value > most or (value == most and keywords.get("exclusiveMaximum"))):
            yield f"{start} greater than its maximum {most}"
    if isinstance(value, str | list | dict):
        yield from _size_misfits(value, keywords, start)
    if isinstance(value, list) and "items" in keywords:
        inner = resolve(document, keywords["items"], node.place("items"))
        for item in value:
            yield from _misfits(item, inner, document)


def _size_misfits(value: str | list[Any] | dict[str, Any], keywords: Mapping[str, Any], start: str) -> Iterator[str]:
    noun = {str: "Length", list: "Items", dict: "Properties"}[type(value)]
    least, most = keywords.get(f"min{noun}"), keywords.get(f"max{noun}")
    if least is not None and len(value) < least:
        yield f"{start} shorter than its min{noun} {least}"
    if most is not None and len(value) > most:
        yield f"{start} longer than its max{noun} {most}"


def _is_of_type(value: Any, name: str) -> bool:
    match name:
        case "string" | "file":
            return isinstance(value, str)
        case "integer":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer()
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            # `Any` and dicts are described as objects; what a default of theirs may be is left open.
            return True
        case _:
            return True
