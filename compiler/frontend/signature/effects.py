"""What a module changes after it has defined it: names that functions assign or change while the module is imported,
and attributes of other things that it sets.

Comes in: a module's statements. Goes out: names and attributes. Functions that nothing calls at the import do not
count: a `setup()` that fills a table does so after the signature was read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...record import record
from .bindings import MUTATORS, Function

__all__ = ["Effects", "effects_of"]


@record(kw_only=False)
class Effects:
    """`names` are the module's own that called functions change, `attributes` those that are set on anything."""

    names: frozenset[str]
    attributes: frozenset[str]


def effects_of(tree: ast.Module) -> Effects:
    """The effects of importing a module, beyond what its own statements bind."""
    top = list(_nodes(tree.body))
    names: set[str] = set()
    attributes = set(_attributes(top))
    for function, own in _called(top):
        local = _locals(function, own)
        names |= {name for name in _changed(own) if name not in local}
        attributes |= set(_attributes(own))
    return Effects(frozenset(names), frozenset(attributes))


def _nodes(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of statements, with the bodies of classes but not those of functions."""
    pending: list[ast.AST] = list(statements)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif not isinstance(node, ast.Lambda):
            pending += ast.iter_child_nodes(node)


@dataclass(slots=True, repr=False, eq=False)
class _Code:
    """What has been seen so far: which functions there are, and which names are called."""

    functions: dict[str, list[Function]] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)

    def see(self, nodes: list[ast.AST]) -> None:
        """Take in nodes that are executed."""
        for node in nodes:
            match node:
                case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
                    self.called.add(name)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.functions.setdefault(node.name, []).append(node)
                    self.called |= {part.id for part in node.decorator_list if isinstance(part, ast.Name)}
                case ast.ClassDef():
                    self.classes.add(node.name)
                    self.called |= {part.id for part in node.decorator_list if isinstance(part, ast.Name)}
                case _:
                    pass

    def reached(self) -> list[Function]:
        """The functions and methods that go by a name which is called; constructors of classes that are."""
        makes_objects = not self.called.isdisjoint(self.classes)
        names = self.called | ({"__init__", "__new__", "__post_init__"} if makes_objects else set())
        return [function for name in sorted(names) for function in self.functions.get(name, ())]


def _called(top: list[ast.AST]) -> Iterator[tuple[Function, list[ast.AST]]]:
    """The functions that the import may call, each once with the nodes of its body."""
    code = _Code()
    code.see(top)
    done: set[int] = set()
    while fresh := [function for function in code.reached() if id(function) not in done]:
        for function in fresh:
            done.add(id(function))
            body = list(_nodes(function.body))
            code.see(body)
            yield function, body


def _locals(function: Function, body: list[ast.AST]) -> set[str]:
    """The names that are the function's own."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in every if argument is not None}
    declared: set[str] = set()
    for node in body:
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Global(names=found):
                declared |= set(found)
            case _:
                pass
    return names - declared


def _changed(nodes: list[ast.AST]) -> Iterator[str]:
    """The names that are assigned as globals, or whose value is changed in place."""
    for node in nodes:
        match node:
            case ast.Global(names=names):
                yield from names
            case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in MUTATORS:
                yield from _root(value)
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
                yield from _root(value)
            case _:
                pass


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _attributes(nodes: Iterator[ast.AST] | list[ast.AST]) -> Iterator[str]:
    """The attributes that are set, or whose value is changed in place."""
    for node in nodes:
        match node:
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=name), attr=method)) if method in MUTATORS:
                yield name
            case ast.Subscript(value=ast.Attribute(attr=name), ctx=ast.Store() | ast.Del()):
                yield name
            case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=str(name)), *_]):
                yield name
            case _:
                pass
