"""Python and packages together: the first Python, in the order of preference, for which everything fits."""

from __future__ import annotations

from collections.abc import Iterator

from ...record import record
from ..matrix import Matrix
from ..nodes import DEFAULT_PYTHON, Request
from .problem import Problem, reading_of
from .search import Search, Solution

__all__ = ["OLDEST_PYTHON", "Decision", "decide", "is_possible", "pythons"]

OLDEST_PYTHON = (3, 8)


@record
class Decision:
    """The Python, as written or `3.12`, and the packages that are chosen for it."""

    python: str
    problem: Problem
    solution: Solution


def decide(request: Request, matrix: Matrix, *, is_strict: bool = False) -> Decision | None:
    """The best choice that nothing certain speaks against; None where there is none.

    First without any doubt. Where that cannot be, the Python with the fewest doubts, for an unknown combination is a
    warning and no more; with `is_strict` there is no choice then.
    """
    reading = reading_of(request, matrix)
    problems: list[Problem] = []
    for python in pythons(request, matrix):
        problem = Problem(reading, matrix, python)
        problems.append(problem)
        solution = Search(problem, is_strict=True).run()
        if solution is not None:
            return Decision(python=problem.python, problem=problem, solution=solution)
    best: Decision | None = None
    for problem in () if is_strict else problems:
        solution = Search(problem, is_strict=False).run()
        if solution is not None and (best is None or _doubts(solution) < _doubts(best.solution)):
            best = Decision(python=problem.python, problem=problem, solution=solution)
    return best


def is_possible(request: Request, matrix: Matrix) -> bool:
    """Whether nothing certain speaks against the request."""
    reading = reading_of(request, matrix)
    return any(
        Search(Problem(reading, matrix, python), is_strict=False).run() is not None
        for python in pythons(request, matrix)
    )


def pythons(request: Request, matrix: Matrix) -> Iterator[str]:
    """The Python that is written; else the default, then those below it, the nearest first, then those above."""
    if request.python_version is not None:
        yield request.python_version
        return
    known = [row.version for row in matrix.pythons if _key(row.version) >= OLDEST_PYTHON]
    default = _key(DEFAULT_PYTHON)
    yield from sorted((version for version in known if _key(version) <= default), key=_key, reverse=True)
    yield from sorted((version for version in known if _key(version) > default), key=_key)


def _doubts(solution: Solution) -> int:
    unknown = sum(candidate.is_to_come for candidate in solution.candidates)
    return len(solution.doubts) + unknown


def _key(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
