"""Order the steps of the final stage so that what changes often comes last."""

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
    *others, last = build.stages
    steps = tuple(sorted(last.steps, key=_rank))
    return replace(build, stages=(*others, replace(last, steps=steps)))


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
