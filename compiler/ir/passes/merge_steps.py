"""Merge adjacent steps of one kind that say together what they say apart: environments, system packages."""

from __future__ import annotations

from dataclasses import replace

from ..nodes import Env, ResolvedBuild, Stage, Step, SystemPackages

__all__ = ["merge_steps"]


def merge_steps(build: ResolvedBuild) -> ResolvedBuild:
    """Fewer layers and lines, the same result.

    >>> from cogc.ir.nodes import Variable
    >>> a, b = (Env(variables=(Variable(name=name, value="1"),)) for name in "AB")
    >>> [len(step.variables) for step in _merged((a, b))]
    [2]
    >>> apt = [SystemPackages(packages=(name,), cache_id="apt") for name in ("git", "curl")]
    >>> [step.packages for step in _merged(tuple(apt))]
    [('curl', 'git')]
    """
    return replace(build, stages=tuple(_merge_stage(stage) for stage in build.stages))


def _merge_stage(stage: Stage) -> Stage:
    return replace(stage, steps=_merged(stage.steps))


def _merged(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    merged: list[Step] = []
    for step in steps:
        together = _together(merged[-1], step) if merged else None
        if together is None:
            merged.append(step)
        else:
            merged[-1] = together
    return tuple(merged)


def _together(first: Step, second: Step) -> Step | None:
    match first, second:
        case Env(), Env():
            names = {variable.name for variable in first.variables}
            if names & {variable.name for variable in second.variables}:
                return None  # the order of two assignments to one name must stay
            because = (*first.because, *second.because)
            return replace(first, variables=(*first.variables, *second.variables), because=because)
        case SystemPackages(), SystemPackages() if first.cache_id == second.cache_id:
            packages = tuple(sorted({*first.packages, *second.packages}))
            because = (*second.because, *first.because)
            return replace(first, packages=packages, because=because, origin=first.origin or second.origin)
    return None
