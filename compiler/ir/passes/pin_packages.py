"""Install exactly the files that a lock names, checked by their hashes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..credentials import without_credentials
from ..lock import LockedPackage, LockedPlatform
from ..node import Cause
from ..nodes import PythonPackages, Request, Resolution, ResolvedBuild, SshMount, Stage, StagedFile, Step

__all__ = ["locked_resolution", "pin_packages"]

GIT_FILE = "requirements-git.txt"
# Nothing but the lines is installed: what packages need is among them.
_OPTIONS = ("--no-deps",)
_LINE_OPTIONS = ("--config-settings", "--global-option")
_FROM_GIT = " @ git+"
_CREDENTIALS = re.compile(r"(\w+://)([^/@\s]+@)([^/@\s#?]+)")


def locked_resolution(entry: LockedPlatform, request: Request) -> Resolution:
    """The resolution of a lock with the lines to install: what the resolver would have given.

    Passwords, which a lock does not hold, come from the request.
    """
    why = (Cause(kind="flag", text=f"{_count(len(entry.packages))} by hash, locked"),)
    options = entry.resolution.requirements if entry.packages else ()
    lines = (*options, *(_line(package, request) for package in entry.packages))
    python = Cause(kind="flag", text=f"python {entry.resolution.python}, locked")
    return replace(
        entry.resolution,
        requirements=tuple(_with_credentials(line, request) for line in lines),
        because=(python,),
        requirements_because=why,
        tools_because=(Cause(kind="flag", text="tools that were added, locked"),),
    )


def pin_packages(build: ResolvedBuild, entry: LockedPlatform) -> ResolvedBuild:
    """Check hashes while installing, and install what comes from git, which has none, in a step of its own.

    Before: `PythonPackages(requirements.txt)` with the lines of the lock. After: `PythonPackages(requirements.txt,
    options=--no-deps --require-hashes)`, then `PythonPackages(requirements-git.txt, options=--no-deps)`. Where all
    files are wheels, `--only-binary :all:` says so as well: then nothing is built, whatever the system has.
    """
    is_built = any(package.is_built for package in entry.packages if package.source != "git")
    wheels = () if is_built else ("--only-binary", ":all:")
    files = {file.path: file for file in build.files}
    stages: list[Stage] = []
    for stage in build.stages:
        steps: list[Step] = []
        for step in stage.steps:
            if not isinstance(step, PythonPackages):
                steps.append(step)
                continue
            lines = files[step.requirements_file].content.splitlines()
            git = [line for line in lines if _FROM_GIT in line]
            hashed = [line for line in lines if line not in git]
            if len(git) < len(entry.packages):
                content = "\n".join(hashed) + "\n"
                files[step.requirements_file] = StagedFile(path=step.requirements_file, content=content)
                options = (*step.options, *_OPTIONS, "--require-hashes", *wheels)
                steps.append(replace(step, options=options, ssh=None))
            else:
                del files[step.requirements_file]
            if git:
                files[GIT_FILE] = StagedFile(path=GIT_FILE, content="\n".join(git) + "\n")
                steps.append(_git_step(step, git))
        stages.append(replace(stage, steps=tuple(steps)))
    return replace(build, stages=tuple(stages), files=tuple(files[path] for path in sorted(files)))


def _git_step(step: PythonPackages, lines: list[str]) -> PythonPackages:
    why = Cause(kind="flag", text="commits of git repositories, locked; they have no hash")
    ssh = (step.ssh or SshMount()) if any(f"{_FROM_GIT}ssh:" in line for line in lines) else None
    options = (*step.options, *_OPTIONS)
    return replace(step, requirements_file=GIT_FILE, artifacts=(), options=options, ssh=ssh, because=(why,))


def _line(package: LockedPackage, request: Request) -> str:
    """The requirement line that installs a package and nothing else."""
    digest = f" --hash=sha256:{package.sha256}" if package.sha256 else ""
    match package.source:
        case "git":
            place = f"#subdirectory={package.subdirectory}" if package.subdirectory else ""
            return f"{package.name}{_FROM_GIT}{package.location}@{package.commit}{place}"
        case "url":
            return f"{package.name} @ {package.location}{digest}"
        case "project":
            return f"{_place(package, request)}{digest}"
        case "index":
            return f"{package.name}=={package.version}{digest}{_options(package.name, request)}"


def _place(package: LockedPackage, request: Request) -> str:
    """Where the image build has a package of the project."""
    return next(line.text for line in request.requirements if line.path == package.location)


def _options(name: str, request: Request) -> str:
    """How the user wants a package to be built, which is on its line."""
    given = (option for line in request.requirements if line.name == name for option in line.options)
    return "".join(f" {option}={value}" for option, value in given if option in _LINE_OPTIONS)


def _with_credentials(line: str, request: Request) -> str:
    if "://***@" not in line:
        return line
    known = {f"{scheme}***@{host}": f"{scheme}{user}{host}" for scheme, user, host in _credentials(request)}
    for masked, full in known.items():
        line = line.replace(masked, full)
    return line


def _credentials(request: Request) -> Iterator[tuple[str, str, str]]:
    for requirement in request.requirements:
        for text in (requirement.text, requirement.url or "", *(value for _, value in requirement.options)):
            if without_credentials(text) != text:
                yield from _CREDENTIALS.findall(text)


def _count(number: int) -> str:
    return "1 package" if number == 1 else f"{number} packages"
