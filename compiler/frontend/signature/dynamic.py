"""Means by which running code defines what its text does not show, so that a missing name is not an error for sure.

Comes in: a syntax tree. Goes out: whether a name or a method may come to be when the code runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from ...source import Span
from .modules import Module

__all__ = ["binding_span", "may_define", "may_gain_method"]


def may_define(tree: ast.Module, name: str) -> bool:
    """Whether code of a module could give it the global `name` in a way that `bindings` does not follow."""
    return any(_defines(node, name) for node in ast.walk(tree))


def _defines(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=bound, ctx=ast.Store()) | ast.MatchAs(name=bound) | ast.MatchStar(name=bound):
            return bound == name
        case ast.Global(names=names):
            return name in names
        case ast.Call(func=ast.Name(id="globals" | "exec")):
            return True
        case ast.Call(func=ast.Name(id="vars" | "locals"), args=[]):
            return True
        case ast.Subscript(value=ast.Attribute(attr="modules"), slice=ast.Name(id="__name__")):
            return True
        case ast.Call(func=ast.Name() | ast.Attribute() as called, args=[ast.Name(id="__name__"), *_]):
            return (called.id if isinstance(called, ast.Name) else called.attr) in ("import_module", "__import__")
        case ast.ClassDef(name=defined) | ast.FunctionDef(name=defined) | ast.AsyncFunctionDef(name=defined):
            return defined in (name, "__getattr__")
        case _:
            return False


def may_gain_method(classes: Iterable[ast.ClassDef], modules: Iterable[ast.Module], names: tuple[str, ...]) -> bool:
    """Whether one of `classes`, a class and its bases, may get one of the methods `names` while `modules` run.

    It may come from a decorator, a metaclass or an assignment such as `Predictor.predict = generate`.
    """
    if any(owner.decorator_list or owner.keywords for owner in classes):
        return True
    return any(_gives(node, names) for tree in modules for node in ast.walk(tree))


def _gives(node: ast.AST, names: tuple[str, ...]) -> bool:
    match node:
        case ast.Attribute(attr=attribute, ctx=ast.Store()):
            return attribute in names
        case ast.Call(func=ast.Name(id="setattr" | "exec")):
            return True
        case ast.Call(func=ast.Name(id="vars" | "locals"), args=[]):
            return True
        case ast.FunctionDef(name="__init_subclass__"):
            return True
        case _:
            return False


def binding_span(module: Module, name: str) -> Span:
    """Where a module first binds a name by an import or an assignment; the file where that cannot be told."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    if name == (alias.asname or alias.name.partition(".")[0]):
                        return module.span(alias)
            case ast.Name(id=bound, ctx=ast.Store()) if bound == name:
                return module.span(node)
            case _:
                pass
    return Span.of_file(module.path)
