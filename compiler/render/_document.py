"""A tree of plain values as the text of a JSON document, which any JSON reader accepts."""

from __future__ import annotations

import json

__all__ = ["Value", "dump"]

Value = dict[str, "Value"] | list["Value"] | str | int | None


def dump(document: Value) -> str:
    """ASCII only, so that no control character reaches a terminal raw; ends with a line break.

    Lone surrogates, which stand for undecodable bytes of a file name, become U+FFFD: Python would write
    them, but strict readers refuse the whole document.
    """
    return json.dumps(_valid(document), indent=2) + "\n"


def _valid(value: Value) -> Value:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_valid(item) for item in value]
        case dict():
            return {key: _valid(item) for key, item in value.items()}
    return value
