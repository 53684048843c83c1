"""Which paths to copy when some of the project must stay out and the builder cannot leave a path out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .dockerignore import Dockerignore
from .files import FileEntry

__all__ = ["source_entries"]


def source_entries(
    entries: Iterable[FileEntry], ignored: Dockerignore, left_out: Iterable[str]
) -> tuple[tuple[str, bool], ...]:
    """The fewest paths that together hold everything but `left_out`: (path, is_directory), in sorted order.

    A directory that holds nothing to leave out is one entry; any other is taken apart. What .dockerignore
    hides is not listed, because copying it would fail.
    """
    out = frozenset(left_out)
    split = {parent for path in out for parent in _parents(path)}
    return tuple(_entries(entries, ignored, out, split))


def _entries(
    entries: Iterable[FileEntry], ignored: Dockerignore, out: frozenset[str], split: set[str]
) -> Iterator[tuple[str, bool]]:
    for entry in entries:
        parent = entry.path.rpartition("/")[0]
        at_border = parent == "" or parent in split
        if not at_border or entry.path in out or any(p in out for p in _parents(entry.path)):
            continue
        is_directory = entry.kind == "directory"
        if is_directory and entry.path in split:
            continue
        if ignored.excludes(entry.path) and not (is_directory and ignored.may_reinclude_below(entry.path)):
            continue
        if entry.kind in ("file", "directory", "symlink"):
            yield entry.path, is_directory


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
