"""What a change of one keyword does to the set of values that a schema allows.

Comes in: two `SchemaNode`s. Goes out: for each keyword that differs, whether the values become fewer, more or others,
and a phrase. What that means for callers depends on the direction, which is the business of `changes`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

from .nodes import SchemaNode

__all__ = [
    "Effect",
    "by_type",
    "constraint_changes",
    "documentation_changes",
    "equal",
    "includes",
    "shown",
    "type_change",
    "type_name",
]

# What becomes of the set of values that a schema allows.
Effect: TypeAlias = Literal["narrower", "wider", "other"]
# Keywords whose number is a least (+1) or a most (-1).
_BOUNDS = {
    "minimum": 1, "maximum": -1, "minLength": 1, "maxLength": -1, "minItems": 1, "maxItems": -1,
    "minProperties": 1, "maxProperties": -1,
}  # fmt: skip
_FLAGS = ("exclusiveMinimum", "exclusiveMaximum", "uniqueItems")
_DOCS = ("title", "description", "deprecated", "x-order", "x-cog-accept", "example", "examples", "externalDocs")
_BESIDE = {*_DOCS, "nullable", "default", "x-cog-secret", "writeOnly", "readOnly"}
_HANDLED = {
    *_BOUNDS, *_FLAGS, *_DOCS, "type", "format", "enum", "nullable", "pattern", "multipleOf", "items", "properties",
    "required", "additionalProperties", "default", "x-cog-secret", "writeOnly", "readOnly", "x-cog-array-type",
    "x-cog-array-display", "x-cog-any", "discriminator",
}  # fmt: skip


def shown(value: Any) -> str:
    """A value in a message: its JSON, cut to what can be read."""
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same in JSON, where `1` is `1.0` and neither is `true`."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


# -- types ---------------------------------------------------------------------------------------


def type_name(node: SchemaNode) -> str:
    """`string`, `file`, `any`, …; formats that change which values there are count as types."""
    name = node.keywords.get("type")
    if node.keywords.get("x-cog-any"):
        return "any"
    if not isinstance(name, str):
        values = node.keywords.get("enum")
        return "choices" if isinstance(values, list) else "any"
    return "file" if name == "string" and node.keywords.get("format") in ("uri", "binary") else name


def by_type(node: SchemaNode) -> dict[str, SchemaNode]:
    """The alternatives; a schema of one type is one alternative, without what stands beside its type."""
    limits = {key: value for key, value in node.keywords.items() if key in _HANDLED - _BESIDE}
    alone = SchemaNode(node.path, limits, node.places, node.references)
    return {type_name(member): member for member in node.alternatives or [alone]}


def includes(wide: str, narrow: str) -> bool:
    """Whether every value of one type is one of the other."""
    return wide in ("any", narrow) or (wide, narrow) in {("number", "integer"), ("string", "file")}


def type_change(old: SchemaNode, new: SchemaNode) -> tuple[Effect, str, str] | None:
    """The effect, the message and the keyword to blame."""
    before, after = type_name(old), type_name(new)
    if before == after or "choices" in (before, after):
        return None
    message = f"type changed from {before} to {after}"
    keyword = "format" if {before, after} == {"string", "file"} else "type"
    if includes(after, before):
        return "wider", message, keyword
    return ("narrower" if includes(before, after) else "other"), message, keyword


# -- keywords ------------------------------------------------------------------------------------

_Rule: TypeAlias = Callable[[str, Any, Any], Iterator[tuple[Effect, str]]]


def constraint_changes(old: SchemaNode, new: SchemaNode) -> Iterator[tuple[str, Effect, str]]:
    """(keyword, effect, message) of everything that limits values."""
    for keyword in (*_BOUNDS, *_FLAGS, "pattern", "multipleOf", "enum", "nullable"):
        before, after = old.keywords.get(keyword), new.keywords.get(keyword)
        if not equal(before, after):
            for effect, message in _RULES.get(keyword, _other_constraint)(keyword, before, after):
                yield keyword, effect, message
    for keyword in sorted((old.keywords.keys() | new.keywords.keys()) - _HANDLED):
        if not keyword.startswith("x-") and not equal(old.keywords.get(keyword), new.keywords.get(keyword)):
            yield keyword, "other", "changed"


def _bound(keyword: str, before: Any, after: Any) -> Iterator[tuple[Effect, str]]:
    if not _is_number(before) and not _is_number(after):
        return
    if not _is_number(before):
        yield "narrower", f"{keyword} {after} added"
    elif not _is_number(after):
        yield "wider", f"{keyword} {before} removed"
    elif before != after:
        is_raised = after > before
        effect: Effect = "narrower" if is_raised == (_BOUNDS[keyword] > 0) else "wider"
        yield effect, f"{'raised' if is_raised else 'lowered'} from {before} to {after}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flag(keyword: str, before: Any, after: Any) -> Iterator[tuple[Effect, str]]:
    if bool(before) != bool(after):
        yield ("narrower", f"{keyword} added") if after else ("wider", f"{keyword} removed")


def _nullable(keyword: str, before: Any, after: Any) -> Iterator[tuple[Effect, str]]:
    if bool(before) != bool(after):
        yield ("wider", "may be null now") if after else ("narrower", "may no longer be null")


def _other_constraint(keyword: str, before: Any, after: Any) -> Iterator[tuple[Effect, str]]:
    if before is None:
        yield "narrower", f"{keyword} {shown(after)} added"
    elif after is None:
        yield "wider", f"{keyword} {shown(before)} removed"
    else:
        yield "other", f"changed from {shown(before)} to {shown(after)}"


def _enum(keyword: str, before: Any, after: Any) -> Iterator[tuple[Effect, str]]:
    old, new = (value if isinstance(value, list) else None for value in (before, after))
    if old is None and new is not None:
        yield "narrower", f"limited to {', '.join(map(shown, new[:10]))}"
    elif new is None and old is not None:
        yield "wider", f"no longer limited to {', '.join(map(shown, old[:10]))}"
    elif old is not None and new is not None:
        for value in old:
            if not _holds(new, value):
                yield "narrower", f"choice {shown(value)} removed"
        for value in new:
            if not _holds(old, value):
                yield "wider", f"choice {shown(value)} added"


def _holds(values: list[Any], wanted: Any) -> bool:
    return any(equal(value, wanted) for value in values)


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_BOUNDS, _bound),
    **dict.fromkeys(_FLAGS, _flag),
    "enum": _enum,
    "nullable": _nullable,
}


def documentation_changes(old: SchemaNode, new: SchemaNode) -> Iterator[tuple[str, str]]:
    """(keyword, message) of everything that is for people only."""
    before, after = old.keywords.get("enum"), new.keywords.get("enum")
    if isinstance(before, list) and isinstance(after, list) and not equal(before, after):
        is_reordered = len(before) == len(after) and all(_holds(after, value) for value in before)
        yield from [("enum", "choices are in another order")] if is_reordered else []
    extensions = {key for key in (*old.keywords, *new.keywords) if key.startswith("x-") and key not in _HANDLED}
    for keyword in (*_DOCS, *sorted(extensions)):
        values = old.keywords.get(keyword), new.keywords.get(keyword)
        if not equal(*values) and not (keyword == "title" and _plain(values[0]) == _plain(values[1])):
            yield keyword, _edited(*values)
    formats = old.keywords.get("format"), new.keywords.get("format")
    if formats[0] != formats[1] and type_name(old) == type_name(new):
        yield "format", _edited(*formats)


def _plain(title: Any) -> str:
    """A title as the name that it was made from: `Max Steps` and `max_steps` say the same."""
    return str(title).lower().replace("_", " ")


def _edited(old: Any, new: Any) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    return f"changed from {shown(old)} to {shown(new)}"
