"""Values of constant expressions, and the operations on them that are safe to carry out.

Comes in: Python values made from literals. Goes out: Python values. Every operation whose result can be much larger
than its operands checks the size first, because the source may be hostile.
"""

from __future__ import annotations

import ast
import operator
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

from ...record import record
from .modules import Module

__all__ = [
    "BINARY", "CALLS", "COMPARE", "MAX_ITEMS", "NARROW_SPEC", "UNARY", "ClassValue", "EnumMember", "NotConstant",
    "Opaque", "Thunk", "Unordered", "apply_binary", "call_method", "opaque_parts", "plain", "weight",
]  # fmt: skip

MAX_ITEMS = 10_000
MAX_TEXT = 200_000
MAX_BITS = 1024


class NotConstant(Exception):
    """The value depends on what happens at run time. `node` is the part that cannot be known."""

    def __init__(self, node: ast.AST, module: Module, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.module = module
        self.reason = reason


@record(kw_only=False, eq=False)
class Thunk:
    """An expression to be folded in the module and with the local names of the place it comes from."""

    expression: ast.expr
    module: Module
    names: Mapping[str, Thunk | object] = field(default_factory=dict)


@record(kw_only=False, eq=False)
class ClassValue:
    """A class of the project, as a value."""

    module: Module
    node: ast.ClassDef


@record(kw_only=False)
class EnumMember:
    """A member of an enum; `value` is what JSON carries."""

    name: str
    value: Any


class Unordered(list[Any]):
    """The items of a set, in the order of the source."""


def plain(value: Any) -> Any:
    """The value with enum members replaced by their values."""
    match value:
        case EnumMember(value=inner):
            return plain(inner)
        case list() | tuple() | set() | frozenset():
            return type(value)(plain(item) for item in value)
        case dict():
            return {plain(key): plain(item) for key, item in value.items()}
        case _:
            return value


@record(kw_only=False, eq=False)
class Opaque:
    """A dict value that is not constant, such as a scheduler class of a library."""

    node: ast.AST
    module: Module
    reason: str

    def problem(self) -> NotConstant:
        """What to raise where the value is needed; a kept exception would keep its frames, the trees with them."""
        return NotConstant(self.node, self.module, self.reason)


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
CALLS: dict[str, Callable[..., Any]] = {
    "builtins.list": list,
    "builtins.tuple": tuple,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.dict": dict,
    "builtins.sorted": sorted,
    "builtins.reversed": lambda items: list(reversed(items)),
    "builtins.len": len,
    "builtins.str": str,
    "builtins.int": int,
    "builtins.float": float,
    "builtins.bool": bool,
    "builtins.min": min,
    "builtins.max": max,
    "builtins.sum": sum,
    "builtins.abs": abs,
    "builtins.round": round,
    "textwrap.dedent": textwrap.dedent,
    # A path as a default is what a client would send: its text.
    "cog.Path": str,
    "pathlib.Path": str,
}
_STR_METHODS = {"upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "split", "splitlines",
                "removeprefix", "removesuffix"}  # fmt: skip
# Methods whose result can be much larger than their operands: the number of arguments, and how large it can be.
_SIZED: dict[str, tuple[int, Callable[[str, list[Any]], int]]] = {
    "join": (1, lambda text, arguments: sum(len(part) + len(text) for part in arguments[0])),
    "replace": (2, lambda text, arguments: text.count(arguments[0]) * len(arguments[1])),
}
_DICT_METHODS: dict[str, Callable[[dict[Any, Any]], Any]] = {
    "keys": list,
    "values": lambda mapping: list(mapping.values()),
    "items": lambda mapping: [tuple(pair) for pair in mapping.items()],
    "copy": dict,
}
# Wide fields ("%99999999d", "{:>99999999}") are a way to make a value of any size.
NARROW_SPEC = re.compile(r"[<>^]?[-+]?\d{0,2}[,_]?(?:\.\d{1,2})?[a-z%]?")


def weight(value: Any) -> int:
    """How many parts a value has, shared ones counted each time; stops counting when there are too many."""
    count = 0
    pending = [value]
    while pending and count <= MAX_ITEMS:
        count += 1
        match pending.pop():
            case bool() | None | float():
                pass
            case int() as number:
                count += MAX_ITEMS if number.bit_length() > MAX_BITS else 0
            case str() as text:
                count += MAX_ITEMS if len(text) > MAX_TEXT else 0
            case list() | tuple() | set() | frozenset() as items:
                pending += items if len(items) <= MAX_ITEMS else [None] * (MAX_ITEMS + 1)
            case dict() as mapping:
                pending += mapping.values() if len(mapping) <= MAX_ITEMS else [None] * (MAX_ITEMS + 1)
            case _:
                pass
    return count


def apply_binary(op: ast.operator, left: Any, right: Any) -> Any:
    """The result of an operator. Errors: `ValueError` when it would be too large, and those of the operator."""
    if isinstance(left, str) and isinstance(op, ast.Mod):
        specs = re.findall(r"%(?:\(\w*\))?([^a-zA-Z%]*)[a-zA-Z%]", left)
        if any(not re.fullmatch(r"[-+0]?\d?(?:\.\d)?", spec) for spec in specs):
            raise ValueError("the format is too wide")
        if any(opaque_parts(right)):
            raise ValueError("the value is not known")
    if isinstance(op, ast.Mult) and _product_size(left, right) > MAX_TEXT:
        raise ValueError("the result is too large")
    if isinstance(op, ast.Pow | ast.LShift) and not (isinstance(right, int | float) and abs(right) <= MAX_BITS):
        raise ValueError("the result is too large")
    value = BINARY[type(op)](left, right)
    if isinstance(value, complex):
        raise TypeError("the result is a complex number")
    return value


def _product_size(left: Any, right: Any) -> int:
    """The number of items or characters of a product; 0 for a product of numbers."""
    for sequence, factor in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(factor, int):
            return len(sequence) * factor
    return 0


def opaque_parts(value: Any) -> Iterator[Opaque]:
    """The parts of a value that are not constant."""
    match value:
        case Opaque():
            yield value
        case dict():
            for item in value.values():
                yield from opaque_parts(item)
        case list() | tuple():
            for item in value:
                yield from opaque_parts(item)
        case _:
            pass


def call_method(owner: Any, method: str, arguments: list[Any], node: ast.Call, module: Module) -> Any:
    """The result of a method of a dict or a text. Errors: `NotConstant` for methods that are not known."""
    if isinstance(owner, dict) and method in _DICT_METHODS and not arguments and not node.keywords:
        return _DICT_METHODS[method](owner)
    if isinstance(owner, dict) and method == "get" and 1 <= len(arguments) <= 2:
        return owner.get(*arguments)
    if isinstance(owner, str) and not node.keywords:
        if method in _STR_METHODS:
            return getattr(owner, method)(*arguments)
        if method in _SIZED and len(arguments) == _SIZED[method][0] and _SIZED[method][1](owner, arguments) <= MAX_TEXT:
            return getattr(owner, method)(*arguments)
        is_simple = all(isinstance(argument, str | int | float) for argument in arguments)
        if method == "format" and is_simple and not re.search(r"\{[^}]*[^}\w]", owner):
            return owner.format(*arguments)
    raise NotConstant(node, module, "is computed at run time")
