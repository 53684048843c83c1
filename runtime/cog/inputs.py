"""`Input()`: what a model says about one of its parameters."""

from __future__ import annotations

from typing import Any, Sequence

__all__ = ["MISSING", "FieldInfo", "Input"]


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""Stands where no default was given: the input is required."""

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "description": ((str,), "a text"),
    "ge": ((int, float), "a number"),
    "le": ((int, float), "a number"),
    "min_length": ((int,), "a whole number"),
    "max_length": ((int,), "a whole number"),
    "regex": ((str,), "a text"),
    "choices": ((list, tuple, set, frozenset), "a list"),
    "deprecated": ((bool,), "True or False"),
    "accept": ((str,), "a text"),
}


class FieldInfo:
    """The arguments of one `Input()` call. `default` is `MISSING` where none was given."""

    __slots__ = ("accept", "choices", "default", "deprecated", "description", "ge", "le", "max_length", "min_length",
                 "regex")  # fmt: skip

    default: Any
    description: str | None
    ge: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    regex: str | None
    choices: Any
    deprecated: bool | None
    accept: str | None

    def __init__(self, default: Any = MISSING, **arguments: Any) -> None:
        self.default = MISSING if default is ... else default
        for name in _TYPES:
            setattr(self, name, arguments.get(name))

    def __repr__(self) -> str:
        given = [(name, getattr(self, name)) for name in ("default", *_TYPES)]
        shown = ["%s=%r" % pair for pair in given if pair[1] is not None and pair[1] is not MISSING]
        return "Input(%s)" % ", ".join(shown)


def Input(
    default: Any = MISSING,
    *,
    description: str | None = None,
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    regex: str | None = None,
    choices: Sequence[str | int | float] | None = None,
    deprecated: bool | None = None,
    accept: str | None = None,
    **unknown: Any,
) -> Any:
    """Describe a parameter of `predict()` or `train()`; written as its default.

    Without `default` the input is required, with `default=None` it is optional. `ge` and `le` bound numbers,
    `min_length`, `max_length` and `regex` (searched for, not anchored) texts; `choices` lists the allowed values;
    `accept` names the MIME types or endings of files. Errors: `TypeError`.
    """
    if "default_factory" in unknown:
        raise TypeError("default_factory is not supported in Input()")
    if unknown:
        raise TypeError("Input() has no argument %s" % ", ".join(repr(name) for name in sorted(unknown)))
    arguments = {
        "description": description, "ge": _bound(ge), "le": _bound(le), "min_length": min_length, "max_length": max_length,
        "regex": regex, "choices": _listed(choices), "deprecated": deprecated, "accept": accept,
    }  # fmt: skip
    for name, value in arguments.items():
        allowed, wanted = _TYPES[name]
        is_odd_bool = isinstance(value, bool) and name != "deprecated"
        if value is not None and (is_odd_bool or not isinstance(value, allowed)):
            raise TypeError("%s of Input() must be %s, got %s" % (name, wanted, type(value).__name__))
    return FieldInfo(default, **arguments)


def _bound(value: Any) -> Any:
    """A bound, unless it is infinite, which is none."""
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _listed(choices: Any) -> Any:
    """Choices given as `D.keys()`, a range or an enum class, as a list."""
    if choices is None or isinstance(choices, (list, tuple, set, frozenset, str, bytes)):
        return choices
    try:
        return list(choices)
    except TypeError:
        return choices
