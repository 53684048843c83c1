"""The types of inputs and outputs as values: what `reading` makes of annotations, and `openapi` and `values` read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional, Tuple, Union

from .inputs import MISSING

__all__ = [
    "ANY", "BOOL", "FILE", "FLOAT", "INT", "NONE", "PATH", "SECRET", "STR", "UNKNOWN", "CoderOf", "DictOf",
    "IteratorOf", "ListOf", "LiteralOf", "ObjectField", "ObjectOf", "OptionalOf", "Scalar", "Type", "UnionOf",
    "json_value", "shown", "type_name",
]  # fmt: skip


class Scalar(Enum):
    """Types without parts."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    PATH = "Path"
    FILE = "File"
    SECRET = "Secret"
    ANY = "Any"
    NONE = "None"
    UNKNOWN = "unknown"


STR, INT, FLOAT, BOOL = Scalar.STR, Scalar.INT, Scalar.FLOAT, Scalar.BOOL
PATH, FILE, SECRET = Scalar.PATH, Scalar.FILE, Scalar.SECRET
ANY, NONE, UNKNOWN = Scalar.ANY, Scalar.NONE, Scalar.UNKNOWN


@dataclass(frozen=True)
class ListOf:
    """An array of one type. `make` builds what the annotation says from a list: `tuple`, `set`…"""

    item: Any
    make: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class DictOf:
    """An object with any keys."""

    value: Any


@dataclass(frozen=True)
class OptionalOf:
    """A type or None."""

    item: Any


@dataclass(frozen=True)
class UnionOf:
    """One of several types, none of them None."""

    members: Tuple[Any, ...]


@dataclass(frozen=True)
class LiteralOf:
    """One of the values that are listed."""

    values: Tuple[Any, ...]


@dataclass(frozen=True)
class ObjectField:
    """One field of an object. `default` is its JSON, None where there is none; `value` is the Python default."""

    name: str
    type: Any
    is_required: bool
    default: Any = field(default=None, hash=False)
    description: Optional[str] = None
    value: Any = field(default=MISSING, compare=False)


@dataclass(frozen=True)
class ObjectOf:
    """An object with named fields, and the class of its values."""

    name: str
    fields: Tuple[ObjectField, ...]
    cls: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class CoderOf:
    """An object that a `Coder` makes from the model's own class."""

    coder: Any = field(compare=False)
    cls: Any = None


@dataclass(frozen=True)
class IteratorOf:
    """A stream of values, only as the output itself; `is_concatenated` streams are shown as one text."""

    item: Any
    is_concatenated: bool = False


Type = Union[Scalar, ListOf, DictOf, OptionalOf, UnionOf, LiteralOf, ObjectOf, CoderOf, IteratorOf]


def json_value(value: Any) -> Any:
    """A default or a choice as JSON. Errors: `ValueError` when JSON has no such value."""
    if isinstance(value, Enum):
        return json_value(value.value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [json_value(item) for item in _ordered(value)]
    if isinstance(value, dict):
        pairs = [(json_value(key), json_value(item)) for key, item in value.items()]
        if all(isinstance(key, str) for key, _ in pairs):
            return dict(pairs)
    raise ValueError("has no JSON form")


def _ordered(values: Any) -> Any:
    return sorted(values, key=repr) if isinstance(values, (set, frozenset)) else values


def type_name(type_: Any) -> str:
    """A type as a model's author writes it, for messages."""
    if isinstance(type_, Scalar):
        return type_.value
    if isinstance(type_, ListOf):
        return "list[%s]" % type_name(type_.item)
    if isinstance(type_, DictOf):
        return "dict[str, %s]" % type_name(type_.value)
    if isinstance(type_, OptionalOf):
        return "Optional[%s]" % type_name(type_.item)
    if isinstance(type_, UnionOf):
        return "Union[%s]" % ", ".join(map(type_name, type_.members))
    if isinstance(type_, LiteralOf):
        return "Literal[%s]" % ", ".join(map(shown, type_.values))
    if isinstance(type_, IteratorOf):
        return "%s[%s]" % ("ConcatenateIterator" if type_.is_concatenated else "Iterator", type_name(type_.item))
    return str(getattr(type_, "name", None) or getattr(type_.cls, "__name__", "object"))


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
