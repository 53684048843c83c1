"""Which paths to copy when some of the project must stay out and the builder cannot leave a path out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .dockerignore import Dockerignore
from .files import FileEntry

__all__ = ["dangling_links", "source_entries", "source_links"]

_MOST_LINKS = 40  # as in Linux: more of them, one behind the other, are a circle


def source_entries(
    entries: Iterable[FileEntry], ignored: Dockerignore, left_out: Iterable[str]
) -> tuple[tuple[str, bool], ...]:
    """The fewest paths that together hold everything but `left_out`: (path, is_directory), in sorted order.

    A directory that holds nothing to leave out is one entry; any other is taken apart. What .dockerignore
    hides is not listed, because copying it would fail.
    """
    found = _entries(entries, ignored, frozenset(left_out))
    return tuple((entry.path, entry.kind == "directory") for entry in found if entry.kind in ("file", "directory"))


def source_links(
    entries: Iterable[FileEntry], ignored: Dockerignore, left_out: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    """The symbolic links beside those entries: (path, what it says). A copy of a link by its name follows it."""
    found = _entries(entries, ignored, frozenset(left_out))
    return tuple((entry.path, entry.link_target) for entry in found if entry.kind == "symlink")


def dangling_links(
    links: Iterable[tuple[str, str]], entries: Iterable[FileEntry], ignored: Dockerignore, left_out: Iterable[str]
) -> tuple[str, ...]:
    """Those of `links` that lead to nothing in a build context without `left_out`: a copy of them by their name fails.

    The root of the context is that of links too, as BuildKit reads them: `/a` and `../a` are its `a`.
    """
    links, out = tuple(links), frozenset(left_out)
    if not links:
        return ()
    context = {
        entry.path: entry
        for entry in entries
        if not ignored.excludes(entry.path) and out.isdisjoint((entry.path, *_parents(entry.path)))
    }
    return tuple(path for path, _ in links if not _leads_somewhere(path, context))


def _leads_somewhere(path: str, context: Mapping[str, FileEntry]) -> bool:
    """Whether there is something behind all symbolic links on the way to `path`."""
    left, place, followed = path.split("/")[::-1], "", 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            place = place.rpartition("/")[0]
            continue
        found = context.get(f"{place}/{name}" if place else name)
        if found is None or (left and found.kind == "file"):
            return False
        if found.kind != "symlink":
            place = found.path
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return False
        left += found.link_target.split("/")[::-1]
        place = "" if found.link_target.startswith("/") else place
    return True


def _entries(entries: Iterable[FileEntry], ignored: Dockerignore, out: frozenset[str]) -> Iterator[FileEntry]:
    split = {parent for path in out for parent in _parents(path)}
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
        yield entry


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
