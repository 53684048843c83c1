"""Leave out stages that add nothing, so that the output has only what does something."""

from __future__ import annotations

from dataclasses import replace

from ..nodes import Base, Copy, ImageBase, ResolvedBuild, Stage, StageBase

__all__ = ["drop_empty_stages"]


def drop_empty_stages(build: ResolvedBuild) -> ResolvedBuild:
    """A stage without steps is what it starts from; stages nobody uses go.

    Before: `python FROM python:3.12-slim` with no steps, `base FROM python`, `model FROM base`. After:
    `base FROM python:3.12-slim`, and it says why that image. An image that files are copied from stays.
    """
    copied_from = {step.from_stage for stage in build.stages for step in stage.steps if isinstance(step, Copy)}
    dropped: dict[str, Stage] = {}
    stages: list[Stage] = []
    for stage in build.stages:
        start = dropped.get(stage.base.stage) if isinstance(stage.base, StageBase) else None
        if start is not None:
            stage = replace(stage, base=start.base, because=stage.because or start.because)
        if _adds_nothing(stage, copied_from) and stage.name != build.stages[-1].name:
            dropped[stage.name] = stage
        else:
            stages.append(stage)
    return replace(build, stages=_reachable(tuple(_renamed(stage, dropped) for stage in stages)))


def _adds_nothing(stage: Stage, copied_from: set[str | None]) -> bool:
    if stage.steps:
        return False
    return isinstance(stage.base, StageBase) or (isinstance(stage.base, ImageBase) and stage.name not in copied_from)


def _renamed(stage: Stage, dropped: dict[str, Stage]) -> Stage:
    """The stage with copies taken from what a dropped stage starts from."""

    def name(of: str) -> str:
        base: Base | None = dropped[of].base if of in dropped else None
        return name(base.stage) if isinstance(base, StageBase) else of

    steps = tuple(
        replace(step, from_stage=name(step.from_stage)) if isinstance(step, Copy) and step.from_stage else step
        for step in stage.steps
    )
    return replace(stage, steps=steps)


def _reachable(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    needed = {stages[-1].name}
    for stage in reversed(stages):
        if stage.name in needed:
            if isinstance(stage.base, StageBase):
                needed.add(stage.base.stage)
            needed |= {step.from_stage for step in stage.steps if isinstance(step, Copy) and step.from_stage}
    return tuple(stage for stage in stages if stage.name in needed)
