"""Finding the target: from `predict.py:Predictor` to the function whose parameters are the inputs.

Comes in: a module and a name. Goes out: a `Target`, or None with COG400 to COG402 or COG412 in the `Findings`.
"""

from __future__ import annotations

import ast

from ...record import record
from ...source import Span
from ...suggest import closest
from .dynamic import binding_span, may_define, may_gain_method
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


@record(kw_only=False, eq=False)
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


def find_target(
    project: Project, module: Module, name: str, mode: Mode, findings: Findings, named_at: Span | None = None
) -> Target | None:
    """The function behind the target `name` of `module`. `named_at` is where cog.yaml names it."""
    symbol = project.lookup(name, module)
    match symbol:
        case None | External() | LocalModule() if name in module.bindings:
            message = f"`{name}` comes from outside the project, so its inputs cannot be read"
            findings.defer("COG412", message, binding_span(module, name))
            return None
        case Undefined(is_certain=False):
            message = f"`{name}` may come from a star import of something outside the project"
            findings.defer("COG412", message, named_at or Span.of_file(module.path))
            return None
        case Undefined() | External() | LocalModule() | None:
            _report_missing(project, module, name, mode, findings, named_at or Span.of_file(module.path))
            return None
        case _:
            definition = project.definition(symbol)
    if definition is None:
        message = f"`{name}` is made at run time, so its inputs cannot be read"
        findings.defer("COG412", message, binding_span(module, name))
        return None
    home, node = definition
    if isinstance(node, ast.ClassDef):
        return _find_method(project, home, node, mode, findings, module)
    return Target(home, node, node.name)


def _report_missing(project: Project, module: Module, name: str, mode: Mode, findings: Findings, span: Span) -> None:
    """COG400, or COG412 where the file has means to define names that its text does not show."""
    if any(may_define(source.tree, name) for source in project.star_closure(module)):
        findings.defer("COG412", f"`{name}` may be defined at run time, so its inputs cannot be read", span)
        return
    message = f"{_noun(mode)} not found: `{name}` is not defined in `{module.path}`"
    findings.add("COG400", message, span, hint=_candidates(module, name, mode))


def _noun(mode: Mode) -> str:
    return "predictor" if mode == "predict" else "trainer"


def _candidates(module: Module, name: str, mode: Mode) -> str:
    """What the file defines instead: the nearest name, and everything that could be a target."""
    usable = [known for known, binding in module.bindings.items() if _is_candidate(binding, mode)]
    classes = [known for known, binding in module.bindings.items() if _is_class(binding)]
    near = closest(name, usable or classes)
    meant = f"did you mean `{near}`? " if near is not None else ""
    if usable:
        return f"{meant}the file defines {_listed(usable)}"
    methods = " or ".join(f"`{method}`" for method in _METHODS[mode])
    if classes:
        return f"{meant}no class of the file has the method {methods}; its classes are {_listed(classes)}"
    return "the file defines no class"


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _is_class(binding: object) -> bool:
    return isinstance(binding, Defined) and isinstance(binding.node, ast.ClassDef)


def _is_candidate(binding: object, mode: Mode) -> bool:
    match binding:
        case Defined(node=ast.ClassDef(body=body)):
            return any(isinstance(part, Function) and part.name in _METHODS[mode] for part in body)
        case Defined(node=ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name)):
            return name in _METHODS[mode]
        case _:
            return False


def _defer(findings: Findings, message: str, module: Module, node: ast.ClassDef) -> None:
    findings.defer("COG412", message, header(module, node))


def _find_method(
    project: Project, module: Module, node: ast.ClassDef, mode: Mode, findings: Findings, named_in: Module
) -> Target | None:
    found = {name: member for name in _METHODS[mode] if (member := project.class_member(module, node, name))}
    bases = project.external_bases(module, node)
    span = header(module, node)
    if len(found) > 1:
        message = f"`{node.name}` must define either `run()` or `predict()`, not both"
        findings.add("COG402", message, span)
    if not found:
        wanted = _METHODS[mode]
        if not all(base.startswith(_KNOWN_BASES) or base in _UNIMPORTED_BASES for base in bases):
            _defer(findings, f"`{node.name}` inherits its method from outside the project", module, node)
        elif _may_gain_method(project, module, node, wanted, named_in):
            _defer(findings, f"`{node.name}` may get its method at run time", module, node)
        else:
            hint = _method_hint(node, wanted)
            findings.add("COG401", f"`{wanted[0]}` method not found on `{node.name}`", span, hint=hint)
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


def _may_gain_method(
    project: Project, module: Module, node: ast.ClassDef, wanted: tuple[str, ...], named_in: Module
) -> bool:
    ancestry = list(project.ancestry(module, node))
    modules = {source.path: source.tree for source in (named_in, *(home for home, _ in ancestry))}
    return may_gain_method([owner for _, owner in ancestry], modules.values(), wanted)


def _method_hint(node: ast.ClassDef, wanted: tuple[str, ...]) -> str:
    methods = [part.name for part in node.body if isinstance(part, Function)]
    near = next(filter(None, (closest(name, methods) for name in wanted)), None)
    if near is not None:
        return f"did you mean to call `{near}` `{wanted[0]}`?"
    return f"define `def {wanted[0]}(self, ...) -> ...` in the class"


def _function(project: Project, member: ClassMember) -> tuple[Module, Function] | None:
    match member.binding:
        case Defined(node=ast.FunctionDef() | ast.AsyncFunctionDef() as node):
            return member.module, node
        case Assigned(value=value):
            beside = project.class_bindings(member.owner).get(value.id) if isinstance(value, ast.Name) else None
            if isinstance(beside, Defined) and not isinstance(beside.node, ast.ClassDef):
                return member.module, beside.node
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
