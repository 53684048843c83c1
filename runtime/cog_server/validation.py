"""OpenAPI Input schema → a function that checks inputs, compiled once; request bodies → `PredictionRequest`.

Lenient where Cog's users expect it: numbers and booleans may come as text. Inputs that the model does not declare are
ignored. Each problem is `{"loc": ["body", "input", NAME, ...], "msg", "type"}`, plus `ctx` where there is a limit.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from datetime import datetime
from typing import AbstractSet, Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

import msgspec

from .masking import MASK
from .patterns import TooSlow, compile_pattern, is_found
from .predictions import FileInput, PredictionRequest, new_id

__all__ = [
    "EVENTS",
    "InputChecker",
    "Invalid",
    "compile_inputs",
    "parse_request",
    "problem",
    "real_number",
    "secret_inputs",
    "url_problem",
    "whole_number",
]

logger = logging.getLogger("cog_server.validation")

MAX_URL = 65536
MAX_DEPTH = 200
MAX_SCHEMA_DEPTH = 16
EVENTS = ("start", "output", "logs", "completed")
_DATE_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)?"
    r"(?:[Zz]|[+-]([0-9]{2}):?([0-9]{2}))?\Z"
)
_ID = re.compile(r"[^\x00-\x1f\x7f/]{1,256}\Z")
_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}\Z")
_BOOLEANS = {"true": True, "false": False}

Problem = Dict[str, Any]
Path = Tuple[Union[str, int], ...]


class Invalid(Exception):
    """The request is refused with these problems."""

    def __init__(self, problems: List[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def problem(location: Path, message: str, kind: str = "value_error", **context: Any) -> Problem:
    """One entry of `detail`."""
    result: Problem = {"loc": ["body", *location], "msg": message, "type": kind}
    if context:
        result["ctx"] = context
    return result


class _Run:
    """What one check gathers."""

    __slots__ = ("files", "problems", "secrets")

    def __init__(self) -> None:
        self.problems: List[Problem] = []
        self.files: List[FileInput] = []
        self.secrets: List[str] = []

    def refuse(self, location: Path, message: str, kind: str, **context: Any) -> None:
        self.problems.append(problem(("input", *location), message, kind, **context))


# A checker takes (value, location, run) and returns the converted value; problems go to the run.
Checker = Callable[[Any, Path, _Run], Any]


def _portable(value: Any) -> Any:
    """Whole numbers beyond 64 bits as raw JSON: the encoder would make text of them."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return msgspec.Raw(str(value).encode())
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items()}
    return value


def _check_any(value: Any, location: Path, run: _Run) -> Any:
    return _portable(value)


def _check_object(value: Any, location: Path, run: _Run) -> Any:
    if not isinstance(value, dict):
        run.refuse(location, "value is not a valid dict", "type_error.dict")
    return _portable(value)


def _check_boolean(value: Any, location: Path, run: _Run) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    run.refuse(location, "value could not be parsed to a boolean", "type_error.bool")
    return value


def whole_number(value: Any) -> Optional[int]:
    """The number that a JSON value or its text means, None if it is no whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.match(value.strip()):
        return int(value)
    return None


def real_number(value: Any) -> Optional[float]:
    """The number that a JSON value or its text means, None if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not (value.isascii() and "_" not in value):
        return None  # numbers for Python only
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _bounds(schema: Mapping[str, Any]) -> Callable[[Any, Path, _Run], None]:
    least, most = schema.get("minimum"), schema.get("maximum")

    def check(number: Any, location: Path, run: _Run) -> None:
        if least is not None and number < least:
            text = "ensure this value is greater than or equal to %s" % least
            run.refuse(location, text, "value_error.number.not_ge", limit_value=least)
        if most is not None and number > most:
            text = "ensure this value is less than or equal to %s" % most
            run.refuse(location, text, "value_error.number.not_le", limit_value=most)

    return check


def _number(schema: Mapping[str, Any], convert: Callable[[Any], Any], message: str, kind: str) -> Checker:
    check_bounds = _bounds(schema) if "minimum" in schema or "maximum" in schema else None

    def check(value: Any, location: Path, run: _Run) -> Any:
        number = convert(value)
        if number is None:
            run.refuse(location, message, kind)
            return None
        if check_bounds is not None:
            check_bounds(number, location, run)
        return number if -(2**63) <= number < 2**63 or isinstance(number, float) else _portable(number)

    return check


