"""Whole builds from a cog.yaml in a string and files in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cogc.driver import Compilation, Source, bundled_matrix, compile_project
from cogc.frontend.lower import BuildOptions
from cogc.ir.nodes import ResolvedBuild
from tests.memory_files import MemoryFiles

__all__ = ["compiled", "resolved_build"]

_MATRIX = bundled_matrix()


def compiled(
    text: str | bytes,
    files: Mapping[str, str] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    certificate: str | None = None,
    lock: str | bytes | None = None,
    **options: Any,
) -> Compilation:
    """The compilation; `sizes` are big files, `lock` the content of cog.lock, options those of `BuildOptions`."""
    raw = text.encode() if isinstance(text, str) else text
    source = Source(
        config=raw,
        name="cog.yaml",
        directory="project",
        files=MemoryFiles({"cog.yaml": raw, **(files or {})}, sizes=sizes),
        certificate=certificate,
        lock=None if lock is None else (lock.encode() if isinstance(lock, str) else lock, "cog.lock"),
    )
    return compile_project(source, BuildOptions(**options), _MATRIX)


def resolved_build(text: str, files: Mapping[str, str] | None = None, **options: Any) -> ResolvedBuild:
    """The resolved IR of a project without errors."""
    compilation = compiled(text, files, **options)
    assert compilation.resolved is not None, compilation.diagnostics
    return compilation.resolved
