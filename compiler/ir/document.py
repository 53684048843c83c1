"""IR ↔ JSON. Every object names its class in `node`; defaults are left out; reading gives equal nodes.

Source of the shape: schemas/ir.schema.json.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, cast

from ..source import Span
from . import node as _node
from . import nodes as _nodes
from . import requirement as _requirement

__all__ = ["FORMAT", "InvalidDocument", "from_document", "to_document"]

FORMAT = 1

_CLASSES: dict[str, type[Any]] = {
    name: value
    for module in (_node, _nodes, _requirement)
    for name, value in vars(module).items()
    if isinstance(value, type) and hasattr(value, "__dataclass_fields__")
} | {"Span": Span}


class InvalidDocument(ValueError):
    """The document is not an IR that this version reads."""


def to_document(build: _nodes.Build | _nodes.ResolvedBuild) -> dict[str, Any]:
    """The JSON document of a build, with the number of the format."""
    return {"format": FORMAT, **cast(dict[str, Any], _encode(build))}


def from_document(document: dict[str, Any]) -> _nodes.Build | _nodes.ResolvedBuild:
    """The build of a document. Error: `InvalidDocument` for other formats, unknown nodes or fields."""
    number = document.get("format")
    if number != FORMAT:
        newer = "newer than this cogc reads" if isinstance(number, int) and number > FORMAT else "not known"
        raise InvalidDocument(f"format {number!r} is {newer}")
    build = _decode({key: value for key, value in document.items() if key != "format"})
    if not isinstance(build, (_nodes.Build, _nodes.ResolvedBuild)):
        raise InvalidDocument("the document is not a build")
    return build


def _encode(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        encoded: dict[str, Any] = {"node": type(value).__name__}
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.default is MISSING or inner != field.default:
                encoded[field.name] = _encode(inner)
        return encoded
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    cls = _CLASSES.get(value.get("node", ""))
    if cls is None:
        raise InvalidDocument(f"unknown node {value.get('node')!r}")
    try:
        return cls(**{key: _decode(inner) for key, inner in value.items() if key != "node"})
    except TypeError as error:
        raise InvalidDocument(f"{value['node']}: {error}") from error
