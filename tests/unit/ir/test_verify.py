"""What must hold between passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogc.ir.nodes import Copy, ResolvedBuild, Stage, StageBase, StagedFile
from cogc.ir.verify import InvalidBuild, verify
from tests.builds import resolved_build

BUILD = resolved_build("build: {python_packages: [numpy]}")


def with_stages(*stages: Stage) -> ResolvedBuild:
    return replace(BUILD, stages=stages)


def test_what_the_compiler_makes_is_valid() -> None:
    verify(BUILD)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (with_stages(), "a build needs a stage"),
        (with_stages(BUILD.stages[0], BUILD.stages[0]), "two stages are called base"),
        (with_stages(*reversed(BUILD.stages)), "which is not defined before it"),
        (with_stages(Stage(name="a", base=StageBase(stage="a"), steps=())), "stage a uses a"),
        (replace(BUILD, files=()), "needs the file requirements.txt, which is not staged"),
        (replace(BUILD, files=(*BUILD.files, *BUILD.files)), "two staged files have the same path"),
        (
            with_stages(
                Stage(
                    name="a", base=BUILD.stages[0].base, steps=(Copy(sources=("x",), destination="y", from_stage="b"),)
                )
            ),
            "stage a uses b",
        ),
    ],
)
def test_broken_builds_are_refused(build: ResolvedBuild, message: str) -> None:
    with pytest.raises(InvalidBuild, match=message):
        verify(build)


def test_staged_copies_need_their_file() -> None:
    step = Copy(sources=(".cog/build/x.json",), destination="/x")
    stage = Stage(name="a", base=BUILD.stages[0].base, steps=(step,))
    with pytest.raises(InvalidBuild):
        verify(replace(BUILD, stages=(stage,), files=()))
    verify(replace(BUILD, stages=(stage,), files=(StagedFile(path="x.json", content=""),)))
