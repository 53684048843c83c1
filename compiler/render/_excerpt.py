"""One line of source as a terminal shows it, and where in it a span lies.

Comes in: a line without its line break, and a span as character indices. Goes out: visible text cut to the
room there is, and the columns to underline.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import NamedTuple

from ._visible import cell_width, visible

__all__ = ["Excerpt", "excerpt"]

_TAB_WIDTH = 4
_LEAST_ROOM = 20


class Excerpt(NamedTuple):
    """Units: `indent` and `length`, of the underline, in terminal columns."""

    text: str
    indent: int
    length: int


def excerpt(line: str, start: int, end: int, room: int) -> Excerpt:
    r"""Show `line` in at most `room` columns, with the span from `start` (from 0) to before `end` in view.

    Of a line of megabytes only what stands around the span is looked at.

    A span outside the line is moved to its end; an empty one is underlined as one character.

    >>> excerpt("\tab", 1, 3, room=80)
    Excerpt(text='    ab', indent=4, length=2)
    >>> excerpt("a" * 50 + "b" + "c" * 50, 50, 51, room=20)
    Excerpt(text='…aaaaaaaabccccccccc…', indent=9, length=1)
    """
    reach = 10 * max(room, _LEAST_ROOM)
    cut = max(min(start, len(line)) - reach, 0)
    line, start, end = line[cut : cut + 2 * reach], start - cut, end - cut
    cells = _cells(line)
    if start >= len(cells):
        start, cells = len(cells), [*cells, " "]
    start = max(start, 0)
    end = min(max(end, start + 1), len(cells))
    offsets = [0, *accumulate(map(cell_width, cells))]
    first, last = _window(offsets, start, end, max(room, _LEAST_ROOM))
    left, right = "…" if first else "", "…" if last < len(cells) else ""
    return Excerpt(
        text=(left + "".join(cells[first:last]) + right).rstrip(),
        indent=len(left) + offsets[start] - offsets[first],
        length=max(1, offsets[min(end, last)] - offsets[start]),
    )


def _cells(line: str) -> list[str]:
    """What is shown for each character; a tab fills up to the next tab stop."""
    if "\t" not in line:
        return [visible(character) for character in line]
    cells, offset = [], 0
    for character in line:
        cells.append(" " * (_TAB_WIDTH - offset % _TAB_WIDTH) if character == "\t" else visible(character))
        offset += cell_width(cells[-1])
    return cells


def _window(offsets: list[int], start: int, end: int, room: int) -> tuple[int, int]:
    """The cells to show, from the first to before the last, with the span in the middle if possible."""
    total = offsets[-1]
    if total <= room:
        return 0, len(offsets) - 1
    budget = room - 2  # an ellipsis on each side
    around = budget - min(offsets[end] - offsets[start], budget)
    begin = max(min(offsets[start] - around // 2, total - budget), 0)
    first = min(bisect_left(offsets, begin), start)
    while first < start and first and offsets[first] == offsets[first + 1]:
        first += 1  # do not begin with a combining character
    last = bisect_right(offsets, offsets[first] + budget) - 1
    return first, max(last, start + 1)