def _string(schema: Mapping[str, Any]) -> Checker:
    least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    try:
        expression = compile_pattern(pattern) if pattern is not None else None
    except (re.error, TypeError):
        logger.warning("the pattern %r is not a regular expression of Python: it is not checked", pattern)
        expression = None
    if least is None and most is None and expression is None:
        return _check_plain_string

    def check(value: Any, location: Path, run: _Run) -> Any:
        if not isinstance(value, str):
            return _check_plain_string(value, location, run)
        if least is not None and len(value) < least:
            text = "ensure this value has at least %d characters" % least
            run.refuse(location, text, "value_error.any_str.min_length", limit_value=least)
        if most is not None and len(value) > most:
            text = "ensure this value has at most %d characters" % most
            run.refuse(location, text, "value_error.any_str.max_length", limit_value=most)
        if expression is not None:
            try:
                complaint = None if is_found(expression, value) else 'string does not match regex "%s"' % pattern
            except TooSlow:
                complaint = 'it takes too long to see whether the string matches regex "%s"' % pattern
                logger.warning("the pattern %r takes very long for some texts: they are refused", pattern)
            if complaint is not None:
                run.refuse(location, complaint, "value_error.str.regex", pattern=pattern)
        return value

    return check


def _check_plain_string(value: Any, location: Path, run: _Run) -> Any:
    if not isinstance(value, str):
        run.refuse(location, "str type expected", "type_error.str")
    return value


def _check_file(value: Any, location: Path, run: _Run) -> Any:
    if not isinstance(value, str):
        run.refuse(location, "a file is given as a URL: str type expected", "type_error.str")
        return value
    head = value[:8].lower()
    if not head.startswith(("data:", "http://", "https://")):
        shown = value if len(value) <= 200 else value[:200] + "…"
        text = "'%s' is not a valid URL scheme. 'data', 'http', or 'https' is supported." % shown
        run.refuse(location, text, "value_error.url.scheme")
    elif head[0] != "d" and url_problem("", value, sys.maxsize):
        run.refuse(location, "the URL names no host", "value_error.url.host")
    else:
        run.files.append(FileInput(list(location), value))
    return value


def _secret(inner: Checker) -> Checker:
    def check(value: Any, location: Path, run: _Run) -> Any:
        run.secrets += [
            text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text
        ]
        return inner(value, location, run)

    return check


def _array(items: Checker) -> Checker:
    def check(value: Any, location: Path, run: _Run) -> Any:
        if not isinstance(value, list):
            run.refuse(location, "value is not a valid list", "type_error.list")
            return value
        return [items(item, (*location, index), run) for index, item in enumerate(value)]

    return check


def _enumeration(choices: List[Any]) -> Checker:
    text = "value is not a valid enumeration member; permitted: " + ", ".join(map(repr, choices))
    by_key = {(type(choice), choice): choice for choice in choices if not isinstance(choice, (list, dict))}
    whole = {choice for choice in choices if type(choice) is int}
    real = {choice for choice in choices if type(choice) is float}

    def check(value: Any, location: Path, run: _Run) -> Any:
        if not isinstance(value, (list, dict)) and (type(value), value) in by_key:
            return value
        number = whole_number(value) if whole else None
        if number is not None and number in whole:
            return number
        fraction = real_number(value) if real else None
        if fraction is not None and fraction in real:
            return fraction
        run.refuse(location, text, "type_error.enum", enum_values=choices)
        return value

    return check


def _union(members: List[Tuple[Optional[str], Checker]]) -> Checker:
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}

    def attempt(checker: Checker, value: Any, location: Path, run: _Run) -> Tuple[bool, Any]:
        trial = _Run()
        result = checker(value, location, trial)
        if not trial.problems:
            run.files += trial.files
            run.secrets += trial.secrets
        return not trial.problems, result

    def check(value: Any, location: Path, run: _Run) -> Any:
        exact = [
            checker
            for kind, checker in members
            if isinstance(value, kinds.get(kind or "", object))  # type: ignore[arg-type]
            and not (isinstance(value, bool) and kind in ("integer", "number"))
        ]
        for checker in exact + [checker for _, checker in members if checker not in exact]:
            fits, result = attempt(checker, value, location, run)
            if fits:
                return result
        names = ", ".join(sorted({kind or "any" for kind, _ in members}))
        run.refuse(location, "value fits none of the types: %s" % names, "type_error")
        return value

    return check


