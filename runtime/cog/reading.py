"""Annotations to types: `Optional[list[Path]]` becomes `OptionalOf(ListOf(PATH))`.

Comes in: what stands behind a colon or an arrow, as an object or as text. Goes out: a `Type`, or `TypeError` with
the name of the input. The rules are those of the compiler's `frontend/signature/annotations`.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import datetime
import io
import os
import pathlib
import sys
import typing
from enum import Enum
from typing import Any, Mapping, Union

from .kinds import (
    ANY,
    BOOL,
    FILE,
    FLOAT,
    INT,
    NONE,
    PATH,
    SECRET,
    STR,
    CoderOf,
    DictOf,
    IteratorOf,
    ListOf,
    LiteralOf,
    ObjectField,
    ObjectOf,
    OptionalOf,
    Scalar,
    UnionOf,
    json_value,
    type_name,
)
from .objects import is_object, read_fields
from .types import AsyncConcatenateIterator, ConcatenateIterator, File, Opaque, Secret

__all__ = ["SUPPORTED_TYPES", "Reader", "namespace", "object_fields"]

MAX_DEPTH = 30
MAX_NESTING = 8
SUPPORTED_TYPES = "str, int, float, bool, cog.File, cog.Path, cog.Secret, and lists or unions of them"

_SCALARS: dict[Any, Scalar] = {
    str: STR, int: INT, float: FLOAT, bool: BOOL, object: ANY, Any: ANY, None: NONE, type(None): NONE,
    File: FILE, Secret: SECRET,
}  # fmt: skip
_LISTS = (list, collections.abc.Sequence, collections.abc.MutableSequence)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_TUPLES = (tuple, set, frozenset, collections.abc.Set)
_CONCATENATED = (ConcatenateIterator, AsyncConcatenateIterator)
_ITERATORS = (
    collections.abc.Iterator, collections.abc.AsyncIterator, collections.abc.Generator, collections.abc.AsyncGenerator,
    collections.abc.Iterable, collections.abc.AsyncIterable,
)  # fmt: skip
_FILES = (typing.IO, typing.BinaryIO, typing.TextIO)
_WRAPPERS = ("Final", "Required", "NotRequired", "ReadOnly", "Awaitable")


class _Namespace(Mapping[str, Any]):
    """The names that an annotation in text form may use: of its class, its module, Python, and then `cog`."""

    def __init__(self, owner: Mapping[str, Any], module: Mapping[str, Any]) -> None:
        self._layers = (owner, module, vars(builtins), vars(typing))

    def __getitem__(self, name: str) -> Any:
        for layer in self._layers:
            if name in layer:
                return layer[name]
        import cog

        if name in cog.__all__:
            return getattr(cog, name)
        raise KeyError(name)

    def __iter__(self) -> typing.Iterator[str]:
        return iter({name for layer in self._layers for name in layer})

    def __len__(self) -> int:
        return len(list(iter(self)))


def namespace(function: Any, owner: type | None = None) -> Mapping[str, Any]:
    """The names that the annotations of a function may use; `owner` is the class around it."""
    holder = next((c for c in getattr(owner, "__mro__", ()) if function.__name__ in vars(c)), owner)
    return _Namespace(vars(holder) if holder is not None else {}, getattr(function, "__globals__", {}))


def _class_namespace(cls: type) -> Mapping[str, Any]:
    module = sys.modules.get(cls.__module__)
    # Fields may have the types of classes inside this one; its other names may be those of fields (`date: "date"`).
    inside = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    return _Namespace({cls.__name__: cls, **inside}, vars(module) if module is not None else {})


class Reader:
    """Reads annotations in one place: `input`, `output` or `field`. `subject` names the place in errors."""

    def __init__(
        self, place: str, subject: str, names: Mapping[str, Any] | None = None, classes: tuple[type, ...] = ()
    ) -> None:
        self.place = place
        self.subject = subject
        self.names: Mapping[str, Any] = names if names is not None else _Namespace({}, {})
        self._classes = classes
        self._depth = 0
        self._in_container = 0
        self._open: list[Any] = []

    def read(self, annotation: Any) -> Any:
        """The type that an annotation means. Errors: `TypeError`."""
        if self._depth > MAX_DEPTH:
            raise TypeError("the type of %s is nested too deeply" % self.subject)
        if self._depth == 0:
            self._open.append(annotation)
        self._depth += 1
        try:
            return self._read(annotation)
        finally:
            self._depth -= 1

    def _read(self, annotation: Any) -> Any:
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            return self.read_alias(self.evaluated(annotation))
        if _is_in(annotation, _SCALARS):
            return _SCALARS[annotation]
        if hasattr(annotation, "__supertype__"):
            return self.read(annotation.__supertype__)
        if type(annotation).__name__ == "TypeAliasType" and hasattr(annotation, "__value__"):
            return self.read_alias(annotation.__value__)
        if hasattr(annotation, "__metadata__"):
            return self._annotated(annotation)
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin)
        if _is_in(annotation, _LISTS + _DICTS + _TUPLES + _ITERATORS + _CONCATENATED):
            return self._generic(annotation, annotation)
        if isinstance(annotation, type):
            return self._class(annotation)
        if _is_in(annotation, _FILES) and self.place != "input":
            return FILE
        raise self._unsupported(annotation)

    def read_alias(self, value: Any) -> Any:
        """The type behind a name; a name that stands for itself is anything."""
        # Unions are made anew by each evaluation of their text, so equality decides.
        if typing.get_origin(value) is not None and value in self._open:
            return ANY
        self._open.append(value)
        try:
            return self.read(value)
        finally:
            self._open.pop()

    def evaluated(self, text: str) -> Any:
        """The object that an annotation in text form names. Errors: `TypeError`."""
        try:
            tree = ast.parse(text.strip(), mode="eval")
            if sys.version_info < (3, 10):
                tree = ast.fix_missing_locations(_Older(self.names).visit(tree))
            return eval(compile(tree, "<annotation>", "eval"), {"_typing": typing}, self.names)
        except Exception as error:
            message = "cannot resolve the type of %s, %r: %s"
            raise TypeError(message % (self.subject, text, error)) from None

    def _inside(self, annotation: Any) -> Any:
        self._in_container += 1
        try:
            return self.read(annotation)
        finally:
            self._in_container -= 1

    def _annotated(self, annotation: Any) -> Any:
        inner = annotation.__origin__
        if any(mark is Opaque or isinstance(mark, Opaque) for mark in annotation.__metadata__):
            is_list = (typing.get_origin(inner) or inner) in _LISTS
            return ListOf(DictOf(ANY)) if is_list else DictOf(ANY)
        return self.read(inner)

    def _generic(self, annotation: Any, origin: Any) -> Any:
        arguments = [part for part in typing.get_args(annotation) if not isinstance(part, typing.TypeVar)]
        name = getattr(origin, "_name", None) or getattr(origin, "__name__", "")
        if origin is Union or name == "UnionType" or name == "Union":
            return self._union(arguments)
        if name == "Literal":
            return self._literal(arguments)
        if name in _WRAPPERS and arguments:
            return self.read(arguments[0])
        if origin in _LISTS:
            return ListOf(self._inside(arguments[0]) if arguments else ANY)
        if origin in _DICTS:
            return DictOf(self._inside(arguments[1]) if len(arguments) == 2 else ANY)
        if origin in _TUPLES:
            return self._tuple(arguments, origin)
        if origin in _ITERATORS or origin in _CONCATENATED:
            return self._iterator(arguments, origin in _CONCATENATED)
        if isinstance(origin, type):
            return self._class(origin)
        raise self._unsupported(annotation)

    def _union(self, members: list[Any]) -> Any:
        flat = [part for member in members for part in _flat(self._inside(member))]
        distinct = tuple(dict.fromkeys(part for part in flat if part is not NONE))
        if not distinct:
            return NONE
        whole = distinct[0] if len(distinct) == 1 else UnionOf(distinct)
        return OptionalOf(whole) if NONE in flat else whole

    def _literal(self, arguments: list[Any]) -> Any:
        values = [argument.value if isinstance(argument, Enum) else argument for argument in arguments]
        distinct = tuple({(type(value), value): value for value in values if value is not None}.values())
        if not distinct:
            return NONE
        return OptionalOf(LiteralOf(distinct)) if None in values else LiteralOf(distinct)

    def _tuple(self, arguments: list[Any], origin: Any) -> Any:
        parts = list(dict.fromkeys(self._inside(part) for part in arguments if part is not ... and part != ()))
        make = origin if origin in (tuple, set, frozenset) else set
        return ListOf(parts[0] if len(parts) == 1 else UnionOf(tuple(parts)) if parts else ANY, make)

    def _iterator(self, arguments: list[Any], is_concatenated: bool) -> Any:
        if self.place != "output" or self._in_container:
            raise TypeError("%s has an iterator type, which only the whole output can have" % self.subject)
        item = self._inside(arguments[0]) if arguments else STR if is_concatenated else ANY
        if is_concatenated and item is not STR:
            raise TypeError("ConcatenateIterator element type must be str, got %s" % type_name(item))
        return IteratorOf(item, is_concatenated)

    def _class(self, cls: type) -> Any:
        if issubclass(cls, pathlib.PurePath):
            return PATH
        if cls.__name__ == "SecretStr" and cls.__module__.partition(".")[0] == "pydantic" or issubclass(cls, Secret):
            return SECRET
        if issubclass(cls, Enum):
            return self._enum(cls)
        coder = _coder(cls)
        if coder is not None:
            return CoderOf(coder, cls)
        if is_object(cls):
            return self._object(cls)
        if self.place != "input":
            return self._output_class(cls)
        if cls is not File and issubclass(cls, File):
            return FILE
        for base in (bool, int, float, str):
            if issubclass(cls, base):
                return _SCALARS[base]
        raise self._unsupported(cls)

    def _output_class(self, cls: type) -> Any:
        if issubclass(cls, (io.IOBase, *_FILES)):
            return FILE
        if cls is os.PathLike:
            return PATH
        if issubclass(cls, datetime.date):
            return STR
        for base in (bool, int, float, str):
            if issubclass(cls, base):
                return _SCALARS[base]
        # An array, or a class of a library: whether its values have a JSON form is seen when there is one.
        return ANY

    def _enum(self, cls: Any) -> Any:
        if self.place == "input":
            message = "%s has the type %s, an enum: use Literal[...], or str with choices"
            raise TypeError(message % (self.subject, cls.__name__))
        try:
            return LiteralOf(tuple(json_value(member.value) for member in cls))
        except ValueError:
            return ANY

    def _object(self, cls: type) -> Any:
        if cls in self._classes or len(self._classes) >= MAX_NESTING:
            return DictOf(ANY)
        classes = (*self._classes, cls)
        return ObjectOf(cls.__name__, read_fields(cls, _field_readers(classes)), cls)

    def _unsupported(self, annotation: Any) -> TypeError:
        name = getattr(annotation, "__name__", None) or repr(annotation)
        message = "the type of %s, %s, is not a type that models can use; supported are: %s"
        return TypeError(message % (self.subject, name, SUPPORTED_TYPES))


class _Older(ast.NodeTransformer):
    """Rewrites `A | B` and `list[A]` in annotations, which Python 3.8 and 3.9 can parse but not evaluate."""

    _GENERICS = {"list": "List", "dict": "Dict", "tuple": "Tuple", "set": "Set", "frozenset": "FrozenSet",
                 "type": "Type"}  # fmt: skip

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        if not isinstance(node.op, ast.BitOr):
            return node
        members = ast.Tuple([node.left, node.right], ast.Load())
        return ast.Subscript(_typing("Union"), _index(members), ast.Load())

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        if _ends_with_literal(node.value):
            return node
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self._GENERICS:
            node.value = _typing(self._GENERICS[node.value.id])
        else:
            name = self._abstract_name(node.value)
            node.value = _typing("AbstractSet" if name == "Set" else name) if name is not None else node.value
        return node

    def _abstract_name(self, node: ast.expr) -> str | None:
        """What a class of `collections.abc` is called there; in Python 3.8 these take no brackets."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        found = self._names.get(node.id) if isinstance(node, ast.Name) else None
        for part in reversed(parts):
            found = getattr(found, part, None)
        is_abstract = isinstance(found, type) and found.__module__ == "collections.abc"
        return found.__name__ if is_abstract else None


def _ends_with_literal(node: ast.expr) -> bool:
    return getattr(node, "attr", getattr(node, "id", "")) == "Literal"


def _typing(name: str) -> ast.expr:
    return ast.Attribute(ast.Name("_typing", ast.Load()), name, ast.Load())


def _index(node: ast.expr) -> Any:
    return node if sys.version_info >= (3, 9) else ast.Index(node)


def _is_in(value: Any, found: Any) -> bool:
    try:
        return value in found
    except TypeError:
        return False


def _flat(type_: Any) -> tuple[Any, ...]:
    if isinstance(type_, OptionalOf):
        return (*_flat(type_.item), NONE)
    return type_.members if isinstance(type_, UnionOf) else (type_,)


def _coder(cls: type) -> Any:
    module = sys.modules.get("cog.coder")
    return module.Coder.lookup(cls) if module is not None else None


def _field_readers(classes: tuple[type, ...]) -> typing.Callable[[type, str], Reader]:
    return lambda owner, subject: Reader("field", subject, _class_namespace(owner), classes)


def object_fields(cls: type) -> tuple[ObjectField, ...]:
    """The fields that objects of an output class have."""
    return read_fields(cls, _field_readers((cls,)), is_lenient=True)
