"""Leave out stages that add nothing, so that the output has only what does something."""

from __future__ import annotations

from dataclasses import replace

from ..nodes import Copy, ResolvedBuild, Stage, StageBase

__all__ = ["drop_empty_stages"]


def drop_empty_stages(build: ResolvedBuild) -> ResolvedBuild:
    """A stage without steps that starts from another stage is that stage; stages nobody uses go.

    Before: `packages FROM base` with no steps, `model FROM packages`. After: `model FROM base`.
    """
    same_as: dict[str, str] = {}
    stages: list[Stage] = []
    for stage in build.stages:
        renamed = _renamed(stage, same_as)
        if isinstance(renamed.base, StageBase) and not renamed.steps and stage is not build.stages[-1]:
            same_as[stage.name] = renamed.base.stage
        else:
            stages.append(renamed)
    return replace(build, stages=_reachable(tuple(stages)))


def _renamed(stage: Stage, names: dict[str, str]) -> Stage:
    base = stage.base
    if isinstance(base, StageBase):
        base = replace(base, stage=names.get(base.stage, base.stage))
    steps = tuple(
        replace(step, from_stage=names.get(step.from_stage, step.from_stage))
        if isinstance(step, Copy) and step.from_stage is not None
        else step
        for step in stage.steps
    )
    return replace(stage, base=base, steps=steps)


def _reachable(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    needed = {stages[-1].name}
    for stage in reversed(stages):
        if stage.name in needed:
            if isinstance(stage.base, StageBase):
                needed.add(stage.base.stage)
            needed |= {step.from_stage for step in stage.steps if isinstance(step, Copy) and step.from_stage}
    return tuple(stage for stage in stages if stage.name in needed)
