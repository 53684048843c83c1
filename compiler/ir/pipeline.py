"""Which passes run, in which order. Each takes and gives a resolved build."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..diagnostics import Diagnostic
from .matrix import Matrix
from .nodes import Build, ResolvedBuild
from .passes.attach_labels import attach_labels
from .passes.drop_empty_stages import drop_empty_stages
from .passes.merge_steps import merge_steps
from .passes.order_for_cache import order_for_cache
from .passes.resolve_build import resolve_build
from .verify import verify

__all__ = ["passes", "run"]


def passes(version: str) -> tuple[Callable[[ResolvedBuild], ResolvedBuild], ...]:
    """The passes after resolving, for an image that says it was made by cogc `version`."""
    return (merge_steps, drop_empty_stages, partial(attach_labels, version=version), order_for_cache)


def run(build: Build, matrix: Matrix, version: str) -> tuple[ResolvedBuild | None, tuple[Diagnostic, ...]]:
    """Resolve, then run all passes; None where resolving found errors."""
    resolved, found = resolve_build(build, matrix)
    if resolved is None:
        return None, found
    for step in passes(version):
        resolved = step(resolved)
    verify(resolved)
    return resolved, found
