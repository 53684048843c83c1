"""Which files of the build context each step of a build takes: those of the project, and those that are staged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..ir.cache import BASE, Place
from ..ir.nodes import (
    BindMount,
    CaCertificate,
    Copy,
    PythonPackages,
    ResolvedBuild,
    Run,
    Runtime,
    ServerEnvironment,
    SourceCode,
    Step,
    WeightLayer,
)
from ..record import record
from .dockerignore import Dockerignore
from .files import FileEntry

__all__ = ["ContextFiles", "code_files", "context_files", "files_below"]

_STAGING = ".cog/build/"


@record
class ContextFiles:
    """What one step takes: entries of the project, and staged files by their path below the staging directory."""

    place: Place
    entries: tuple[FileEntry, ...] = ()
    staged: tuple[str, ...] = ()


def context_files(
    build: ResolvedBuild, entries: Sequence[FileEntry], ignored: Dockerignore, staged: Sequence[str]
) -> Iterator[ContextFiles]:
    """For each step that takes something. `entries` are all of the project, `staged` the paths of all staged files.

    Weights in an image of their own count for that image.
    """
    for stage in build.stages:
        if stage.name == "weights" and not stage.steps:
            found = [entry for layer in build.weight_layers for entry in files_below(layer.source, entries, ignored)]
            yield ContextFiles(place=(stage.name, BASE), entries=tuple(found))
        for number, step in enumerate(stage.steps):
            taken = ContextFiles(
                place=(stage.name, number),
                entries=tuple(_entries(step, entries, ignored)),
                staged=tuple(path for path in staged if _takes(step, path)),
            )
            if taken.entries or taken.staged:
                yield taken


def code_files(step: SourceCode, entries: Sequence[FileEntry], ignored: Dockerignore) -> Iterator[FileEntry]:
    """What the copy of the project's code takes: everything but weights and what .dockerignore names.

    `.git` is left out here: nobody looks into it.
    """
    left_out = tuple(f"{path}/" for path in step.excludes)
    for entry in entries:
        is_out = entry.path in (*step.excludes, ".cog", ".git") or entry.path.startswith((*left_out, ".cog/"))
        if not is_out and not ignored.excludes(entry.path):
            yield entry


def files_below(path: str, entries: Sequence[FileEntry], ignored: Dockerignore) -> Iterator[FileEntry]:
    """A file, or everything in a directory, that .dockerignore leaves in the context."""
    for entry in entries:
        is_below = path in (".", "") or entry.path == path or entry.path.startswith(f"{path}/")
        if is_below and not ignored.excludes(entry.path):
            yield entry


def _entries(step: Step, entries: Sequence[FileEntry], ignored: Dockerignore) -> Iterator[FileEntry]:
    match step:
        case SourceCode():
            yield from code_files(step, entries, ignored)
        case WeightLayer():
            yield from files_below(step.source, entries, ignored)
        case PythonPackages():
            for path in step.artifacts:
                yield from files_below(path, entries, ignored)
        case Run():
            for mount in step.mounts:
                if isinstance(mount, BindMount):
                    yield from files_below(mount.source.strip("/"), entries, ignored)
        case Copy(from_stage=None):
            for path in step.sources:
                yield from () if path.startswith(_STAGING) else files_below(path, entries, ignored)
        case _:
            pass


def _takes(step: Step, path: str) -> bool:
    """Whether a step takes the staged file."""
    match step:
        case PythonPackages():
            return path in (step.requirements_file, step.constraints_file)
        case ServerEnvironment():
            return path == step.requirements_file
        case CaCertificate():
            return path == step.file
        case Runtime():
            return path.startswith("runtime/")
        case Copy(from_stage=None):
            return f"{_STAGING}{path}" in step.sources
        case _:
            return False
