"""The values of the signature: what a model takes and returns, as frozen data.

Nothing here knows Python syntax or JSON Schema: `analyse` makes these values, `openapi` reads them.
"""

from __future__ import annotations

import math
from enum import Enum, StrEnum
from typing import Literal, TypeAlias

from ...record import record
from ...source import Span

__all__ = [
    "Absent",
    "Default",
    "DictOf",
    "InputField",
    "IteratorOf",
    "Json",
    "JsonObject",
    "ListOf",
    "LiteralOf",
    "Mode",
    "ObjectField",
    "ObjectOf",
    "OptionalOf",
    "Scalar",
    "Signature",
    "Type",
    "UnionOf",
    "freeze",
    "thaw",
]

Mode: TypeAlias = Literal["predict", "train"]


@record(kw_only=False)
class JsonObject:
    """A JSON object as (key, value) pairs, in the order of the source."""

    items: tuple[tuple[str, Json], ...]


Json: TypeAlias = "bool | int | float | str | tuple[Json, ...] | JsonObject | None"


class Scalar(StrEnum):
    """Types without parts. `UNKNOWN` stands for a type that only the image can tell."""

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


@record(kw_only=False)
class ListOf:
    """An array of one type; also what tuples and sets become in JSON."""

    item: Type


@record(kw_only=False)
class DictOf:
    """An object with any keys."""

    value: Type


@record(kw_only=False)
class OptionalOf:
    """A type or None."""

    item: Type


@record(kw_only=False)
class UnionOf:
    """One of several types, none of them None."""

    members: tuple[Type, ...]


@record(kw_only=False)
class LiteralOf:
    """One of the values that are listed."""

    values: tuple[Json, ...]


@record
class ObjectField:
    """One field of an object. `default` is None where there is none or where it is not known."""

    name: str
    type: Type
    is_required: bool
    default: Json = None
    description: str | None = None


@record(kw_only=False)
class ObjectOf:
    """An object with named fields: a `BaseModel`, a `TypedDict`, a dataclass."""

    name: str
    fields: tuple[ObjectField, ...]


@record(kw_only=False)
class IteratorOf:
    """A stream of values, only as the output itself; `is_concatenated` streams are shown as one text."""

    item: Type
    is_concatenated: bool = False


Type: TypeAlias = Scalar | ListOf | DictOf | OptionalOf | UnionOf | LiteralOf | ObjectOf | IteratorOf


class Absent(Enum):
    """Why there is no default value: the input is required, or the value is known only at run time."""

    MISSING = "missing"
    UNKNOWN = "unknown"


Default: TypeAlias = "Json | Absent"


@record
class InputField:
    """One input of the model. `choices` is None where every value of the type is allowed."""

    name: str
    order: int
    type: Type
    default: Default = Absent.MISSING
    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: tuple[Json, ...] | None = None
    deprecated: bool = False
    accept: str | None = None
    origin: Span | None = None

    @property
    def is_required(self) -> bool:
        """Whether a request must carry the input."""
        return self.default is Absent.MISSING

    @property
    def is_nullable(self) -> bool:
        """Whether the model may be handed None for the input."""
        return self.default is None or isinstance(self.type, OptionalOf)


@record
class Signature:
    """What is known of a target without running it.

    `method` is the function that is called: `predict`, `run`, `train`, or the target's own name when the
    target is a function. `is_complete` is False when the schema has to be finished by importing the model in
    the image. `max_concurrency` is the value of `@cog.concurrent`, None without it.
    """

    target: str
    mode: Mode
    method: str
    inputs: tuple[InputField, ...]
    output: Type
    is_function: bool = False
    is_legacy: bool = False
    is_async: bool = False
    is_streaming: bool = False
    has_setup: bool = False
    takes_weights: bool = False
    max_concurrency: int | None = None
    is_complete: bool = True
    origin: Span | None = None

    @property
    def is_iterator(self) -> bool:
        """Whether the output arrives piece by piece."""
        return isinstance(self.output, IteratorOf)


def freeze(value: object) -> Json:
    """Turn a folded Python value into its JSON form. Errors: `ValueError` when JSON has no such value."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple() | range():
            # A subclass of list is a set that was folded: sorted, as the worker sorts sets.
            items = value if type(value) in (list, tuple, range) else sorted(value, key=repr)
            return tuple(freeze(item) for item in items)
        case dict() if all(isinstance(key, str) for key in value):
            return JsonObject(tuple((key, freeze(item)) for key, item in value.items()))
        case _:
            raise ValueError("has no JSON form")


def thaw(value: Json) -> object:
    """The inverse of `freeze`: lists and dicts as the `json` module writes them."""
    match value:
        case tuple():
            return [thaw(item) for item in value]
        case JsonObject():
            return {key: thaw(item) for key, item in value.items}
        case _:
            return value
