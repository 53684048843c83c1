"""Choose a release for every package, depth first: what is pinned first, then the newest that fits.

A handful of packages with tens of rows each: the first solution is found at once, and that there is none is known as
soon as a package has no candidate left. Candidates are made when they are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...record import record
from .candidates import Candidate
from .clashes import Clash, clashes_between, clashes_of
from .demands import rank
from .problem import Problem

__all__ = ["Search", "Solution"]

# Never reached by real projects; it bounds the time for hostile ones.
_MAX_STEPS = 5_000
_LEADING_TO_TORCH = frozenset({"torch", "torchvision", "torchaudio", "xformers"})


@record
class Solution:
    """One choice for every package, and what speaks against it without being certain.

    `was_cut_short` says that there were too many combinations to try: nothing is claimed.
    """

    candidates: tuple[Candidate, ...]
    doubts: tuple[Clash, ...] = ()
    was_cut_short: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether nothing at all speaks against it, and no release is assumed that is not known."""
        is_known = not any(candidate.is_to_come for candidate in self.candidates)
        return is_known and not self.doubts and not self.was_cut_short


class _TooManySteps(Exception):
    pass


class Search:
    """One search. A strict one takes no clash at all, others only put up with those that are not certain."""

    def __init__(self, problem: Problem, *, is_strict: bool) -> None:
        self._problem = problem
        self._is_strict = is_strict
        self._steps = 0
        self._own: dict[int, tuple[Clash, ...]] = {}
        self._pairs: dict[tuple[int, int], tuple[Clash, ...]] = {}
        self._domains: dict[str, _Domain] = {}

    def run(self) -> Solution | None:
        """The first solution, or None. The order of lines makes no difference."""
        try:
            chosen = self._extended({}, self._problem.packages)
        except _TooManySteps:
            return Solution(candidates=(), was_cut_short=True)
        if chosen is None:
            return None
        candidates = tuple(chosen[package] for package in sorted(chosen, key=lambda name: (rank(name), name)))
        return Solution(candidates=candidates, doubts=tuple(self.clashes(candidates)))

    def clashes(self, candidates: tuple[Candidate, ...]) -> Iterator[Clash]:
        """Everything that speaks against these candidates."""
        for position, candidate in enumerate(candidates):
            yield from self._of(candidate)
            for other in candidates[position + 1 :]:
                yield from self._between(candidate, other)

    def _extended(self, chosen: Mapping[str, Candidate], waiting: frozenset[str]) -> Mapping[str, Candidate] | None:
        if not waiting:
            return chosen
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooManySteps
        order = sorted(waiting, key=self._urgency)
        for package in order[1:]:  # the first is about to be tried anyway
            if next(self._left(package, chosen), None) is None:
                return None
        package = order[0]
        for candidate in self._left(package, chosen):
            more = waiting - {package} | (self._brought_along(candidate) - chosen.keys())
            found = self._extended({**chosen, package: candidate}, more)
            if found is not None:
                return found
        return None

    def _urgency(self, package: str) -> tuple[bool, int, str]:
        is_exact = any(demand.is_exact for demand in self._problem.demands.get(package, ()))
        return not is_exact, rank(package), package

    def _left(self, package: str, chosen: Mapping[str, Candidate]) -> Iterator[Candidate]:
        for candidate in self._domain(package):
            if all(self._takes(self._between(candidate, other)) for other in chosen.values()):
                yield candidate

    def _domain(self, package: str) -> Iterable[Candidate]:
        """The candidates that nothing speaks against by itself; doubtful ones last."""
        if package not in self._domains:
            every = self._problem.each_candidate(package, with_unknown=not self._is_strict)
            fitting = (candidate for candidate in every if self._takes(self._of(candidate)))
            self._domains[package] = _Domain(
                fitting if self._is_strict else iter(sorted(fitting, key=self._is_doubtful))
            )
        return self._domains[package]

    def _brought_along(self, candidate: Candidate) -> frozenset[str]:
        """What the release demands, as far as it matters: what leads to torch, which brings CUDA, and constraints."""
        if candidate.release is None or candidate.is_from_file:
            return frozenset()
        names = frozenset(name for name, _ in candidate.release.requires)
        return names & (self._problem.demands.keys() | _LEADING_TO_TORCH)

    def _takes(self, clashes: tuple[Clash, ...]) -> bool:
        return not any(self._is_strict or clash.is_certain for clash in clashes)

    def _is_doubtful(self, candidate: Candidate) -> bool:
        return candidate.version is None or bool(self._of(candidate))

    def _of(self, candidate: Candidate) -> tuple[Clash, ...]:
        key = id(candidate)
        if key not in self._own:
            self._own[key] = clashes_of(candidate, self._problem)
        return self._own[key]

    def _between(self, first: Candidate, second: Candidate) -> tuple[Clash, ...]:
        if (rank(second.package), second.package) < (rank(first.package), first.package):
            first, second = second, first
        key = id(first), id(second)
        if key not in self._pairs:
            self._pairs[key] = clashes_between(first, second, self._problem)
        return self._pairs[key]


class _Domain:
    """Candidates from an iterator, each made once however often they are gone through."""

    def __init__(self, source: Iterator[Candidate]) -> None:
        self._source = source
        self._made: list[Candidate] = []

    def __iter__(self) -> Iterator[Candidate]:
        position = 0
        while True:
            if position == len(self._made):
                candidate = next(self._source, None)
                if candidate is None:
                    return
                self._made.append(candidate)
            yield self._made[position]
            position += 1
