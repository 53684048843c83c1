"""Folding of constant expressions: what a default or a list of choices is, without running anything.

Comes in: an expression and the module it stands in. Goes out: a Python value, or `NotConstant`. Bounded in
depth, in the number of steps and in the size of every value, because the source may be hostile.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .modules import (
    Assigned,
    ClassMember,
    Defined,
    External,
    Local,
    Module,
    Project,
    Symbol,
)
from .operations import (
    CALLS,
    COMPARE,
    MAX_ITEMS,
    NARROW_SPEC,
    UNARY,
    ClassValue,
    EnumMember,
    NotConstant,
    Opaque,
    Thunk,
    Unordered,
    apply_binary,
    call_method,
    opaque_parts,
    plain,
    weight,
)

__all__ = ["Folder", "NotConstant", "Thunk"]

MAX_DEPTH = 60
MAX_STEPS = 50_000

_ENUM_BASES = {"enum.Enum", "enum.StrEnum", "enum.IntEnum", "enum.Flag", "enum.IntFlag"}
_ERRORS = (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError, RecursionError)


class Folder:
    """Folds expressions of one project. The budget of steps is shared by all that it folds."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._steps_left = MAX_STEPS
        self._in_progress: set[tuple[int, str]] = set()

    def fold(self, thunk: Thunk) -> Any:
        """The value of an expression, enum members as their values. Errors: `NotConstant`."""
        value = plain(self._fold(thunk, 0))
        if opaque := next(opaque_parts(value), None):
            raise opaque.problem()
        return value

    def class_scope(self, module: Module, node: ast.ClassDef) -> dict[str, Thunk | object]:
        """The constants that the body of a class may use by their bare names."""
        bindings = self._project.class_bindings(node)
        return {name: Thunk(b.value, module) for name, b in bindings.items() if isinstance(b, Assigned)}

    def is_enum(self, module: Module, node: ast.ClassDef) -> bool:
        """Whether a class of the project is an enum."""
        return not _ENUM_BASES.isdisjoint(self._project.external_bases(module, node))

    def members(self, module: Module, node: ast.ClassDef) -> list[EnumMember]:
        """The members of an enum, in order. Errors: `NotConstant`."""
        return self._members(ClassValue(module, node), 0)

    def _fold(self, thunk: Thunk, depth: int) -> Any:
        node, module = thunk.expression, thunk.module
        self._steps_left -= 1
        if depth > MAX_DEPTH or self._steps_left < 0:
            raise NotConstant(node, module, "is too large to be read")
        try:
            value = self._fold_node(thunk, depth)
        except _ERRORS as error:
            raise NotConstant(node, module, f"fails: {error}"[:200]) from None
        if isinstance(value, Opaque):
            raise value.problem()
        parts = weight(value)
        self._steps_left -= parts // 20
        if parts > MAX_ITEMS:
            raise NotConstant(node, module, "is too large to be read")
        return value

    def _fold_node(self, thunk: Thunk, depth: int) -> Any:  # noqa: C901 - a table
        def fold(expression: ast.expr) -> Any:
            return self._fold(Thunk(expression, thunk.module, thunk.names), depth + 1)

        match thunk.expression:
            case ast.Constant(value=value) if not isinstance(value, bytes | complex) and value is not ...:
                return value
            case ast.Name() | ast.Attribute():
                return self._fold_reference(thunk, depth)
            case ast.JoinedStr(values=parts):
                return "".join(str(fold(part)) for part in parts)
            case ast.FormattedValue():
                return _format(thunk, fold)
            case ast.List(elts=elements):
                return list(_items(elements, fold))
            case ast.Tuple(elts=elements):
                return tuple(_items(elements, fold))
            case ast.Set(elts=elements):
                # A set has no order of its own; what is made from it has that of the source, the only stable one.
                return Unordered(dict.fromkeys(_items(elements, fold)))
            case ast.Dict(keys=keys, values=values):
                return _mapping(keys, values, fold)
            case ast.UnaryOp(op=op, operand=operand):
                return UNARY[type(op)](plain(fold(operand)))
            case ast.BinOp(left=left, op=op, right=right):
                return apply_binary(op, plain(fold(left)), plain(fold(right)))
            case ast.BoolOp():
                return _boolean(thunk.expression, fold)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return COMPARE[type(op)](plain(fold(left)), plain(fold(right)))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return fold(body) if fold(test) else fold(orelse)
            case ast.Subscript(value=value, slice=key):
                return self._subscript(fold(value), key, fold, depth)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return self._comprehension(thunk, depth)
            case ast.Call():
                return self._call(thunk, fold, depth)
            case _:
                raise NotConstant(thunk.expression, thunk.module, "is computed at run time")

    def _fold_reference(self, thunk: Thunk, depth: int) -> Any:
        node = thunk.expression
        if isinstance(node, ast.Name) and node.id in thunk.names:
            bound = thunk.names[node.id]
            return self._fold(bound, depth + 1) if isinstance(bound, Thunk) else bound
        if isinstance(node, ast.Attribute):
            owner = self._owner(Thunk(node.value, thunk.module, thunk.names), depth)
            if owner is not None:
                return self._attribute(owner, node, thunk.module, depth)
        symbol = self._project.resolve(node, thunk.module)
        return self._symbol(symbol, thunk, depth)

    def _owner(self, thunk: Thunk, depth: int) -> Any:
        """The object before the dot, where it is one whose attributes are known."""
        try:
            value = self._fold(thunk, depth + 1)
        except NotConstant:
            return None
        return value if isinstance(value, ClassValue | EnumMember) else None

    def _attribute(self, owner: ClassValue | EnumMember, node: ast.Attribute, module: Module, depth: int) -> Any:
        if isinstance(owner, EnumMember):
            if node.attr in ("value", "name"):
                return owner.value if node.attr == "value" else owner.name
            raise NotConstant(node, module, "is computed at run time")
        member = self._project.class_member(owner.module, owner.node, node.attr)
        if member is None or not isinstance(member.binding, Assigned) or self._project.is_written(node.attr):
            raise NotConstant(node, module, "is computed at run time")
        value = self._fold(Thunk(member.binding.value, member.module, self._class_names(member)), depth + 1)
        return EnumMember(node.attr, plain(value)) if self.is_enum(owner.module, owner.node) else value

    def _class_names(self, member: ClassMember) -> dict[str, Thunk | object]:
        """The names of a class body, which its own assignments may use."""
        names = self.class_scope(member.module, member.owner)
        names.pop(member.name, None)
        return names

    def _symbol(self, symbol: Symbol | None, thunk: Thunk, depth: int) -> Any:
        match symbol:
            case Local(name=name, binding=Assigned()) if self._project.is_written(name):
                raise NotConstant(thunk.expression, thunk.module, "is changed by another module")
            case Local(module=module, name=name, binding=Assigned(value=value)):
                key = (id(module), name)
                if key in self._in_progress:
                    raise NotConstant(thunk.expression, thunk.module, "refers to itself")
                self._in_progress.add(key)
                try:
                    return self._fold(Thunk(value, module), depth + 1)
                finally:
                    self._in_progress.discard(key)
            case Local(module=module, binding=Defined(node=ast.ClassDef() as node)):
                return ClassValue(module, node)
            case External(name="math.pi"):
                return 3.141592653589793
            case External(name="math.inf" | "numpy.inf"):
                return float("inf")
            case External(name=name):
                raise NotConstant(thunk.expression, thunk.module, f"comes from outside the project (`{name}`)")
            case _:
                raise NotConstant(thunk.expression, thunk.module, "is computed at run time")

    def _members(self, owner: ClassValue, depth: int) -> list[EnumMember]:
        bindings = self._project.class_bindings(owner.node)
        names = [name for name, b in bindings.items() if isinstance(b, Assigned) and not name.startswith("_")]
        found: list[EnumMember] = []
        for name in names:
            node = ast.copy_location(ast.Attribute(ast.Name("", ast.Load()), name, ast.Load()), owner.node)
            member = self._attribute(owner, node, owner.module, depth + 1)
            # A second name for a value is no member of its own.
            if isinstance(member, EnumMember) and all(member.value != other.value for other in found):
                found.append(member)
        return found

    def _subscript(self, value: Any, key: ast.expr, fold: Callable[[ast.expr], Any], depth: int) -> Any:
        if isinstance(value, ClassValue) and self.is_enum(value.module, value.node):
            name = fold(key)
            return next(member for member in self._members(value, depth) if member.name == name)
        container: Any = value
        if isinstance(key, ast.Slice):
            return container[slice(*(fold(part) if part else None for part in (key.lower, key.upper, key.step)))]
        return container[plain(fold(key))]

    def _iterate(self, value: Any, depth: int) -> list[Any]:
        if isinstance(value, ClassValue):
            if not self.is_enum(value.module, value.node):
                raise TypeError("a class is not iterable")
            return self._members(value, depth)
        return list(value)

    def _comprehension(self, thunk: Thunk, depth: int) -> Any:
        node = thunk.expression
        assert isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp)
        rows = list(self._rows(node.generators, thunk, depth))
        if isinstance(node, ast.DictComp):
            key, value = node.key, node.value
            return {
                plain(self._fold(Thunk(key, thunk.module, names), depth + 1)): self._fold(
                    Thunk(value, thunk.module, names), depth + 1
                )
                for names in rows
            }
        items = [self._fold(Thunk(node.elt, thunk.module, names), depth + 1) for names in rows]
        return Unordered(dict.fromkeys(items)) if isinstance(node, ast.SetComp) else items

    def _rows(
        self, generators: list[ast.comprehension], thunk: Thunk, depth: int
    ) -> Iterator[Mapping[str, Thunk | object]]:
        """The local names of each turn of a comprehension."""
        if not generators:
            yield thunk.names
            return
        first, *rest = generators
        if first.is_async or depth > MAX_DEPTH:
            raise NotConstant(thunk.expression, thunk.module, "is computed at run time")
        for item in self._iterate(self._fold(Thunk(first.iter, thunk.module, thunk.names), depth + 1), depth):
            self._steps_left -= 1
            if self._steps_left < 0:
                raise NotConstant(thunk.expression, thunk.module, "is too large to be read")
            inner = Thunk(thunk.expression, thunk.module, {**thunk.names, **_unpack(first.target, item)})
            tests = (self._fold(Thunk(test, thunk.module, inner.names), depth + 1) for test in first.ifs)
            if all(tests):
                yield from self._rows(rest, inner, depth + 1)

    def _call(self, thunk: Thunk, fold: Callable[[ast.expr], Any], depth: int) -> Any:
        node = thunk.expression
        assert isinstance(node, ast.Call)
        symbol = self._project.resolve(node.func, thunk.module)
        if isinstance(symbol, External) and symbol.name == "builtins.range":
            span = range(*(fold(argument) for argument in node.args))
            if len(span) > MAX_ITEMS:
                raise ValueError("the range is too long")
            return list(span)
        if symbol == External("typing.get_args") and len(node.args) == 1 and not node.keywords:
            return self._literal_values(Thunk(node.args[0], thunk.module, thunk.names))
        if isinstance(symbol, External) and symbol.name in CALLS:
            return self._call_known(symbol.name, node, fold, depth)
        if isinstance(node.func, ast.Attribute):
            owner = plain(fold(node.func.value))
            return call_method(owner, node.func.attr, [plain(v) for v in _items(node.args, fold)], node, thunk.module)
        raise NotConstant(node, thunk.module, "is computed at run time")

    def _literal_values(self, thunk: Thunk) -> tuple[Any, ...]:
        """The values of `Literal[...]`, for `get_args(SIZES)`."""
        symbol = self._project.resolve(thunk.expression, thunk.module)
        expression, module = thunk.expression, thunk.module
        if isinstance(symbol, Local) and isinstance(symbol.binding, Assigned):
            expression, module = symbol.binding.value, symbol.module
        match expression:
            case ast.Subscript(value=value, slice=inner) if self._project.resolve(value, module) == External(
                "typing.Literal"
            ):
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return tuple(self._fold(Thunk(part, module), 1) for part in parts)
            case _:
                raise NotConstant(thunk.expression, thunk.module, "is computed at run time")

    def _call_known(self, name: str, node: ast.Call, fold: Callable[[ast.expr], Any], depth: int) -> Any:
        arguments = list(_items(node.args, fold))
        keywords = {str(keyword.arg): fold(keyword.value) for keyword in node.keywords if keyword.arg}
        if name != "builtins.dict" and not keywords.keys() <= {"reverse", "default", "start"}:
            raise TypeError("the call has arguments that are not understood")
        if any(isinstance(argument, ClassValue) for argument in arguments):
            arguments = [self._iterate(argument, depth) for argument in arguments]
        if name == "builtins.str" and not all(isinstance(item, str | int | float | EnumMember) for item in arguments):
            raise TypeError("the text of this value is not known")
        if name.endswith(".Path"):
            return "/".join(str(argument) for argument in arguments)
        if name not in ("builtins.list", "builtins.tuple", "builtins.sorted"):
            arguments = [plain(argument) for argument in arguments]
        value = CALLS[name](*arguments, **keywords)
        # Sets keep the order of the source, so that nothing depends on the hash seed.
        return Unordered(dict.fromkeys(arguments[0])) if isinstance(value, set | frozenset) and arguments else value


