"""Write schemas/ir.schema.json from the node classes of the IR, so that the two cannot drift apart.

Run it after a change of compiler/ir/nodes.py; a test fails until then.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cogc.ir import node, nodes, requirement
from cogc.ir.document import FORMAT
from cogc.source import Span

_CLASSES: dict[str, type[Any]] = {
    name: value
    for module in (node, nodes, requirement)
    for name, value in vars(module).items()
    if isinstance(value, type) and hasattr(value, "__dataclass_fields__") and name != "Node"
} | {"Span": Span}


def schema() -> dict[str, Any]:
    """The schema of `cogc ir --format json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:cogc:schema:ir:{FORMAT}",
        "title": "Intermediate representation",
        "description": "A build as `cogc ir --format json` prints it: resolved, or unresolved with --stage ir.",
        "type": "object",
        "required": ["format", "node"],
        "properties": {"format": {"const": FORMAT}},
        "oneOf": [{"$ref": "#/$defs/ResolvedBuild"}, {"$ref": "#/$defs/Build"}],
        "$defs": {name: _definition(cls) for name, cls in sorted(_CLASSES.items())},
    }


def _definition(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    required = [field.name for field in fields(cls) if field.default is MISSING]
    is_root = cls in (nodes.Build, nodes.ResolvedBuild)
    return {
        "description": (cls.__doc__ or "").split("\n\n")[0].replace("\n    ", " "),
        "type": "object",
        "required": ["node", *required],
        "additionalProperties": False,
        "properties": {
            **({"format": True} if is_root else {}),
            "node": {"const": cls.__name__},
            **{field.name: _type(hints[field.name]) for field in fields(cls)},
        },
    }


def _type(hint: Any) -> dict[str, Any]:
    origin = get_origin(hint)
    if hint in (str, int, bool):
        return {"type": {str: "string", int: "integer", bool: "boolean"}[hint]}
    if hint is type(None):
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(inner) for inner in get_args(hint)]}
    if origin is tuple:
        arguments = get_args(hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return {"type": "array", "items": _type(arguments[0])}
        return {
            "type": "array",
            "prefixItems": [_type(inner) for inner in arguments],
            "minItems": len(arguments),
            "maxItems": len(arguments),
        }
    return {"$ref": f"#/$defs/{hint.__name__}"}


if __name__ == "__main__":
    target = Path(__file__).parent.parent / "schemas" / "ir.schema.json"
    target.write_text(json.dumps(schema(), indent=2) + "\n")
