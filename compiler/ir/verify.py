"""What must hold of a resolved build between passes. Run after each pass in tests, and once before a back end."""

from __future__ import annotations

from .nodes import CaCertificate, Copy, PythonPackages, ResolvedBuild, Stage, StageBase

__all__ = ["InvalidBuild", "verify"]


class InvalidBuild(AssertionError):
    """A pass broke the IR: a bug of cogc, never the user's fault."""


def verify(build: ResolvedBuild) -> None:
    """Stage names are unique and defined before use, and every staged file that a step names exists."""
    seen: set[str] = set()
    paths = {file.path for file in build.files}
    if len(paths) != len(build.files):
        raise InvalidBuild("two staged files have the same path")
    for stage in build.stages:
        if stage.name in seen:
            raise InvalidBuild(f"two stages are called {stage.name}")
        for other in _uses(stage):
            if other not in seen:
                raise InvalidBuild(f"stage {stage.name} uses {other}, which is not defined before it")
        for path in _staged(stage):
            if path not in paths:
                raise InvalidBuild(f"stage {stage.name} needs the file {path}, which is not staged")
        seen.add(stage.name)
    if not build.stages:
        raise InvalidBuild("a build needs a stage")


def _uses(stage: Stage) -> set[str]:
    used = {step.from_stage for step in stage.steps if isinstance(step, Copy) and step.from_stage}
    return used | ({stage.base.stage} if isinstance(stage.base, StageBase) else set())


def _staged(stage: Stage) -> set[str]:
    needed: set[str] = set()
    for step in stage.steps:
        if isinstance(step, CaCertificate):
            needed.add(step.file)
        elif isinstance(step, PythonPackages):
            needed.add(step.requirements_file)
            needed |= {step.constraints_file} if step.constraints_file else set()
        elif isinstance(step, Copy) and step.sources[0].startswith(".cog/build/"):
            needed.add(step.sources[0].removeprefix(".cog/build/"))
    return needed
