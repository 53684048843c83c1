from __future__ import annotations

from dataclasses import replace

from cogc.ir.node import Cause
from cogc.ir.nodes import Copy, ImageBase, Run, ScratchBase, Stage, StageBase, Step
from cogc.ir.passes.drop_empty_stages import drop_empty_stages
from tests.builds import resolved_build

BUILD = resolved_build("")
IMAGE = ImageBase(reference="x")


def stage(name: str, base: str | None, *steps: Step) -> Stage:
    return Stage(name=name, base=StageBase(stage=base) if base else IMAGE, steps=steps)


def dropped(*stages: Stage) -> tuple[Stage, ...]:
    return drop_empty_stages(replace(BUILD, stages=stages)).stages


RUN = Run(command="x")


def test_an_empty_stage_is_the_one_it_starts_from() -> None:
    found = dropped(stage("base", None, RUN), stage("packages", "base"), stage("model", "packages", RUN))
    assert found == (stage("base", None, RUN), stage("model", "base", RUN))


def test_a_chain_of_empty_stages_goes() -> None:
    found = dropped(stage("a", None), stage("b", "a"), stage("c", "b"), stage("d", "c", RUN))
    assert found == (stage("d", None, RUN),)


def test_an_image_without_steps_is_named_where_it_is_used() -> None:
    because = (Cause(kind="rule", text="why"),)
    found = dropped(
        replace(stage("python", None), because=because), stage("base", "python", RUN), stage("model", "base", RUN)
    )
    assert found == (stage("base", None, RUN), stage("model", "base", RUN))
    assert found[0].because == because


def test_an_image_that_files_are_copied_from_stays() -> None:
    copy = Copy(sources=("/x",), destination="/x", from_stage="weights")
    found = dropped(stage("weights", None), stage("model", None, copy))
    assert [s.name for s in found] == ["weights", "model"]


def test_copies_follow() -> None:
    copy = Copy(sources=("/x",), destination="/x", from_stage="b")
    found = dropped(stage("a", None, RUN), stage("b", "a"), stage("c", None, copy))
    assert found[-1].steps == (replace(copy, from_stage="a"),)


def test_the_last_stage_stays_even_when_it_is_empty() -> None:
    found = dropped(stage("a", None, RUN), stage("b", "a"))
    assert [s.name for s in found] == ["a", "b"]


def test_stages_that_nobody_uses_go() -> None:
    unused = Stage(name="weights", base=ScratchBase(), steps=(RUN,))
    assert [s.name for s in dropped(stage("a", None, RUN), unused, stage("b", "a", RUN))] == ["a", "b"]
