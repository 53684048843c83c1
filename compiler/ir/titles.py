"""What a step of a build is called before people, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from .nodes import (
    CaCertificate,
    Copy,
    Env,
    Expose,
    InitProcess,
    InstallPython,
    Label,
    LinkerCache,
    ModelSchema,
    Precompile,
    Process,
    PythonPackages,
    Run,
    Runtime,
    ServerEnvironment,
    SourceCode,
    Step,
    SystemPackages,
    User,
    UserAccount,
    WeightLayer,
    Workdir,
)

__all__ = ["step_title"]


def step_title(step: Step) -> str:
    """A step of the IR in a few words."""
    match step:
        case Run():
            return step.command if step.origin is not None or not step.because else step.because[0].text
        case SystemPackages():
            return f"system packages: {_listed(step.packages)}"
        case PythonPackages():
            return f"Python packages ({step.installer})"
        case InstallPython():
            return f"Python {step.version}"
        case WeightLayer():
            return f"weights: {step.source}"
        case Copy():
            return _copy(step)
        case UserAccount():
            return f"user {step.name}"
        case Workdir():
            return f"working directory {step.path}"
        case _:
            return _FIXED[type(step)]


_FIXED: dict[type[Step], str] = {
    CaCertificate: "certificate authorities",
    Env: "environment variables",
    Expose: "port",
    InitProcess: "process 1 (tini)",
    Label: "labels",
    LinkerCache: "linker cache",
    ModelSchema: "the model's schema, by importing the model",
    Precompile: "compile Python files",
    Process: "command",
    Runtime: "the runtime",
    ServerEnvironment: "packages of the server",
    SourceCode: "the project's code",
    User: "user",
}


_COPIED = {
    "/opt/cogc": "the runtime and its server",
    "/opt/cogc/bin/tini": "process 1 (tini)",
    "/sbin/tini": "process 1 (tini)",
    "/src/.cog/openapi_schema.json": "the model's schema",
}


def _copy(step: Copy) -> str:
    if step.from_stage == "weights":
        return f"weights: {step.destination.removeprefix('/src/')}"
    if step.destination in _COPIED:
        return _COPIED[step.destination]
    return f"copy {step.destination}" + (f" from {step.from_stage}" if step.from_stage else "")


def _listed(names: Sequence[str], most: int = 6) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
