"""Classes that describe objects: `BaseModel`, `TypedDict`, dataclasses and named tuples of the project.

Comes in: a class definition. Goes out: an `ObjectOf` with the fields of the class and of its bases; a class that
contains itself becomes an object with any keys.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from .constants import Folder, NotConstant, Thunk
from .modules import External, Module, Project, Undefined
from .report import Where
from .types import Absent, DictOf, Json, ObjectField, ObjectOf, OptionalOf, Scalar, Type, freeze

__all__ = ["ObjectReader"]

ReadType: TypeAlias = Callable[[ast.expr, Where], Type]

MAX_FIELDS = 500
MAX_NESTING = 8

_MODEL_BASES = {"cog.BaseModel", "pydantic.BaseModel", "pydantic.main.BaseModel", "pydantic.v1.BaseModel"}
_TYPED_DICT = "typing.TypedDict"
_NAMED_TUPLE = "typing.NamedTuple"
_DATACLASS = {"dataclasses.dataclass", "pydantic.dataclasses.dataclass", "attrs.define", "attr.s"}
_DESCRIBED = {"cog.Input", "pydantic.Field", "dataclasses.field", "pydantic.fields.Field"}
_HARMLESS_BASES = {"builtins.object", "typing.Generic", "abc.ABC", "typing.Protocol"}


@dataclass(slots=True, repr=False, eq=False)
class ObjectReader:
    """Reads object classes. The annotations of fields are read by the function handed in with each call."""

    project: Project
    folder: Folder
    _open: list[ast.ClassDef] = field(default_factory=list)
    _known: dict[tuple[ast.ClassDef, str], Type] = field(default_factory=dict)

    def read(self, module: Module, node: ast.ClassDef, where: Where, read_type: ReadType) -> Type | str:
        """The object type, the text `unresolved`, or a phrase that says why the class is none."""
        bases = self.project.external_bases(module, node)
        if not self._is_object(module, node, bases):
            unknown = [base for base in bases if base not in _HARMLESS_BASES]
            if unknown and all(not base.startswith(("builtins.", "cog.", "typing.")) for base in unknown):
                return "unresolved"
            return "is a class, but neither a `BaseModel`, a `TypedDict` nor a dataclass"
        if node in self._open or len(self._open) >= MAX_NESTING:
            return DictOf(Scalar.ANY)
        key = (node, where.place)
        if key not in self._known:
            self._open.append(node)
            try:
                self._known[key] = ObjectOf(node.name, tuple(self._fields(module, node, where, read_type).values()))
            finally:
                self._open.pop()
        return self._known[key]

    def is_typed_dict(self, module: Module, node: ast.ClassDef) -> bool:
        """Whether values of the class are plain dicts at run time."""
        return _TYPED_DICT in self.project.external_bases(module, node)

    def _is_object(self, module: Module, node: ast.ClassDef, bases: tuple[str, ...]) -> bool:
        if not {*_MODEL_BASES, _TYPED_DICT, _NAMED_TUPLE, "BaseModel", "TypedDict"}.isdisjoint(bases):
            return True
        decorators = [part.func if isinstance(part, ast.Call) else part for part in node.decorator_list]
        symbols = [self.project.resolve(decorator, module) for decorator in decorators]
        if any(isinstance(symbol, External) and symbol.name in _DATACLASS for symbol in symbols):
            return True
        return any(isinstance(symbol, Undefined) and symbol.name == "dataclass" for symbol in symbols)

    def _fields(self, module: Module, node: ast.ClassDef, where: Where, read_type: ReadType) -> dict[str, ObjectField]:
        fields: dict[str, ObjectField] = {}
        for home, owner in reversed(list(self.project.ancestry(module, node))):
            is_total = _is_total(owner)
            for statement in owner.body:
                match statement:
                    case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                        if len(fields) < MAX_FIELDS and not self._is_class_variable(statement.annotation, home):
                            inside = Where(home, "field", f"the field `{name}`", where.depth + 1, owner=owner)
                            type_ = read_type(statement.annotation, inside)
                            fields[name] = self._field(name, type_, statement, home, is_total)
                    case _:
                        pass
        return fields

    def _is_class_variable(self, annotation: ast.expr, module: Module) -> bool:
        return self._generic_name(annotation, module) == "typing.ClassVar"

    def _generic_name(self, annotation: ast.expr, module: Module) -> str | None:
        node = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        symbol = self.project.resolve(node, module)
        return symbol.name if isinstance(symbol, External | Undefined) else None

    def _field(self, name: str, type_: Type, statement: ast.AnnAssign, module: Module, is_total: bool) -> ObjectField:
        marker = self._generic_name(statement.annotation, module)
        has_default, default, description = self._default(statement.value, module)
        if has_default and default is None and type_ is not Scalar.UNKNOWN:
            type_ = _or_none(type_)
        is_required = not (has_default or isinstance(type_, OptionalOf) or not is_total)
        if marker in ("typing.NotRequired", "typing.Required"):
            is_required = marker == "typing.Required"
        known = None if isinstance(default, Absent) else default
        return ObjectField(name=name, type=type_, is_required=is_required, default=known, description=description)

    def _default(self, value: ast.expr | None, module: Module) -> tuple[bool, Json | Absent, str | None]:
        """Whether there is a default, its value, and the description in `Field(...)` or `Input(...)`."""
        if value is None:
            return False, None, None
        if not isinstance(value, ast.Call):
            return not _is_ellipsis(value), self._constant(value, module), None
        symbol = self.project.resolve(value.func, module)
        if not isinstance(symbol, External) or symbol.name not in _DESCRIBED:
            return True, self._constant(value, module), None
        keywords = {keyword.arg: keyword.value for keyword in value.keywords}
        default = keywords.get("default", value.args[0] if value.args else None)
        description = self._constant(keywords["description"], module) if "description" in keywords else None
        has_default = "default_factory" in keywords or (default is not None and not _is_ellipsis(default))
        known = self._constant(default, module) if default is not None and has_default else Absent.UNKNOWN
        return has_default, known, description if isinstance(description, str) else None

    def _constant(self, value: ast.expr, module: Module) -> Json | Absent:
        try:
            return freeze(self.folder.fold(Thunk(value, module)))
        except (NotConstant, ValueError):
            return Absent.UNKNOWN


def _or_none(type_: Type) -> Type:
    """The type of a field that may be None, as one with `= None` may."""
    return type_ if isinstance(type_, OptionalOf) or type_ in (Scalar.ANY, Scalar.NONE) else OptionalOf(type_)


def _is_ellipsis(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is ...


def _is_total(node: ast.ClassDef) -> bool:
    return not any(
        keyword.arg == "total" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in node.keywords
    )
