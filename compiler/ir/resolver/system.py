"""System packages by the names of the chosen release, and the tools that models of Cog count on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...diagnostics import Diagnostic, Edit, Fix, Note, report
from ..matrix import Matrix
from ..node import Cause
from ..nodes import Request, WantedSystemPackage
from ..requirement import requirement_over_ssh

__all__ = ["expected_tools", "rename_system_packages"]

# Cog's GPU images have these, and triton compiles C code when a model runs.
_GPU_TOOLS = ("ca-certificates", "curl", "g++", "git", "make", "wget")

_UBUNTU = {"ubuntu18.04": "bionic", "ubuntu20.04": "focal", "ubuntu22.04": "jammy", "ubuntu24.04": "noble"}


def rename_system_packages(
    wanted: Sequence[WantedSystemPackage], distribution: str | None, matrix: Matrix
) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """The names for apt on that release, each once. Warnings: COG302 (renamed), COG303 (gone)."""
    if distribution is None or not wanted:
        return tuple(dict.fromkeys(package.name for package in wanted)), ()
    release = _UBUNTU.get(distribution, distribution)
    names: dict[str, None] = {}
    found: list[Diagnostic] = []
    for package in wanted:
        row = matrix.system_package(package.name)
        if row is None or release not in row.absent:
            names[package.name] = None
            continue
        replacement = dict(row.replacement).get(release)
        notes = [Note(message=f"{row.note} (matrix {matrix.version})")] if row.note else []
        if replacement is None:
            message = f"{distribution} has no system package `{package.name}`"
            hint = "remove it, or name the package that does its work"
            found.append(report("COG303", message, package.origin, notes=notes, hint=hint))
            names[package.name] = None
        else:
            names.update(dict.fromkeys(replacement))
            found.append(_renamed(package, replacement, distribution, notes))
    return tuple(names), tuple(found)


def _renamed(
    package: WantedSystemPackage, replacement: tuple[str, ...], distribution: str, notes: list[Note]
) -> Diagnostic:
    fix = None
    if len(replacement) == 1 and package.origin is not None:
        edits = (Edit(span=package.origin, replacement=replacement[0]),)
        fix = Fix(title=f"rename `{package.name}` to `{replacement[0]}`", edits=edits)
    taken = " and ".join(f"`{name}`" for name in replacement)
    instead = f"installing {taken} instead" if replacement else "leaving it out"
    message = f"{distribution} has no system package `{package.name}`; {instead}"
    return report("COG302", message, package.origin, notes=notes, fix=fix)


def expected_tools(request: Request) -> tuple[tuple[str, ...], tuple[Cause, ...], tuple[Diagnostic, ...]]:
    """Tools that nobody asked for by name but that the build needs, and why. Warning: COG206.

    GPU images of Cog come with a compiler, git, curl and wget, and all images of Cog have curl; projects rely
    on it. A requirement that is fetched with git needs git, and over ssh a client for that.
    """
    if request.base_image is not None or not request.installs_tools:
        return (), (), ()
    tools: list[str] = []
    causes: list[Cause] = []
    found: list[Diagnostic] = []
    if request.is_gpu:
        tools += _GPU_TOOLS
        causes.append(Cause(kind="rule", text="tools that GPU images of Cog have"))
    elif any(re.search(r"(^|[^\w./-])curl\b", command.command) for command in request.commands):
        tools += ["ca-certificates", "curl"]
        causes.append(Cause(kind="rule", text="curl for build.run"))
    listed = {re.split("[=:/]", package.name)[0] for package in request.system_packages}
    needing = next((r for r in request.requirements if (r.url or "").lower().startswith("git+")), None)
    if needing is not None and not request.is_gpu and not listed & {"git", "git-lfs"}:
        tools += ["ca-certificates", "git"]
        causes.append(Cause(kind="rule", text="git for the requirements that are fetched with it"))
        message = f"`{needing.text}` is fetched with git, which is not among `system_packages`; git is added"
        found.append(report("COG206", message, needing.origin, hint="add git to `system_packages`"))
    over_ssh = requirement_over_ssh(request.requirements)
    if over_ssh is not None and not listed & {"openssh-client", "ssh"}:
        tools.append("openssh-client")
        causes.append(Cause(kind="rule", text="ssh for the requirements that are fetched over it"))
        message = f"`{over_ssh.text}` is fetched over ssh, and `system_packages` has no openssh-client; it is added"
        found.append(report("COG206", message, over_ssh.origin, hint="add openssh-client to `system_packages`"))
    return tuple(dict.fromkeys(tools)), tuple(causes), tuple(found)
