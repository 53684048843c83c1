"""Does a value fit a JSON Schema? A quick yes or no, for the keywords that our own schema uses.

Importing a full validator costs more than all the rest of a compilation, and most files have no mistake. So
this answers the common case; the validator is imported when the answer is no, and says what is wrong. A test
holds the two against each other on generated documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["fits"]

_ANNOTATIONS = frozenset(("$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated"))


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
        case "properties":
            return not isinstance(value, dict) or all(
                fits(inner, wanted[key], root) for key, inner in value.items() if key in wanted
            )
        case "additionalProperties":
            return not isinstance(value, dict) or wanted is not False or value.keys() <= schema["properties"].keys()
        case "required":
            return not isinstance(value, dict) or value.keys() >= set(wanted)
        case "items":
            return not isinstance(value, list) or all(fits(item, wanted, root) for item in value)
        case "minItems":
            return not isinstance(value, list) or len(value) >= wanted
        case "minLength":
            return not isinstance(value, str) or len(value) >= wanted
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "minimum":
            return isinstance(value, bool) or not isinstance(value, (int, float)) or value >= wanted
        case "enum":
            return any(value == choice and type(value) is type(choice) for choice in wanted)
        case "const":
            return bool(value == wanted and type(value) is type(wanted))
        case "allOf":
            return all(fits(value, part, root) for part in wanted)
        case "if":
            branch = schema.get("then" if fits(value, wanted, root) else "else", {})
            return fits(value, branch, root)
        case _:
            return False


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
