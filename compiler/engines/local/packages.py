"""The Python packages of a build, installed into a virtual environment of this machine: by uv, else by venv and pip.

What is installed is what the Dockerfile would install: the same lines, constraints, options and local wheels.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from ... import __version__
from ...diagnostics import Diagnostic, Note, has_errors, report
from ...driver import Compilation, bundled_matrix
from ...frontend.requirements import ARTIFACT_DIRECTORY
from ...ir.matrix import Matrix
from ...ir.nodes import Build, PythonPackages, ResolvedBuild
from ...ir.pipeline import run
from ...ir.requirement import Requirement
from ...record import record
from .. import EngineFailure, Reporter
from .python import Interpreter

__all__ = ["Installer", "PackageList", "package_list"]

_LINK = "project"
_TAIL_LINES = 12
_SHOWN_LINES = 4
_ENDING_SECONDS = 5.0


@record
class PackageList:
    """What is installed and by what: the lines of both files, options, and digests of the project's own wheels."""

    installer: Literal["uv", "pip"] = "pip"
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    artifacts: tuple[tuple[str, str], ...] = ()
    origins: tuple[Requirement, ...] = ()

    def recipe(self) -> dict[str, object]:
        """The part that decides whether an environment can be used again."""
        return {
            "installer": self.installer,
            "requirements": self.requirements,
            "constraints": self.constraints,
            "options": self.options,
            "artifacts": self.artifacts,
        }


def package_list(compilation: Compilation, root: Path, architecture: str, *, has_uv: bool) -> PackageList:
    """The packages of the build as uv or pip of this machine takes them. Errors: those of the resolver."""
    build = compilation.build
    assert build is not None
    resolved = _resolved_for(build, compilation.matrix or bundled_matrix(), architecture, has_uv=has_uv)
    installer = resolved.resolution.installer if has_uv else "pip"
    step = next((step for stage in resolved.stages for step in stage.steps if isinstance(step, PythonPackages)), None)
    if step is None:
        return PackageList(installer=installer)
    files = {file.path: file.content for file in resolved.files}
    constraints = files[step.constraints_file] if step.constraints_file else ""
    return PackageList(
        installer=installer,
        requirements=tuple(map(_here, files[step.requirements_file].splitlines())),
        constraints=tuple(constraints.splitlines()),
        options=step.options,
        artifacts=tuple((path, _digest(root / path)) for path in step.artifacts),
        origins=build.request.requirements,
    )


def _resolved_for(build: Build, matrix: Matrix, architecture: str, *, has_uv: bool) -> ResolvedBuild:
    """The build once more, for this machine's installer and processor: both change the requirement lines."""
    request = replace(
        build.request,
        installer=build.request.installer if has_uv else "pip",
        architecture="arm64" if architecture in ("arm64", "aarch64") else "amd64",
    )
    resolved, found = run(replace(build, request=request), matrix, __version__)
    if resolved is None or has_errors(found):
        raise EngineFailure(*found)
    return resolved


def _here(line: str) -> str:
    """A line whose local wheel is found through the link to the project that the installer runs beside."""
    return line.replace(ARTIFACT_DIRECTORY, f"./{_LINK}", 1) if line.startswith(f"{ARTIFACT_DIRECTORY}/") else line


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            digest = sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            return digest.hexdigest()
    except OSError:
        return "missing"


