"""What a step of a build is called when people watch it, in a few words."""

from __future__ import annotations

import re

from ...backends.source_map import SourceMap
from ...ir.nodes import Copy
from ...ir.outputs import OUTPUT_STAGE
from ...ir.titles import step_title
from .build_progress import BuildStep

__all__ = ["StepTitles"]


class StepTitles:
    """Titles of a builder's steps. `lines` is the map of the Dockerfile that is being built."""

    def __init__(self, *, shows_cached: bool = True) -> None:
        self._shows_cached = shows_cached
        self.lines = SourceMap()
        self._known: dict[int, str | None] = {}
        self._seen: set[tuple[str | None, str]] = set()
        self._given: set[str] = set()

    def __call__(self, step: BuildStep) -> str | None:
        """The title; None for what is of no interest: the builder's own work, and what an earlier build has made."""
        if step.number not in self._known:
            key = (step.stage, step.text)
            self._known[step.number] = None if step.is_cached and self._is_old(key) else self._title(step)
            self._seen.add(key)
        return self._known[step.number]

    def _is_old(self, key: tuple[str | None, str]) -> bool:
        return key in self._seen or not self._shows_cached

    def _title(self, step: BuildStep) -> str | None:
        if step.place is None:
            return _internal(step) if self._shows_cached else None
        if step.stage == OUTPUT_STAGE:
            return None
        if step.text.startswith("FROM "):
            return f"base image {_image(step.text)}"
        if step.text.startswith("LINK COPY"):
            return None  # the second half of a linked copy
        made_from = self.lines.step_of(step.stage, *step.place)
        if made_from is None:
            return step.text
        title = step_title(made_from)
        if title in self._given and isinstance(made_from, Copy) and made_from.from_stage is not None:
            return None  # the copy of what was made under that title
        self._given.add(title)
        return title


def _internal(step: BuildStep) -> str | None:
    if step.text.startswith("FROM "):
        return f"image {_image(step.text)}"
    if step.name in ("exporting to image", "exporting to docker image format"):
        return "store the image"
    if step.name.startswith("pushing "):
        return step.text
    if step.name.startswith(("importing cache", "[auth]")):
        return step.text
    return "read the project" if step.name == "[internal] load build context" else None


def _image(text: str) -> str:
    """`FROM docker.io/library/python:3.11@sha256:…` → `python:3.11`."""
    name = text.removeprefix("FROM ").partition("@")[0]
    return re.sub(r"^docker\.io/(?:library/)?", "", name)
