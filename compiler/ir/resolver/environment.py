"""The environment that markers are evaluated for: CPython on Linux, a Python version and an architecture."""

from __future__ import annotations

from functools import lru_cache

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.version import InvalidVersion

from ..requirement import Requirement

__all__ = ["MACHINES", "applies"]

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def applies(requirement: Requirement, python: str, architecture: str) -> bool:
    """Whether a line is in force for `python` (`3.12` or `3.12.4`); a marker that cannot be read counts as true."""
    return requirement.marker is None or _holds(requirement.marker, python, architecture)


@lru_cache(maxsize=1024)
def _holds(marker: str, python: str, architecture: str) -> bool:
    minor = ".".join(python.split(".")[:2])
    full = python if python.count(".") == 2 else f"{minor}.0"
    environment = {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": MACHINES[architecture],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": minor,
        "sys_platform": "linux",
        "extra": "",
    }
    try:
        return Marker(marker).evaluate(environment)
    except (InvalidMarker, UndefinedEnvironmentName, InvalidVersion):
        return True
