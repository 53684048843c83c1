"""Whether the parts of an input fit together: its type, its bounds, its choices and its default.

Comes in: an `InputField`. Goes out, in the `Findings`: COG413 to COG417 and COG419.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from ...source import Span
from .report import Findings
from .types import (
    Absent,
    DictOf,
    InputField,
    Json,
    JsonObject,
    ListOf,
    LiteralOf,
    ObjectOf,
    OptionalOf,
    Scalar,
    Type,
    UnionOf,
    thaw,
)

__all__ = ["allowed_values", "check_field"]

# The argument of `Input` that is to blame, the code, the message.
Problem: TypeAlias = tuple[str, str, str]

MAX_REGEX = 2000

_NUMBERS = (Scalar.INT, Scalar.FLOAT)
_OPEN = (Scalar.ANY, Scalar.UNKNOWN)
_APPLIES: dict[str, tuple[Scalar, ...]] = {
    "ge": _NUMBERS,
    "le": _NUMBERS,
    "min_length": (Scalar.STR, Scalar.SECRET),
    "max_length": (Scalar.STR, Scalar.SECRET),
    "regex": (Scalar.STR, Scalar.SECRET),
    "accept": (Scalar.PATH, Scalar.FILE),
}


def check_field(field: InputField, span: Span, findings: Findings, places: Mapping[str, Span] | None = None) -> None:
    """Report everything about a field that contradicts itself.

    `places` says where each argument of `Input` stands; `span` is the place of all others.
    """
    for check in _CHECKS:
        for argument, code, message in check(field):
            findings.add(code, message, (places or {}).get(argument, span))


def allowed_values(field: InputField) -> tuple[Json, ...] | None:
    """The values an input is limited to by `choices` or `Literal`, else None."""
    if field.choices is not None:
        return field.choices
    type_ = _without_none(field.type)
    return type_.values if isinstance(type_, LiteralOf) else None


def _without_none(type_: Type) -> Type:
    return type_.item if isinstance(type_, OptionalOf) else type_


def _core(type_: Type) -> Type:
    """The type that bounds apply to: that of the items, in a list."""
    inner = _without_none(type_)
    return _without_none(inner.item) if isinstance(inner, ListOf) else inner


def _check_constraints(field: InputField) -> Iterator[Problem]:
    core = _core(field.type)
    for name, types in _APPLIES.items():
        if getattr(field, name) is None or core in types or core in _OPEN:
            continue
        if name == "accept":
            yield name, "COG416", f"`accept` is only valid on `Path` or `File` inputs (parameter `{field.name}`)"
        elif isinstance(core, UnionOf):
            yield name, "COG416", f"`{name}` of the input `{field.name}` cannot apply to a union"
        else:
            wanted = " and ".join(f"`{type_}`" for type_ in types if type_ is not Scalar.SECRET)
            yield name, "COG416", f"`{name}` of the input `{field.name}` applies to {wanted} only"


def _check_ranges(field: InputField) -> Iterator[Problem]:
    for low, high in (("ge", "le"), ("min_length", "max_length")):
        least, most = getattr(field, low), getattr(field, high)
        if least is not None and most is not None and least > most:
            yield low, "COG417", f"`{low}={least}` of the input `{field.name}` is greater than `{high}={most}`"
    for name in ("min_length", "max_length"):
        if (getattr(field, name) or 0) < 0:
            yield name, "COG417", f"`{name}` of the input `{field.name}` is negative"


def _check_regex(field: InputField) -> Iterator[Problem]:
    if field.regex is None or len(field.regex) > MAX_REGEX:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(field.regex)
    except (re.error, OverflowError, RecursionError) as error:
        yield "regex", "COG417", f"`regex` of the input `{field.name}` is not a regular expression: {error}"


def _check_choices(field: InputField) -> Iterator[Problem]:
    if field.choices is None:
        return
    type_ = _without_none(field.type)
    if isinstance(type_, UnionOf):
        yield "choices", "COG416", f"`choices` of the input `{field.name}` cannot apply to a union"
    elif type_ not in (Scalar.STR, *_NUMBERS, *_OPEN):
        yield (
            "choices",
            "COG415",
            f"the input `{field.name}` has `choices`, which only `str`, `int` and `float` inputs can have",
        )
    elif not field.choices:
        yield "choices", "COG415", f"the `choices` of the input `{field.name}` are empty"
    else:
        for value in field.choices:
            if not fits(value, type_):
                yield (
                    "choices",
                    "COG415",
                    f"the choice {_shown(value)} of the input `{field.name}` is not of type `{type_}`",
                )


def _check_default(field: InputField) -> Iterator[Problem]:
    default = field.default
    if default is None or isinstance(default, Absent):
        return
    if not fits(default, _without_none(field.type)):
        yield "default", "COG419", f"the default {_shown(default)} of the input `{field.name}` does not have its type"
    allowed = allowed_values(field)
    if allowed and not any(_same(default, value) for value in allowed):
        listed = ", ".join(_shown(value) for value in allowed[:10])
        yield "default", "COG414", f"the default {_shown(default)} of the input `{field.name}` is not one of {listed}"
    for value in default if isinstance(default, tuple) else (default,):
        yield from _check_bounds(field, value)


def _check_bounds(field: InputField, value: Json) -> Iterator[Problem]:
    start = f"the default {_shown(value)} of the input `{field.name}` is"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if field.ge is not None and value < field.ge:
            yield "default", "COG413", f"{start} less than its minimum {field.ge} (`ge`)"
        if field.le is not None and value > field.le:
            yield "default", "COG413", f"{start} greater than its maximum {field.le} (`le`)"
    if isinstance(value, str):
        if field.min_length is not None and len(value) < field.min_length:
            yield "default", "COG413", f"{start} shorter than its minimum length {field.min_length} (`min_length`)"
        if field.max_length is not None and len(value) > field.max_length:
            yield "default", "COG413", f"{start} longer than its maximum length {field.max_length} (`max_length`)"


_CHECKS: tuple[Callable[[InputField], Iterator[Problem]], ...] = (
    _check_constraints,
    _check_ranges,
    _check_regex,
    _check_choices,
    _check_default,
)


def fits(value: Json, type_: Type) -> bool:
    """Whether a JSON value can be a value of the type."""
    match type_:
        case Scalar.STR | Scalar.PATH | Scalar.FILE | Scalar.SECRET:
            return isinstance(value, str)
        case Scalar.INT:
            return isinstance(value, int) and not isinstance(value, bool)
        case Scalar.FLOAT:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Scalar.BOOL:
            return isinstance(value, bool)
        case Scalar.NONE:
            return value is None
        case OptionalOf(item=item):
            return value is None or fits(value, item)
        case UnionOf(members=members):
            return any(fits(value, member) for member in members)
        case ListOf(item=item):
            return isinstance(value, tuple) and all(fits(part, item) for part in value)
        case DictOf() | ObjectOf():
            return isinstance(value, JsonObject)
        case _:
            return True


def _same(left: Json, right: Json) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _shown(value: Json) -> str:
    text = repr(thaw(value))
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"
