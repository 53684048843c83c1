from __future__ import annotations

from dataclasses import replace

from cogc.ir.nodes import Env, Run, Step, SystemPackages, Variable
from cogc.ir.passes.merge_steps import merge_steps
from tests.builds import resolved_build

BUILD = resolved_build("")


def merged(*steps: Step) -> tuple[Step, ...]:
    stage = replace(BUILD.stages[0], steps=steps)
    return merge_steps(replace(BUILD, stages=(stage,))).stages[0].steps


def env(**values: str) -> Env:
    return Env(variables=tuple(Variable(name=name, value=value) for name, value in values.items()))


def apt(*packages: str, cache: str = "apt") -> SystemPackages:
    return SystemPackages(packages=packages, cache_id=cache)


def test_adjacent_environments_become_one() -> None:
    assert merged(env(A="1"), env(B="2"), env(C="3")) == (env(A="1", B="2", C="3"),)


def test_assignments_to_the_same_name_stay_apart() -> None:
    assert merged(env(A="1"), env(A="2")) == (env(A="1"), env(A="2"))


def test_system_packages_become_one_sorted_list() -> None:
    assert merged(apt("git", "curl"), apt("ffmpeg", "git")) == (apt("curl", "ffmpeg", "git"),)


def test_caches_of_different_releases_stay_apart() -> None:
    assert len(merged(apt("a"), apt("b", cache="other"))) == 2


def test_what_stands_between_keeps_them_apart() -> None:
    steps = (env(A="1"), Run(command="x"), env(B="2"))
    assert merged(*steps) == steps


def test_it_is_idempotent() -> None:
    once = merge_steps(resolved_build("build: {gpu: true, system_packages: [git, z]}\nenvironment: [A=1]"))
    assert merge_steps(once) == once
