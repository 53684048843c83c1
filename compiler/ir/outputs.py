"""A resolved build → builds whose result is one file that labels are made from: they share all steps with the image."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from .node import Cause
from .nodes import Copy, ModelSchema, ResolvedBuild, Run, ScratchBase, Stage
from .passes.drop_empty_stages import drop_empty_stages

__all__ = ["FREEZE_FILE", "OUTPUT_STAGE", "freeze_build", "schema_build"]

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


def _with_output(build: ResolvedBuild, stages: tuple[Stage, ...], source: str, why: tuple[Cause, ...]) -> ResolvedBuild:
    copy = Copy(sources=(source,), destination="/", from_stage=stages[-1].name, because=why)
    output = Stage(name=OUTPUT_STAGE, base=ScratchBase(), steps=(copy,), because=why)
    return drop_empty_stages(replace(build, stages=(*stages, output)))
