"""How large the image will be, step by step, before anything is built. Pure: sizes of files are handed in.

Sizes are those of unpacked files, as `docker history` shows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

from packaging.version import Version

from ..record import record
from .cache import BASE, Place
from .lock import LockedPackage
from .matrix import BuildVariant, Matrix
from .nodes import (
    Copy,
    ImageBase,
    InstallPython,
    PythonPackages,
    ResolvedBuild,
    Run,
    SourceCode,
    Stage,
    StageBase,
    Step,
    SystemPackages,
)
from .size_tables import PackageSize, SizeTables
from .titles import step_title

__all__ = [
    "CudaTwice",
    "FileSizes",
    "SizePart",
    "cuda_twice",
    "estimate_size",
    "stage_totals",
    "total_bytes",
]

RUNTIME = "/opt/cogc"


@record
class SizePart:
    """One thing in the image. `size_bytes` is None where nothing is known about it; `stage` is where it is made.

    `exact` sizes are those of files that are here, `estimated` ones come from what was measured once, `guessed` ones
    from rows of the matrix that nobody measured. `place` is the step whose layer has it.
    """

    stage: str
    what: str
    size_bytes: int | None = None
    certainty: Literal["exact", "estimated", "guessed", "unknown"] = "unknown"
    place: Place | None = field(default=None, compare=False, repr=False)


@record
class FileSizes:
    """Sizes in bytes of files that are copied: the code, weights by their source, and staged files by their path."""

    code: int = 0
    weights: tuple[tuple[str, int], ...] = ()
    staged: tuple[tuple[str, int], ...] = ()


def total_bytes(parts: Sequence[SizePart]) -> int:
    """What is known to be in the image: it may be larger."""
    return sum(part.size_bytes or 0 for part in parts)


def estimate_size(
    build: ResolvedBuild,
    files: FileSizes,
    matrix: Matrix,
    architecture: str,
    packages: Sequence[LockedPackage] | None = None,
) -> tuple[SizePart, ...]:
    """Everything that is in the image, in build order. `packages` are those of a lock."""
    return tuple(_Estimate(build, files, matrix.sizes, architecture, packages).parts())


class _Estimate:
    def __init__(
        self,
        build: ResolvedBuild,
        files: FileSizes,
        tables: SizeTables,
        architecture: str,
        packages: Sequence[LockedPackage] | None,
    ) -> None:
        self._build = build
        self._files = files
        self._tables = tables
        self._architecture = architecture
        self._packages = packages
        self._has_packages = False

    def parts(self) -> Iterator[SizePart]:
        stages = {stage.name: stage for stage in self._build.stages}
        chain = [self._build.stages[-1]]
        while isinstance(chain[0].base, StageBase):
            chain.insert(0, stages[chain[0].base.stage])
        if isinstance(chain[0].base, ImageBase):
            base = self._base(chain[0], chain[0].base.reference.partition("@")[0])
            yield replace(base, place=(chain[0].name, BASE))
        for stage in chain:
            for number, step in enumerate(stage.steps):
                yield from (replace(part, place=(stage.name, number)) for part in self._step(stage, step))

    def _base(self, stage: Stage, reference: str) -> SizePart:
        what = f"base image {reference}"
        repository, _, tag = reference.rpartition(":")
        cuda = tag.partition(".")[0] if repository == "nvidia/cuda" else None
        for image, flavour, major, size in self._tables.images:
            if image == repository and f"-{flavour}" in tag and major == cuda:
                return SizePart(stage=stage.name, what=what, size_bytes=size, certainty="guessed")
        return SizePart(stage=stage.name, what=what)

    def _step(self, stage: Stage, step: Step) -> Iterator[SizePart]:
        match step:
            case SystemPackages():
                yield self._system_packages(stage, step)
            case PythonPackages():
                yield from self._python_packages(stage)
            case Copy(from_stage=str()):
                yield from self._copied(step)
            case Copy():
                yield from self._from_context(stage, step)
            case SourceCode():
                yield _exact(stage.name, step_title(step), self._files.code)
            case InstallPython() | Run():
                yield SizePart(stage=stage.name, what=step_title(step))
            case _:
                pass  # settings, and what is small

    def _system_packages(self, stage: Stage, step: SystemPackages) -> SizePart:
        release = self._build.resolution.distribution
        for names, known, size in self._tables.system_packages:
            if known == release and names == frozenset(step.packages):
                return _estimated(stage.name, step_title(step), size)
        return SizePart(stage=stage.name, what=step_title(step))

    def _copied(self, step: Copy) -> Iterator[SizePart]:
        source = step.from_stage
        assert source is not None
        if step.destination == RUNTIME:
            size = self._tables.server
            yield (
                SizePart(stage=source, what=step_title(step))
                if size is None
                else _estimated(source, step_title(step), size)
            )
        elif source == "weights":
            path = next(layer.source for layer in self._build.weight_layers if layer.destination == step.destination)
            yield _exact(source, step_title(step), dict(self._files.weights).get(path, 0))

    def _from_context(self, stage: Stage, step: Copy) -> Iterator[SizePart]:
        staged = dict(self._files.staged)
        paths = [path.removeprefix(".cog/build/") for path in step.sources]
        if all(path in staged for path in paths):
            yield _exact(stage.name, step_title(step), sum(staged[path] for path in paths))

    # -- Python packages -----------------------------------------------------------------------

    def _python_packages(self, stage: Stage) -> Iterator[SizePart]:
        if self._has_packages:
            return  # a lock has a second step for what comes from git: all are counted with the first
        self._has_packages = True
        yield from self._locked(stage) if self._packages is not None else self._known(stage)

    def _locked(self, stage: Stage) -> Iterator[SizePart]:
        for package in self._packages or ():
            what = f"{package.name} {package.version}"
            file, size = package.file or package.location or "", package.size_bytes
            installed = self._tables.installed(package.name, file, size) if size is not None else None
            if installed is None:
                yield SizePart(stage=stage.name, what=what)
            else:
                yield _estimated(stage.name, what, installed)

    def _known(self, stage: Stage) -> Iterator[SizePart]:
        """Packages of the tables: one with all that it needs, of others the files that it does not bring."""
        resolution = self._build.resolution
        found = (self._package(name, version, build) for name, version, build in resolution.packages)
        sizes = {size.row.name: size for size in found if size is not None}
        builds = {name: build for name, _, build in (*resolution.packages, *resolution.brought_along)}
        # What a row brings is what it brings in builds with CUDA.
        wholes = [
            size for size in sizes.values() if all(builds.get(name, "default") != "cpu" for name in size.row.brings)
        ]
        counted = set[str]()
        if wholes:
            largest = max(wholes, key=lambda size: size.row.whole_bytes)
            counted = {name for name in sizes if name == largest.row.name or name in largest.row.brings}
            together = ", ".join(str(size) for name, size in sizes.items() if name in counted)
            what = f"{together} with what {'it needs' if len(counted) == 1 else 'they need'}"
            yield largest.part(stage.name, what, largest.row.whole_bytes)
        for name, size in sizes.items():
            if name not in counted and size.row.own_bytes:
                counted.add(name)
                yield size.part(stage.name, str(size), size.row.own_bytes)
        names = [name for name in map(_name_of, resolution.requirements) if name]
        others = [name for name in names if name not in counted]
        if others:
            listed = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
            yield SizePart(stage=stage.name, what=f"{listed}: known after `cogc lock`")

    def _package(self, name: str, version: str, build: str) -> _PackageSize | None:
        """What the tables know about a package; None where they do not have it."""
        rows = {
            row.build: row
            for row in self._tables.packages
            if (row.name, row.version, row.architecture) == (name, version, self._architecture)
        }
        if build in rows:
            return _PackageSize(row=rows[build], version=version, certainty="estimated")
        guesses = (
            row
            for row in self._tables.guessed
            if (row.name, row.build, row.architecture) == (name, build, self._architecture)
        )
        # Builds for other CUDA versions are about as large as the default one.
        row = next(guesses, rows.get("default") if build.startswith("cu") else None)
        return None if row is None else _PackageSize(row=row, version=version, certainty="guessed")


@record
class _PackageSize:
    """A package of the image, and the row of the tables for it."""

    row: PackageSize
    version: str
    certainty: Literal["estimated", "guessed"]

    def __str__(self) -> str:
        return f"{self.row.name} {self.version}"

    def part(self, stage: str, what: str, size: int) -> SizePart:
        return SizePart(stage=stage, what=what, size_bytes=size, certainty=self.certainty)


def _exact(stage: str, what: str, size: int) -> SizePart:
    return SizePart(stage=stage, what=what, size_bytes=size, certainty="exact")


def _estimated(stage: str, what: str, size: int) -> SizePart:
    return SizePart(stage=stage, what=what, size_bytes=size, certainty="estimated")


def _name_of(line: str) -> str | None:
    """The package of a requirement line; None for options."""
    found = re.match(r"[A-Za-z0-9][\w.-]*", line)
    if line.startswith("/"):
        return line.rpartition("/")[2]
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else None


# -- CUDA twice ----------------------------------------------------------------------------------


@record
class CudaTwice:
    """CUDA in the base image, and once more in packages; `size_bytes` is that of the packages' where it is known."""

    image: str
    packages: tuple[str, ...]
    cuda: str
    size_bytes: int | None


