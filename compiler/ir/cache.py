"""The builder's cache, foretold: a key for each step of a build, and which steps of another have none of these. Pure.

The rules are BuildKit's. A command depends on what it says, on the environment, the working directory and the user, on
the files that are mounted, and on everything before it. A copy depends on the content of what it copies and on
everything before it; a linked one only on the content. Making a directory depends on what comes before. Settings cost
nothing and make no layer.

Source: https://github.com/moby/buildkit, solver/llbsolver/ops and frontend/dockerfile/dockerfile2llb.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..record import record
from .nodes import (
    Copy,
    Env,
    Expose,
    ImageBase,
    InstallPython,
    Label,
    Process,
    PythonPackages,
    ResolvedBuild,
    ServerEnvironment,
    SourceCode,
    Stage,
    StageBase,
    Step,
    User,
    WeightLayer,
    Workdir,
)
from .titles import step_title

__all__ = ["BASE", "KeyedStep", "LostStep", "Place", "keyed_steps", "lost_steps"]

# The name of a stage, and which of its steps; BASE stands for what the stage starts from.
Place: TypeAlias = tuple[str, int]
BASE = -1

_Settings: TypeAlias = tuple[tuple[str, str], ...]


@record
class KeyedStep:
    """A step that makes a layer, or the image that a stage starts from.

    Builds with the same `key` share the layer. `own` leaves out what comes before the step.
    """

    place: Place
    title: str
    own: str
    key: str


@record
class LostStep:
    """A step that runs again. `is_changed`: it is not the same itself, else only what comes before it."""

    place: Place
    title: str
    is_changed: bool


def lost_steps(old: Sequence[KeyedStep], new: Sequence[KeyedStep]) -> tuple[LostStep, ...]:
    """The steps of `new` that `old` has not left in the cache, in build order."""
    keys, own = {step.key for step in old}, {step.own for step in old}
    return tuple(
        LostStep(place=step.place, title=step.title, is_changed=step.own not in own)
        for step in new
        if step.key not in keys
    )


def keyed_steps(build: ResolvedBuild, contents: Mapping[Place, str]) -> tuple[KeyedStep, ...]:
    """The keys of a build, in build order. `contents` stand for what steps take from the build context."""
    return tuple(_Keys(build, contents).steps())


class _Keys:
    def __init__(self, build: ResolvedBuild, contents: Mapping[Place, str]) -> None:
        self._build = build
        self._contents = contents
        self._ends: dict[str, tuple[str, _Settings]] = {}  # of each stage: its last key, and what is set there

    def steps(self) -> Iterator[KeyedStep]:
        for stage in self._build.stages:
            yield from self._stage(stage)

    def _stage(self, stage: Stage) -> Iterator[KeyedStep]:
        before, settings = "", dict[str, str]()
        if isinstance(stage.base, StageBase):
            before, inherited = self._ends[stage.base.stage]
            settings = dict(inherited)
        elif isinstance(stage.base, ImageBase):
            before = _digest(repr(stage.base), self._contents.get((stage.name, BASE), ""))
            title = f"base image {stage.base.reference}"
            yield KeyedStep(place=(stage.name, BASE), title=title, own=before, key=before)
        for number, step in enumerate(stage.steps):
            if not isinstance(step, Env | Expose | Label | Process | User):
                place = (stage.name, number)
                own = _digest(self._definition(step), self._contents.get(place, ""))
                key = self._key(step, own, before, settings)
                before = key if not _is_linked(step) else _digest(before, key)
                yield KeyedStep(place=place, title=step_title(step), own=own, key=key)
            _set(settings, step)
        self._ends[stage.name] = (before, tuple(settings.items()))

    def _key(self, step: Step, own: str, before: str, settings: Mapping[str, str]) -> str:
        if isinstance(step, Copy | WeightLayer | SourceCode):
            source = self._source(step) if isinstance(step, Copy) and step.from_stage else ""
            return _digest(own, source, "" if _is_linked(step) else before)
        if isinstance(step, Workdir) and step.owner is None:
            return _digest(own, before)
        return _digest(own, before, repr(tuple(settings.items())))

    def _definition(self, step: Step) -> str:
        """What the step says, without what is only known of its files."""
        if isinstance(step, WeightLayer):
            step = replace(step, size_bytes=0)
        elif isinstance(step, SourceCode):
            step = replace(step, entries=(), links=())
        uses_uv = isinstance(step, InstallPython | PythonPackages | ServerEnvironment)
        return f"{step!r} {self._build.digests!r}" if uses_uv else repr(step)

    def _source(self, step: Copy) -> str:
        """What a copy takes from another stage: the one layer that has it where that is known, else all of them."""
        assert step.from_stage is not None
        stage = next(stage for stage in self._build.stages if stage.name == step.from_stage)
        for number, made in enumerate(stage.steps):
            if isinstance(made, WeightLayer) and step.sources == (made.destination,):
                return self._contents.get((stage.name, number), "")
        return self._ends[step.from_stage][0]


def _is_linked(step: Step) -> bool:
    return isinstance(step, Copy) and step.is_linked


def _set(settings: dict[str, str], step: Step) -> None:
    """What later commands run with. A variable that is set again moves to the end, as it does in the builder."""
    match step:
        case Env():
            for variable in step.variables:
                settings.pop(variable.name, None)
                settings[variable.name] = f"{variable.mode} {variable.value}"
        case Workdir():
            settings[" workdir"] = step.path
        case User():
            settings[" user"] = step.name
        case _:
            pass


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
