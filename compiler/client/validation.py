"""Values × the model's schema → what is wrong with them, before anything is built or started.

The server checks again and has the last word. Values are never shown: an input may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from ..diagnostics import Diagnostic, report
from .operation import InputField, Operation, Schema, alternatives

__all__ = ["check_inputs"]

_FILE_URL = re.compile(r"\s*(?:https?|data):", re.IGNORECASE)
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
)


def check_inputs(
    values: Mapping[str, Any], operation: Operation, attempted: Container[str] = ()
) -> tuple[Diagnostic, ...]:
    """Everything that is wrong, in the order of the signature. Errors: COG710, COG712.

    `attempted` are names that were given, but have no value because of an error that was told already.
    """
    found: list[Diagnostic] = []
    for field in operation.fields:
        if field.name not in values:
            found += [_missing(field)] if field.is_required and field.name not in attempted else []
        else:
            found += [
                report("COG710", f'invalid input "{field.name}": {reason}', hint=_description(field))
                for reason in _reasons(values[field.name], field)
            ]
    return tuple(found)


def _missing(field: InputField) -> Diagnostic:
    message = f'missing required input "{field.name}"'
    return report("COG712", message, hint=_description(field) or f"-i {field.name}=VALUE")


def _description(field: InputField) -> str | None:
    text = field.schema.get("description")
    return f"{field.name}: {' '.join(text.split())}" if isinstance(text, str) and text.strip() else None


def _reasons(value: Any, field: InputField) -> Iterator[str]:
    if value is None:
        if field.is_required and not _allows_null(field.schema):
            yield "must not be null"
        return
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import UnknownType

    formats = FormatChecker(())
    formats.checks("uri")(_is_file)
    validator = Draft202012Validator(dict(field.schema), format_checker=formats)
    try:
        errors = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.path])
    except (re.error, UnknownType):  # a pattern or a type that means nothing here: the server will tell
        return
    for error in errors:
        where = "".join(f"item {part + 1}: " if isinstance(part, int) else f"`{part}`: " for part in error.path)
        yield where + _reason(error)


def _is_file(value: Any) -> bool:
    """Whether the server can take it for a file, as which it is given a URL; values of other types pass."""
    return not isinstance(value, str) or bool(_FILE_URL.match(value))


def _allows_null(schema: Schema) -> bool:
    members = schema.get("anyOf") or schema.get("oneOf") or ()
    kind = schema.get("type", "null")
    return "null" in ([kind] if isinstance(kind, str) else kind) or any(_allows_null(member) for member in members)


def _reason(error: Any) -> str:
    """Why one value is refused, as a phrase that follows its name."""
    wanted = error.validator_value
    match error.validator:
        case "type" | "anyOf" | "oneOf":
            return _wrong_type(error)
        case "enum":
            return f"must be one of: {', '.join(_plain(choice) for choice in wanted if choice is not None)}"
        case "const":
            return f"must be {_plain(wanted)}"
        case "minimum":
            return f"must be at least {wanted}"
        case "maximum":
            return f"must be at most {wanted}"
        case "exclusiveMinimum":
            return f"must be more than {wanted}"
        case "exclusiveMaximum":
            return f"must be less than {wanted}"
        case "minLength":
            return f"must have at least {_count(wanted, 'character')}"
        case "maxLength":
            return f"must have at most {_count(wanted, 'character')}"
        case "minItems":
            return f"must have at least {_count(wanted, 'item')}"
        case "maxItems":
            return f"must have at most {_count(wanted, 'item')}"
        case "format":
            return "expected a file, @PATH, or a URL with http, https or data"
        case "pattern":
            return f"must match {wanted}"
        case "required":
            missing = [name for name in wanted if name not in error.instance]
            return f"lacks {', '.join(f'`{name}`' for name in missing)}"
        case _:
            return f"does not fit the schema ({error.validator})"


def _wrong_type(error: Any) -> str:
    """`expected A or B, got C`; where the type is right, what else is wrong with the alternative of that type."""
    got = _kind(error.instance)
    members = alternatives(error.schema)
    if error.validator != "type":
        for inner in error.context:
            if inner.validator != "type":
                return _reason(inner)
    wanted = list(dict.fromkeys(str(member.get("type", "value")) for member in members))
    return f"expected {' or '.join(wanted)}, got {got}"


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
