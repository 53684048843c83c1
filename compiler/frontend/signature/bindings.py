"""What the statements of a module or a class bind: names to their one value, definition or import.

Comes in: statements. Goes out: a table of `Binding`s. A name that is assigned twice, changed in place or bound by a
loop is `Dynamic`; of two alternatives (`try` and `except`, `if` and `else`) the first definition counts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from ...record import record

__all__ = ["MUTATORS", "Assigned", "Binding", "Defined", "Dynamic", "Function", "Imported", "index"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MUTATORS = {"append", "extend", "insert", "update", "add", "pop", "remove", "clear", "setdefault", "sort", "reverse"}


@record(kw_only=False)
class Imported:
    """`import module` (name is None) or `from module import name`."""

    module: str
    name: str | None
    level: int = 0


@record(kw_only=False)
class Assigned:
    """A name with one value."""

    value: ast.expr


@record(kw_only=False)
class Defined:
    """A class or a function."""

    node: ast.ClassDef | Function


@record(kw_only=False)
class Dynamic:
    """A name whose value depends on what the module does when it runs."""


Binding: TypeAlias = Imported | Assigned | Defined | Dynamic


def index(body: Iterable[ast.stmt]) -> tuple[dict[str, Binding], list[Imported]]:
    """What the statements of a module or class bind, and its star imports."""
    indexer = _Indexer()
    indexer.visit(body)
    return indexer.bindings, indexer.star_imports


@dataclass(slots=True, repr=False, eq=False)
class _Indexer:
    bindings: dict[str, Binding] = field(default_factory=dict)
    star_imports: list[Imported] = field(default_factory=list)

    def visit(self, body: Iterable[ast.stmt], is_alternative: bool = False) -> None:
        for statement in body:
            self._visit_one(statement, is_alternative)

    def _visit_one(self, statement: ast.stmt, is_alternative: bool) -> None:  # noqa: C901 - a table
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._define(name, Defined(statement), is_alternative)
            case ast.Import() | ast.ImportFrom():
                self._import(statement)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, value)
            case ast.AugAssign(target=target):
                self._forget(target)
            case ast.Delete(targets=targets):
                for target in targets:
                    self._forget(target)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method))):
                if method in MUTATORS:
                    self.bindings[name] = Dynamic()
            case ast.If(test=test, body=body, orelse=orelse):
                self.visit(body, is_alternative)
                if not _is_type_checking(test):
                    self.visit(orelse, True)
            case ast.Try() | ast.With() | ast.AsyncWith():
                self.visit(statement.body, is_alternative)
                for handler in getattr(statement, "handlers", ()):
                    self.visit(handler.body, True)
                self.visit(getattr(statement, "orelse", ()), is_alternative)
                self.visit(getattr(statement, "finalbody", ()), is_alternative)
            case ast.For() | ast.AsyncFor() | ast.While():
                self._loop(statement)
            case _ if type(statement).__name__ == "TypeAlias":
                self._assign(statement.name, statement.value)  # type: ignore[attr-defined]
            case _:
                pass

    def _define(self, name: str, binding: Defined, is_alternative: bool) -> None:
        if not is_alternative or name not in self.bindings:
            self.bindings[name] = binding

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for alias in statement.names:
            if isinstance(statement, ast.Import):
                bound = alias.asname or alias.name.partition(".")[0]
                self.bindings.setdefault(bound, Imported(alias.name if alias.asname else bound, None))
            elif alias.name == "*":
                self.star_imports.append(Imported(statement.module or "", None, statement.level))
            else:
                imported = Imported(statement.module or "", alias.name, statement.level)
                self.bindings.setdefault(alias.asname or alias.name, imported)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                before = self.bindings.get(name)
                if before is None:
                    self.bindings[name] = Assigned(value)
                elif not isinstance(before, Imported):
                    # `try: import x` with `except: x = None` keeps the import.
                    self.bindings[name] = Dynamic()
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
                plain = len(values) == len(targets) and not any(isinstance(v, ast.Starred) for v in values)
                for position, part in enumerate(targets):
                    if plain:
                        self._assign(part, values[position])
                    else:
                        self._forget(part)
            case _:
                self._forget(target)

    def _forget(self, target: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                self.bindings[name] = Dynamic()
            case ast.Subscript(value=inner) | ast.Attribute(value=inner) | ast.Starred(value=inner):
                # Attributes of imported modules are set all the time; that does not change the import.
                if not (isinstance(inner, ast.Name) and isinstance(self.bindings.get(inner.id), Imported | Defined)):
                    self._forget(inner)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for part in targets:
                    self._forget(part)
            case _:
                pass

    def _loop(self, statement: ast.For | ast.AsyncFor | ast.While) -> None:
        if not isinstance(statement, ast.While):
            self._forget(statement.target)
        inner, _ = index([*statement.body, *statement.orelse])
        for name, binding in inner.items():
            self.bindings[name] = Dynamic() if isinstance(binding, Assigned) else binding


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
