"""Typed rows of the compatibility matrix. Pure: the raw tables are handed in, so a test can pass three rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Literal, cast

from packaging.version import Version

from ..record import record
from .size_tables import SizeTables, size_tables

__all__ = [
    "BuildVariant",
    "CudaFrom",
    "CudaImage",
    "CudaRange",
    "Evidence",
    "Gpu",
    "Matrix",
    "NumpyCeiling",
    "PythonRelease",
    "Release",
    "Rules",
    "SystemPackageRow",
    "cuda_tuple",
]

CudaFrom = Literal["none", "wheel", "pip", "extra", "system", "torch", "source"]


@record
class Evidence:
    """Where a row comes from. `date` is the ISO day on which it was measured or copied."""

    kind: Literal["measured", "transcribed", "inferred"]
    what: str
    date: str

    def __str__(self) -> str:
        return f"{self.kind} {self.date}"


@record
class BuildVariant:
    """One build of a release (`id` is `default`, `cpu`, `cu126`, and so on): who brings which CUDA libraries.

    `extra` are the extras that switch it on, `also` other spellings of them. `kernels` are the GPU architectures
    compiled in (`sm_90`, `compute_80`), empty where nobody looked; `pins` are (name, specifier) pairs of the CUDA
    packages that it demands. `src` names the evidence.
    """

    id: str
    cuda: str | None
    cudnn: str | None
    cuda_from: CudaFrom
    extra: str | None
    also: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    pins: tuple[tuple[str, str], ...] = ()
    size_mib: int | None = None
    src: str = ""


@record
class Release:
    """One release of a package for one architecture. `companions` and `requires` are (name, specifier) pairs.

    `glibc` is the oldest glibc that its wheels run on, `released` an ISO date; None where that is not known.
    """

    package: str
    version: Version
    python: tuple[str, ...]
    builds: tuple[BuildVariant, ...]
    companions: tuple[tuple[str, str], ...]
    requires: tuple[tuple[str, str], ...]
    is_yanked: bool
    glibc: str | None = None
    released: str | None = None
    src: str = ""

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
class Gpu:
    """A GPU architecture: `sm` is `sm_90`, `capability` is 9.0 as numbers; `models` are names of products."""

    sm: str
    capability: tuple[int, int]
    generation: str
    models: tuple[str, ...]


@record
class CudaRange:
    """The GPU architectures that a range of CUDA releases can compile for; `last` is None for an open end."""

    first: tuple[int, int]
    last: tuple[int, int] | None
    oldest: tuple[int, int]
    newest: tuple[int, int]


@record
class NumpyCeiling:
    """Releases of a package that were built for an older NumPy than their metadata says."""

    package: str
    versions: str
    numpy: str


@record
class Rules:
    """Facts that no package metadata states.

    `compiles_cuda` are pairs of a package and whether only its VCS form is compiled; `system_packages_of_nvidia`
    are prefixes of apt packages that only nvidia/cuda images can install. `glibc` are pairs of a distribution
    release and its glibc; `has_source` are packages that can also be installed from source. `shared_files` are
    groups of packages that write the same files.
    """

    compiles_cuda: tuple[tuple[str, bool], ...]
    system_packages_of_nvidia: tuple[str, ...]
    commands_that_need_cuda: tuple[str, ...]
    numpy_ceilings: tuple[NumpyCeiling, ...] = ()
    glibc: tuple[tuple[str, str], ...] = ()
    has_source: tuple[str, ...] = ()
    shared_files: tuple[tuple[str, ...], ...] = ()


@lru_cache(maxsize=1024)
def cuda_tuple(version: str) -> tuple[int, int]:
    """Major and minor of a CUDA version.

    >>> cuda_tuple("12.1.1"), cuda_tuple("11.8")
    ((12, 1), (11, 8))
    """
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


class Matrix:
    """The tables of one matrix version, each read when first needed.

    `table(name)` gives the JSON document of a table, or raises KeyError. `version` is `2026.11`, or with tables of the
    project `2026.11+3f9a2c1d`, which ends in the start of their checksum. `checksum()` is that of all tables.
    """

    def __init__(
        self, version: str, table: Callable[[str], Mapping[str, Any]], checksum: Callable[[], str] = str
    ) -> None:
        self.version = version
        self._table = table
        self._checksum = checksum
        self._rows: dict[tuple[str, str], dict[Version, Mapping[str, Any]]] = {}
        self._releases: dict[tuple[str, str, Version], Release] = {}

    @property
    def checksum(self) -> str:
        """The SHA-256 of all tables; empty for a matrix that is no set of files."""
        return self._checksum()

    @property
    def month(self) -> str:
        """The ISO date of the first day of its month."""
        year, month = self.version.partition("+")[0].split(".")[:2]
        return f"{year}-{month}-01"

    def table(self, name: str) -> Mapping[str, Any]:
        """The JSON document of a table. KeyError where there is none."""
        return self._table(name)

    def versions(self, package: str, architecture: str) -> tuple[Version, ...]:
        """The versions of a package for an architecture, oldest first; empty for unknown packages."""
        return tuple(self._rows_of(package, architecture))

    def release(self, package: str, architecture: str, version: Version) -> Release | None:
        """One release; None where there is no row of it. Rows are made when they are first asked for."""
        key = package, architecture, version
        if key not in self._releases:
            row = self._rows_of(package, architecture).get(version)
            if row is None:
                return None
            self._releases[key] = _release(package, row)
        return self._releases[key]

    def releases(self, package: str, architecture: str) -> tuple[Release, ...]:
        """All releases of a package for an architecture, oldest first; empty for unknown packages."""
        found = (self.release(package, architecture, version) for version in self._rows_of(package, architecture))
        return tuple(release for release in found if release is not None)

    def _rows_of(self, package: str, architecture: str) -> dict[Version, Mapping[str, Any]]:
        key = package, architecture
        if key not in self._rows:
            try:
                rows = self._table(package)["rows"]
            except KeyError:
                rows = []
            self._rows[key] = {Version(row["version"]): row for row in rows if row["arch"] == architecture}
        return self._rows[key]

    def evidence(self, table: str, src: str) -> Evidence | None:
        """Where the rows of a table that cite `src` come from."""
        try:
            cited = self._table(table).get("sources", {}).get(src)
        except KeyError:
            return None
        return Evidence(kind=cited["kind"], what=cited["what"], date=cited["date"]) if cited else None

    @cached_property
    def sizes(self) -> SizeTables:
        """How large images and packages are; nothing where there is no such table."""
        try:
            return size_tables(self._table("sizes"))
        except KeyError:
            return SizeTables()

    @cached_property
    def gpus(self) -> tuple[Gpu, ...]:
        """All GPU architectures, oldest first."""
        return tuple(
            Gpu(
                sm=row["sm"],
                capability=cuda_tuple(row["compute_capability"]),
                generation=row["generation"],
                models=(*row["models"], *row.get("also", ())),
            )
            for row in self._table("cuda")["gpus"]
        )

    @cached_property
    def cuda_ranges(self) -> tuple[CudaRange, ...]:
        """Which architectures each CUDA release can compile for, oldest first."""
        return tuple(
            CudaRange(
                first=cuda_tuple(row["cuda_from"]),
                last=cuda_tuple(row["cuda_to"]) if row["cuda_to"] else None,
                oldest=cuda_tuple(row["min"]),
                newest=cuda_tuple(row["max"]),
            )
            for row in self._table("cuda")["architectures"]
        )

    def minimum_driver(self, cuda: str) -> str | None:
        """The oldest driver that runs programs of that CUDA version; None where that is not known.

        A driver runs every minor version of its major one, so the newest row that is not above `cuda` says it.
        """
        wanted = cuda_tuple(cuda)
        fitting = [minimum for version, minimum in self._drivers if version <= wanted and version[0] == wanted[0]]
        return fitting[-1] if fitting else None

    @cached_property
    def _drivers(self) -> tuple[tuple[tuple[int, int], str], ...]:
        return tuple((cuda_tuple(row["cuda"]), row["minimum"]) for row in self._table("cuda")["drivers"])

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

    def system_package(self, name: str) -> SystemPackageRow | None:
        """What is known about an apt package that was renamed or dropped."""
        row = self._system_packages.get(name)
        if row is None:
            return None
        return SystemPackageRow(
            name=name,
            absent=tuple(release for release, state in row["releases"].items() if state in ("absent", "choice")),
            replacement=tuple(
                (release, None if names is None else tuple(names))
                for release, names in row.get("replacement", {}).items()
            ),
            note=row.get("note", ""),
        )

    @cached_property
    def _system_packages(self) -> Mapping[str, Mapping[str, Any]]:
        return {row["name"]: row for row in self._table("system-packages")["rows"]}

    @cached_property
    def rules(self) -> Rules:
        """What no metadata says."""
        table = self._table("rules")
        return Rules(
            compiles_cuda=tuple((row["name"], row.get("from") == "vcs") for row in table["compiles_cuda"]),
            system_packages_of_nvidia=tuple(row["prefix"] for row in table["system_packages_of_nvidia"]),
            commands_that_need_cuda=tuple(row["text"] for row in table["commands_that_need_cuda"]),
            numpy_ceilings=tuple(
                NumpyCeiling(package=row["name"], versions=row["versions"], numpy=row["numpy"])
                for row in table.get("numpy_ceilings", ())
            ),
            glibc=tuple((row["distribution"], row["glibc"]) for row in table.get("glibc", ())),
            has_source=tuple(row["name"] for row in table.get("has_source", ())),
            shared_files=tuple(tuple(row["packages"]) for row in table.get("shared_files", ())),
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
                also=tuple(build.get("also", ())),
                kernels=tuple(build.get("kernels", ())),
                pins=tuple(build.get("pins", {}).items()),
                size_mib=build.get("size_mib"),
                src=build.get("src", ""),
            )
            for build in row["builds"]
        ),
        companions=tuple(row.get("with", {}).items()),
        requires=tuple(row.get("requires", {}).items()),
        is_yanked=bool(row.get("yanked")),
        glibc=row.get("glibc"),
        released=row.get("released"),
        src=row.get("src", ""),
    )


def _cudnn_major(infix: str) -> int:
    """`cudnn8` says so; plain `cudnn` came with CUDA 12.4 and means 9."""
    digits = infix.removeprefix("cudnn")
    return int(digits) if digits else 9
