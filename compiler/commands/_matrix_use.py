"""`cogc matrix use`: write the tables of a project."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from .._data import load_table, matrix_digests
from ..diagnostics import Diagnostic, report
from ..disk import describe
from ..frontend.matrix_table import check_table
from ..frontend.project_matrix import CHECKSUMS, DIRECTORY
from ..ir.matrix_text import render_table
from ._matrix_files import Tables, project_root, tables_at, used_tables
from ._project import fail
from ._project_tables import remove_tables, write_tables

__all__ = ["merged", "use"]


def use(arguments: argparse.Namespace) -> int:
    """Write `cog.matrix`, or remove it, and give the exit code. Errors: COG100, COG280, COG281, COG500, COG501."""
    place = arguments.operands[0] if arguments.operands else arguments.add
    root = project_root(arguments.file)
    if root is None:
        message = f"{arguments.file} not found in {Path.cwd()} (or in any parent directories)"
        return fail((report("COG100", message, hint="tables are used by a project"),), None, arguments.format)
    if (problem := _foreign(root)) is not None:
        return fail((problem,), None, arguments.format)
    try:
        if arguments.operands == ["bundled"]:
            was_there = remove_tables(root)
            return _tell(arguments, root, f"removed {DIRECTORY}" if was_there else "nothing to remove")
        tables, found = _wanted(place, root, adds=arguments.add is not None)
        if tables is None:
            return fail(found, None, arguments.format)
        write_tables(root, tables)
    except OSError as error:
        unwritten = report("COG501", f"{DIRECTORY} {describe(error).replace('accessed', 'written')}")
        return fail((unwritten,), None, arguments.format)
    return _tell(arguments, root, f"wrote {DIRECTORY}: {', '.join(sorted(tables))}")


def _foreign(root: Path) -> Diagnostic | None:
    """COG501 for a directory of that name which is something else: it would be replaced."""
    place = root / DIRECTORY
    try:
        others = sorted(path.name for path in place.iterdir() if path.suffix != ".json" and path.name != CHECKSUMS)
    except FileNotFoundError:
        return None
    except OSError as error:
        return report("COG501", f"{DIRECTORY} {describe(error)}")
    return report("COG501", f"{DIRECTORY} holds {others[0]}, which cogc did not put there") if others else None


def _wanted(place: str, root: Path, *, adds: bool) -> tuple[dict[str, bytes] | None, tuple[Diagnostic, ...]]:
    """The tables to write: those that are given, beside those that the project uses already."""
    path = Path(place)
    is_own = path.is_dir() and (root / DIRECTORY).is_dir() and path.samefile(root / DIRECTORY)
    given, found = tables_at(place, trusts_sums=not is_own)
    if given is None:
        return None, found
    # A folder is a set of its own; one table is put beside those that are there.
    used: Tables | None = None
    if adds or not path.is_dir():
        used, found = used_tables(root)
        if used is None:
            return None, found
    wanted = {**(used.raw if used is not None else {}), **given.raw}
    if adds:
        for name, raw in given.raw.items():
            base = json.loads(used.raw[name]) if used is not None and name in used.raw else load_table(name)
            wanted[name] = render_table(merged(base, json.loads(raw))).encode()
            found += check_table(wanted[name], name, f"{DIRECTORY}/{name}.json")
    return (None if found else wanted), found


def merged(table: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the rows of another: added, or in place of rows about the same. Sources keep apart.

    Only tables about packages can be merged row by row; of others each list is replaced as a whole.
    """
    names = {key: _free_name(key, source, table["sources"]) for key, source in more["sources"].items()}
    sources = {**table["sources"], **{names[key]: source for key, source in more["sources"].items()}}
    lists = {key: _renamed(value, names) for key, value in more.items() if isinstance(value, list)}
    if "package" in table:
        rows = {_key(row): row for row in (*table["rows"], *lists["rows"])}
        lists["rows"] = [rows[key] for key in sorted(rows)]
    whole = {**table, "sources": sources, **lists}
    cited = json.dumps([value for value in whole.values() if isinstance(value, list)])
    return {**whole, "sources": {key: source for key, source in sources.items() if json.dumps(key) in cited}}


def _key(row: Mapping[str, Any]) -> tuple[Version, str]:
    return Version(row["version"]), row["arch"]


def _free_name(key: str, source: object, taken: Mapping[str, object]) -> str:
    """The same name, with a number where another source has it."""
    name, number = key, 2
    while name in taken and taken[name] != source:
        name, number = f"{key}-{number}", number + 1
    return name


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with the names of sources changed wherever they are cited."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {
            key: names[inner] if key == "src" or key.endswith("_src") else _renamed(inner, names)
            for key, inner in value.items()
        }
    return value


def _tell(arguments: argparse.Namespace, root: Path, done: str) -> int:
    tables, found = used_tables(root)
    if tables is None:
        return fail(found, None, arguments.format)
    if arguments.format == "json":
        names = sorted(name for name, raw in tables.raw.items())
        print(json.dumps({"matrix": tables.version, "sha256": tables.checksum, "tables": names}, indent=2))
        return 0
    print(f"{done}\nversions are chosen with matrix {tables.version}", file=sys.stderr)
    same = [name for name in tables.raw if _is_bundled(name, tables.raw[name])]
    if same:
        print(f"the same as in cogc itself: {', '.join(same)}", file=sys.stderr)
    return 0


def _is_bundled(name: str, raw: bytes) -> bool:
    return matrix_digests().get(name) == hashlib.sha256(raw).hexdigest()
