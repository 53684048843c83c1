"""Finding the target: from `predict.py:Predictor` to the function whose parameters are the inputs.

Comes in: a module and a name. Goes out: a `Target`, or None with COG400 to COG402 or COG412 in the `Findings`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ...source import Span
from .modules import (
    COG_NAMES,
    Assigned,
    ClassMember,
    Defined,
    Dynamic,
    External,
    Function,
    LocalModule,
    Module,
    Project,
    Undefined,
)
from .report import Findings
from .types import Mode

__all__ = ["Target", "find_target", "header"]

_METHODS: dict[Mode, tuple[str, ...]] = {"predict": ("predict", "run"), "train": ("train",)}
# Bases that bring no prediction method of the user's own.
_KNOWN_BASES = ("cog.", "builtins.", "abc.", "typing.", "torch.nn.", "enum.")
_UNIMPORTED_BASES = {"BasePredictor", "BaseRunner", "Predictor", "ABC", "object"}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The function that is called, where it stands, and the class it belongs to."""

    module: Module
    function: Function
    method: str
    owner: tuple[Module, ast.ClassDef] | None = None
    is_bound: bool = False
    is_legacy_class: bool = False

    @property
    def scope(self) -> ast.ClassDef | None:
        """The class in whose body the function is written, None for one from elsewhere."""
        if self.owner is not None and self.function in self.owner[1].body:
            return self.owner[1]
        return None


def find_target(project: Project, module: Module, name: str, mode: Mode, findings: Findings) -> Target | None:
    """The function behind the target `name` of `module`."""
    symbol = project.lookup(name, module)
    match symbol:
        case None | Undefined(is_certain=False) | External() | LocalModule() if name in module.bindings or (
            isinstance(symbol, Undefined) and not symbol.is_certain
        ):
            _defer(findings, f"`{name}` comes from outside the project, so its inputs cannot be read", module)
            return None
        case Undefined() | External() | LocalModule() | None:
            message = f"{_noun(mode)} not found: `{name}` is not defined in `{module.path}`"
            findings.add("COG400", message, Span.of_file(module.path), hint=_candidates(module, mode))
            return None
        case _:
            definition = project.definition(symbol)
    if definition is None:
        _defer(findings, f"`{name}` is made at run time, so its inputs cannot be read", module)
        return None
    home, node = definition
    if isinstance(node, ast.ClassDef):
        return _find_method(project, home, node, mode, findings)
    return Target(home, node, node.name)


def _noun(mode: Mode) -> str:
    return "predictor" if mode == "predict" else "trainer"


def _candidates(module: Module, mode: Mode) -> str | None:
    names = [name for name, binding in module.bindings.items() if _is_candidate(binding, mode)]
    return "the file defines " + ", ".join(f"`{name}`" for name in names[:5]) if names else None


def _is_candidate(binding: object, mode: Mode) -> bool:
    match binding:
        case Defined(node=ast.ClassDef(body=body)):
            return any(isinstance(part, Function) and part.name in _METHODS[mode] for part in body)
        case Defined(node=ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name)):
            return name in _METHODS[mode]
        case _:
            return False


def _defer(findings: Findings, message: str, module: Module, node: ast.AST | None = None) -> None:
    findings.defer("COG412", message, module.span(node) if node is not None else Span.of_file(module.path))


def _find_method(project: Project, module: Module, node: ast.ClassDef, mode: Mode, findings: Findings) -> Target | None:
    found = {name: member for name in _METHODS[mode] if (member := project.class_member(module, node, name))}
    bases = project.external_bases(module, node)
    span = header(module, node)
    if len(found) > 1:
        message = f"`{node.name}` must define either `run()` or `predict()`, not both"
        findings.add("COG402", message, span)
    if not found:
        if all(base.startswith(_KNOWN_BASES) or base in _UNIMPORTED_BASES for base in bases):
            wanted = _METHODS[mode][0]
            hint = f"define `def {wanted}(self, ...) -> ...` in the class"
            findings.add("COG401", f"`{wanted}` method not found on `{node.name}`", span, hint=hint)
        else:
            _defer(findings, f"`{node.name}` inherits its method from outside the project", module, node)
        return None
    for base in bases:
        if base in COG_NAMES:
            message = f"`{base}` is not imported; it is read as `cog.{base}`"
            findings.add("COG421", message, span, hint=f"add `from cog import {base}`")
    method, member = next(iter(found.items()))
    function = _function(project, member)
    if function is None:
        _defer(findings, f"`{node.name}.{method}` is made at run time, so its inputs cannot be read", module, node)
        return None
    is_static = any(
        project.resolve(decorator, member.module) == External("builtins.staticmethod")
        for decorator in function[1].decorator_list
    )
    return Target(
        module=function[0],
        function=function[1],
        method=method,
        owner=(member.module, member.owner),
        is_bound=not is_static,
        is_legacy_class=not {"cog.Predictor", "Predictor"}.isdisjoint(bases),
    )


def _function(project: Project, member: ClassMember) -> tuple[Module, Function] | None:
    match member.binding:
        case Defined(node=ast.FunctionDef() | ast.AsyncFunctionDef() as node):
            return member.module, node
        case Assigned():
            definition = project.definition(member)
            if definition is not None and not isinstance(definition[1], ast.ClassDef):
                return definition[0], definition[1]
            return None
        case Dynamic() | Defined():
            return None


def header(module: Module, node: ast.ClassDef | Function) -> Span:
    """The span of `class Name` or `def name`, without the body."""
    start = module.span(node)
    keyword = {"ClassDef": "class ", "FunctionDef": "def ", "AsyncFunctionDef": "async def "}[type(node).__name__]
    end = start.column + len(keyword) + len(node.name)
    return Span(start.file, start.line, start.column, start.line, end)
