"""Parameters to input fields: annotations, plain defaults and `Input(...)` calls.

Comes in: a function of the target. Goes out: its `InputField`s and, in the `Findings`, COG407, COG410, COG411,
COG417, COG418, COG426, COG428 and COG432. Whether the parts of a field fit together is the business of `checks`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...record import record
from .annotations import SUPPORTED_TYPES, TypeReader
from .checks import check_field
from .constants import Folder, NotConstant, Thunk
from .modules import Assigned, ClassMember, External, Function, Local, Module, Project, Undefined
from .report import Findings, Where
from .types import Absent, Default, InputField, OptionalOf, Scalar, freeze

__all__ = ["InputReader", "Parameter", "parameters"]

MAX_HELPERS = 5

ARGUMENTS: dict[str, tuple[type, ...]] = {
    "description": (str,),
    "ge": (int, float),
    "le": (int, float),
    "min_length": (int,),
    "max_length": (int,),
    "regex": (str,),
    "choices": (list, tuple),
    "deprecated": (bool,),
    "accept": (str,),
}
_MEANT = {"gt": "ge", "lt": "le", "min": "ge", "max": "le", "minimum": "ge", "maximum": "le", "help": "description",
          "options": "choices", "enum": "choices", "pattern": "regex", "title": "description"}  # fmt: skip


@record(kw_only=False, eq=False)
class Parameter:
    """One parameter of a function, without `self`."""

    node: ast.arg
    default: ast.expr | None
    is_positional_only: bool = False


def parameters(function: Function, is_method: bool) -> list[Parameter]:
    """The parameters that a caller names, in order."""
    return _parameters(function.args, is_method)


def _parameters(arguments: ast.arguments, is_method: bool) -> list[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    defaults = [*[None] * missing, *arguments.defaults]
    found = [
        Parameter(node, default, position < len(arguments.posonlyargs))
        for position, (node, default) in enumerate(zip(positional, defaults, strict=True))
    ]
    if is_method:
        found = found[1:]
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [*found, *(Parameter(node, default) for node, default in keyword)]


@record(kw_only=False, eq=False)
class _InputCall:
    """An `Input(...)` call and the expressions of its arguments."""

    node: ast.Call
    module: Module
    arguments: Mapping[str, Thunk]
    is_open: bool = False
    problems: tuple[tuple[str, ast.AST], ...] = ()


class InputReader:
    """Reads the parameters of the functions of one project."""

    def __init__(self, project: Project, folder: Folder, types: TypeReader, findings: Findings) -> None:
        self._project = project
        self._folder = folder
        self._types = types
        self._findings = findings

    def read(
        self, function: Function, module: Module, is_method: bool, owner: ast.ClassDef | None = None
    ) -> tuple[InputField, ...]:
        """All inputs of a function. `owner` is the class around it, whose names its defaults may use."""
        scope = self._folder.class_scope(module, owner) if owner is not None else {}
        self._check_stars(function, module)
        found: list[InputField] = []
        for parameter in parameters(function, is_method):
            if parameter.is_positional_only:
                message = f"the parameter `{parameter.node.arg}` is positional-only, but inputs are passed by name"
                self._findings.add("COG432", message, module.span(parameter.node), hint="remove the `/`")
            found.append(self._read_parameter(parameter, len(found), function, module, scope, owner))
        return tuple(found)

    def _check_stars(self, function: Function, module: Module) -> None:
        for star, node in (("*", function.args.vararg), ("**", function.args.kwarg)):
            if node is not None:
                message = f"`{star}{node.arg}` of `{function.name}` takes part in no schema; it stays empty"
                self._findings.add("COG426", message, module.span(node), hint="declare each input by its name")

    def _read_parameter(
        self,
        parameter: Parameter,
        order: int,
        function: Function,
        module: Module,
        scope: Mapping[str, Thunk | object],
        owner: ast.ClassDef | None,
    ) -> InputField:
        node = parameter.node
        if node.annotation is None:
            message = f"the parameter `{node.arg}` of `{function.name}` has no type annotation"
            hint = f"write `{node.arg}: type`; supported are {SUPPORTED_TYPES}"
            self._findings.add("COG407", message, module.span(node), hint=hint)
            return InputField(name=node.arg, order=order, type=Scalar.UNKNOWN, default=Absent.UNKNOWN)
        type_ = self._types.read(node.annotation, Where(module, "input", f"the input `{node.arg}`", owner=owner))
        base = InputField(name=node.arg, order=order, type=type_, origin=module.span(node))
        if parameter.default is None:
            return replace(base, default=None) if isinstance(type_, OptionalOf) else base
        value = Thunk(parameter.default, module, scope)
        call = self._input_call(value)
        if call is None:
            made = replace(base, default=self._default(base, value))
            check_field(made, module.span(parameter.default), self._findings)
            return made
        return self._from_call(base, call)

    def _from_call(self, base: InputField, call: _InputCall) -> InputField:
        for message, node in call.problems:
            hint = "an input is described by " + ", ".join(f"`{name}`" for name in ("default", *ARGUMENTS))
            self._findings.add("COG418", f"input `{base.name}`: {message}", call.module.span(node), hint=hint)
        if call.is_open:
            text = f"the arguments of `Input(...)` for `{base.name}` cannot be read without running the model"
            self._findings.defer("COG411", text, call.module.span(call.node))
        values: dict[str, Any] = {}
        for name, thunk in call.arguments.items():
            if name == "default":
                values[name] = self._default(base, thunk)
            else:
                self._argument(base, name, thunk, values)
        if "default" not in values:
            is_optional = isinstance(base.type, OptionalOf)
            values["default"] = Absent.UNKNOWN if call.is_open else None if is_optional else Absent.MISSING
        made = replace(base, **values)
        places = {name: thunk.module.span(thunk.expression) for name, thunk in call.arguments.items()}
        check_field(made, call.module.span(call.node), self._findings, places)
        return made

    def _default(self, base: InputField, thunk: Thunk) -> Default:
        if isinstance(thunk.expression, ast.Constant) and thunk.expression.value is ...:
            return None if isinstance(base.type, OptionalOf) else Absent.MISSING
        try:
            value = self._folder.fold(thunk)
        except NotConstant as problem:
            subject = f"the default of `{base.name}`,"
            self._findings.defer_value("COG410", subject, problem, thunk.module, thunk.expression)
            return Absent.UNKNOWN
        try:
            return freeze(value)
        except ValueError:
            text = thunk.module.text(thunk.expression)
            message = f"the default of `{base.name}`, `{text}`, has no JSON form; the schema leaves it out"
            self._findings.add("COG428", message, thunk.module.span(thunk.expression))
            return Absent.UNKNOWN

    def _argument(self, base: InputField, name: str, thunk: Thunk, values: dict[str, Any]) -> None:
        span = thunk.module.span(thunk.expression)
        try:
            value = self._folder.fold(thunk)
        except NotConstant as problem:
            subject = f"`{name}` of the input `{base.name}`,"
            self._findings.defer_value("COG411", subject, problem, thunk.module, thunk.expression)
            return
        if value is None or (isinstance(value, float) and math.isinf(value)):
            return
        if not isinstance(value, ARGUMENTS[name]) or (isinstance(value, bool) and name != "deprecated"):
            expected = " or ".join(type_.__name__ for type_ in ARGUMENTS[name] if type_ is not tuple)
            message = f"`{name}` of the input `{base.name}` must be {expected}, got `{type(value).__name__}`"
            self._findings.add("COG417", message, span)
            return
        try:
            values[name] = freeze(value)
        except ValueError:
            message = f"`{name}` of the input `{base.name}` has a value that JSON does not have"
            self._findings.add("COG417", message, span)

    def _input_call(self, value: Thunk, depth: int = 0) -> _InputCall | None:
        """The `Input(...)` call that a default stands for, through names and small helper functions."""
        if depth > MAX_HELPERS:
            return None
        node = value.expression
        if isinstance(node, ast.Call):
            return self._from_callee(node, value, depth)
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        if isinstance(node, ast.Name) and node.id in value.names:
            bound = value.names[node.id]
            return self._input_call(bound, depth + 1) if isinstance(bound, Thunk) else None
        symbol = self._project.resolve(node, value.module)
        if isinstance(symbol, Local | ClassMember) and isinstance(symbol.binding, Assigned):
            scope = self._folder.class_scope(symbol.module, symbol.owner) if isinstance(symbol, ClassMember) else {}
            return self._input_call(Thunk(symbol.binding.value, symbol.module, scope), depth + 1)
        return None

    def _from_callee(self, node: ast.Call, value: Thunk, depth: int) -> _InputCall | None:
        symbol = self._project.resolve(node.func, value.module)
        if isinstance(symbol, Undefined) and symbol.name == "Input":
            symbol = self._types.assume(symbol, node.func, Where(value.module, "input", "the input"))
        if symbol == External("cog.Input"):
            return self._arguments(node, value)
        if isinstance(symbol, Local) and isinstance(symbol.binding, Assigned):
            written = symbol.binding.value
            if isinstance(written, ast.Lambda):
                names = _bound(written.args, symbol.module, node, value, is_method=False)
                return None if names is None else self._input_call(Thunk(written.body, symbol.module, names), depth + 1)
        definition = self._project.definition(symbol) if symbol is not None else None
        if definition is None or isinstance(definition[1], ast.ClassDef):
            return None
        module, helper = definition
        assert not isinstance(helper, ast.ClassDef)
        names = _bound(helper.args, module, node, value, is_method=self._takes_self(helper, symbol, module))
        returned = _returned(helper, module, names) if names is not None else None
        return None if returned is None else self._input_call(returned, depth + 1)

    def _takes_self(self, helper: Function, symbol: object, module: Module) -> bool:
        if not isinstance(symbol, ClassMember):
            return False
        decorators = [self._project.resolve(decorator, module) for decorator in helper.decorator_list]
        return External("builtins.classmethod") in decorators

    def _arguments(self, node: ast.Call, value: Thunk) -> _InputCall:
        arguments: dict[str, Thunk] = {}
        problems: list[tuple[str, ast.AST]] = []
        is_open = any(isinstance(argument, ast.Starred) for argument in node.args)
        for position, argument in enumerate(node.args if not is_open else []):
            if position == 0:
                arguments["default"] = Thunk(argument, value.module, value.names)
            else:
                problems.append(("only the default can be given without its name", argument))
        for keyword in node.keywords:
            thunk = Thunk(keyword.value, value.module, value.names)
            if keyword.arg is None:
                unpacked = self._unpack(thunk)
                is_open = is_open or unpacked is None
                for name, item in (unpacked or {}).items():
                    self._take(name, item, keyword.value, arguments, problems)
            else:
                self._take(keyword.arg, thunk, keyword, arguments, problems)
        return _InputCall(node, value.module, arguments, is_open, tuple(problems))

    def _unpack(self, thunk: Thunk) -> dict[str, Thunk] | None:
        """The arguments behind `**SHARED`; None where they are not constant."""
        try:
            mapping = self._folder.fold(thunk)
        except NotConstant:
            return None
        if not isinstance(mapping, dict):
            return None
        # A folded value stands for itself under a name that no source can use.
        return {
            str(name): Thunk(ast.copy_location(ast.Name("=", ast.Load()), thunk.expression), thunk.module, {"=": item})
            for name, item in mapping.items()
        }

    def _take(
        self,
        name: str,
        thunk: Thunk,
        node: ast.AST,
        arguments: dict[str, Thunk],
        problems: list[tuple[str, ast.AST]],
    ) -> None:
        if name == "default" or name in ARGUMENTS:
            arguments[name] = thunk
        elif name == "default_factory":
            problems.append(("`default_factory` is not supported in `Input()`", node))
        else:
            import difflib  # only for mistakes

            close = _MEANT.get(name) or next(iter(difflib.get_close_matches(name, ARGUMENTS, 1)), None)
            suggestion = f"; did you mean `{close}`?" if close else ""
            problems.append((f"`Input()` has no argument `{name}`{suggestion}", node))


def _returned(helper: Function, module: Module, names: dict[str, Thunk | object]) -> Thunk | None:
    """What a helper function returns that does nothing but name values on the way; `names` are those it has."""
    *before, last = helper.body
    for statement in before:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names = {**names, name: Thunk(value, module, names)}
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                return None
    return Thunk(last.value, module, names) if isinstance(last, ast.Return) and last.value is not None else None


def _bound(
    arguments: ast.arguments, home: Module, call: ast.Call, value: Thunk, *, is_method: bool
) -> dict[str, Thunk | object] | None:
    """The local names of a helper function during a call; None where the call cannot be followed."""
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    wanted = _parameters(arguments, is_method)
    names: dict[str, Thunk | object] = {p.node.arg: Thunk(p.default, home) for p in wanted if p.default is not None}
    positional = [parameter.node.arg for parameter in wanted if parameter.node not in arguments.kwonlyargs]
    for name, argument in zip(positional, call.args, strict=False):
        names[name] = Thunk(argument, value.module, value.names)
    known = {parameter.node.arg for parameter in wanted}
    rest: list[ast.keyword] = []
    for keyword in call.keywords:
        if keyword.arg in known:
            names[str(keyword.arg)] = Thunk(keyword.value, value.module, value.names)
        else:
            rest.append(keyword)
    if arguments.vararg is not None:
        items = ast.Tuple(call.args[len(positional) :], ast.Load())
        names[arguments.vararg.arg] = Thunk(ast.copy_location(items, call), value.module, value.names)
    if arguments.kwarg is not None:
        keys: list[ast.expr | None] = [ast.copy_location(ast.Constant(keyword.arg), call) for keyword in rest]
        mapping = ast.Dict(keys, [keyword.value for keyword in rest])
        names[arguments.kwarg.arg] = Thunk(ast.copy_location(mapping, call), value.module, value.names)
    return names
