"""The source of a model → remarks on code that newer versions of Cog write differently, with fixes.

The source is read as text (ast) and never imported. `find_old_code` is about things that no longer work or soon will
not; `find_old_names` about names that newer versions spell differently, which is a matter of taste here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from ..diagnostics import Diagnostic, Edit, Fix, report
from ..source import Span
from .signature.parsing import SourceProblem, parse

__all__ = ["find_old_code", "find_old_names"]

_OLD_IMPORTS = {"cog.types": ("ExperimentalFeatureWarning",)}
_NEW_NAMES = {"BasePredictor": "BaseRunner", "Predictor": "Runner"}


def find_old_code(content: bytes, file: str) -> tuple[Diagnostic, ...]:
    """COG450 for output classes of pydantic, COG451 for imports that do nothing; none in what is not Python."""
    tree, lines = _parsed(content, file)
    if tree is None:
        return ()
    return (*_pydantic_outputs(tree, lines, file), *_old_imports(tree, lines, file))


def find_old_names(content: bytes, file: str) -> tuple[Edit, ...]:
    """The edits that make `BasePredictor`, `Predictor` and `predict` into `BaseRunner`, `Runner` and `run`."""
    tree, lines = _parsed(content, file)
    if tree is None:
        return ()
    edits: list[Edit] = []
    for node in ast.walk(tree):
        edits += _renamed(node, lines, file)
    return tuple(sorted(set(edits), key=lambda edit: edit.span))


def _parsed(content: bytes, file: str) -> tuple[ast.Module | None, list[str]]:
    try:
        text, tree, _ = parse(file, content)
    except SourceProblem:
        return None, []
    return tree, text.split("\n")


# -- pydantic -----------------------------------------------------------------------------------------


def _pydantic_outputs(tree: ast.Module, lines: list[str], file: str) -> Iterator[Diagnostic]:
    """Classes derived from pydantic's BaseModel that allow arbitrary types, as outputs with files had to."""
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "pydantic"]
    names = {alias.asname or alias.name for node in imported for alias in node.names if alias.name == "BaseModel"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or not _allows_any_type(node):
            continue
        base = next((base for base in node.bases if isinstance(base, ast.Name) and base.id in names), None)
        if base is None:
            continue
        message = f"`{node.name}` derives from pydantic's BaseModel; outputs are classes of cog.BaseModel"
        fix = Fix(title="derive from cog.BaseModel", edits=tuple(_to_cog(imported, lines, file)))
        hint = "from cog import BaseModel"
        yield report("COG450", message, _span(base, lines, file), hint=hint, fix=fix if fix.edits else None)


def _allows_any_type(node: ast.ClassDef) -> bool:
    """`model_config = ConfigDict(arbitrary_types_allowed=True)`, a dict with it, or the class `Config` of version 1."""
    return any(
        (isinstance(inner, ast.keyword) and inner.arg == "arbitrary_types_allowed" and _is_true(inner.value))
        or (isinstance(inner, ast.Dict) and _has_key(inner))
        or (isinstance(inner, ast.Assign) and _assigns_it(inner))
        for inner in ast.walk(node)
    )


def _has_key(node: ast.Dict) -> bool:
    pairs = zip(node.keys, node.values, strict=True)
    return any(
        isinstance(key, ast.Constant) and key.value == "arbitrary_types_allowed" and _is_true(value)
        for key, value in pairs
    )


def _assigns_it(node: ast.Assign) -> bool:
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names == ["arbitrary_types_allowed"] and _is_true(node.value)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _to_cog(imported: Iterable[ast.ImportFrom], lines: list[str], file: str) -> Iterator[Edit]:
    """`from pydantic import BaseModel, Field` becomes an import of each; only where the name is not renamed."""
    for node in imported:
        others = [alias for alias in node.names if alias.name != "BaseModel"]
        taken = [alias for alias in node.names if alias.name == "BaseModel"]
        if not taken:
            continue
        text = "from cog import " + ", ".join(_alias(alias) for alias in taken)
        if others:
            text += "\nfrom pydantic import " + ", ".join(_alias(alias) for alias in others)
        yield Edit(span=_span(node, lines, file), replacement=text)


def _alias(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


# -- imports ------------------------------------------------------------------------------------------


def _old_imports(tree: ast.Module, lines: list[str], file: str) -> Iterator[Diagnostic]:
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.module not in _OLD_IMPORTS:
            continue
        old = [alias for alias in node.names if alias.name in _OLD_IMPORTS[node.module]]
        used = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name)}
        kept = [alias for alias in node.names if alias not in old]
        is_used = any((alias.asname or alias.name) in used for alias in old)
        for alias in old:
            edits = () if is_used else (_without(node, kept, lines, file),)
            fix = Fix(title="remove the import", edits=edits) if edits else None
            message = f"`{alias.name}` no longer does anything"
            yield report("COG451", message, _span(node, lines, file), hint="remove the import", fix=fix)


