"""The layers of a built image: which step each is from, how large it is, and whether it was there before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...backends.source_map import Instruction, SourceMap
from ...ir.nodes import Copy, ImageBase, ResolvedBuild, StageBase, Step, WeightLayer
from ...ir.titles import step_title
from ...record import record
from .build_progress import BuildProgress, BuildStep
from .cli import DockerCli
from .image_facts import image_history

__all__ = ["Layer", "image_layers"]


@record
class Layer:
    """One layer, or all those of the base image. `size_bytes` is that of its files, unpacked.

    `stage` is None for the base image. `seconds` is how long its step took; None where it was not told.
    """

    stage: str | None
    title: str
    size_bytes: int
    is_cached: bool
    seconds: float | None = None


def image_layers(
    docker: DockerCli, image: str, build: ResolvedBuild, lines: SourceMap, progress: BuildProgress
) -> tuple[Layer, ...]:
    """The layers that hold something, the base image first; empty where the engine does not have the image."""
    entries = image_history(docker, image)
    if not entries:
        return ()
    own = _instructions(build, lines)
    count = min(len(own), len(entries))
    base = sum(size for _, size in entries[count:])
    steps = _steps(lines, progress)
    layers = [_layer(entry, own[index], lines, steps) for index, entry in enumerate(entries[:count])]
    start = Layer(stage=None, title=f"base image {_base(build)}", size_bytes=base, is_cached=True)
    return (start, *reversed([layer for layer in layers if layer.size_bytes]))


def _instructions(build: ResolvedBuild, lines: SourceMap) -> list[Instruction]:
    """Those that end up in the image's history, the last one first: of the last stage and what it starts from."""
    found: list[Instruction] = []
    stages = {stage.name: stage for stage in build.stages}
    name: str | None = build.stages[-1].name
    while name is not None:
        found += [item for item in reversed(lines.instructions) if item.stage == name and item.keyword != "FROM"]
        base = stages[name].base
        name = base.stage if isinstance(base, StageBase) else None
    return found


def _base(build: ResolvedBuild) -> str:
    stages = {stage.name: stage for stage in build.stages}
    base = build.stages[-1].base
    while isinstance(base, StageBase):
        base = stages[base.stage].base
    return base.reference if isinstance(base, ImageBase) else "scratch"


def _steps(lines: SourceMap, progress: BuildProgress) -> dict[int, BuildStep]:
    """What ran, by the line of its instruction."""
    first = progress.instructions
    found: dict[int, BuildStep] = {}
    for step in progress.steps:
        line = lines.line_of(step.stage, *step.place) if step.place is not None else None
        if line is not None and (step.stage, step.text) in first:
            found[line] = first[step.stage, step.text]
    return found


def _layer(entry: tuple[str, int], instruction: Instruction, lines: SourceMap, steps: dict[int, BuildStep]) -> Layer:
    place = lines.at(instruction.line)
    step = place[1] if place is not None else None
    ran = [steps[line] for line in (instruction.line, *_copied_from(step, lines)) if line in steps]
    return Layer(
        stage=instruction.stage,
        title=step_title(step) if step is not None else re.sub(r"\s+", " ", entry[0]),
        size_bytes=entry[1],
        is_cached=all(each.is_cached for each in ran),
        seconds=sum(each.seconds for each in ran) if ran else None,
    )


def _copied_from(step: Step | None, lines: SourceMap) -> Iterator[int]:
    """The lines of what a copy takes from another stage: the builder counts a copy by its content as cached."""
    if not isinstance(step, Copy) or step.from_stage is None:
        return
    for item in lines.instructions:
        place = lines.at(item.line)
        made = place[1] if item.stage == step.from_stage and place is not None else None
        if made is not None and (not isinstance(made, WeightLayer) or made.destination == step.destination):
            yield item.line
