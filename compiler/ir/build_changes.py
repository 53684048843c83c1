"""What two builds do differently, as phrases for people."""

from __future__ import annotations

from collections.abc import Iterator

from .credentials import without_credentials
from .decisions import decision_changes, list_changes
from .nodes import (
    BindMount,
    CaCertificate,
    CacheMount,
    Env,
    ModelSchema,
    Mount,
    Precompile,
    ResolvedBuild,
    Run,
    SecretMount,
    SshMount,
    Step,
    UserAccount,
)
from .titles import step_title

__all__ = ["build_changes"]

# What the configuration says that ends up in settings and labels, and what it is called.
_SAID = {"image": "image name", "predict": "predict", "train": "train", "concurrency": "concurrency"}


def build_changes(old: ResolvedBuild, new: ResolvedBuild) -> Iterator[str]:
    """The differences, one phrase each; files are not looked at. Passwords in URLs are left out."""
    yield from decision_changes(old.resolution, new.resolution)
    lines = [[without_credentials(line) for line in build.resolution.requirements] for build in (old, new)]
    yield from (f"requirement {change}" for change in list_changes(*lines))
    yield from _variables(old, new)
    yield from (f"run {change}" for change in list_changes(_commands(old), _commands(new)))
    yield from (f"step {change}" for change in list_changes(_others(old), _others(new)))
    for field, name in _SAID.items():
        before, after = getattr(old.summary, field), getattr(new.summary, field)
        if before != after:
            yield f"{name} {before or 'none'} → {after or 'none'}"
    if old.summary.openapi_schema != new.summary.openapi_schema:
        yield "the schema of inputs and outputs"


def _variables(old: ResolvedBuild, new: ResolvedBuild) -> Iterator[str]:
    before, after = _environment(old), _environment(new)
    for name in (*before, *(name for name in after if name not in before)):
        if before.get(name) != after.get(name):
            yield f"environment {name}: {before.get(name, 'none')} → {after.get(name, 'none')}"


def _environment(build: ResolvedBuild) -> dict[str, str]:
    """The variables that the project sets; those that the compiler adds follow from other changes."""
    return {
        variable.name: without_credentials(variable.value)
        for stage in build.stages
        for step in stage.steps
        if isinstance(step, Env)
        for variable in step.variables
        if f"{variable.name}={variable.value}" in build.summary.environment
    }


def _commands(build: ResolvedBuild) -> list[str]:
    return [
        " ".join([without_credentials(step.command), *(f"[{_mount(mount)}]" for mount in step.mounts)])
        for step in _steps(build)
        if isinstance(step, Run)
    ]


def _mount(mount: Mount) -> str:
    match mount:
        case SecretMount():
            return f"secret {mount.id} as {mount.target or mount.env}{_need(mount)}"
        case SshMount():
            return f"ssh agent {mount.id}" + (f" as {mount.target}" if mount.target else "") + _need(mount)
        case CacheMount():
            return f"cache {mount.id} at {mount.target}"
        case BindMount():
            return f"{mount.source} at {mount.target}"


def _need(mount: SecretMount | SshMount) -> str:
    return "" if mount.is_required else ", optional"


def _others(build: ResolvedBuild) -> list[str]:
    """Steps that no decision stands for."""
    kinds = CaCertificate | ModelSchema | Precompile | UserAccount
    return list(dict.fromkeys(step_title(step) for step in _steps(build) if isinstance(step, kinds)))


def _steps(build: ResolvedBuild) -> Iterator[Step]:
    return (step for stage in build.stages for step in stage.steps)
