"""Name images by the digests that a lock has for them, so that a moved tag changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..nodes import ImageBase, InstallPython, ResolvedBuild, Stage, Step

__all__ = ["pin_digests"]


def pin_digests(build: ResolvedBuild, digests: Mapping[str, str]) -> ResolvedBuild:
    """`digests` are those of the lock, by the name of the image without one.

    Before: `base FROM python:3.12-slim`. After: `base FROM python:3.12-slim@sha256:…`. Images without a digest stay as
    they are. Back ends name images too, such as the one that uv comes from: for them the build keeps the digests.
    """
    stages = tuple(_pinned_stage(stage, digests) for stage in build.stages)
    return replace(build, stages=stages, digests=tuple(sorted(digests.items())))


def _pinned_stage(stage: Stage, digests: Mapping[str, str]) -> Stage:
    base = stage.base
    if isinstance(base, ImageBase):
        base = replace(base, reference=_pinned(base.reference, digests))
    return replace(stage, base=base, steps=tuple(_pinned_step(step, digests) for step in stage.steps))


def _pinned_step(step: Step, digests: Mapping[str, str]) -> Step:
    if isinstance(step, InstallPython) and step.image is not None:
        return replace(step, image=_pinned(step.image, digests))
    return step


def _pinned(reference: str, digests: Mapping[str, str]) -> str:
    """The image by its digest, where one is known and not written already.

    >>> _pinned("python:3.12-slim", {"python:3.12-slim": "sha256:ab"}), _pinned("debian", {})
    ('python:3.12-slim@sha256:ab', 'debian')
    """
    digest = digests.get(reference)
    return f"{reference}@{digest}" if digest and "@" not in reference else reference
