"""IR → readable text with one field or step per line: the form for reviews and golden files.

Two different values never have the same text: strings are written as JSON, nothing is left out but defaults.
Provenance follows its node as comments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from ..source import Span
from .node import Cause, Node

__all__ = ["render_ir"]

_HIDDEN = ("origin", "because", "spans", "requirements_because", "tools_because")


def render_ir(node: Node) -> str:
    """The text of a build, a stage or any other node."""
    return "\n".join(_node(node, "")) + "\n"


def _node(node: Any, indent: str) -> Iterator[str]:
    """A node as a line with its plain values, then its nodes, indented."""
    plain, nested = [], []
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name in _HIDDEN or (field.default is not MISSING and value == field.default):
            continue
        if _is_plain(value):
            plain.append(f"{field.name}={_value(value)}")
        else:
            nested.append((field.name, value))
    where = f"  @ {node.origin}" if isinstance(node, Node) and node.origin else ""
    yield f"{indent}{' '.join((type(node).__name__, *plain))}{where}"
    for cause in getattr(node, "because", ()):
        yield f"{indent}  # {_cause(cause)}"
    for name, value in nested:
        if isinstance(value, tuple):
            yield f"{indent}  {name}:"
            for item in value:
                yield from _item(item, indent + "    ")
        elif isinstance(value, str):
            yield f"{indent}  {name}:"
            yield from (f"{indent}    | {line}" for line in value.split("\n"))
        else:
            yield f"{indent}  {name}:"
            yield from _node(value, indent + "    ")


def _item(item: Any, indent: str) -> Iterator[str]:
    if hasattr(item, "__dataclass_fields__"):
        yield from _node(item, indent)
    else:
        yield f"{indent}{_value(item)}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return "\n" not in value
    if isinstance(value, tuple):
        return len(value) <= 1 and all(_is_plain(item) for item in value)
    return not hasattr(value, "__dataclass_fields__")


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cause(cause: Cause) -> str:
    return f"{cause.kind}: {_value(cause.text)[1:-1]}{_at(cause.span)}"


def _at(span: Span | None) -> str:
    return f" @ {span}" if span else ""
