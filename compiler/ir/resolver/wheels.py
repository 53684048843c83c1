"""What the name of a wheel file says: package, version, build, and the Pythons and machines it is for.

Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention
"""

from __future__ import annotations

import posixpath
import re

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from ...record import record
from ..requirement import Requirement, path_of_url

__all__ = ["Wheel", "wheel_of"]

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@record
class Wheel:
    """A wheel by its file name.

    `exact` are the minor versions of Python that it is made for, `since` the oldest one of a wheel for the stable
    ABI; with neither, any Python will do. `architectures` are those of Linux; empty for other systems.
    """

    file: str
    name: str
    version: Version
    exact: tuple[str, ...]
    since: tuple[int, int] | None
    architectures: tuple[str, ...]

    def runs_on(self, python: str) -> bool:
        """Whether it can be installed for that minor version."""
        minor = _numbers(python)
        if self.since is not None and minor >= self.since:
            return True
        return python in self.exact or (not self.exact and self.since is None)


def wheel_of(requirement: Requirement) -> Wheel | None:
    """The wheel that a line names by its URL or path; None for other lines and for names that are no wheel's."""
    if requirement.kind == "url" and requirement.url is not None:
        path = path_of_url(requirement.url)
    elif requirement.path is not None:
        path = requirement.path
    else:
        return None
    file = posixpath.basename(path)
    if not file.lower().endswith(".whl"):
        return None
    try:
        name, version, _, tags = parse_wheel_filename(file)
    except ValueError:
        return None
    exact: set[str] = set()
    since: set[tuple[int, int]] = set()
    machines: set[str] = set()
    is_for_any = False
    for tag in tags:
        machines |= {"amd64", "arm64"} if tag.platform == "any" else _architecture(tag.platform)
        interpreter = re.fullmatch(r"cp(\d)(\d+)", tag.interpreter)
        if interpreter is None:
            is_for_any |= tag.interpreter.startswith("py3") or tag.interpreter == "py2.py3"
        elif tag.abi == "abi3":
            since.add((int(interpreter[1]), int(interpreter[2])))
        else:
            exact.add(f"{interpreter[1]}.{interpreter[2]}")
    return Wheel(
        file=file,
        name=name,
        version=version,
        exact=() if is_for_any else tuple(sorted(exact, key=_numbers)),
        since=None if is_for_any or not since else min(since),
        architectures=tuple(sorted(machines)),
    )


def _architecture(platform: str) -> set[str]:
    if "linux" not in platform:
        return set()
    return {ours for theirs, ours in _MACHINES.items() if platform.endswith(theirs)}


def _numbers(python: str) -> tuple[int, int]:
    major, minor = python.split(".")[:2]
    return int(major), int(minor)
