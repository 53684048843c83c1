"""What uv resolved, as a pylock.toml → the one file of each package that an image of a platform installs.

Source of the form: https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ..ir.credentials import without_credentials
from ..ir.lock import LockedPackage
from ..record import record

__all__ = ["TargetSystem", "read_pylock"]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Older names of manylinux platforms, by the minor version of glibc: https://peps.python.org/pep-0600/
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@record
class TargetSystem:
    """Where the packages are installed: the minor version of Python, and that of glibc (2.x)."""

    python: str
    architecture: str
    glibc_minor: int

    @property
    def machine(self) -> str:
        """As platform tags name the architecture."""
        return _MACHINES[self.architecture]

    def tags(self) -> Iterator[Tag]:
        """The wheels that can be installed, best first."""
        major, minor = (int(part) for part in self.python.split(".")[:2])
        platforms = list(self._platforms())
        yield from cpython_tags((major, minor), [f"cp{major}{minor}"], platforms)
        yield from compatible_tags((major, minor), f"cp{major}{minor}", platforms)

    def _platforms(self) -> Iterator[str]:
        oldest = 5 if self.architecture == "amd64" else 17
        for minor in range(self.glibc_minor, oldest - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{self.machine}"
        yield f"linux_{self.machine}"


def read_pylock(
    text: str, target: TargetSystem, hashes: Mapping[str, frozenset[str]]
) -> tuple[tuple[LockedPackage, ...], tuple[str, ...]]:
    """The packages sorted by name, and a phrase for each one that has no file to install.

    `hashes` are the SHA-256 digests that the user allows, for the packages whose line has any.
    """
    ranks = {tag: rank for rank, tag in reversed(list(enumerate(target.tags())))}
    packages: list[LockedPackage] = []
    problems: list[str] = []
    for entry in tomllib.loads(text).get("packages", ()):
        name = canonicalize_name(entry["name"])
        package = _package(name, entry, ranks, hashes.get(name))
        if package is None:
            problems.append(f"{name} {entry.get('version', '')} has no file with a SHA-256 for this platform")
        else:
            packages.append(package)
    return tuple(sorted(packages, key=lambda package: package.name)), tuple(problems)


def _package(
    name: str, entry: Mapping[str, Any], ranks: Mapping[Tag, int], allowed: frozenset[str] | None
) -> LockedPackage | None:
    version = str(entry.get("version", ""))
    if "vcs" in entry:
        vcs = entry["vcs"]
        return LockedPackage(
            name=name,
            version=version,
            source="git",
            location=without_credentials(vcs["url"]),
            commit=vcs["commit-id"],
            subdirectory=vcs.get("subdirectory"),
        )
    if "archive" in entry:
        return _archive(name, version, entry["archive"])
    wheels = [wheel for wheel in entry.get("wheels", ()) if _is_allowed(wheel, allowed)]
    fitting = sorted(wheels, key=lambda wheel: _rank(wheel, ranks))
    if fitting and _rank(fitting[0], ranks) < len(ranks):
        return _indexed(name, version, fitting[0])
    archive = entry.get("sdist")
    return _indexed(name, version, archive) if archive is not None and _is_allowed(archive, allowed) else None


def _archive(name: str, version: str, archive: Mapping[str, Any]) -> LockedPackage | None:
    digest = archive.get("hashes", {}).get("sha256")
    if digest is None:
        return None
    is_url = "url" in archive
    return LockedPackage(
        name=name,
        version=version,
        source="url" if is_url else "project",
        file=posixpath.basename(unquote(urlsplit(archive["url"]).path)) if is_url else None,
        location=without_credentials(archive["url"]) if is_url else archive["path"],
        sha256=digest,
        size_bytes=archive.get("size"),
        subdirectory=archive.get("subdirectory"),
    )


def _indexed(name: str, version: str, file: Mapping[str, Any]) -> LockedPackage:
    return LockedPackage(
        name=name, version=version, file=_file_name(file), sha256=file["hashes"]["sha256"], size_bytes=file.get("size")
    )


def _is_allowed(file: Mapping[str, Any], allowed: frozenset[str] | None) -> bool:
    digest = file.get("hashes", {}).get("sha256")
    return digest is not None and (allowed is None or digest in allowed)


def _rank(wheel: Mapping[str, Any], ranks: Mapping[Tag, int]) -> int:
    """The place of the wheel among all that can be installed; the number of all tags for one that cannot."""
    try:
        tags = parse_wheel_filename(_file_name(wheel))[3]
    except InvalidWheelFilename:
        return len(ranks)
    return min((ranks[tag] for tag in tags if tag in ranks), default=len(ranks))


def _file_name(file: Mapping[str, Any]) -> str:
    return str(file.get("name") or posixpath.basename(unquote(urlsplit(file.get("url") or file["path"]).path)))
