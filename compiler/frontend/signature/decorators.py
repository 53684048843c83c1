"""Whether a decorator of the project leaves a function's parameters as they are written.

Decorators of packages are trusted to: nearly all use `functools.wraps`, and their source is not here to be read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .modules import Function, Module, Project

__all__ = ["replacing_decorators"]

_KEEPERS = {"wraps", "update_wrapper", "decorator", "signature"}


def replacing_decorators(project: Project, module: Module, node: ast.ClassDef | Function) -> Iterator[ast.expr]:
    """The decorators above `node` that may put something with other parameters, or no class, in its place."""
    for decorator in node.decorator_list:
        callee = decorator.func if isinstance(decorator, ast.Call) else decorator
        symbol = project.resolve(callee, module)
        definition = project.definition(symbol) if symbol is not None else None
        if definition is not None and not _keeps(definition[1]):
            yield decorator


def _keeps(node: ast.ClassDef | Function) -> bool:
    names = {getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(node)}
    if not names.isdisjoint(_KEEPERS):
        return True
    return not isinstance(node, ast.ClassDef) and _gives_back(node)


def _gives_back(node: Function) -> bool:
    """Whether every `return` gives back what came in, or a function that does so."""
    inner = {part.name: part for part in node.body if isinstance(part, Function)}
    arguments = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args)}
    returned = [part.value for part in _own_nodes(node) if isinstance(part, ast.Return)]
    return bool(returned) and all(
        isinstance(value, ast.Name) and (value.id in arguments or (value.id in inner and _gives_back(inner[value.id])))
        for value in returned
    )


def _own_nodes(node: Function) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(node.body)
    while pending:
        part = pending.pop()
        yield part
        if not isinstance(part, Function | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(part)
