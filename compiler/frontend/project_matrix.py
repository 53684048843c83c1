"""Tables of the compatibility matrix that a project brings, in `cog.matrix` beside its configuration.

`cogc matrix use` writes the directory: tables, and SHA256SUMS in the form of the program sha256sum. A table that is
there takes the place of the one that comes with cogc.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from .._data import matrix_digests, matrix_version
from ..diagnostics import Diagnostic, report
from ..record import record
from ..source import Span
from .files import FileProblem, Files

__all__ = ["CHECKSUMS", "DIRECTORY", "ProjectTables", "read_project_tables", "render_checksums"]

DIRECTORY = "cog.matrix"
CHECKSUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([a-z0-9-]+)\.json")
_HINT = f"if the change is meant: cogc matrix use {DIRECTORY}"


@record
class ProjectTables:
    """The tables by name, as bytes, with the SHA-256 of each. `digest` is that of all of them."""

    tables: tuple[tuple[str, bytes], ...]
    digests: tuple[tuple[str, str], ...]
    digest: str

    def version(self, matrix: str | None) -> str:
        """What the matrix with these tables is called, such as `2026.11+3f9a2c1d`.

        `matrix` is the version that all tables have, where they are a whole set; else it is that of the bundled ones.
        """
        return f"{matrix or matrix_version()}+{self.digest[:8]}"


def render_checksums(tables: Mapping[str, bytes]) -> str:
    """The text of SHA256SUMS.

    >>> render_checksums({"torch": b"{}"})
    '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a  torch.json\\n'
    """
    return "".join(f"{hashlib.sha256(tables[name]).hexdigest()}  {name}.json\n" for name in sorted(tables))


def read_project_tables(
    files: Files, is_known: Callable[[str], bool] = lambda digest: False
) -> tuple[ProjectTables | None, tuple[Diagnostic, ...]]:
    """The tables of the project; None where it brings none, or with errors. Errors: COG280, COG281.

    `is_known(digest)` says whether exactly these tables were found good before.
    """
    if files.kind(DIRECTORY) == "missing":
        return None, ()
    sums, found = _sums(files)
    if sums is None:
        return None, found
    tables: dict[str, bytes] = {}
    problems: list[Diagnostic] = []
    for name, digest in sums.items():
        path = f"{DIRECTORY}/{name}.json"
        try:
            raw = files.read(path)
        except FileProblem as problem:
            problems.append(report("COG281", f"{path} {problem.reason}", Span.of_file(path), hint=_HINT))
            continue
        if hashlib.sha256(raw).hexdigest() != digest:
            message = f"{path} was changed: it does not have the checksum in {CHECKSUMS}"
            problems.append(report("COG281", message, Span.of_file(path), hint=_HINT))
        tables[name] = raw
    if problems:
        return None, tuple(problems)
    whole = hashlib.sha256(render_checksums(tables).encode()).hexdigest()
    if not is_known(whole):
        from .matrix_table import check_table

        bundled = matrix_digests()
        for name, raw in tables.items():
            if bundled.get(name) != sums[name]:
                problems += check_table(raw, name, f"{DIRECTORY}/{name}.json")
    if problems:
        return None, tuple(problems)
    return ProjectTables(tables=tuple(tables.items()), digests=tuple(sums.items()), digest=whole), ()


def _sums(files: Files) -> tuple[dict[str, str] | None, tuple[Diagnostic, ...]]:
    """The checksum of each table, by name, sorted."""
    path = f"{DIRECTORY}/{CHECKSUMS}"
    try:
        text = files.read(path).decode("utf-8", "replace")
    except FileProblem as problem:
        return None, (report("COG281", f"{path} {problem.reason}", Span.of_file(path), hint=_HINT),)
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None or found[2] not in matrix_digests():
            message = f"{path} names no table of the matrix here" if found else f"{path} is not a list of checksums"
            return None, (report("COG281", message, Span.at_line(path, number, line), hint=_HINT),)
        sums[found[2]] = found[1]
    if not sums:
        return None, (report("COG281", f"{path} is empty", Span.of_file(path), hint=_HINT),)
    return dict(sorted(sums.items())), ()
