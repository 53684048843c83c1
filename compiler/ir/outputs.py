"""A resolved build → other builds that share its steps: the environment without the code, and files for labels."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from .node import Cause
from .nodes import Copy, Label, ModelSchema, ResolvedBuild, Run, ScratchBase, SourceCode, Stage, Step
from .passes.drop_empty_stages import drop_empty_stages

__all__ = ["FREEZE_FILE", "OUTPUT_STAGE", "environment_build", "freeze_build", "schema_build"]

FREEZE_FILE = "pip-freeze.txt"
OUTPUT_STAGE = "output"
_ABSENT = "# there is no pip in the image"
_MODEL = "model"


def freeze_build(build: ResolvedBuild) -> ResolvedBuild:
    """The Python packages: the steps up to the last command of the user, then `pip freeze`, then its output alone.

    The file has one comment line where the image has no pip.
    """
    names = [stage.name for stage in build.stages]
    place = names.index(_MODEL)
    model = build.stages[place]
    why = (Cause(kind="rule", text="the label with the versions of all Python packages"),)
    commands = tuple(takewhile(lambda step: isinstance(step, Run), model.steps))
    command = f"python -m pip --disable-pip-version-check freeze > /{FREEZE_FILE} || echo '{_ABSENT}' > /{FREEZE_FILE}"
    listing = Run(command=command, because=why)
    stages = (*build.stages[:place], replace(model, steps=(*commands, listing)))
    return _with_output(build, stages, f"/{FREEZE_FILE}", why)


def schema_build(build: ResolvedBuild) -> ResolvedBuild | None:
    """The schema's document, where a stage of the build makes it by importing the model; else None.

    There is no file where the import fails.
    """
    for place, stage in enumerate(build.stages):
        for step in stage.steps:
            if isinstance(step, ModelSchema):
                why = (Cause(kind="rule", text="the label with the model's schema"),)
                directory = step.destination.rpartition("/")[0]
                return _with_output(build, build.stages[: place + 1], f"{directory}/", why)
    return None


def environment_build(build: ResolvedBuild) -> ResolvedBuild:
    """The image without the project's code, weights and labels, for containers that have its folder mounted."""
    place = [stage.name for stage in build.stages].index(_MODEL)
    model = build.stages[place]
    steps = tuple(step for step in model.steps if not _is_of_project(step))
    stages = (*build.stages[:place], replace(model, steps=steps))
    return drop_empty_stages(replace(build, stages=stages, weight_layers=()))


def _is_of_project(step: Step) -> bool:
    match step:
        case SourceCode() | Label():
            return True
        case Copy():
            return step.from_stage in (None, "weights")
        case _:
            return False


def _with_output(build: ResolvedBuild, stages: tuple[Stage, ...], source: str, why: tuple[Cause, ...]) -> ResolvedBuild:
    copy = Copy(sources=(source,), destination="/", from_stage=stages[-1].name, because=why)
    output = Stage(name=OUTPUT_STAGE, base=ScratchBase(), steps=(copy,), because=why)
    return drop_empty_stages(replace(build, stages=(*stages, output)))
