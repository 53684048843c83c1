"""The interface of 2021: `@cog.input("scale", type=float, default=1.5, help="…")` above `predict`.

Comes in: a function with such decorators. Goes out: the same `InputField`s as `Input(...)` gives and, in the
`Findings`, COG424 and COG425.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from .checks import check_field
from .constants import Folder, NotConstant, Thunk
from .inputs import parameters
from .modules import External, Function, Module, Project
from .report import Findings
from .types import Absent, InputField, Json, Scalar, freeze

__all__ = ["LegacyReader"]

_TYPES: dict[str, Scalar] = {
    "builtins.str": Scalar.STR,
    "builtins.int": Scalar.INT,
    "builtins.float": Scalar.FLOAT,
    "builtins.bool": Scalar.BOOL,
    "pathlib.Path": Scalar.PATH,
    "cog.Path": Scalar.PATH,
    "Path": Scalar.PATH,
}
_ARGUMENTS = ("type", "default", "min", "max", "options", "help")


class LegacyReader:
    """Reads the decorators of the functions of one project."""

    def __init__(self, project: Project, folder: Folder, findings: Findings) -> None:
        self._project = project
        self._folder = folder
        self._findings = findings

    def decorators(self, function: Function, module: Module) -> list[ast.Call]:
        """The `@cog.input(...)` calls above a function, top to bottom."""
        return [
            decorator
            for decorator in function.decorator_list
            if isinstance(decorator, ast.Call)
            and self._project.resolve(decorator.func, module) == External("cog.input")
        ]

    def read(self, function: Function, module: Module, is_method: bool) -> tuple[InputField, ...]:
        """The inputs that the decorators declare; their order is that of the inputs."""
        fields: dict[str, InputField] = {}
        for call in self.decorators(function, module):
            field = self._read_one(call, module, len(fields))
            if field is None:
                continue
            if field.name in fields:
                self._refuse(f"`{field.name}` is already defined as an argument", call, module)
                continue
            fields[field.name] = field
            check_field(field, module.span(call), self._findings)
        self._check_parameters(function, module, is_method, fields)
        return tuple(fields.values())

    def read_undecorated(self, function: Function, is_method: bool, module: Module) -> tuple[InputField, ...]:
        """The inputs of a `predict` without decorators and annotations: texts that may be missing."""
        return tuple(
            InputField(
                name=parameter.node.arg, order=order, type=Scalar.STR, default=None, origin=module.span(parameter.node)
            )
            for order, parameter in enumerate(parameters(function, is_method))
        )

    def _refuse(self, message: str, node: ast.AST, module: Module) -> None:
        self._findings.add("COG424", message, module.span(node))

    def _read_one(self, call: ast.Call, module: Module, order: int) -> InputField | None:
        nodes = dict(zip(("name", "type"), call.args, strict=False))
        nodes |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
        name = self._value("name", nodes, module)
        if not isinstance(name, str) or not name:
            self._refuse("`@cog.input` needs the name of the input as text", call, module)
            return None
        for argument in nodes.keys() - {"name", *_ARGUMENTS}:
            self._refuse(f"`@cog.input` has no argument `{argument}`", call, module)
        values = {key: self._value(key, nodes, module) for key in ("default", "min", "max", "options", "help")}
        field = InputField(
            name=name,
            order=order,
            type=self._type(name, nodes.get("type"), call, module),
            default=Absent.MISSING if "default" not in nodes else values["default"],
            description=values["help"] if isinstance(values["help"], str) else None,
            origin=module.span(call),
        )
        return self._with_limits(field, values, call, module)

    def _type(self, name: str, node: ast.expr | None, call: ast.Call, module: Module) -> Scalar:
        symbol = self._project.resolve(node, module) if node is not None else None
        spelled = getattr(symbol, "name", "")
        if spelled in _TYPES:
            return _TYPES[spelled]
        shown = module.text(node) if node is not None else "nothing"
        message = f"`{shown}` is not a valid type of the input `{name}`: use str, int, float, bool or Path"
        self._refuse(message, node or call, module)
        return Scalar.UNKNOWN

    def _with_limits(self, field: InputField, values: dict[str, Any], call: ast.Call, module: Module) -> InputField:
        least, most, options = values["min"], values["max"], values["options"]
        is_number = field.type in (Scalar.INT, Scalar.FLOAT, Scalar.UNKNOWN)
        if (least is not None or most is not None) and not is_number:
            self._refuse(f"the input `{field.name}` is not a number and cannot have `min` and `max`", call, module)
            least = most = None
        if field.type is Scalar.PATH and field.default not in (None, Absent.MISSING):
            self._refuse(f"the input `{field.name}` is a `Path` and cannot have a default", call, module)
            field = replace(field, default=None)
        if options is not None and (field.type is Scalar.PATH or not isinstance(options, tuple) or len(options) < 2):
            reason = "a `Path` cannot have options" if field.type is Scalar.PATH else "options need at least two items"
            self._refuse(f"the input `{field.name}`: {reason}", call, module)
            options = None
        return replace(
            field,
            choices=options if isinstance(options, tuple) else None,
            ge=least if isinstance(least, int | float) else None,
            le=most if isinstance(most, int | float) else None,
        )

    def _value(self, key: str, nodes: dict[str, ast.expr], module: Module) -> Json | Absent:
        if key not in nodes:
            return None
        try:
            return freeze(self._folder.fold(Thunk(nodes[key], module)))
        except NotConstant as problem:
            code = "COG410" if key == "default" else "COG411"
            subject = f"`{key}` of `@cog.input`,"
            self._findings.defer_value(code, subject, problem, module, nodes[key])
        except ValueError:
            self._findings.add("COG428", f"`{key}` of `@cog.input` has no JSON form", module.span(nodes[key]))
        return Absent.UNKNOWN if key == "default" else None

    def _check_parameters(
        self, function: Function, module: Module, is_method: bool, fields: dict[str, InputField]
    ) -> None:
        accepted = {parameter.node.arg: parameter for parameter in parameters(function, is_method)}
        for name, parameter in accepted.items():
            if name not in fields and parameter.default is None:
                message = f"the parameter `{name}` of `{function.name}` is not declared by `@cog.input`"
                self._refuse(message, parameter.node, module)
        for name, field in fields.items():
            if name not in accepted and function.args.kwarg is None:
                message = f"the input `{name}` is declared, but `{function.name}` has no such parameter"
                self._findings.add("COG425", message, field.origin, hint="the value is checked and then dropped")
