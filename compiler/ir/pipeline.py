"""Which passes run, in which order. Each takes and gives a resolved build."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic
from .matrix import Matrix
from .nodes import Build, ResolvedBuild
from .passes.attach_labels import attach_labels
from .passes.drop_empty_stages import drop_empty_stages
from .passes.merge_steps import merge_steps
from .passes.order_for_cache import order_for_cache
from .passes.resolve_build import close_build, resolve_build
from .verify import verify

if TYPE_CHECKING:
    from .lock import LockedPlatform

__all__ = ["passes", "passes_of_lock", "run", "run_locked"]


def passes(version: str) -> tuple[Callable[[ResolvedBuild], ResolvedBuild], ...]:
    """The passes after resolving, for an image that says it was made by cogc `version`."""
    return (merge_steps, drop_empty_stages, partial(attach_labels, version=version), order_for_cache)


def passes_of_lock(entry: LockedPlatform) -> tuple[Callable[[ResolvedBuild], ResolvedBuild], ...]:
    """The passes that come before these when there is a lock: exactly its images and its files."""
    from .passes.pin_digests import pin_digests
    from .passes.pin_packages import pin_packages

    digests = {image.reference: image.digest for image in entry.images if image.digest is not None}
    return (partial(pin_digests, digests=digests), partial(pin_packages, entry=entry))


def run(build: Build, matrix: Matrix, version: str) -> tuple[ResolvedBuild | None, tuple[Diagnostic, ...]]:
    """Resolve, then run all passes; None where resolving found errors."""
    resolved, found = resolve_build(build, matrix)
    return (None if resolved is None else _through(resolved, passes(version))), found


def run_locked(build: Build, entry: LockedPlatform, version: str) -> ResolvedBuild:
    """Take the decisions of a lock, then run all passes. Nothing is resolved."""
    from .passes.pin_packages import locked_resolution

    resolved = close_build(build, locked_resolution(entry, build.request))
    return _through(resolved, (*passes_of_lock(entry), *passes(version)))


def _through(build: ResolvedBuild, steps: Iterable[Callable[[ResolvedBuild], ResolvedBuild]]) -> ResolvedBuild:
    for step in steps:
        build = step(build)
    verify(build)
    return build
