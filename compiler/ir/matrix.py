"""Typed rows of the compatibility matrix. Pure: the raw tables are handed in, so a test can pass three rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, cast

from packaging.version import Version

from ..record import record

__all__ = [
    "BuildVariant",
    "CudaImage",
    "Matrix",
    "PythonRelease",
    "Release",
    "Rules",
    "SystemPackageRow",
    "cuda_tuple",
]

CudaFrom = Literal["none", "wheel", "pip", "extra", "system", "torch", "source"]


@record
class BuildVariant:
    """One build of a release (`id` is `default`, `cpu`, `cu126`, and so on): who brings which CUDA libraries."""

    id: str
    cuda: str | None
    cudnn: str | None
    cuda_from: CudaFrom
    extra: str | None


@record
class Release:
    """One release of a package for one architecture. `companions` and `requires` are (name, specifier) pairs."""

    package: str
    version: Version
    python: tuple[str, ...]
    builds: tuple[BuildVariant, ...]
    companions: tuple[tuple[str, str], ...]
    requires: tuple[tuple[str, str], ...]
    is_yanked: bool

    @property
    def default(self) -> BuildVariant:
        """What the package index serves when nothing else is asked for."""
        return self.builds[0]

    def build(self, identity: str) -> BuildVariant | None:
        """The build with that id."""
        return next((build for build in self.builds if build.id == identity), None)


@record
class CudaImage:
    """One nvidia/cuda image: `cuda` is x.y.z; `cudnn_version` the full version where it is known."""

    cuda: str
    ubuntu: str
    infix: str
    flavours: tuple[str, ...]
    cudnn_major: int
    cudnn_version: str | None

    def reference(self, flavour: str) -> str:
        """The image name with tag."""
        return f"nvidia/cuda:{self.cuda}-{self.infix}-{flavour}-ubuntu{self.ubuntu}"


@record
class PythonRelease:
    """A minor version of Python.

    `slim` maps a Debian release to the first patch that has a slim image on it, `slim_last` to the last one
    where such images are no longer made.
    """

    version: str
    end_of_life: str
    released: str
    debian: str
    slim: tuple[tuple[str, str], ...]
    slim_last: tuple[tuple[str, str], ...]
    ubuntu_apt: str | None

    def is_over(self, date: str) -> bool:
        """Whether support had ended on that ISO date (or year and month)."""
        return self.end_of_life < date


@record
class SystemPackageRow:
    """Where an apt package cannot be installed, and what takes its place there (None: nothing known).

    `absent` are the releases that lack the name, or where several packages provide it and apt refuses to choose.
    """

    name: str
    absent: tuple[str, ...]
    replacement: tuple[tuple[str, tuple[str, ...] | None], ...]
    note: str


@record
class Rules:
    """Facts that no package metadata states.

    `compiles_cuda` are pairs of a package and whether only its VCS form is compiled; `system_packages_of_nvidia`
    are prefixes of apt packages that only nvidia/cuda images can install.
    """

    compiles_cuda: tuple[tuple[str, bool], ...]
    system_packages_of_nvidia: tuple[str, ...]
    commands_that_need_cuda: tuple[str, ...]


def cuda_tuple(version: str) -> tuple[int, int]:
    """Major and minor of a CUDA version.

    >>> cuda_tuple("12.1.1"), cuda_tuple("11.8")
    ((12, 1), (11, 8))
    """
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


class Matrix:
    """The tables of one matrix version, each read when first needed.

    `table(name)` gives the JSON document of a table, or raises KeyError.
    """

    def __init__(self, version: str, table: Callable[[str], Mapping[str, Any]]) -> None:
        self.version = version
        self._table = table
        self._releases: dict[tuple[str, str], tuple[Release, ...]] = {}

    def releases(self, package: str, architecture: str) -> tuple[Release, ...]:
        """All releases of a package for an architecture, oldest first; empty for unknown packages."""
        key = package, architecture
        if key not in self._releases:
            try:
                rows = self._table(package)["rows"]
            except KeyError:
                rows = []
            self._releases[key] = tuple(_release(package, row) for row in rows if row["arch"] == architecture)
        return self._releases[key]

    @cached_property
    def pythons(self) -> tuple[PythonRelease, ...]:
        """All minor versions of Python, oldest first."""
        return tuple(
            PythonRelease(
                version=row["python"],
                end_of_life=row["end_of_life"],
                released=row["released"],
                debian=row["debian"],
                slim=tuple(row["slim"].items()),
                slim_last=tuple(row["slim_last"].items()),
                ubuntu_apt=row["ubuntu_apt"],
            )
            for row in self._table("python")["rows"]
        )

    @cached_property
    def cuda_images(self) -> tuple[CudaImage, ...]:
        """All nvidia/cuda images with cuDNN."""
        return tuple(
            CudaImage(
                cuda=row["cuda"],
                ubuntu=row["ubuntu"],
                infix=entry["infix"],
                flavours=tuple(entry["flavours"]),
                cudnn_major=_cudnn_major(entry["infix"]),
                cudnn_version=row["cudnn_version"],
            )
            for row in self._table("cuda-images")["rows"]
            for entry in row["cudnn"]
        )

    @cached_property
    def system_packages(self) -> Mapping[str, SystemPackageRow]:
        """What is known about apt packages that were renamed or dropped, by name."""
        return {
            row["name"]: SystemPackageRow(
                name=row["name"],
                absent=tuple(release for release, state in row["releases"].items() if state in ("absent", "choice")),
                replacement=tuple(
                    (release, None if names is None else tuple(names))
                    for release, names in row.get("replacement", {}).items()
                ),
                note=row.get("note", ""),
            )
            for row in self._table("system-packages")["rows"]
        }

    @cached_property
    def rules(self) -> Rules:
        """What no metadata says."""
        table = self._table("rules")
        return Rules(
            compiles_cuda=tuple((row["name"], row.get("from") == "vcs") for row in table["compiles_cuda"]),
            system_packages_of_nvidia=tuple(row["prefix"] for row in table["system_packages_of_nvidia"]),
            commands_that_need_cuda=tuple(row["text"] for row in table["commands_that_need_cuda"]),
        )


def _release(package: str, row: Mapping[str, Any]) -> Release:
    return Release(
        package=package,
        version=Version(row["version"]),
        python=tuple(row["python"]),
        builds=tuple(
            BuildVariant(
                id=build["id"],
                cuda=build["cuda"],
                cudnn=build.get("cudnn"),
                cuda_from=cast(CudaFrom, build["cuda_from"]),
                extra=build.get("extra"),
            )
            for build in row["builds"]
        ),
        companions=tuple(row.get("with", {}).items()),
        requires=tuple(row.get("requires", {}).items()),
        is_yanked=bool(row.get("yanked")),
    )


def _cudnn_major(infix: str) -> int:
    """`cudnn8` says so; plain `cudnn` came with CUDA 12.4 and means 9."""
    digits = infix.removeprefix("cudnn")
    return int(digits) if digits else 9
