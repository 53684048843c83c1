"""Where a value stands in the text of a JSON document, for messages about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..source import Span

__all__ = ["span_of"]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def span_of(text: str, path: Iterable[str | int], file: str) -> Span:
    """The start of the value at `path` (keys and positions from the root) in a valid document.

    Of a path that leads nowhere, as far as it does.

    >>> str(span_of('{"rows": [\\n  {"version": "1"}]}', ["rows", 0, "version"], "torch.json"))
    'torch.json:2:15'
    """
    at = _after_space(text, 0)
    for part in path:
        found = _member(text, at, part) if isinstance(part, str) else _item(text, at, part)
        if found is None:
            break
        at = found
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return Span(file, line, column, line, column + 1)


def _member(text: str, at: int, key: str) -> int | None:
    if text[at] != "{":
        return None
    at = _after_space(text, at + 1)
    while text[at] == '"':
        name, end = _DECODER.raw_decode(text, at)
        value = _after_space(text, _after_space(text, end) + 1)  # behind the colon
        if name == key:
            return value
        at = _next(text, value)
    return None


def _item(text: str, at: int, position: int) -> int | None:
    if text[at] != "[":
        return None
    at = _after_space(text, at + 1)
    for _ in range(position):
        if text[at] == "]":
            return None
        at = _next(text, at)
    return None if text[at] == "]" else at


def _next(text: str, value: int) -> int:
    """Where the next member or item starts, or the closing bracket."""
    _, end = _DECODER.raw_decode(text, value)
    end = _after_space(text, end)
    return _after_space(text, end + 1) if text[end] == "," else end


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
