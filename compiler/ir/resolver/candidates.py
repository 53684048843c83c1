"""A release of a package that may be chosen, with the build of it that would be installed."""

from __future__ import annotations

from packaging.version import Version

from ...record import record
from ...source import Span
from ..matrix import BuildVariant, Release
from .demands import Demand

__all__ = ["Candidate"]


@record
class Candidate:
    """One possible choice for a package.

    `version` is None for a release that no table has and no line names; `release` is None where the matrix has no
    row, `build` where nothing is known about what is installed. `demands` are the lines that ask for the package,
    none for one that only other packages bring along. `is_from_file` says that it is a wheel at a URL or in the
    project, or a source of which nothing is known.
    """

    package: str
    version: Version | None
    release: Release | None = None
    build: BuildVariant | None = None
    demands: tuple[Demand, ...] = ()
    is_from_file: bool = False

    def __str__(self) -> str:
        return f"{self.package} {self.version}" if self.version is not None else self.package

    @property
    def is_to_come(self) -> bool:
        """Whether it stands for a release that is newer than the matrix, or that it never had."""
        return self.version is None and not self.is_from_file

    @property
    def line(self) -> Demand | None:
        """The line that asks for it: one that names a version rather than one that does not."""
        lines = [demand for demand in self.demands if not demand.is_constraint]
        exact = [demand for demand in (*lines, *self.demands) if demand.version is not None]
        return next(iter((*exact, *lines)), None)

    @property
    def origin(self) -> Span | None:
        """Where that line stands."""
        return self.line.requirement.origin if self.line else None

    @property
    def extras(self) -> frozenset[str]:
        """The extras that the lines ask for."""
        return frozenset(extra for demand in self.demands for extra in demand.extras)
