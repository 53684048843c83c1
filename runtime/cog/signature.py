"""The signature of a loaded target: its inputs and its output, read from the function itself.

Comes in: a class or function of the model. Goes out: a `Signature`. The compiler reads the same from the source
without running it (cogc's `frontend/signature`); both must give the same OpenAPI document. Reading annotations is
the business of `reading`.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Optional, Tuple

from .inputs import MISSING, FieldInfo
from .kinds import (
    ANY,
    BOOL,
    FILE,
    FLOAT,
    INT,
    PATH,
    SECRET,
    STR,
    UNKNOWN,
    IteratorOf,
    ListOf,
    LiteralOf,
    OptionalOf,
    Type,
    json_value,
    shown,
)
from .legacy import LegacyInput, Predictor
from .reading import SUPPORTED_TYPES, Reader, namespace

__all__ = ["InputField", "Signature", "allowed_values", "is_async", "read_signature"]

_LEGACY = {str: STR, int: INT, float: FLOAT, bool: BOOL}


@dataclass(frozen=True)
class InputField:
    """One input. `value` is the Python default; `default` is its JSON, `MISSING`, or `UNKNOWN` where JSON has none."""

    name: str
    order: int
    type: Type
    info: FieldInfo = field(default_factory=FieldInfo)
    value: Any = MISSING
    default: Any = MISSING
    choices: Optional[Tuple[Any, ...]] = None

    @property
    def is_required(self) -> bool:
        """Whether a request must carry the input."""
        return self.default is MISSING

    @property
    def is_nullable(self) -> bool:
        """Whether the model may be handed None."""
        return self.default is None or isinstance(self.type, OptionalOf)


@dataclass(frozen=True)
class Signature:
    """What a target takes and returns. `parameters` are the names its function accepts, None when it takes all."""

    mode: str
    method: str
    inputs: Tuple[InputField, ...]
    output: Type
    is_legacy: bool = False
    is_async: bool = False
    is_streaming: bool = False
    max_concurrency: Optional[int] = None
    parameters: Optional[Tuple[str, ...]] = None

    @property
    def is_iterator(self) -> bool:
        """Whether the output arrives piece by piece."""
        return isinstance(self.output, IteratorOf)


def is_async(function: Any) -> bool:
    """Whether calling the function gives something to be awaited or iterated asynchronously."""
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, inspect.unwrap(function), _plain(function))
    )


def read_signature(
    function: Callable[..., Any], mode: str, owner: type | None = None, method: str | None = None
) -> Signature:
    """The signature of a function, or of the `method` of an instance of `owner`. Errors: `TypeError`, `ValueError`."""
    plain = _plain(function)
    name = method or getattr(inspect.unwrap(function), "__name__", mode)
    declared: list[LegacyInput] | None = getattr(function, "__cog_inputs__", None)
    is_legacy = declared is not None or (owner is not None and issubclass(owner, Predictor))
    names = namespace(plain, owner)
    parameters = _parameters(function)
    has_stars = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if declared is not None:
        inputs = _declared(declared, named, name)
    elif is_legacy and named and all(p.annotation is p.empty for p in named):
        inputs = tuple(InputField(p.name, order, STR, value=None, default=None) for order, p in enumerate(named))
    else:
        inputs = tuple(_field(p, order, names, name) for order, p in enumerate(named))
    output = _output(plain, name, names, is_legacy)
    streams = bool(getattr(function, "__cog_streaming__", False))
    if streams and not isinstance(output, IteratorOf):
        raise TypeError("%s is marked as streaming, but its output type is not an iterator" % name)
    return Signature(
        mode=mode,
        method=name,
        inputs=inputs,
        output=output,
        is_legacy=is_legacy,
        is_async=is_async(function),
        is_streaming=streams,
        max_concurrency=getattr(function, "__cog_concurrent__", None),
        parameters=None if has_stars else tuple(p.name for p in named),
    )


def _plain(function: Any) -> Any:
    """The function behind decorators, `functools.partial` and objects that are called."""
    plain = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    if not hasattr(plain, "__code__") and not isinstance(plain, type):
        plain = getattr(type(plain), "__call__", plain)
    return plain


def _parameters(function: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except NameError:  # as in `_annotations`
        import annotationlib  # type: ignore[import-not-found]

        as_text: Any = {"annotation_format": annotationlib.Format.STRING}
        return list(inspect.signature(function, **as_text).parameters.values())


def _output(function: Any, name: str, names: Mapping[str, Any], is_legacy: bool) -> Any:
    code = getattr(function, "__code__", None)
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    annotation = _annotations(function).get("return", MISSING)
    if annotation is MISSING:
        if is_legacy or code is None:
            return IteratorOf(ANY) if yields else ANY
        raise TypeError(
            "missing return type annotation on %s: the output type must be given, for example\n"
            "    def %s(self, prompt: str) -> str:\n"
            '        return "hello " + prompt\n'
            "`-> Any` (from typing) allows every output" % (name, name)
        )
    return Reader("output", "the output of %s" % name, names).read(annotation)


def _annotations(function: Any) -> dict[str, Any]:
    try:
        return dict(getattr(function, "__annotations__", {}))
    except NameError:  # Python 3.14 evaluates here, and a name may exist for type checkers only
        import annotationlib

        return dict(annotationlib.get_annotations(function, format=annotationlib.Format.STRING))


def _field(parameter: inspect.Parameter, order: int, names: Mapping[str, Any], function: str) -> InputField:
    name = parameter.name
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise TypeError("the parameter %r of %s is positional-only, but inputs are passed by name" % (name, function))
    if parameter.annotation is parameter.empty:
        message = "the parameter %r of %s has no type annotation; supported types are: %s"
        raise TypeError(message % (name, function, SUPPORTED_TYPES))
    type_ = Reader("input", "the input %r" % name, names).read(parameter.annotation)
    given = parameter.default
    info = given if isinstance(given, FieldInfo) else FieldInfo(MISSING if given is parameter.empty else given)
    return _checked(_with_info(InputField(name, order, type_), info))


def _with_info(base: InputField, info: FieldInfo) -> InputField:
    value = info.default
    if value is MISSING and isinstance(base.type, OptionalOf):
        value = None
    choices = tuple(json_value(info.choices)) if info.choices is not None else None
    return replace(base, info=info, value=value, default=_json_default(value), choices=choices)


def _json_default(value: Any) -> Any:
    if value is MISSING:
        return MISSING
    try:
        return json_value(value)
    except ValueError:
        return UNKNOWN


def _declared(declared: list[LegacyInput], named: list[inspect.Parameter], function: str) -> tuple[InputField, ...]:
    inputs = []
    for order, item in enumerate(declared):
        type_ = _LEGACY.get(item.type, PATH)
        inputs.append(_checked(_with_info(InputField(item.name, order, type_), item.info)))
    known = {item.name for item in declared}
    for parameter in named:
        if parameter.name not in known and parameter.default is parameter.empty:
            raise TypeError("the parameter %r of %s is not declared by @cog.input" % (parameter.name, function))
    return tuple(inputs)


def _checked(input_: InputField) -> InputField:
    """The field, if its parts fit together. Errors: `TypeError`, `ValueError`."""
    inner = input_.type.item if isinstance(input_.type, OptionalOf) else input_.type
    info, name = input_.info, input_.name
    if input_.choices is not None:
        if inner not in (STR, INT, FLOAT, ANY):
            raise TypeError("the input %r has choices, which only str, int and float inputs can have" % name)
        if not input_.choices:
            raise ValueError("the choices of the input %r are empty" % name)
    core = inner.item if isinstance(inner, ListOf) else inner
    core = core.item if isinstance(core, OptionalOf) else core
    if info.accept is not None and core not in (PATH, FILE, ANY):
        raise TypeError("accept is only valid on Path or File inputs (parameter %r)" % name)
    for arguments, types, wanted in (
        (("ge", "le"), (INT, FLOAT), "int and float"),
        (("min_length", "max_length", "regex"), (STR, SECRET), "str"),
    ):
        for argument in arguments:
            if getattr(info, argument) is not None and core not in (*types, ANY):
                raise TypeError("%s of the input %r applies to %s only" % (argument, name, wanted))
    _check_default(input_)
    return input_


def _check_default(input_: InputField) -> None:
    default, info = input_.default, input_.info
    if default is MISSING or default is UNKNOWN or default is None:
        return
    start = "the default %s of the input %r is" % (shown(default), input_.name)
    allowed = allowed_values(input_)
    if allowed and not any(
        default == value and isinstance(default, bool) == isinstance(value, bool) for value in allowed
    ):
        raise ValueError("%s not one of %s" % (start, ", ".join(map(shown, allowed[:10]))))
    for value in default if isinstance(default, list) else [default]:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if info.ge is not None and value < info.ge:
                raise ValueError("%s less than its minimum %s" % (start, info.ge))
            if info.le is not None and value > info.le:
                raise ValueError("%s greater than its maximum %s" % (start, info.le))
        if isinstance(value, str):
            if info.min_length is not None and len(value) < info.min_length:
                raise ValueError("%s shorter than its minimum length %s" % (start, info.min_length))
            if info.max_length is not None and len(value) > info.max_length:
                raise ValueError("%s longer than its maximum length %s" % (start, info.max_length))


def allowed_values(input_: InputField) -> tuple[Any, ...] | None:
    """The values an input is limited to by `choices` or `Literal`, else None."""
    if input_.choices is not None:
        return input_.choices
    inner = input_.type.item if isinstance(input_.type, OptionalOf) else input_.type
    return inner.values if isinstance(inner, LiteralOf) else None
