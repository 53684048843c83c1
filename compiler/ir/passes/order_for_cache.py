"""Order the steps of the stages with the model so that what changes often comes last."""

from __future__ import annotations

from dataclasses import replace

from ..nodes import (
    Copy,
    Env,
    Expose,
    Label,
    Process,
    ResolvedBuild,
    Run,
    SourceCode,
    Stage,
    Step,
    User,
    Workdir,
)

__all__ = ["order_for_cache"]


def order_for_cache(build: ResolvedBuild) -> ResolvedBuild:
    """Commands, then files of other stages, settings, the schema, the code, labels and the user.

    The order among steps of one rank stays. A code edit then rebuilds the code's layer alone; labels and the
    user after it are settings, which cost nothing.
    """
    stages = tuple(
        replace(stage, steps=tuple(sorted(stage.steps, key=_rank))) if _has_model(stage, build) else stage
        for stage in build.stages
    )
    return replace(build, stages=stages)


def _has_model(stage: Stage, build: ResolvedBuild) -> bool:
    return stage is build.stages[-1] or any(isinstance(step, SourceCode) for step in stage.steps)


def _rank(step: Step) -> int:
    match step:
        case Run():
            return 1
        case Copy(from_stage=str()):
            return 2
        case Env() | Workdir() | Expose() | Process():
            return 3
        case Copy():
            return 4 if step.sources[0].startswith(".cog/") else 6
        case SourceCode():
            return 5
        case Label():
            return 7
        case User():
            return 8
        case _:
            return 0
