"""The bytes of a table of the compatibility matrix → its document, or what is wrong with it.

What the resolver relies on is checked in full: the JSON Schema of the table, and what a schema cannot say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from .._data import load_table_schema, table_names
from ..diagnostics import Diagnostic, report
from ..source import Span
from ..suggest import closest
from .json_position import span_of
from .shape import fits

__all__ = ["FORMAT", "Table", "check_table", "read_table"]

FORMAT = 1
_MOST_PROBLEMS = 10

Table: TypeAlias = dict[str, Any]
_Path: TypeAlias = tuple[str | int, ...]


def read_table(raw: bytes, file: str) -> tuple[str | None, Table | None, tuple[Diagnostic, ...]]:
    """The name of a table and its document; None for both when it cannot be used. Error: COG280.

    `file` is shown in messages. The name is the package that the table is about, or else the name of the file.
    """
    document, found = _parsed(raw, file)
    if document is None:
        return None, None, found
    stem = file.rpartition("/")[2].removesuffix(".json")
    package = document.get("package")
    name = package if isinstance(package, str) else stem
    if name not in table_names():
        near = closest(name, table_names())
        hint = f"did you mean {near}?" if near else f"the tables are {', '.join(table_names())}"
        message = f"{file}: cogc reads no table `{name}`"
        return None, None, (report("COG280", message, Span.of_file(file), hint=hint),)
    found = check_table(raw, name, file)
    return (None, None, found) if found else (name, document, ())


def check_table(raw: bytes, name: str, file: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a table, the first ten problems. Error: COG280."""
    document, found = _parsed(raw, file)
    if document is None:
        return found
    text = raw.decode("utf-8")
    schema = load_table_schema(name)
    if not fits(document, schema, schema):
        problems = [*_violations(document, schema)]
        if problems:
            return _reports(problems, name, text, file)
    return _reports([*_contradictions(name, document)], name, text, file)


def _parsed(raw: bytes, file: str) -> tuple[Table | None, tuple[Diagnostic, ...]]:
    """The document as far as it is JSON and in the format of this cogc."""
    span = Span.of_file(file)
    try:
        document: Any = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return None, (report("COG280", f"{file} is not UTF-8 text", span),)
    except json.JSONDecodeError as error:
        where = Span(file, error.lineno, error.colno, error.lineno, error.colno + 1)
        return None, (report("COG280", f"{file} is not JSON: {error.msg}", where),)
    except (RecursionError, ValueError):
        return None, (report("COG280", f"{file} is nested too deep, or has a number that is too long", span),)
    if not isinstance(document, dict):
        return None, (report("COG280", f"{file} is no table: it must be an object", span),)
    number = document.get("schema")
    if number != FORMAT or isinstance(number, bool):
        where = span_of(raw.decode("utf-8"), ("schema",), file)
        if number is None:
            return None, (report("COG280", f"{file} is no table: it has no `schema`, the number of the format", where),)
        is_newer = isinstance(number, int) and number > FORMAT
        message = f"{file} has format {number!r}, and this cogc reads {FORMAT}"
        hint = "it is for a newer cogc: update cogc" if is_newer else None
        return None, (report("COG280", message, where, hint=hint),)
    return document, ()


def _reports(problems: list[tuple[_Path, str]], name: str, text: str, file: str) -> tuple[Diagnostic, ...]:
    found = [
        report("COG280", f"table {name}: {message}", span_of(text, path, file))
        for path, message in problems[:_MOST_PROBLEMS]
    ]
    if len(problems) > _MOST_PROBLEMS:
        message = f"table {name}: {len(problems) - _MOST_PROBLEMS} more problems"
        found.append(report("COG280", message, Span.of_file(file)))
    return tuple(found)


def _violations(document: Table, schema: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    """What the full validator says."""
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(document):
        yield tuple(error.absolute_path), f"{error.json_path}: {error.message[:160]}"


# -- what a schema cannot say --------------------------------------------------------------------


def _contradictions(name: str, table: Table) -> Iterator[tuple[_Path, str]]:
    yield from _citations(table, ())
    if "package" not in table:
        yield from _other_specifiers(table)
        return
    if table["package"] != name:
        yield ("package",), f"it is about the package {table['package']}"
    yield from _order(table["rows"])
    for position, row in enumerate(table["rows"]):
        for message in (*_builds(row), *_specifiers(row)):
            yield ("rows", position), f"{row['version']} {row['arch']}: {message}"


def _citations(table: Table, path: _Path) -> Iterator[tuple[_Path, str]]:
    """Every `src` names a source of the table."""
    lists = [(key, value) for key, value in table.items() if isinstance(value, list)]
    for key, rows in lists:
        for position, row in enumerate(rows):
            for cited in sorted(_cited(row) - set(table["sources"])):
                yield (*path, key, position), f"the source `{cited}` is not among `sources`"


def _cited(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_cited, value))
    if isinstance(value, dict):
        own = {inner for key, inner in value.items() if key == "src" or key.endswith("_src")}
        return own.union(*map(_cited, value.values()))
    return set()


def _order(rows: list[Table]) -> Iterator[tuple[_Path, str]]:
    keys = [(Version(row["version"]), row["arch"]) for row in rows]
    for position, (before, after) in enumerate(pairwise(keys), 1):
        if before >= after:
            what = "is there twice" if before == after else f"stands behind {before[0]}; rows are sorted by version"
            yield ("rows", position), f"{after[0]} {after[1]} {what}"


def _builds(row: Table) -> Iterator[str]:
    identities = [build["id"] for build in row["builds"]]
    if len(set(identities)) < len(identities):
        yield "two builds have the same id"
    if identities[0] not in ("default", "source"):
        yield f"the first build is what the package index serves, `default` or `source`, not `{identities[0]}`"
    for build in row["builds"]:
        brings_none = build["cuda_from"] in ("none", "torch", "source")
        if (build["cuda"] is None) != brings_none:
            yield f"build {build['id']}: `cuda` and `cuda_from` contradict each other"
        if build["cuda_from"] == "extra" and "extra" not in build:
            yield f"build {build['id']}: no `extra` that switches it on"


def _specifiers(row: Table) -> Iterator[str]:
    groups = (row.get("with", {}), row.get("requires", {}), *(build.get("pins", {}) for build in row["builds"]))
    for group in groups:
        for package, specifier in group.items():
            if not _is_specifier(specifier):
                yield f"`{specifier}` for {package} is no version specifier"


def _other_specifiers(table: Table) -> Iterator[tuple[_Path, str]]:
    for position, row in enumerate(table.get("numpy_ceilings", ())):
        for specifier in (row["versions"], row["numpy"]):
            if not _is_specifier(specifier):
                yield ("numpy_ceilings", position), f"`{specifier}` is no version specifier"


def _is_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True
