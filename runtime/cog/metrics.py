"""The metrics of one prediction: their names, the types they keep, and how values are combined.

A metric is checked and combined here, so that errors appear in the model's code; each accepted change is passed on
to the sink, which sends it to the server.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator

__all__ = ["MODES", "Metrics", "check_name"]

Sink = Callable[[str, Any, str], None]

MODES = {"replace": "replace", "incr": "incr", "increment": "incr", "append": "append"}
MAX_NAME = 128
MAX_SEGMENTS = 4

_SEGMENT = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*\Z")
_TYPES = (bool, int, float, str, list, dict)


def check_name(name: Any) -> str:
    """The name, if it is one. Errors: `ValueError`."""
    if not isinstance(name, str) or not name:
        raise ValueError("a metric's name must be a text")
    if name == "predict_time":
        raise ValueError("'predict_time' is reserved by the runtime")
    if name.startswith("cog."):
        raise ValueError("names that begin with 'cog.' are reserved by the runtime")
    segments = name.split(".")
    if len(name) > MAX_NAME or len(segments) > MAX_SEGMENTS or not all(map(_SEGMENT.match, segments)):
        raise ValueError(
            "%r is not a metric's name: use up to %d parts joined by '.', each made of letters, digits and single "
            "underscores and beginning with a letter, %d characters in all" % (name[:200], MAX_SEGMENTS, MAX_NAME)
        )
    return name


class Metrics:
    """A mapping of metrics; setting an item records it, deleting an item removes it."""

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink = sink
        self._values: dict[str, Any] = {}

    def record(self, name: str, value: Any, mode: str = "replace") -> None:
        """Record a value. Errors: `ValueError` for the name or mode, `TypeError` for the value."""
        check_name(name)
        if mode not in MODES:
            raise ValueError("%r is not a mode: use replace, incr or append" % (mode,))
        if value is None:
            self.delete(name)
            return
        value = _plain(name, value)
        self._values[name] = self._combined(name, value, MODES[mode])
        self._send(name, value, MODES[mode])

    def delete(self, name: str) -> None:
        """Remove a metric; the name may then be used with another type. Unknown names are fine."""
        check_name(name)
        if self._values.pop(name, None) is not None:
            self._send(name, None, "replace")

    def _combined(self, name: str, value: Any, mode: str) -> Any:
        old = self._values.get(name)
        if mode == "append":
            return [*(old if isinstance(old, list) else [] if old is None else [old]), value]
        if mode == "incr" and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise TypeError("Metric %r can be incremented by a number only, not by %s" % (name, type(value).__name__))
        if old is not None and type(old) is not type(value):
            raise TypeError(
                "Metric %r has type %s, cannot set to %s without deleting first"
                % (name, type(old).__name__, type(value).__name__)
            )
        return value if mode == "replace" or old is None else old + value

    def _send(self, name: str, value: Any, mode: str) -> None:
        if self._sink is not None:
            self._sink(name, value, mode)

    def __setitem__(self, name: str, value: Any) -> None:
        self.record(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """The value recorded so far, or the default."""
        return self._values.get(name, default)

    def __repr__(self) -> str:
        return "Metrics(%r)" % self._values


def _plain(name: str, value: Any) -> Any:
    """The value as JSON. Errors: `TypeError`."""
    from .values import OutputError, encode

    try:
        plain, files = encode(value)
    except OutputError as error:
        raise TypeError("Metric %r: %s" % (name, error)) from None
    if files or not isinstance(plain, _TYPES):
        raise TypeError("Metric %r must be bool, int, float, str, list or dict, not %s" % (name, type(value).__name__))
    return plain