class _Compiler:
    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components

    def resolve(self, schema: Any, depth: int = 0) -> Dict[str, Any]:
        """The schema with `$ref` and a single `allOf` merged in."""
        if not isinstance(schema, dict) or depth > MAX_SCHEMA_DEPTH:
            return {}
        result = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        parts = list(schema.get("allOf") or [])
        reference = schema.get("$ref")
        if isinstance(reference, str):
            parts.append(self._components.get(reference.rsplit("/", 1)[-1], {}))
        for part in parts:
            for key, value in self.resolve(part, depth + 1).items():
                result.setdefault(key, value)
        return result

    def checker(self, schema: Any, depth: int = 0) -> Tuple[Checker, bool]:
        """The checker, and whether null is allowed."""
        schema = self.resolve(schema)
        is_nullable = bool(schema.get("nullable"))
        kind = schema.get("type")
        if isinstance(kind, list):
            schema = {**schema, "anyOf": [{**schema, "type": name} for name in kind]}
            schema.pop("type")
        if depth > MAX_SCHEMA_DEPTH:
            return _check_any, True
        if isinstance(schema.get("anyOf"), list):
            parts = [self.resolve(part) for part in schema["anyOf"]]
            rest = [part for part in parts if part.get("type") != "null"]
            members = [(part.get("type"), self.checker(part, depth + 1)[0]) for part in rest]
            is_nullable = is_nullable or len(rest) < len(parts)
            return (members[0][1] if len(members) == 1 else _union(members)), is_nullable
        check = self._simple(schema, depth)
        takes_null = is_nullable or not schema.get("type") or bool(schema.get("x-cog-any"))
        return (_secret(check) if _is_secret(schema) else check), takes_null

    def _simple(self, schema: Dict[str, Any], depth: int) -> Checker:
        kind = schema.get("type")
        if schema.get("x-cog-any"):
            return _check_any
        if isinstance(schema.get("enum"), list):
            return _enumeration(schema["enum"])
        if "const" in schema:
            return _enumeration([schema["const"]])
        if kind == "string":
            return _check_file if schema.get("format") == "uri" else _string(schema)
        if kind == "integer":
            return _number(schema, whole_number, "value is not a valid integer", "type_error.integer")
        if kind == "number":
            return _number(schema, real_number, "value is not a valid float", "type_error.float")
        if kind == "array":
            return _array(self._item(schema.get("items", {}), depth))
        if kind == "object" and any(isinstance(schema.get(key), dict) for key in ("properties", "additionalProperties")):
            return self._object(schema, depth)
        return {"boolean": _check_boolean, "object": _check_object}.get(str(kind), _check_any)

    def _object(self, schema: Dict[str, Any], depth: int) -> Checker:
        """Members that are declared are checked, others by the schema of additional ones; without one they pass."""
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        declared = properties if isinstance(properties, dict) else {}
        members = {name: self._item(member, depth) for name, member in declared.items()}
        others = self._item(additional, depth) if isinstance(additional, dict) else _check_any
        required = [name for name in schema.get("required") or () if name in members]

        def check(value: Any, location: Path, run: _Run) -> Any:
            if not isinstance(value, dict):
                return _check_object(value, location, run)
            for name in required:
                if name not in value:
                    run.refuse((*location, name), "field required", "value_error.missing")
            return {
                name: members.get(name, others)(member, (*location, name), run) for name, member in value.items()
            }

        return check

    def _item(self, schema: Any, depth: int) -> Checker:
        check, is_nullable = self.checker(schema, depth + 1)

        def check_item(value: Any, location: Path, run: _Run) -> Any:
            if value is None:
                if not is_nullable:
                    run.refuse(location, "none is not an allowed value", "type_error.none.not_allowed")
                return None
            return check(value, location, run)

        return check_item


def _is_secret(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("x-cog-secret")) or schema.get("format") == "password"


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value if value in (None, "", {}) else MASK


class _Field(NamedTuple):
    name: str
    check: Checker
    is_required: bool
    is_nullable: bool
    has_default: bool
    default: Any
    has_secret: bool


