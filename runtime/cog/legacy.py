"""The interface of 2021: `class P(cog.Predictor)` with `@cog.input("scale", type=float)` above `predict`.

The decorators only record what they are told, on the function; `signature` reads it.
"""

from __future__ import annotations

import os
import pathlib
from abc import ABC
from typing import Any, Callable, TypeVar

from .inputs import MISSING, FieldInfo

__all__ = ["LegacyInput", "Predictor", "input", "type_signature"]

Function = TypeVar("Function", bound=Callable[..., Any])

_NAMES = {str: "str", int: "int", float: "float", bool: "bool"}


class Predictor(ABC):
    """Base class of models in the interface of 2021."""

    def setup(self) -> None:
        """Load what predictions need; called once."""

    def predict(self, **kwargs: Any) -> Any:
        """Run one prediction; to be overridden."""
        raise NotImplementedError("predict() is not defined on %s" % type(self).__name__)


class LegacyInput:
    """One `@cog.input`: its name, its type and the arguments in the words of `Input()`."""

    __slots__ = ("info", "name", "type")

    def __init__(self, name: str, type_: type, info: FieldInfo) -> None:
        self.name = name
        self.type = type_
        self.info = info


def input(
    name: str,
    type: Any,
    *,
    default: Any = MISSING,
    min: Any = None,
    max: Any = None,
    options: Any = None,
    help: str | None = None,
) -> Callable[[Function], Function]:
    """Declare an input of `predict()`. Errors: `ValueError` and `TypeError`, when the decorator is applied."""

    def declare(function: Function) -> Function:
        is_path = _check(name, type, default, min, max, options)
        declared = list(vars(function).get("__cog_inputs__", ()))
        if any(other.name == name for other in declared):
            raise ValueError("%s is already defined as an argument" % name)
        info = FieldInfo(default, description=help, ge=min, le=max, choices=options)
        # Decorators run from the bottom up, and inputs are listed from the top down.
        declared.insert(0, LegacyInput(name, pathlib.Path if is_path else type, info))
        function.__cog_inputs__ = declared  # type: ignore[attr-defined]
        return function

    return declare


def _check(name: str, type_: Any, default: Any, least: Any, most: Any, options: Any) -> bool:
    is_path = isinstance(type_, type) and issubclass(type_, os.PathLike)
    if type_ not in _NAMES and not is_path:
        shown = getattr(type_, "__name__", type_)
        raise ValueError("%s is not a valid input type. Valid types are: str, int, float, bool, Path" % shown)
    if type_ not in (int, float) and (least is not None or most is not None):
        shown = "Path" if is_path else _NAMES[type_]
        raise ValueError("Non-numeric type %s cannot have min and max values" % shown)
    if options is not None and is_path:
        raise ValueError("File type cannot have options")
    if options is not None and len(options) < 2:
        raise ValueError("Options list must have at least two items")
    if is_path and default not in (MISSING, None):
        raise TypeError("Cannot use default with Path type")
    return is_path


def type_signature(declared: list[LegacyInput]) -> dict[str, Any]:
    """What `GET /type-signature` answered in 2021: `{"inputs": [{"name", "type", …}]}`, values as texts."""
    inputs = []
    for item in declared:
        described: dict[str, Any] = {"name": item.name, "type": _NAMES.get(item.type, "Path")}
        if item.info.description:
            described["help"] = item.info.description
        if item.info.default is not MISSING and item.info.default is not None:
            described["default"] = str(item.info.default)
        for key, value in (("min", item.info.ge), ("max", item.info.le)):
            if value is not None:
                described[key] = str(value)
        if item.info.choices:
            described["options"] = [str(value) for value in item.info.choices]
        inputs.append(described)
    return {"inputs": inputs}
