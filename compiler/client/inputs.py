"""Inputs from the command line, `-i NAME=VALUE` or a JSON document, as the values that the model's schema asks for.

An input of the command line is text. What it becomes is decided by the type that the schema gives to its name:

    string    as it is              integer, number   a decimal number
    boolean   true, false, 1, 0     object            JSON
    array     a JSON array, or one item; given several times, the items in order
    union     a boolean, a number, JSON or text, whichever comes first and is allowed

Text that does not fit stays text, for `validation` to refuse. `@PATH` is the content of a file, as a data URL.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..diagnostics import Diagnostic, report
from ..record import record
from ..suggest import closest
from .media import data_url, media_type_of
from .operation import InputField, Operation, Schema, alternatives, is_file

__all__ = ["Given", "JsonGiven", "convert", "convert_document", "parse_assignment", "read_document"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False}
_STANDARD_INPUT = ("-", "@-")


@record(kw_only=False)
class Given:
    """One `-i`. `name` is None where only a value was given, which is the one input of a model that has one."""

    name: str | None
    value: str


@record(kw_only=False)
class JsonGiven:
    """The object of `--json`."""

    values: Mapping[str, Any]


def parse_assignment(text: str) -> tuple[Given | None, tuple[Diagnostic, ...]]:
    """`NAME=VALUE`; a value in double quotes loses them. A value alone must be a file, `@PATH`. Error: COG503.

    >>> parse_assignment('prompt="a = b"')[0]
    Given(name='prompt', value='a = b')
    """
    name, separator, value = text.partition("=")
    if text.startswith("@"):
        return Given(None, text), ()
    if not separator or not name:
        return None, (report("COG503", f"Failed to parse input '{text}', expected format is 'name=value'"),)
    if len(value) >= 2 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1]
    return Given(name, value), ()


def read_document(
    text: str, read_standard_input: Callable[[], bytes]
) -> tuple[JsonGiven | None, tuple[Diagnostic, ...]]:
    """The object that `--json` gives: inline, in the file of `@PATH`, or on standard input. Errors: COG713, COG714."""
    if text in _STANDARD_INPUT:
        content = read_standard_input()
    elif text.startswith("@"):
        read, found = _read(text[1:], "--json")
        if read is None:
            return None, found
        content = read
    else:
        content = text.encode("utf-8", "surrogateescape")
    try:
        document = json.loads(content.decode("utf-8-sig"), parse_constant=_no_constant)
    except RecursionError:
        return None, _bad_json("it is nested too deep")
    except (UnicodeDecodeError, ValueError) as error:
        return None, _bad_json("it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error))
    if not isinstance(document, dict):
        return None, _bad_json('the inputs are an object, such as {"prompt": "a cat"}')
    return JsonGiven(document), ()


def convert(given: Sequence[Given], operation: Operation) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """Values by name, in the order given; without those that have errors: COG710, COG711, COG713."""
    found: list[Diagnostic] = []
    texts: dict[str, list[str]] = {}
    for one in given:
        name = one.name if one.name is not None else _only_name(operation)
        if name is None:
            message = f"Failed to parse input '{one.value}', expected format is 'name=value'"
            found.append(report("COG710", message, hint="a value without a name is for models with one input"))
        else:
            texts.setdefault(name, []).append(one.value)
    found += unknown_inputs(texts, operation)
    values: dict[str, Any] = {}
    for field in operation.fields:
        if field.name in texts:
            value, problems = _field_value(texts[field.name], field)
            found += problems
            if not problems:
                values[field.name] = value
    return {name: values[name] for name in texts if name in values}, tuple(found)


def convert_document(given: JsonGiven, operation: Operation) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """The document, with `@PATH` replaced where the schema wants a file. Errors, as above: COG711, COG713."""
    found = list(unknown_inputs(given.values, operation))
    values: dict[str, Any] = dict(given.values)
    for field in operation.fields:
        if field.name in values:
            values[field.name], problems = _with_files(values[field.name], field.schema, field.name)
            found += problems
            if problems:
                del values[field.name]
    return values, tuple(found)


def unknown_inputs(names: Iterable[str], operation: Operation) -> tuple[Diagnostic, ...]:
    """COG711 for names that the model does not have, all in one."""
    known = [field.name for field in operation.fields]
    unknown = [name for name in names if name not in known]
    if not unknown:
        return ()
    listed = ", ".join(f'"{name}"' for name in unknown)
    valid = f"valid inputs are: {', '.join(known)}" if known else "model does not accept inputs"
    near = closest(unknown[0], known) if len(unknown) == 1 else None
    hint = f"did you mean `{near}`?" if near else None
    return (report("COG711", f"unknown input{'s' if len(unknown) > 1 else ''} {listed}; {valid}", hint=hint),)


# -- one value ------------------------------------------------------------------------------------


def _only_name(operation: Operation) -> str | None:
    return operation.fields[0].name if len(operation.fields) == 1 else None


def _field_value(texts: Sequence[str], field: InputField) -> tuple[Any, tuple[Diagnostic, ...]]:
    members = alternatives(field.schema)
    array = next((member for member in members if member.get("type") == "array"), None)
    if len(texts) > 1:
        if array is None:
            message = f'input "{field.name}" given more than once'
            return None, (report("COG710", message, hint="only inputs that are lists can be repeated"),)
        return _array(texts, array, field.name)
    (text,) = texts
    if array is not None and len(members) == 1:
        listed = _json(text)
        return (listed, ()) if isinstance(listed, list) else _array(texts, array, field.name)
    return _value(text, members, field.name)


def _array(texts: Sequence[str], schema: Schema, name: str) -> tuple[list[Any], tuple[Diagnostic, ...]]:
    items = alternatives(schema.get("items") or {"type": "string"})
    found: list[Diagnostic] = []
    values = []
    for text in texts:
        value, problems = _value(text, items, name)
        values.append(value)
        found += problems
    return values, tuple(found)


def _value(text: str, members: Sequence[Schema], name: str) -> tuple[Any, tuple[Diagnostic, ...]]:
    """One text as a value of one of the members of a union."""
    if text.startswith("@"):
        return _file(text[1:], name)
    if len(members) == 1 and members[0].get("type") == "boolean":
        return _BOOLEANS.get(text, text), ()
    if len(members) == 1 and members[0].get("type") == "string":
        return text, ()
    for value, kinds in _readings(text):
        if any(_takes(member, value, kinds) for member in members):
            return value, ()
    return text, ()


def _readings(text: str) -> Iterable[tuple[Any, tuple[str, ...]]]:
    """What a text can be besides text, with the types that have such values; the first that is allowed is meant."""
    if text in ("true", "false", "True", "False"):
        yield _BOOLEANS[text], ("boolean",)
    if _INTEGER.fullmatch(text):
        yield int(text), ("integer", "number")
    elif _NUMBER.fullmatch(text):
        yield float(text), ("number",)
    document = _json(text)
    if isinstance(document, dict):
        yield document, ("object",)
    elif isinstance(document, list):
        yield document, ("array",)


def _takes(member: Schema, value: Any, kinds: tuple[str, ...]) -> bool:
    kind = member.get("type")
    choices = member.get("enum")
    if kind is None and choices is None:
        return True  # any value
    if choices is not None and not any(value == choice and type(value) is type(choice) for choice in choices):
        # A wrong number is a number still, so that the complaint is about the choices and not about the type.
        return kind in kinds
    return kind is None or kind in kinds


def _json(text: str) -> Any:
    """The document where the text is a JSON array or object, else None."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _with_files(value: Any, schema: Schema, name: str) -> tuple[Any, tuple[Diagnostic, ...]]:
    """A value of a JSON document; `@PATH` is a file where the schema says so, and text elsewhere."""
    members = alternatives(schema)
    if isinstance(value, str) and value.startswith("@") and any(is_file(member) for member in members):
        return _file(value[1:], name)
    array = next((member for member in members if member.get("type") == "array"), None)
    if isinstance(value, list) and array is not None:
        results = [_with_files(item, array.get("items") or {}, name) for item in value]
        return [item for item, _ in results], tuple(problem for _, problems in results for problem in problems)
    return value, ()


# -- files ----------------------------------------------------------------------------------------


def _file(written: str, name: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    content, found = _read(written, f'input "{name}"')
    return (None if content is None else data_url(content, media_type_of(written))), found


def _read(written: str, subject: str) -> tuple[bytes | None, tuple[Diagnostic, ...]]:
    """The content of a file. Error: COG713."""
    try:
        return Path(os.path.expanduser(written)).read_bytes(), ()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except ValueError:
        reason = "not a valid path"
    return None, (report("COG713", f"{subject}: open {written}: {reason}"),)


def _bad_json(reason: str) -> tuple[Diagnostic, ...]:
    return (report("COG714", f"Failed to parse JSON: {reason}"),)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
