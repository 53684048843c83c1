"""uv: which packages and files the requirements of a build come to. Needs the program, and the package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..diagnostics import Diagnostic, Note, report
from ..frontend.pylock import TargetSystem, read_pylock
from ..ir.lock import LockedPackage
from ..record import record
from . import EngineFailure, Reporter

__all__ = ["PackageRequest", "find_uv", "resolve_packages"]

# The minor versions of glibc that uv has platforms for, oldest first.
_GLIBC_MINORS = (17, 28, *range(31, 41))
_LOCK = "pylock.toml"
_MOST_LINES = 12


@record
class PackageRequest:
    """What to resolve: lines of a requirements file and of a constraints file, for one system.

    `options` are arguments of uv. `kept` are the (name, version) pairs to stay with where that is possible; `upgrades`
    are names to ask the index anew about, an empty one stands for all. `hashes` are the SHA-256 digests that the user
    allows, by package. `artifacts` are the packages of the project below `root`, which the lines name as `file:` URLs.
    Without `allows_builds` no code of a package runs here.
    """

    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    target: TargetSystem
    options: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    upgrades: tuple[str, ...] = ()
    hashes: tuple[tuple[str, frozenset[str]], ...] = ()
    root: Path = Path()
    artifacts: tuple[str, ...] = ()
    allows_builds: bool = False


def find_uv() -> str:
    """The program: beside the Python that runs cogc, or on the PATH. Error: COG265 as `EngineFailure`."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    if found is None:
        hint = f"install it beside cogc (`{sys.executable} -m pip install uv`, `pipx inject cogc uv`) or on the PATH"
        raise EngineFailure(report("COG265", "uv resolves the packages of a lock, and is not installed", hint=hint))
    return found


def resolve_packages(request: PackageRequest, reporter: Reporter) -> tuple[LockedPackage, ...]:
    """Every package that is installed, sorted by name. Errors: COG265, COG266 as `EngineFailure`."""
    if not request.lines:
        return ()
    uv = find_uv()
    minor = max((known for known in _GLIBC_MINORS if known <= request.target.glibc_minor), default=_GLIBC_MINORS[0])
    with tempfile.TemporaryDirectory(prefix="cogc-lock-") as directory:
        folder = Path(directory)
        _write(folder / "requirements.in", request.lines)
        _write(folder / "constraints.in", request.constraints)
        if request.kept:
            _write(folder / _LOCK, _preferences(request.kept))
        words = [
            *(uv, "pip", "compile", "--quiet", "--no-header", "--no-python-downloads", "--generate-hashes"),
            *("--python", sys.executable, "--python-version", request.target.python),
            *("--python-platform", f"{request.target.machine}-manylinux_2_{minor}"),
            *("--index-strategy", "unsafe-best-match", "--constraints", "constraints.in", "--output-file", _LOCK),
            *(() if request.allows_builds else ("--no-build",)),
            *(f"--upgrade-package={name}" if name else "--upgrade" for name in request.upgrades),
            *request.options,
            "requirements.in",
        ]
        reporter.program(words)
        done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            raise EngineFailure(_failure(done.stderr.decode("utf-8", "replace")))
        text = (folder / _LOCK).read_text("utf-8")
        packages, problems = read_pylock(text, request.target, dict(request.hashes))
        if problems:
            raise EngineFailure(*(report("COG266", problem) for problem in problems))
        return tuple(_in_project(package, request, folder) for package in packages)


def _in_project(package: LockedPackage, request: PackageRequest, folder: Path) -> LockedPackage:
    """A package of the project by its path there; uv names it as seen from where it ran."""
    if package.source != "project" or package.location is None:
        return package
    place = folder / package.location
    path = next(artifact for artifact in request.artifacts if (request.root / artifact).samefile(place))
    return replace(package, location=path, size_bytes=place.stat().st_size)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.touch(mode=0o600)  # index URLs may have passwords
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _preferences(kept: Sequence[tuple[str, str]]) -> Iterable[str]:
    """An earlier output, from which uv takes versions where they still fit."""
    yield from ('lock-version = "1.0"', 'created-by = "cogc"')
    for name, version in kept:
        yield from ("[[packages]]", f'name = "{name}"', f'version = "{version}"')


def _failure(text: str) -> Diagnostic:
    """COG266 with what uv says, which is an explanation in sentences."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [re.sub(r"^(error|cause|hint|warning|×|╰─▶|├─▶|│)\W*", "", line) for line in lines]
    message = "uv cannot resolve the packages: " + (said[0] if said else "it said nothing")
    notes = [Note(message=line) for line in said[1:_MOST_LINES] if line]
    hint = None
    if "no-build" in text or "building from source is disabled" in text.lower() or "source distributions is" in text:
        hint = (
            "a package has no wheel: --allow-builds lets uv run its build script on this machine to read what it needs"
        )
    return report("COG266", message, notes=notes, hint=hint)
