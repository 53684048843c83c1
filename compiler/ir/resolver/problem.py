"""A request for one Python version: which packages are to be chosen, and the candidates for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.version import Version

from ...record import record
from ..matrix import Matrix, Release
from ..nodes import Request
from .builds import Wishes, build_of, unlisted_build
from .candidates import Candidate
from .demands import Demand, demands_of
from .environment import applies
from .indexes import Indexes, indexes_of
from .targets import Target, targets_of

__all__ = ["Problem", "Reading", "reading_of"]

# Wheels on the package index that are compiled for the torch that is there too.
_COMPILED_FOR_DEFAULT = frozenset({"vllm", "xformers"})


@record
class Reading:
    """A request as far as it is the same for every Python."""

    request: Request
    demands: tuple[Demand, ...]
    indexes: Indexes
    targets: tuple[Target, ...]


def reading_of(request: Request, matrix: Matrix) -> Reading:
    """Read the lines once."""
    return Reading(
        request=request,
        demands=demands_of(request.requirements),
        indexes=indexes_of(request.requirements),
        targets=targets_of(request, matrix)[0] if request.gpu_models else (),
    )


class Problem:
    """What is asked for one Python version; `minor` is `3.12` of `3.12.4`.

    `demands` are those in force, by package; `packages` the ones that lines ask to install; `libraries` the demands on
    NVIDIA's own packages.
    """

    def __init__(self, reading: Reading, matrix: Matrix, python: str) -> None:
        self.request = reading.request
        self.indexes = reading.indexes
        self.targets = reading.targets
        self.matrix = matrix
        self.python = python
        self.minor = ".".join(python.split(".")[:2])
        self.demands: dict[str, tuple[Demand, ...]] = {}
        libraries: list[Demand] = []
        for demand in reading.demands:
            if not applies(demand.requirement, python, self.request.architecture):
                continue
            if demand.package.startswith("nvidia-") and demand.wheel is None:
                libraries += [demand] if demand.asked in ("pin", "range") else []
            else:
                self.demands[demand.package] = (*self.demands.get(demand.package, ()), demand)
        self.libraries = tuple(libraries)
        self.packages = frozenset(
            package for package, demands in self.demands.items() if any(not demand.is_constraint for demand in demands)
        )
        self._wishes = Wishes(
            request=self.request,
            indexes=self.indexes,
            targets=self.targets,
            takes_default=bool(_COMPILED_FOR_DEFAULT & self.packages),
            libraries=self.libraries if not self.indexes.others else (),
        )
        self._candidates: dict[tuple[str, bool], tuple[Candidate, ...]] = {}

    def candidates(self, package: str, *, with_unknown: bool) -> tuple[Candidate, ...]:
        """All candidates for a package; see `each_candidate`."""
        key = package, with_unknown
        if key not in self._candidates:
            self._candidates[key] = tuple(self.each_candidate(package, with_unknown=with_unknown))
        return self._candidates[key]

    def first_candidate(self, package: str) -> Candidate | None:
        """The newest release that the lines admit."""
        return next(self.each_candidate(package, with_unknown=False), None)

    def each_candidate(self, package: str, *, with_unknown: bool) -> Iterator[Candidate]:
        """The releases that the lines admit, newest first; none where they exclude each other.

        A line that names a version of which nothing is known gives one candidate without a row. `with_unknown` adds,
        as the last one, a release to come, where all lines admit one.
        """
        demands = self.demands.get(package, ())
        if any(demand.asked == "opaque" for demand in demands):
            yield self._unknown(package, demands)
            return
        versions = self.matrix.versions(package, self.request.architecture)
        exact = {demand.version for demand in demands if demand.is_exact and demand.version is not None}
        named = sorted(exact, reverse=True)
        is_empty = True
        # No release but those that lines name is admitted where lines name any.
        for candidate in self._known(package, named if exact else reversed(versions), exact, demands):
            is_empty = False
            yield candidate
        for version in named:
            is_unlisted = self.matrix.release(package, self.request.architecture, version) is None
            if is_unlisted and all(demand.admits(version) for demand in demands):
                is_empty = False
                yield self._candidate(package, version, None, demands)
        if exact:
            return
        is_unknown = any(not any(demand.admits(version) for version in versions) for demand in demands)
        is_open = all(demand.is_open for demand in demands)
        is_never_seen = is_empty and (is_unknown or not versions)
        if is_never_seen or (with_unknown and is_open):
            yield self._unknown(package, demands)

    def build(self, release: Release, demands: tuple[Demand, ...]) -> Candidate:
        """A release as the lines would have it."""
        return self._candidate(release.package, release.version, release, demands)

    def _known(
        self, package: str, versions: Iterable[Version], exact: set[Version], demands: tuple[Demand, ...]
    ) -> Iterator[Candidate]:
        for version in versions:
            if not all(demand.admits(version) for demand in demands):
                continue
            release = self.matrix.release(package, self.request.architecture, version)
            if release is not None and (not release.is_yanked or version in exact):
                yield self._candidate(package, version, release, demands)

    def _candidate(
        self, package: str, version: Version, release: Release | None, demands: tuple[Demand, ...]
    ) -> Candidate:
        if release is not None:
            build = build_of(release, demands, self._wishes, self.matrix)
        else:
            named = next((demand.build for demand in demands if demand.build), None)
            build = unlisted_build(version, named) if named else None
        return Candidate(
            package=package,
            version=version,
            release=release,
            build=build,
            demands=demands,
            is_from_file=any(demand.asked == "wheel" for demand in demands),
        )

    def _unknown(self, package: str, demands: tuple[Demand, ...]) -> Candidate:
        is_from_file = any(demand.asked == "opaque" for demand in demands)
        return Candidate(package=package, version=None, demands=demands, is_from_file=is_from_file)
