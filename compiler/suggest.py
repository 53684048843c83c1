"""“Did you mean”: the closest known word, if it is close."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["closest"]


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word within a small edit distance of `word`, the nearest first; None when none is near.

    The distance allowed grows with the word: 1 up to four letters, 2 up to eight, else 3.
    """
    limit = 1 if len(word) <= 4 else 2 if len(word) <= 8 else 3
    wanted = word.lower().replace("-", "_")
    ranked = sorted((_distance(wanted, name.lower().replace("-", "_"), limit), name) for name in known)
    return ranked[0][1] if ranked and ranked[0][0] <= limit else None


def _distance(left: str, right: str, limit: int) -> int:
    """Optimal string alignment distance (a swap of neighbours counts 1); `limit + 1` when it is larger."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return min(row[-1], limit + 1)