def _items(elements: list[ast.expr], fold: Callable[[ast.expr], Any]) -> Iterator[Any]:
    for element in elements:
        if isinstance(element, ast.Starred):
            yield from fold(element.value)
        else:
            yield fold(element)


def _mapping(keys: list[ast.expr | None], values: list[ast.expr], fold: Callable[[ast.expr], Any]) -> dict[Any, Any]:
    """A dict display. Values that are not constant are kept as `Opaque`: often only the keys are used."""
    mapping: dict[Any, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:
            mapping.update(fold(value))
            continue
        try:
            item = fold(value)
        except NotConstant as problem:
            item = Opaque(problem.node, problem.module, problem.reason)
        mapping[plain(fold(key))] = item
    return mapping


def _boolean(node: ast.expr, fold: Callable[[ast.expr], Any]) -> Any:
    assert isinstance(node, ast.BoolOp)
    value = None
    for operand in node.values:
        value = fold(operand)
        if bool(value) is isinstance(node.op, ast.Or):
            break
    return value


def _format(thunk: Thunk, fold: Callable[[ast.expr], Any]) -> str:
    node = thunk.expression
    assert isinstance(node, ast.FormattedValue)
    value = plain(fold(node.value))
    spec = fold(node.format_spec) if node.format_spec is not None else ""
    if not isinstance(value, str | int | float | list | tuple | dict) and value is not None:
        raise NotConstant(node, thunk.module, "is computed at run time")
    if not NARROW_SPEC.fullmatch(spec) or any(opaque_parts(value)):
        raise NotConstant(node, thunk.module, "is computed at run time")
    converted = {-1: value, 114: repr(value), 115: str(value), 97: ascii(value)}[node.conversion]
    return format(converted, spec)


def _unpack(target: ast.expr, item: Any) -> dict[str, object]:
    match target:
        case ast.Name(id=name):
            return {name: item}
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            values = list(item)
            if len(values) != len(parts) or any(isinstance(part, ast.Starred) for part in parts):
                raise ValueError("the items do not fit")
            names: dict[str, object] = {}
            for part, value in zip(parts, values, strict=True):
                names.update(_unpack(part, value))
            return names
        case _:
            raise ValueError("the target is not a name")
