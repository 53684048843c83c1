"""What the name of a file on an index says: version, Pythons, processor, oldest glibc."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from packaging.tags import Tag
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

__all__ = ["IndexFile", "newest", "released", "required_python", "wheels_by_platform"]

_PLATFORMS = ("x86_64", "aarch64")
_GLIBC_OF = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


@dataclass(frozen=True)
class IndexFile:
    """A file as a listing has it. `uploaded` is an ISO date, `size` in bytes; None where the listing does not say."""

    name: str
    url: str
    requires_python: str | None = None
    is_yanked: bool = False
    uploaded: str | None = None
    size: int | None = None

    @property
    def is_wheel(self) -> bool:
        """Whether the name is that of a wheel."""
        return self.name.endswith(".whl")

    @cached_property
    def _parsed(self) -> tuple[Version | None, frozenset[Tag]]:
        try:
            if self.is_wheel:
                _, version, _, tags = parse_wheel_filename(self.name)
                return version, tags
            return parse_sdist_filename(self.name)[1], frozenset()
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            return None, frozenset()

    @property
    def version(self) -> Version | None:
        """The version; None for files that are neither wheel nor source archive."""
        return self._parsed[0]

    @property
    def platform(self) -> str | None:
        """`linux_x86_64`, `linux_aarch64`, `any` for all machines; None for others."""
        for tag in self._parsed[1]:
            if tag.platform == "any":
                return "any"
            for machine in _PLATFORMS:
                if "linux" in tag.platform and tag.platform.endswith(machine):
                    return f"linux_{machine}"
        return None

    @property
    def pythons(self) -> frozenset[str]:
        """Minors such as `3.12`, `3.8+` for a wheel of the stable ABI, `py3` for any; not the free-threaded ones."""
        found = set()
        for tag in self._parsed[1]:
            minor = re.fullmatch(r"cp(\d)(\d+)", tag.interpreter)
            if tag.interpreter == "py3":
                found.add("py3")
            elif minor is not None and tag.abi == "abi3":
                found.add(f"{minor[1]}.{minor[2]}+")
            elif minor is not None and not re.fullmatch(r"cp3\d+t", tag.abi):
                found.add(f"{minor[1]}.{minor[2]}")
        return frozenset(found)

    @property
    def glibc(self) -> tuple[int, int] | None:
        """The oldest glibc that the wheel says it runs on."""
        found = []
        for tag in self._parsed[1]:
            kind = tag.platform.partition("_")[0]
            numbered = re.match(r"manylinux_(\d+)_(\d+)_", tag.platform)
            if numbered is not None:
                found.append((int(numbered[1]), int(numbered[2])))
            elif kind in _GLIBC_OF:
                found.append(_GLIBC_OF[kind])
        return min(found, default=None)


def _key(python: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", python)) if python != "py3" else (3, 0)


def wheels_by_platform(files: Iterable[IndexFile]) -> dict[str, dict[str, Any]]:
    """For each platform of `IndexFile.platform` the Pythons, oldest first, and the newest glibc that a wheel wants."""
    pythons: dict[str, set[str]] = {}
    glibc: dict[str, tuple[int, int]] = {}
    for file in files:
        platform = file.platform
        if platform is None:
            continue
        pythons.setdefault(platform, set()).update(file.pythons)
        if file.glibc is not None:
            glibc[platform] = max(glibc.get(platform, (0, 0)), file.glibc)
    return {
        platform: {"python": sorted(found, key=_key)}
        | ({"glibc": ".".join(map(str, glibc[platform]))} if platform in glibc else {})
        for platform, found in sorted(pythons.items())
    }


def newest(files: Iterable[IndexFile], platform: str) -> IndexFile | None:
    """The wheel for the platform that is read in depth: that of the newest Python."""
    fitting = [file for file in files if file.platform == platform]
    with_python = [file for file in fitting if file.pythons] or fitting
    return max(with_python, key=lambda file: max(map(_key, file.pythons), default=(0,)), default=None)


def released(files: Iterable[IndexFile]) -> str | None:
    """The day on which the first file of a release was uploaded."""
    return min((file.uploaded for file in files if file.uploaded is not None), default=None)


def required_python(files: Iterable[IndexFile], metadata: Mapping[str, Any] | None = None) -> str | None:
    """Requires-Python of a release; where files differ, the last in the order of text."""
    found = sorted({file.requires_python for file in files if file.requires_python})
    return found[-1] if found else (metadata or {}).get("requires_python")
