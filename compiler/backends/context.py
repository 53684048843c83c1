"""Resolved IR → the files that a build needs besides the project, as (path, bytes)."""

from __future__ import annotations

from ..ir.nodes import ResolvedBuild, Runtime, ServerEnvironment

__all__ = ["STAGING", "excluded_weights", "staged_files"]

STAGING = ".cog/build"


def staged_files(build: ResolvedBuild, runtime: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    """(path below the staging directory, content), sorted by path.

    `runtime` are the files of the bundled runtime: the SDK below `cog/`, the server below `cog_server/`, and the
    server's packages per Python below `requirements/`. What the stages need of them is staged.
    """
    files = {file.path: file.content.encode() for file in build.files}
    for stage in build.stages:
        for step in stage.steps:
            if isinstance(step, Runtime):
                files |= dict(_runtime(runtime))
            elif isinstance(step, ServerEnvironment):
                files[step.requirements_file] = _pins(dict(runtime), step.python)
    return tuple(sorted(files.items()))


def excluded_weights(build: ResolvedBuild) -> tuple[str, ...]:
    """What the code layer leaves out, as patterns of a .dockerignore: weights, and what is below them."""
    lines: list[str] = []
    for layer in build.weight_layers:
        lines += [layer.source, f"{layer.source}/**/*"] if layer.is_directory else [layer.source]
    return tuple(lines)


def _runtime(runtime: tuple[tuple[str, bytes], ...]) -> list[tuple[str, bytes]]:
    """The SDK in a folder of its own, which is put on the model's path; the server beside that folder."""
    folders = {"cog": "runtime/sdk/cog", "cog_server": "runtime/cog_server"}
    found = []
    for path, content in runtime:
        top, _, rest = path.partition("/")
        if top in folders:
            found.append((f"{folders[top]}/{rest}", content))
    return found


def _pins(runtime: dict[str, bytes], python: str | None) -> bytes:
    """The hashed pins for a minor version of Python; for others the list of what the server needs."""
    exact = runtime.get(f"requirements/server-py{(python or '').replace('.', '')}.txt")
    return exact if exact is not None else runtime["requirements/server.in"]
