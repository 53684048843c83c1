"""Resolved IR → the files that a build needs besides the project, as (path, bytes)."""

from __future__ import annotations

from ..ir.nodes import ResolvedBuild, Runtime

__all__ = ["STAGING", "staged_files"]

STAGING = ".cog/build"


def staged_files(build: ResolvedBuild, runtime: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    """(path below the staging directory, content), sorted by path.

    `runtime` are the files of the bundled runtime; they are staged below `runtime/sdk/` when a stage needs them.
    """
    files = [(file.path, file.content.encode()) for file in build.files]
    if any(isinstance(step, Runtime) for stage in build.stages for step in stage.steps):
        files += [(f"runtime/sdk/{path}", content) for path, content in runtime]
    return tuple(sorted(files))