class InputChecker:
    """Checks inputs against one Input component."""

    def __init__(self, fields: List[_Field], is_open: bool) -> None:
        self._fields = fields
        self._names = {field.name for field in fields}
        self._is_open = is_open

    def check(self, given: Mapping[str, Any]) -> Tuple[Dict[str, Any], Dict[str, Any], _Run]:
        """(input for the worker, input to show, what was found). Errors: Invalid."""
        run = _Run()
        result: Dict[str, Any] = {}
        shown: Dict[str, Any] = {}
        if self._is_open:
            result = shown = {name: _portable(value) for name, value in given.items()}
            return result, shown, run
        for field in self._fields:
            name = field.name
            if name in given:
                value = given[name]
                if value is None and field.is_nullable:
                    result[name] = shown[name] = None
                    continue
                if value is None:
                    run.refuse((name,), "none is not an allowed value", "type_error.none.not_allowed")
                    continue
                result[name] = field.check(value, (name,), run)
            elif field.has_default:
                result[name] = self._default(field, run)
            elif field.is_required:
                run.refuse((name,), "field required", "value_error.missing")
                continue
            else:
                continue
            shown[name] = _masked(result[name]) if field.has_secret else result[name]
        if run.problems:
            raise Invalid(run.problems)
        if not given.keys() <= self._names:
            unknown = [name for name in given if name not in self._names]
            logger.info("inputs that the model does not declare are ignored: %s", ", ".join(unknown)[:500])
        return result, shown, run

    def masked(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        """Inputs that were refused, as they may be shown."""
        secret = {field.name for field in self._fields if field.has_secret}
        return {name: _masked(value) if name in secret else _portable(value) for name, value in given.items()}

    @staticmethod
    def _default(field: _Field, run: _Run) -> Any:
        """Defaults are the model's own: converted where it works (URLs are downloaded), never refused."""
        if field.default is None:
            return None
        trial = _Run()
        value = field.check(field.default, (field.name,), trial)
        if trial.problems:
            return field.default
        run.files += trial.files
        return value


def secret_inputs(document: Mapping[str, Any], component: str) -> FrozenSet[str]:
    """The names of inputs that are secrets, or lists of secrets."""
    components = (document.get("components") or {}).get("schemas") or {}
    compiler = _Compiler(components)
    properties = compiler.resolve(components.get(component)).get("properties") or {}
    return frozenset(name for name, written in properties.items() if _holds_secret(compiler, written))


def _holds_secret(compiler: _Compiler, written: Any, depth: int = 0) -> bool:
    """Whether a value is a secret or has one somewhere in it; then all of it is masked."""
    resolved = compiler.resolve(written)
    if _is_secret(resolved):
        return True
    properties = resolved.get("properties")
    parts = [resolved.get("items"), resolved.get("additionalProperties"), *(resolved.get("anyOf") or ())]
    parts += list(properties.values()) if isinstance(properties, dict) else []
    return depth < MAX_SCHEMA_DEPTH and any(
        _holds_secret(compiler, part, depth + 1) for part in parts if isinstance(part, dict)
    )


def compile_inputs(
    document: Mapping[str, Any], component: str, secrets: AbstractSet[str] = frozenset()
) -> InputChecker:
    """The checker of the component `Input` or `TrainingInput` of an OpenAPI document.

    `secrets` are inputs to be masked besides those that the document marks.
    """
    components = (document.get("components") or {}).get("schemas") or {}
    compiler = _Compiler(components)
    schema = compiler.resolve(components.get(component))
    if not schema:
        return InputChecker([], is_open=True)
    required = set(schema.get("required") or ())
    fields = []
    for name, written in (schema.get("properties") or {}).items():
        resolved = compiler.resolve(written)
        check, is_nullable = compiler.checker(written)
        has_default = "default" in resolved
        has_secret = _holds_secret(compiler, written)
        if name in secrets and not has_secret:
            check, has_secret = _secret(check), True
        is_optional = name not in required and (not has_default or resolved.get("default") is None)
        fields.append(
            _Field(
                name,
                check,
                name in required,
                is_nullable or is_optional,
                has_default,
                resolved.get("default"),
                has_secret,
            )
        )
    return InputChecker(fields, is_open=False)


def _decode(body: bytes) -> Dict[str, Any]:
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise Invalid([problem((), "the JSON is nested too deeply", "value_error.jsondecode")]) from None
    except (ValueError, msgspec.MsgspecError) as error:  # no ValueError before msgspec 0.19
        raise Invalid([problem((0,), "not valid JSON: %s" % error, "value_error.jsondecode")]) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise Invalid([problem((), "value is not a valid dict", "type_error.dict")])
    if (_has_many(body, b"{") or _has_many(body, b"[")) and _is_deep(document):
        raise Invalid([problem((), "the JSON is nested too deeply", "value_error.jsondecode")])
    return document


def _has_many(body: bytes, bracket: bytes) -> bool:
    """Whether there are so many that values may be too deep. Counting all takes long where a file is in the body."""
    at = -1
    for _ in range(MAX_DEPTH // 2):
        at = body.find(bracket, at + 1)
        if at < 0:
            return False
    return True


def _is_deep(value: Any) -> bool:
    """Whether containers are nested more than MAX_DEPTH times: too many for what works through them recursively."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def url_problem(field: str, value: Any, limit: int = MAX_URL) -> Optional[Problem]:
    """What is wrong with the URL in a field of the request, or None."""
    if not isinstance(value, str):
        return problem((field,), "str type expected", "type_error.str")
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        is_good = False
    if not is_good or re.search(r"[\x00-\x20\x7f]", value):
        return problem((field,), "invalid or missing URL scheme: http or https is supported", "value_error.url.scheme")
    if len(value) > limit:
        return problem(
            (field,), "ensure this value has at most %d characters" % limit, "value_error.any_str.max_length"
        )
    return None


def _envelope_problems(document: Mapping[str, Any]) -> List[Problem]:
    found: List[Problem] = []
    for field in ("webhook", "output_file_prefix"):
        if document.get(field) is not None and not (field == "output_file_prefix" and document[field] == ""):
            bad = url_problem(field, document[field])
            if bad is not None:
                found.append(bad)
    for field in ("id", "created_at"):
        if document.get(field) is not None and not isinstance(document[field], str):
            found.append(problem((field,), "str type expected", "type_error.str"))
        elif field == "created_at" and document.get(field) and not _is_date_time(document[field]):
            found.append(problem((field,), "invalid datetime format", "value_error.datetime"))
    events = document.get("webhook_events_filter")
    if events is not None and not isinstance(events, list):
        found.append(problem(("webhook_events_filter",), "value is not a valid list", "type_error.list"))
    for index, event in enumerate(events if isinstance(events, list) else ()):
        if event not in EVENTS:
            text = "value is not a valid enumeration member; permitted: " + ", ".join(map(repr, EVENTS))
            found.append(problem(("webhook_events_filter", index), text, "type_error.enum"))
    context = document.get("context")
    if context is not None and not (
        isinstance(context, dict) and all(isinstance(value, str) for value in context.values())
    ):
        found.append(problem(("context",), "an object of strings is expected", "type_error.dict"))
    if document.get("input") is not None and not isinstance(document["input"], dict):
        found.append(problem(("input",), "value is not a valid dict", "type_error.dict"))
    return found


def _is_date_time(text: str) -> bool:
    """Whether the text is a date and a time as in ISO 8601, with an offset or without."""
    match = _DATE_TIME.match(text)
    if match is None:
        return False
    year, month, day, hour, minute, second, offset_hour, offset_minute = (int(part or 0) for part in match.groups())
    try:
        datetime(year, month, day, hour, minute, min(second, 59))
    except ValueError:
        return False
    return second <= 60 and offset_hour < 24 and offset_minute < 60


def parse_request(body: bytes, checker: InputChecker, url_id: Optional[str] = None, noun: str = "prediction"):
    """The checked request of a body. Errors: Invalid."""
    document = _decode(body)
    found = [] if len(document) == 1 and "input" in document else _envelope_problems(document)
    inputs = document.get("input")
    if inputs is not None and not isinstance(inputs, dict):
        raise Invalid(found or [problem(("input",), "value is not a valid dict", "type_error.dict")])
    given_id = document.get("id") or None
    identity = url_id if url_id is not None else given_id
    if url_id is not None and isinstance(given_id, str) and given_id != url_id:
        found.append(problem(("id",), "%s ID must match the ID supplied in the URL" % noun))
    if isinstance(identity, str) and not _ID.match(identity):
        found.append(problem(("id",), "an id has 1 to 256 characters, no '/' and no control characters"))
    if found:
        raise Invalid(found)
    values, shown, run = checker.check(inputs or {})
    request = PredictionRequest(
        id=identity if identity is not None else new_id(),
        input=values,
        shown=shown,
        files=run.files,
        secrets=run.secrets,
    )
    if len(document) > 1:
        request.context = document.get("context") or {}
        request.webhook = document.get("webhook")
        if document.get("webhook_events_filter") is not None:
            request.webhook_events = tuple(document["webhook_events_filter"])
        request.output_file_prefix = document.get("output_file_prefix") or None
        request.created_at = document.get("created_at")
    return request