def _without(node: ast.ImportFrom, kept: list[ast.alias], lines: list[str], file: str) -> Edit:
    """The import without names that are not kept; with none left the whole line goes."""
    span = _span(node, lines, file)
    if kept:
        return Edit(span=span, replacement=f"from {node.module} import {', '.join(map(_alias, kept))}")
    return Edit(span=Span(file, span.line, 1, span.end_line + 1, 1), replacement="")


# -- names --------------------------------------------------------------------------------------------


def _renamed(node: ast.AST, lines: list[str], file: str) -> Iterator[Edit]:
    match node:
        case ast.ImportFrom(module="cog"):
            for alias in node.names:
                if alias.name == "BasePredictor":
                    yield _edit(alias.lineno, alias.col_offset, alias.name, "BaseRunner", lines, file)
        case ast.Name() if node.id in _NEW_NAMES:
            yield _edit(node.lineno, node.col_offset, node.id, _NEW_NAMES[node.id], lines, file)
        case ast.Attribute(value=ast.Name(id="cog"), attr="BasePredictor"):
            yield _at_end(node, node.attr, "BaseRunner", lines, file)
        case ast.Attribute(value=ast.Name(id="self"), attr="predict"):
            yield _at_end(node, node.attr, "run", lines, file)
        case ast.ClassDef() if node.name in _NEW_NAMES:
            yield _definition(node, node.name, _NEW_NAMES[node.name], lines, file)
            yield from _methods(node, lines, file)
        case ast.ClassDef() if any(isinstance(base, ast.Name) and base.id == "BasePredictor" for base in node.bases):
            yield from _methods(node, lines, file)
        case _:
            return


def _methods(node: ast.ClassDef, lines: list[str], file: str) -> Iterator[Edit]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == "predict":
            yield _definition(item, "predict", "run", lines, file)


def _definition(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, old: str, new: str, lines: list[str], file: str
) -> Edit:
    """The name behind `class`, `def` or `async def`."""
    line = lines[node.lineno - 1]
    column = line.index(old, line.index("class" if isinstance(node, ast.ClassDef) else "def"))
    span = Span(file, node.lineno, column + 1, node.lineno, column + 1 + len(old))
    return Edit(span=span, replacement=new)


def _at_end(node: ast.expr, old: str, new: str, lines: list[str], file: str) -> Edit:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return _edit(node.end_lineno, node.end_col_offset - len(old.encode()), old, new, lines, file)


def _edit(line: int, offset: int, old: str, new: str, lines: list[str], file: str) -> Edit:
    column = _column(lines, line, offset)
    return Edit(span=Span(file, line, column, line, column + len(old)), replacement=new)


def _span(node: ast.expr | ast.stmt, lines: list[str], file: str) -> Span:
    end_line, end_offset = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    start = _column(lines, node.lineno, node.col_offset)
    return Span(file, node.lineno, start, end_line, _column(lines, end_line, end_offset))


def _column(lines: list[str], line: int, offset: int) -> int:
    """A column from 1, in characters, from an offset in bytes."""
    return len(lines[line - 1].encode()[:offset].decode("utf-8", "ignore")) + 1
