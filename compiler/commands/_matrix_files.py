"""Tables of the matrix from wherever a command is told to take them: cogc, a project, a file, a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._data import load_table, matrix_checksum, matrix_version, table_names
from ..diagnostics import Diagnostic, has_errors, report
from ..disk import ProjectFiles, describe, find_upward
from ..frontend.files import FileProblem
from ..frontend.matrix_table import read_table
from ..frontend.project_matrix import CHECKSUMS, DIRECTORY, read_project_tables
from ..record import record
from ..source import Span

__all__ = ["Tables", "bundled_tables", "project_root", "tables_at", "used_tables"]


@record(kw_only=False)
class Tables:
    """A set of tables. `raw` are those read from files, by name; others are those that come with cogc.

    `is_whole` says that the set has a table of every name, be it a bundled one.
    """

    version: str
    origin: str
    raw: Mapping[str, bytes]
    is_whole: bool

    def documents(self) -> dict[str, dict[str, Any]]:
        """The documents by name."""
        bundled = {name: load_table(name) for name in table_names()} if self.is_whole else {}
        return {**bundled, **{name: json.loads(raw) for name, raw in self.raw.items()}}

    @property
    def checksum(self) -> str:
        """The SHA-256 over all tables, as locks name it."""
        return matrix_checksum({name: hashlib.sha256(raw).hexdigest() for name, raw in self.raw.items()})

    def summaries(self, *, own_alone: bool = False) -> Iterator[str]:
        """A line for each table: how many rows, of which releases, from which days."""
        documents = self.documents()
        for name in sorted(self.raw if own_alone else documents):
            table = documents[name]
            dates = sorted({source["date"] for source in table["sources"].values()})
            days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
            rows = sum(len(value) for value in table.values() if isinstance(value, list))
            span = f", {table['rows'][0]['version']} to {table['rows'][-1]['version']}" if "package" in table else ""
            yield f"{name:<16} {rows:>4} rows{span}; facts of {days}"

    def as_document(self, *, is_used: bool) -> dict[str, Any]:
        """The same as JSON data."""
        tables = {
            name: {
                "matrix": table["matrix"],
                "rows": sum(len(value) for value in table.values() if isinstance(value, list)),
                "is_bundled": name not in self.raw,
                "sources": table["sources"],
            }
            for name, table in sorted(self.documents().items())
        }
        head = {"version": self.version, "origin": self.origin, "sha256": self.checksum, "is_used": is_used}
        return {**head, "tables": tables}


def bundled_tables() -> Tables:
    """The tables that come with cogc."""
    return Tables(version=matrix_version(), origin="comes with cogc", raw={}, is_whole=True)


def project_root(name: str) -> Path | None:
    """The root of the project that we are in, whose configuration is called `name`; None outside of any."""
    config = find_upward(name, Path.cwd())
    return None if config is None else config.parents[len(Path(name).parts) - 1]


def used_tables(root: Path) -> tuple[Tables | None, tuple[Diagnostic, ...]]:
    """The tables that the project below `root` uses. Errors: COG280, COG281."""
    own, found = read_project_tables(ProjectFiles(root))
    if own is None:
        return (None if has_errors(found) else bundled_tables()), found
    from ..driver import matrix_with

    origin = f"{DIRECTORY} of the project: {', '.join(name for name, _ in own.tables)}"
    return Tables(version=matrix_with(own).version, origin=origin, raw=dict(own.tables), is_whole=True), found


def tables_at(place: str, *, trusts_sums: bool = True) -> tuple[Tables | None, tuple[Diagnostic, ...]]:
    """The tables of a file or a folder, checked. Errors: COG280, COG281, COG500.

    A folder may hold MATRIX, which names the version of its tables, and SHA256SUMS, which must be right unless
    `trusts_sums` is false: then the folder is about to get new ones.
    """
    path = Path(place)
    names = [path] if not path.is_dir() else sorted(each for each in path.glob("*.json") if each.is_file())
    if not names:
        return None, (report("COG500", f"{place} holds no tables"),)
    raw: dict[str, bytes] = {}
    found: list[Diagnostic] = []
    versions: dict[str, str] = {}
    for each in names:
        shown = each.as_posix()
        try:
            content = ProjectFiles(each.parent).read(each.name)
        except FileProblem as problem:
            return None, (report("COG500", f"{shown} {problem.reason}"),)
        name, table, problems = read_table(content, shown)
        found += problems
        if name is None or table is None:
            continue
        if name in raw:
            found.append(report("COG280", f"{shown}: another file has the table {name} too", Span.of_file(shown)))
        raw[name], versions[name] = content, table["matrix"]
    if path.is_dir():
        found += _of_folder(path, raw, versions, trusts_sums=trusts_sums)
    if has_errors(found):
        return None, tuple(found)
    return Tables(version=max(versions.values()), origin=place, raw=raw, is_whole=raw.keys() >= set(table_names())), ()


def _of_folder(
    path: Path, raw: Mapping[str, bytes], versions: Mapping[str, str], *, trusts_sums: bool
) -> Iterator[Diagnostic]:
    """What a folder says about its tables, and is not so."""
    try:
        stated = (path / "MATRIX").read_text("utf-8", "replace").strip() if (path / "MATRIX").is_file() else None
        sums = (path / CHECKSUMS).read_text("utf-8", "replace") if (path / CHECKSUMS).is_file() else None
    except OSError as error:
        yield report("COG500", f"{path.as_posix()} {describe(error)}")
        return
    for name, version in versions.items():
        file = f"{path.as_posix()}/{name}.json"
        if stated is not None and version != stated:
            yield report("COG280", f"{file} is of matrix {version}, and MATRIX says {stated}", Span.of_file(file))
    if sums is None or not trusts_sums:
        return
    lines = (line.partition("  ") for line in sums.splitlines())
    listed = {file: digest for digest, _, file in lines if file}
    for name, content in raw.items():
        file = f"{path.as_posix()}/{name}.json"
        if listed.get(f"{name}.json") != hashlib.sha256(content).hexdigest():
            what = "does not have the checksum in" if f"{name}.json" in listed else "is not listed in"
            yield report("COG281", f"{file} was changed: it {what} {CHECKSUMS}", Span.of_file(file))
    for file in sorted(listed.keys() - {f"{name}.json" for name in raw}):
        where = f"{path.as_posix()}/{CHECKSUMS}"
        yield report("COG281", f"{path.as_posix()}/{file} is missing: {CHECKSUMS} lists it", Span.of_file(where))