def cuda_twice(
    build: ResolvedBuild, matrix: Matrix, architecture: str, packages: Sequence[LockedPackage] | None = None
) -> CudaTwice | None:
    """Whether CUDA is shipped twice; None when it is not, or nothing is known about it."""
    resolution = build.resolution
    if resolution.cuda_from != "image":
        return None
    bringing = [
        (f"{name} {version}", variant)
        for name, version, identity in (*resolution.packages, *resolution.brought_along)
        if (variant := _variant(matrix, architecture, name, version, identity)) is not None
        and variant.cuda is not None
        and variant.cuda_from in ("wheel", "pip", "extra")
    ]
    if not bringing:
        return None
    libraries = [package for package in packages or () if package.name.startswith("nvidia-")]
    tables = matrix.sizes
    sizes = [tables.installed(each.name, each.file or "", each.size_bytes or 0) or 0 for each in libraries]
    return CudaTwice(
        image=resolution.base_image,
        packages=tuple(name for name, _ in bringing),
        cuda=bringing[0][1].cuda or "",
        size_bytes=sum(sizes) or None,
    )


def _variant(matrix: Matrix, architecture: str, name: str, version: str, identity: str) -> BuildVariant | None:
    release = matrix.release(name, architecture, Version(version))
    return release.build(identity) if release is not None else None


def stage_totals(parts: Sequence[SizePart]) -> Mapping[str, int]:
    """The known size of each stage, in the order of the parts."""
    totals: dict[str, int] = {}
    for part in parts:
        totals[part.stage] = totals.get(part.stage, 0) + (part.size_bytes or 0)
    return totals