@record
class Installer:
    """Makes virtual environments and fills them. `uv` is the program's path, or None for venv and pip.

    `shows` says whether the programs' own output is shown as they run.
    """

    uv: str | None
    environment: Mapping[str, str]
    reporter: Reporter
    shows: bool = True

    @property
    def name(self) -> str:
        """`uv` or `pip`."""
        return "uv" if self.uv else "pip"

    def make(self, folder: Path, interpreter: Interpreter, *, needs_pip: bool = True) -> None:
        """An empty virtual environment; pip in it takes several times as long. Error: COG704."""
        if self.uv:
            words = [self.uv, "venv", "--quiet", "--no-project", "--python", interpreter.path, str(folder)]
        else:
            words = [interpreter.path, "-I", "-m", "venv", *([] if needs_pip else ["--without-pip"]), str(folder)]
        status, tail = self._run(words)
        if status:
            hint = None
            if any("ensurepip" in line for line in tail):
                hint = "install the venv package of the distribution (python3-venv), or uv"
            message = f"the virtual environment {folder} could not be made with Python {interpreter.version_text}"
            raise EngineFailure(report("COG704", message, notes=_notes(tail), hint=hint))

    def install(self, folder: Path, packages: PackageList, root: Path) -> None:
        """Install all packages; local ones are found from `root`. Errors: COG702, OSError."""
        if not packages.requirements:
            return
        files = self._write_files(folder, packages)
        if self.uv:
            words = [self.uv, "pip", "install", "--python", str(folder / "bin" / "python")]
            words += ["--index-strategy", "unsafe-best-match", *packages.options, *files]
        else:
            words = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--no-input"]
            words += ["--disable-pip-version-check", "--progress-bar", "off", *packages.options, *files]
        status, tail = self._run(words, root)
        if status:
            raise EngineFailure(_not_installed(tail, packages, self.name))

    def install_pinned(self, folder: Path, pins: bytes, *, has_hashes: bool) -> None:
        """Install a list of pins, with their hashes. Error: COG704."""
        path = folder / "requirements.txt"
        path.write_bytes(pins)
        hashes = ["--require-hashes"] if has_hashes else []
        if self.uv:
            words = [self.uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *hashes]
        else:
            words = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "--no-input", *hashes]
            words += ["--disable-pip-version-check"]
        status, tail = self._run([*words, "-r", str(path)])
        if status:
            message = "the packages of the HTTP server could not be installed"
            hint = "the package index must be reachable once; afterwards the packages are kept"
            raise EngineFailure(report("COG704", message, notes=_notes(tail), hint=hint))

    def _write_files(self, folder: Path, packages: PackageList) -> list[str]:
        requirements = folder / "requirements.txt"
        requirements.write_text("".join(f"{line}\n" for line in packages.requirements), "utf-8")
        if not packages.constraints:
            return ["-r", str(requirements)]
        constraints = folder / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in packages.constraints), "utf-8")
        return ["-r", str(requirements), "-c", str(constraints)]

    def _run(self, words: Sequence[str], root: Path | None = None) -> tuple[int, list[str]]:
        """Run to the end: the exit status and the last lines of output. Interrupted, it takes all its children along.

        It runs in an empty folder, where neither the settings nor the modules of the project are found by accident.
        """
        self.reporter.program(words)
        with tempfile.TemporaryDirectory(prefix="cogc-") as directory:
            if root is not None:
                os.symlink(root, os.path.join(directory, _LINK))
            return self._finish(words, directory)

    def _finish(self, words: Sequence[str], directory: str) -> tuple[int, list[str]]:
        try:
            process = subprocess.Popen(
                words,
                cwd=directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return 127, [f"{words[0]}: {error.strerror or error}"]
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        assert process.stdout is not None
        try:
            with process.stdout:
                for line in process.stdout:
                    tail.append(line.decode("utf-8", "replace").rstrip())
                    if self.shows:
                        self.reporter.copy(line)
            return process.wait(), list(tail)
        except BaseException:
            _end_group(process)
            raise


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING_SECONDS)
            return


def _not_installed(tail: Sequence[str], packages: PackageList, installer: str) -> Diagnostic:
    """COG702 at the line of cog.yaml or requirements.txt that the installer names, where it names one."""
    text = "\n".join(tail)
    blamed = next((origin for origin in packages.origins if _is_named(origin, text)), None)
    what = f"`{blamed.text}`" if blamed is not None else "the Python packages"
    span = blamed.origin if blamed is not None else None
    hint = "a package without a wheel for this machine needs a compiler, and what `system_packages` names"
    return report("COG702", f"{installer} could not install {what}", span, notes=_notes(tail), hint=hint)


def _is_named(requirement: Requirement, text: str) -> bool:
    if requirement.name is None or requirement.kind in ("option", "constraint"):
        return False
    pattern = re.escape(requirement.name).replace(r"\-", "[-_.]")
    return re.search(rf"(?<![\w.-]){pattern}(?![\w-])", text, re.IGNORECASE) is not None


def _notes(tail: Sequence[str]) -> list[Note]:
    """The lines that say what is wrong, else the last ones."""
    lines = [line for line in tail if line.strip()]
    told = [line for line in lines if re.search(r"error|✗|×|╰|because", line, re.IGNORECASE)] or lines
    return [Note(message=line.strip()[:500]) for line in told[-_SHOWN_LINES:]]
