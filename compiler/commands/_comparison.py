"""Two builds of projects → what they do differently, and which steps of the second the cache of the first lacks."""

from __future__ import annotations

import argparse
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

from ..diagnostics import Diagnostic
from ..driver import Compilation, compile_project, files_of_steps, matrix_of
from ..frontend.context_files import ContextFiles
from ..frontend.lower import BuildOptions
from ..ir.build_changes import build_changes
from ..ir.cache import KeyedStep, LostStep, Place, keyed_steps, lost_steps
from ..ir.size import SizePart
from ..record import record
from ._compared import Compared, compared_project
from ._project import Project, source_of

__all__ = ["Comparison", "Side", "compare", "compile_side"]

_MOST_FILES = 5  # that are named


@record(kw_only=False)
class Side:
    """One build, and the files that its steps take."""

    compared: Compared
    compilation: Compilation
    taken: tuple[ContextFiles, ...]


@record(kw_only=False)
class Comparison:
    """What came out. `parts` are the sizes of B's image, by the step that makes them."""

    changes: tuple[str, ...]
    steps: tuple[KeyedStep, ...]
    lost: tuple[LostStep, ...]
    parts: Mapping[Place, tuple[SizePart, ...]]


def compile_side(
    text: str | None, arguments: argparse.Namespace, options: BuildOptions, stack: ExitStack
) -> tuple[Side | None, tuple[Diagnostic, ...], Project | None]:
    """Compile one of the two. A budget is for `cogc size`: here it is no error to exceed it."""
    compared, found = compared_project(text, arguments, stack)
    if compared is None:
        return None, found, None
    source, problems = source_of(compared.project, arguments.openapi_schema, is_locked=arguments.locked)
    found += problems
    if source is None:
        return None, found, compared.project
    source = replace(source, files=compared.files, directory=compared.directory)
    compilation = compile_project(source, options, matrix_of(source), measures=True)
    found += compilation.diagnostics
    if compilation.resolved is None or any(each.severity == "error" and each.code != "COG270" for each in found):
        return None, found, compared.project
    return Side(compared, compilation, files_of_steps(source, compilation)), found, compared.project


def compare(old: Side, new: Side) -> Comparison:
    """What `new` changes, and what of it must be built again where `old` is in the cache."""
    before, after = old.compilation.resolved, new.compilation.resolved
    assert before is not None
    assert after is not None
    contents = _Contents(old, new)
    steps = keyed_steps(after, contents.of(new))
    parts: dict[Place, tuple[SizePart, ...]] = {}
    for part in new.compilation.sizes:
        if part.place is not None:
            parts[part.place] = (*parts.get(part.place, ()), part)
    return Comparison(
        changes=(*build_changes(before, after), *contents.changes()),
        steps=steps,
        lost=lost_steps(keyed_steps(before, contents.of(old)), steps),
        parts=parts,
    )


class _Contents:
    """What the files of two builds have in common: equal files get equal identities."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old, self._new = old, new
        sides = ((old, new), (new, old))
        sizes = [{entry.path: entry for taken in side.taken for entry in taken.entries} for side, _ in sides]
        self._entries = {id(old): sizes[0], id(new): sizes[1]}

    def of(self, side: Side) -> dict[Place, str]:
        """What each step takes, as one text: the same in both builds where the files are the same."""
        staged = dict(side.compilation.staged)
        return {
            taken.place: repr(
                [
                    *((e.path, self._identity(e.path, side), self._mode(e.path, side)) for e in taken.entries),
                    *((path, staged[path]) for path in taken.staged),
                ]
            )
            for taken in side.taken
        }

    def changes(self) -> Iterator[str]:
        """The files that came, went and changed, some of them by name."""
        before, after = self._entries[id(self._old)], self._entries[id(self._new)]
        for what, paths in (
            ("added", [path for path in after if path not in before]),
            ("removed", [path for path in before if path not in after]),
            ("changed", [path for path in after if path in before and self._is_changed(path)]),
            ("other permissions", [path for path in after if path in before and self._has_other_mode(path)]),
        ):
            if paths:
                more = f" and {len(paths) - _MOST_FILES} more" if len(paths) > _MOST_FILES else ""
                yield f"{what}: {', '.join(paths[:_MOST_FILES])}{more}"

    def _is_changed(self, path: str) -> bool:
        return self._identity(path, self._old) != self._identity(path, self._new)

    def _has_other_mode(self, path: str) -> bool:
        return self._mode(path, self._old) != self._mode(path, self._new)

    def _mode(self, path: str, side: Side) -> int:
        """The permissions, as far as both builds know theirs. The builder looks at those of files alone."""
        if self._entries[id(side)][path].kind != "file":
            return 0
        mode = side.compared.files.mode(path)
        return mode if self._old.compared.has_modes and self._new.compared.has_modes else mode & stat.S_IXUSR

    def _identity(self, path: str, side: Side) -> str:
        """Of a file its content, which is only read where the other build has one of the same size."""
        other = self._new if side is self._old else self._old
        entry, counterpart = self._entries[id(side)][path], self._entries[id(other)].get(path)
        if entry.kind != "file":
            return f"{entry.kind} {entry.link_target}"
        mine = side.compared.files.locate(path)
        if counterpart is None or counterpart.kind != "file" or counterpart.size_bytes != entry.size_bytes:
            return f"only here: {mine}"
        if mine == other.compared.files.locate(path):
            return f"the same file: {mine}"
        return side.compared.files.digest(path)
