"""Which interpreter of this machine runs the model: the one that is wanted, or the nearest there is."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

from ...diagnostics import report
from ...record import record
from .. import EngineFailure, Reporter

__all__ = ["Interpreter", "is_wanted", "nearest_python", "own_python", "probe", "wanted_python"]

# The SDK runs on these, and the tables of cogc know them.
OLDEST, NEWEST_MINOR = (3, 8), 20
_PROBE_SECONDS = 20.0
_INSTALL_SECONDS = 600.0
_PROBE = """\
import json, sys
print(json.dumps([getattr(sys, "_base_executable", None) or sys.executable, list(sys.version_info[:3]),
                  sys.implementation.name, sys.prefix == sys.base_prefix]))
"""
# Where installers put interpreters that are not on the PATH.
_PLACES = (
    "{PYENV_ROOT}/versions/3.*/bin/python",
    "~/.pyenv/versions/3.*/bin/python",
    "{UV_PYTHON_INSTALL_DIR}/cpython-3.*/bin/python3",
    "~/.local/share/uv/python/cpython-3.*/bin/python3",
    "/opt/homebrew/opt/python@3.*/bin/python3.*",
    "/usr/local/bin/python3.*",
    "/usr/bin/python3.*",
)


@record(kw_only=False)
class Interpreter:
    """A CPython by its path; `version` has three parts."""

    path: str
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """Such as `3.12.4`."""
        return ".".join(map(str, self.version))

    @property
    def minor(self) -> str:
        """Such as `3.12`."""
        return ".".join(map(str, self.version[:2]))


def is_wanted(interpreter: Interpreter, wanted: str) -> bool:
    """Whether the version is the wanted one, which has two parts or three.

    >>> is_wanted(Interpreter("", (3, 12, 4)), "3.12"), is_wanted(Interpreter("", (3, 12, 4)), "3.12.5")
    (True, False)
    """
    return interpreter.version[: wanted.count(".") + 1] == _parts(wanted)


def wanted_python(
    wanted: str, uv: str | None, environment: Mapping[str, str], reporter: Reporter
) -> Interpreter | None:
    """The wanted one where the machine has it; nothing is installed, and few programs are started."""
    if uv is not None and (given := _from_uv(wanted, uv, environment, reporter, installs=False)):
        return given
    for path in _likely(wanted, environment):
        interpreter = probe(path, environment)
        if interpreter is not None and is_wanted(interpreter, wanted):
            return interpreter
    return None


def nearest_python(wanted: str, uv: str | None, environment: Mapping[str, str], reporter: Reporter) -> Interpreter:
    """The wanted one, fetched by uv if need be, else the nearest on the machine. Error: COG703 when there is none."""
    if given := wanted_python(wanted, uv, environment, reporter):
        return given
    if uv is not None and (given := _from_uv(wanted, uv, environment, reporter, installs=True)):
        return given
    seen: dict[str, Interpreter | None] = {}
    for path in _all(environment):
        real = os.path.realpath(path)
        if real not in seen:
            seen[real] = probe(path, environment)
    usable = [found for found in seen.values() if found is not None and found.version >= OLDEST]
    if not usable:
        hint = "install Python, or uv, which fetches the version that a project wants"
        raise EngineFailure(
            report("COG703", f"there is no Python {wanted} on this machine, nor another one", hint=hint)
        )
    return min(usable, key=lambda interpreter: _distance(interpreter, wanted))


def own_python() -> Interpreter:
    """The interpreter that cogc itself runs on, outside of its virtual environment."""
    path = getattr(sys, "_base_executable", None) or sys.executable
    return Interpreter(path, sys.version_info[:3])


def probe(path: str, environment: Mapping[str, str]) -> Interpreter | None:
    """What the program is, if it is a CPython that runs."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            env=dict(environment),
            check=False,
        )
        base, version, implementation, _ = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if implementation != "cpython" or len(version) != 3:
        return None
    major, minor, patch = map(int, version)
    return Interpreter(str(base), (major, minor, patch))


def _likely(wanted: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Programs that should be the wanted version, by their names."""
    minor = ".".join(wanted.split(".")[:2])
    found = shutil.which(f"python{minor}", path=environment.get("PATH", ""))
    if found:
        yield found
    if own_python().minor == minor:
        yield own_python().path
    named = re.compile(rf"(?<![\d.]){re.escape(minor)}(?!\d)")
    yield from (place for place in _elsewhere(environment) if named.search(place))


def _all(environment: Mapping[str, str]) -> Iterator[str]:
    """Every program that may be a Python of some version."""
    names = ["python3", "python", *(f"python3.{number}" for number in range(NEWEST_MINOR, OLDEST[1] - 1, -1))]
    path = environment.get("PATH", "")
    yield own_python().path
    yield from (found for name in names if (found := shutil.which(name, path=path)))
    yield from _elsewhere(environment)


def _elsewhere(environment: Mapping[str, str]) -> list[str]:
    return [place for pattern in _PLACES for place in _expand(pattern, environment)]


def _expand(pattern: str, environment: Mapping[str, str]) -> list[str]:
    name = re.match(r"\{(\w+)\}", pattern)
    if name is not None:
        value = environment.get(name[1], "")
        if not os.path.isabs(value):
            return []
        pattern = value + pattern[name.end() :]
    places = sorted(glob.glob(os.path.expanduser(pattern)), reverse=True)
    return [place for place in places if re.fullmatch(r"python(3(\.[0-9]+)?)?", os.path.basename(place))]


def _from_uv(
    wanted: str, uv: str, environment: Mapping[str, str], reporter: Reporter, *, installs: bool
) -> Interpreter | None:
    """The wanted Python that uv knows; with `installs` uv fetches it first."""
    if installs:
        words = [uv, "python", "install", "--quiet", wanted]
        reporter.notice(f"Python {wanted} is not on this machine: uv installs it...")
        reporter.program(words)
        if _run(words, environment, _INSTALL_SECONDS) is None:
            return None
    words = [uv, "python", "find", "--quiet", "--system", "--no-python-downloads", wanted]
    reporter.program(words)
    path = _run(words, environment, _PROBE_SECONDS)
    found = probe(path.strip(), environment) if path else None
    return found if found is not None and is_wanted(found, wanted) else None


def _run(words: list[str], environment: Mapping[str, str], seconds: float) -> str | None:
    """Standard output of a call that works."""
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            env=dict(environment),
            text=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _distance(interpreter: Interpreter, wanted: str) -> tuple[int, int, int]:
    """How far a version is from the wanted one. Newer ones win where two are as far, and newer patches always."""
    parts = _parts(wanted)
    minor = interpreter.version[1] - (parts[1] if len(parts) > 1 else 0)
    return abs(minor), -minor, -interpreter.version[2]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
