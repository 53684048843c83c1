"""Requirements of core metadata, for the platforms of the matrix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["Metadata", "cuda_of", "cudnn_of", "floor_of", "parse_metadata"]

_CUDA = re.compile(r"(nvidia-|cuda-toolkit|cuda-bindings|cuda-pathfinder)")
_RUNTIME = re.compile(r"nvidia-cuda-runtime(-cu\d+)?|cuda-toolkit")
_CUDNN = re.compile(r"nvidia-cudnn-cu\d+")


class Metadata:
    """The requirements of one wheel."""

    def __init__(self, requires: Iterable[str] = (), extras: Iterable[str] = (), python: str | None = None) -> None:
        self.requires = tuple(_parsed(requires))
        self.extras = tuple(extras)
        self.requires_python = python

    def of(self, name: str) -> list[Requirement]:
        """The requirements on a package that do not belong to an extra."""
        return [each for each in self.requires if canonicalize_name(each.name) == name and not _is_of_extra(each)]

    def specifiers(self, name: str) -> list[str]:
        """The same as text: specifier and marker, `any` for neither; sorted."""
        texts = (f"{each.specifier}{f' ; {each.marker}' if each.marker else ''}" or "any" for each in self.of(name))
        return sorted(set(texts))

    def extra(self, extra: str, *, machine: str = "x86_64", python: str = "3.12") -> dict[str, str]:
        """What an extra adds, as name → specifier (`any` for none)."""
        return {
            _written(each): str(each.specifier) or "any"
            for each in self.requires
            if _applies(each, machine, python, extra) and not _applies(each, machine, python, "")
        }

    def libraries(self, machine: str, python: str) -> dict[str, str]:
        """The CUDA packages that are demanded without an extra: name → version of a pin, or specifier."""
        found = {
            _written(each): exact(str(each.specifier))
            for each in self.requires
            if _CUDA.match(canonicalize_name(each.name)) and _applies(each, machine, python, "")
        }
        return dict(sorted(found.items()))


def parse_metadata(raw: bytes | None) -> Metadata:
    """The requirements in a METADATA file; none for no file."""
    if raw is None:
        return Metadata()
    found, _ = parse_email(raw)
    return Metadata(found.get("requires_dist", ()), found.get("provides_extra", ()), found.get("requires_python"))


def _parsed(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            yield Requirement(line)
        except InvalidRequirement:  # old metadata has forms that nobody reads any more
            continue


def _is_of_extra(requirement: Requirement) -> bool:
    return requirement.marker is not None and "extra" in str(requirement.marker)


def _written(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return canonicalize_name(requirement.name) + extras


def _applies(requirement: Requirement, machine: str, python: str, extra: str) -> bool:
    if requirement.marker is None:
        return True
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": extra,
    }
    return requirement.marker.evaluate(environment)


def exact(specifier: str) -> str:
    """The version of a pin; any other specifier as it is.

    >>> exact("==9.1.0.70"), exact(">=2"), exact("")
    ('9.1.0.70', '>=2', '')
    """
    pinned = re.fullmatch(r"==([^,*]+)", specifier)
    return pinned[1] if pinned else specifier


def cuda_of(pins: dict[str, str]) -> str | None:
    """Major and minor of CUDA, from the pin of its runtime or of the toolkit."""
    for name, value in pins.items():
        if _RUNTIME.fullmatch(name.partition("[")[0]) and re.match(r"\d+\.\d+", value):
            return ".".join(value.split(".")[:2])
    return None


def cudnn_of(pins: dict[str, str]) -> str | None:
    """The pin of cuDNN."""
    return next((value for name, value in pins.items() if _CUDNN.fullmatch(name)), None)


def floor_of(pins: dict[str, str], what: Any) -> str | None:
    """The lower bound for `cuda` or `cudnn` where it is a range."""
    pattern = _RUNTIME if what == "cuda" else _CUDNN
    for name, value in pins.items():
        floor = re.search(r">=\s*([\d.]+)", value)
        if pattern.fullmatch(name.partition("[")[0]) and floor is not None:
            return floor[1]
    return None
