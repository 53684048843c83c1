"""Tables of the matrix that a project brings: read, and written as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..diagnostics import Diagnostic
from ..disk import ProjectFiles, user_cache_directory, write_atomically
from ..frontend.project_matrix import CHECKSUMS, DIRECTORY, read_project_tables, render_checksums

if TYPE_CHECKING:
    from ..frontend.project_matrix import ProjectTables

__all__ = ["remove_tables", "tables_of", "write_tables"]


def tables_of(root: Path) -> tuple[ProjectTables | None, tuple[Diagnostic, ...]]:
    """The tables of the project in that directory; None where it brings none, or with errors. Errors: COG280, COG281.

    That tables were found good is remembered in the user's cache, by their checksum: checking takes longer than all
    the rest of a compilation.
    """
    if not os.path.lexists(root / DIRECTORY):
        return None, ()
    cache = user_cache_directory()
    good = Path(cache, "matrix", __version__) if cache is not None else None
    tables, found = read_project_tables(
        ProjectFiles(root), lambda digest: good is not None and (good / digest).exists()
    )
    if tables is not None and good is not None:
        with contextlib.suppress(OSError):
            good.mkdir(parents=True, exist_ok=True)
            (good / tables.digest).touch()
    return tables, found


def write_tables(root: Path, tables: Mapping[str, bytes]) -> None:
    """Make `cog.matrix` of the project hold exactly these tables. Errors: OSError, nothing half-written."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=root, prefix=f".{DIRECTORY}.") as place:
        new = Path(place) / DIRECTORY
        new.mkdir()
        for name, raw in tables.items():
            write_atomically(new / f"{name}.json", raw)
        write_atomically(new / CHECKSUMS, render_checksums(tables).encode())
        if os.path.lexists(root / DIRECTORY):
            os.replace(root / DIRECTORY, Path(place) / "old")
        os.replace(new, root / DIRECTORY)


def remove_tables(root: Path) -> bool:
    """Remove `cog.matrix` of the project; whether there was one. Errors: OSError."""
    place = root / DIRECTORY
    if not os.path.lexists(place):
        return False
    if place.is_symlink() or not place.is_dir():
        place.unlink()
    else:
        shutil.rmtree(place)
    return True
