"""Does a value fit a JSON Schema? A quick yes or no, for the keywords that our own schema uses.

Importing a full validator costs more than all the rest of a compilation, and most files have no mistake. So
this answers the common case; the validator is imported when the answer is no, and says what is wrong. A test
holds the two against each other on generated documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["fits"]

# `format` is an annotation too, for the full validator as well unless it is told otherwise.
_ANNOTATIONS = frozenset(
    ("$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated", "format")
)


def fits(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether `value` (plain JSON data) fits `schema`; `root` is the document that `$ref` points into.

    An unknown keyword counts as not fitting: then the full validator decides.
    """
    return all(
        name in _ANNOTATIONS or _keyword(name, wanted, value, schema, root)
        for name, wanted in schema.items()
        if name not in ("then", "else")
    )


def _keyword(name: str, wanted: Any, value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    match name:
        case "$ref":
            return fits(value, root["$defs"][wanted.removeprefix("#/$defs/")], root)
        case "type":
            return any(_is_of_type(value, kind) for kind in ([wanted] if isinstance(wanted, str) else wanted))
        case "properties" | "additionalProperties" | "required" | "minProperties" | "propertyNames":
            return not isinstance(value, dict) or _of_object(name, wanted, value, schema, root)
        case "items" | "minItems" | "uniqueItems":
            return not isinstance(value, list) or _of_list(name, wanted, value, root)
        case "minLength":
            return not isinstance(value, str) or len(value) >= wanted
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "minimum" | "exclusiveMinimum":
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            return not is_number or value > wanted or (value == wanted and name == "minimum")
        case "enum":
            return any(_is_equal(value, choice) for choice in wanted)
        case "const":
            return _is_equal(value, wanted)
        case "oneOf":
            return sum(fits(value, part, root) for part in wanted) == 1
        case "allOf":
            return all(fits(value, part, root) for part in wanted)
        case "if":
            branch = schema.get("then" if fits(value, wanted, root) else "else", {})
            return fits(value, branch, root)
        case _:
            return False


def _is_equal(value: Any, other: Any) -> bool:
    """To JSON Schema, 1 and 1.0 are equal, and neither is `true`."""
    return bool(value == other and isinstance(value, bool) == isinstance(other, bool))


def _of_object(
    name: str, wanted: Any, value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]
) -> bool:
    match name:
        case "properties":
            return all(fits(inner, wanted[key], root) for key, inner in value.items() if key in wanted)
        case "additionalProperties":
            rest = value.keys() - schema.get("properties", {}).keys()
            return (wanted or not rest) if isinstance(wanted, bool) else all(fits(value[k], wanted, root) for k in rest)
        case "required":
            return value.keys() >= set(wanted)
        case "minProperties":
            return len(value) >= int(wanted)
        case _:
            return all(fits(key, wanted, root) for key in value)


def _of_list(name: str, wanted: Any, value: list[Any], root: Mapping[str, Any]) -> bool:
    match name:
        case "items":
            return all(fits(item, wanted, root) for item in value)
        case "minItems":
            return len(value) >= int(wanted)
        case _:
            return not wanted or len({_spelled(item) for item in value}) == len(value)


def _spelled(value: Any) -> str:
    """Equal values have equal spellings, but for 1 and 1.0: lists of unique items hold text in our schemas."""
    return json.dumps(value, sort_keys=True)


def _is_of_type(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return is_whole and not isinstance(value, bool)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return False
