"""Ways out of a problem, with the words that stand before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["labelled_ways"]


def labelled_ways(ways: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of a word and a way.

    >>> list(labelled_ways(["a"])), list(labelled_ways(["a", "b"]))
    ([('hint', 'a')], [('either', 'a'), ('or', 'b')])
    """
    for position, way in enumerate(ways):
        yield ("hint" if len(ways) == 1 else "or" if position else "either"), way
