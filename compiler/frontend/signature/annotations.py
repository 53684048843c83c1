"""Annotations to types: `Optional[list[Path]]` in the source becomes `OptionalOf(ListOf(Scalar.PATH))`.

Comes in: an annotation expression. Goes out: a `Type` and, in the `Findings`, COG408 to COG409, COG420 to COG422
and COG431. Forms understood: names and their aliases, `X[...]`, `X | Y`, text annotations, `Annotated`.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterable
from dataclasses import replace

from ...source import Span
from .constants import Folder, NotConstant, Thunk
from .modules import (
    COG_NAMES,
    TYPING_NAMES,
    Assigned,
    ClassMember,
    Defined,
    External,
    Local,
    Module,
    Project,
    Symbol,
    Undefined,
)
from .objects import ObjectReader
from .report import Findings, Where
from .types import (
    DictOf,
    IteratorOf,
    Json,
    ListOf,
    LiteralOf,
    ObjectField,
    ObjectOf,
    OptionalOf,
    Scalar,
    Type,
    UnionOf,
    freeze,
)

__all__ = ["SUPPORTED_TYPES", "TypeReader"]

SUPPORTED_TYPES = "`str`, `int`, `float`, `bool`, `cog.File`, `cog.Path`, `cog.Secret`, and lists or unions of them"
MAX_DEPTH = 30
MAX_READS = 10_000

_SCALARS: dict[str, Scalar] = {
    "builtins.str": Scalar.STR,
    "typing.Text": Scalar.STR,
    "builtins.int": Scalar.INT,
    "builtins.float": Scalar.FLOAT,
    "builtins.bool": Scalar.BOOL,
    "builtins.object": Scalar.ANY,
    "typing.Any": Scalar.ANY,
    "builtins.None": Scalar.NONE,
    "cog.Path": Scalar.PATH,
    "cog.URLPath": Scalar.PATH,
    "cog.File": Scalar.FILE,
    "cog.URLFile": Scalar.FILE,
    "cog.Secret": Scalar.SECRET,
    "pydantic.SecretStr": Scalar.SECRET,
    "pydantic.types.SecretStr": Scalar.SECRET,
}
# What the server turns into JSON although it is none of the types above.
_OUTPUT_SCALARS: dict[str, Scalar] = {
    "io.BytesIO": Scalar.FILE,
    "io.StringIO": Scalar.FILE,
    "io.IOBase": Scalar.FILE,
    "typing.IO": Scalar.FILE,
    "typing.BinaryIO": Scalar.FILE,
    "typing.TextIO": Scalar.FILE,
    "datetime.datetime": Scalar.STR,
    "datetime.date": Scalar.STR,
    "os.PathLike": Scalar.PATH,
    "numpy.ndarray": Scalar.ANY,
    "torch.Tensor": Scalar.ANY,
}
# Outputs that the server turns into JSON as it finds them; their annotation says nothing about it.
_OPAQUE = {
    *(f"typing.{name}" for name in (
        "Collection", "Container", "Deque", "DefaultDict", "OrderedDict", "Counter", "ChainMap", "KeysView",
        "ValuesView", "ItemsView", "MutableSet", "Hashable", "Sized", "Reversible",
    )),
    "collections.deque", "collections.defaultdict", "collections.OrderedDict", "collections.Counter",
    "collections.ChainMap",
}  # fmt: skip
_FILE_PATHS = {"pathlib.Path", "pathlib.PosixPath", "pathlib.PurePath", "pathlib.PurePosixPath"}
_LISTS = {"builtins.list", "typing.List", "typing.Sequence", "typing.MutableSequence"}
_DICTS = {"builtins.dict", "typing.Dict", "typing.Mapping", "typing.MutableMapping"}
_TUPLES = {"builtins.tuple", "typing.Tuple"}
_SETS = {"builtins.set", "builtins.frozenset", "typing.Set", "typing.FrozenSet", "typing.AbstractSet"}
_ITERATORS = {"typing.Iterator", "typing.AsyncIterator", "cog.AsyncIterator", "typing.Generator",
              "typing.AsyncGenerator", "typing.Iterable", "typing.AsyncIterable"}  # fmt: skip
_CONCATENATED = {"cog.ConcatenateIterator", "cog.AsyncConcatenateIterator"}
_WRAPPERS = {"typing.Final", "typing.Required", "typing.NotRequired", "typing.ReadOnly", "typing.Awaitable"}


class TypeReader:
    """Reads annotations of one project."""

    def __init__(self, project: Project, folder: Folder, findings: Findings) -> None:
        self._project = project
        self._folder = folder
        self._findings = findings
        self._objects = ObjectReader(project, folder)
        self._open_aliases: list[ast.expr] = []
        self._assumed: set[str] = set()
        self._reads_left = MAX_READS

    def read(self, node: ast.expr, where: Where) -> Type:
        """The type that an annotation means; `Scalar.UNKNOWN` where it means none."""
        self._reads_left -= 1
        if self._reads_left < 0:
            return Scalar.UNKNOWN
        if where.depth > MAX_DEPTH or self._reads_left == 0:
            return self._unsupported(node, where, "is nested too deeply")
        inner = replace(where, depth=where.depth + 1)
        match node:
            case ast.Constant(value=None):
                return Scalar.NONE
            case ast.Constant(value=str(text)):
                return self._read_text(text, node, inner)
            case ast.Name() | ast.Attribute():
                return self._read_name(node, inner)
            case ast.BinOp(op=ast.BitOr()):
                return self._union(list(_alternatives(node)), node, inner)
            case ast.Subscript(value=generic, slice=arguments):
                return self._read_generic(node, generic, arguments, inner)
            case _:
                return self._unsupported(node, where, "is not a type")

    def _read_text(self, text: str, node: ast.Constant, where: Where) -> Type:
        if len(text) > 2000:
            return self._unsupported(node, where, "is too long for a type")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expression = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return self._unsupported(node, where, "is not a type")
        return self.read(expression, replace(where, text_node=where.text_node or node))

    def _read_name(self, node: ast.expr, where: Where) -> Type:
        symbol = self._resolve(node, where)
        match symbol:
            case External(name=name):
                return self._read_external(name, node, where)
            case Local(module=module, binding=Assigned(value=ast.Call(args=[_, underlying]) as call)) if (
                self._is_new_type(call, module)
            ):
                return self.read(
                    underlying, replace(where, module=module, text_node=where.text_node or node, owner=None)
                )
            case Local(
                module=module, name=name, binding=Assigned(value=ast.Call(args=[_, ast.Dict() as fields]) as call)
            ) if self._project.resolve(call.func, module) == External("typing.TypedDict"):
                return self._typed_dict(name, call, fields, replace(where, module=module))
            case Local(module=module, binding=Assigned(value=value)) if not isinstance(value, ast.Call):
                return self._read_alias(value, replace(where, module=module, text_node=None, owner=None))
            case ClassMember(module=module, owner=owner, binding=Assigned(value=value)) if not isinstance(
                value, ast.Call
            ):
                return self._read_alias(value, replace(where, module=module, text_node=None, owner=owner))
            case Undefined(is_certain=True):
                return self._unsupported(node, where, "is not defined")
            case None | Undefined():
                return self._unresolved(node, where, None)
            case _:
                return self._read_class(symbol, node, where)

    def _typed_dict(self, name: str, call: ast.Call, written: ast.Dict, where: Where) -> Type:
        """`TypedDict("Name", {"key": type})`, which is for keys that are no identifiers."""
        is_total = not any(
            keyword.arg == "total" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            for keyword in call.keywords
        )
        fields = []
        for key, value in zip(written.keys, written.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                return self._unresolved(call, where, None)
            inside = Where(where.module, "field", f"the field `{key.value}`", where.depth + 1)
            fields.append(ObjectField(name=key.value, type=self.read(value, inside), is_required=is_total))
        return ObjectOf(name, tuple(fields))

    def _resolve(self, node: ast.expr, where: Where) -> Symbol | None:
        """What a name stands for: in the class around a method, in its module, or without having been imported."""
        if where.owner is not None and isinstance(node, ast.Name):
            binding = self._project.class_bindings(where.owner).get(node.id)
            is_class = isinstance(binding, Defined) and isinstance(binding.node, ast.ClassDef)
            # Around a field, other names may be those of fields (`date: date = None`).
            if isinstance(binding, Assigned | Defined) and (is_class or where.place != "field"):
                return ClassMember(where.module, where.owner, node.id, binding)
        symbol = self._project.resolve(node, where.module)
        if isinstance(symbol, Undefined):
            return self.assume(symbol, node, where) or symbol
        return symbol

    def _read_alias(self, value: ast.expr, where: Where) -> Type:
        if value in self._open_aliases:
            # `Json = Union[str, List["Json"]]` has no finite schema.
            return Scalar.ANY
        self._open_aliases.append(value)
        try:
            return self.read(value, where)
        finally:
            self._open_aliases.pop()

    def _is_new_type(self, call: ast.Call, module: Module) -> bool:
        return self._project.resolve(call.func, module) == External("typing.NewType")

    def assume(self, symbol: Undefined, node: ast.AST, where: Where) -> External | None:
        """Read a name that was not imported as the one of `cog` or `typing` it most likely means."""
        for package, names in (("cog", COG_NAMES), ("typing", TYPING_NAMES)):
            if symbol.name in names:
                if symbol.is_certain and symbol.name not in self._assumed:
                    self._assumed.add(symbol.name)
                    self._findings.add(
                        "COG421",
                        f"`{symbol.name}` is not imported; it is read as `{package}.{symbol.name}`",
                        self._span(node, where),
                        hint=f"add `from {package} import {symbol.name}`",
                    )
                return External(f"{package}.{symbol.name}")
        return None

    def _read_external(self, name: str, node: ast.expr, where: Where) -> Type:
        if name in _SCALARS:
            if _SCALARS[name] is Scalar.SECRET and where.place == "output":
                self._limit(node, where, "has a secret as output")
            return _SCALARS[name]
        if name in _FILE_PATHS:
            if where.place == "input":
                message = f"{where.subject} has the type `{name}`, which is read as `cog.Path`"
                self._findings.add("COG431", message, self._span(node, where), hint="use `from cog import Path`")
            return Scalar.PATH
        if name in _LISTS:
            return ListOf(Scalar.ANY)
        if name in _DICTS:
            return DictOf(Scalar.ANY)
        if name in _TUPLES | _SETS:
            self._limit(node, where, "is a tuple or a set")
            return ListOf(Scalar.ANY)
        if name in _CONCATENATED or name in _ITERATORS:
            return self._iterator(name, [], node, where)
        if where.place != "input" and name in _OUTPUT_SCALARS:
            return _OUTPUT_SCALARS[name]
        if where.place != "input" and name in _OPAQUE:
            self._limit(node, where, "has a type that says nothing about its JSON")
            return Scalar.ANY
        if name.startswith(("builtins.", "typing.", "cog.")):
            return self._unsupported(node, where, "is not a type that models can use")
        return self._unresolved(node, where, name)

    def _read_class(self, symbol: Symbol, node: ast.expr, where: Where) -> Type:
        definition = self._project.definition(symbol)
        if definition is None:
            return self._unresolved(node, where, None)
        module, owner = definition
        if not isinstance(owner, ast.ClassDef):
            return self._unsupported(node, where, "is a function, not a type")
        if self._folder.is_enum(module, owner):
            return self._enum(module, owner, node, where)
        found = self._objects.read(module, owner, where, self.read)
        if isinstance(found, str):
            scalar = self._scalar_base(module, owner)
            if scalar is not None:
                return scalar
            if found == "unresolved":
                return self._unresolved(node, where, None)
            return self._unsupported(node, where, found)
        if "BaseModel" in self._project.external_bases(module, owner):
            self.assume(Undefined("BaseModel"), owner, replace(where, module=module, text_node=None, owner=None))
        if where.place == "input" and not self._objects.is_typed_dict(module, owner):
            self._limit(node, where, "is an object as input")
        elif where.place == "field" and isinstance(found, ObjectOf):
            self._limit(node, where, "is an object within an object")
        return found

    def _scalar_base(self, module: Module, owner: ast.ClassDef) -> Scalar | None:
        """What the values of a class are that is derived from `str`, `int`, `Path` and the like."""
        bases = self._project.external_bases(module, owner)
        if not _FILE_PATHS.isdisjoint(bases):
            return Scalar.PATH
        return next((scalar for name, scalar in _SCALARS.items() if name in bases and name != "builtins.object"), None)

    def _enum(self, module: Module, owner: ast.ClassDef, node: ast.expr, where: Where) -> Type:
        if where.place == "input":
            return self._unsupported(node, where, "is an enum", "use `Literal[...]`, or `str` with `choices`")
        try:
            values = [member.value for member in self._folder.members(module, owner)]
        except NotConstant:
            return self._unresolved(node, where, None)
        try:
            return LiteralOf(tuple(map(freeze, values)))
        except ValueError:
            return Scalar.ANY

    def _read_generic(self, node: ast.Subscript, generic: ast.expr, slice_: ast.expr, where: Where) -> Type:
        symbol = self._resolve(generic, where)
        arguments = slice_.elts if isinstance(slice_, ast.Tuple) else [slice_]
        if not arguments:
            return self._unsupported(node, where, "has nothing between its brackets")
        if not isinstance(symbol, External):
            return self._unresolved(node, where, None)
        match symbol.name:
            case "typing.Optional":
                return self._union([*arguments, ast.Constant(None)], node, where)
            case "typing.Union":
                return self._union(list(arguments), node, where)
            case "typing.Literal":
                return self._literal(arguments, node, where)
            case "typing.Annotated":
                return self._annotated(arguments, where)
            case name if name in _LISTS:
                return ListOf(self._element(arguments[0], node, where))
            case name if name in _DICTS:
                return self._dict(arguments, node, where)
            case name if name in _TUPLES | _SETS:
                return self._tuple(arguments, node, where)
            case name if name in _ITERATORS | _CONCATENATED:
                return self._iterator(name, arguments, node, where)
            case name if name in _WRAPPERS and arguments:
                return self.read(arguments[0], where)
            case name if (name in _OUTPUT_SCALARS or name in _OPAQUE) and where.place != "input":
                return self._read_external(name, node, where)
            case name if name.startswith(("builtins.", "typing.", "cog.")):
                return self._unsupported(node, where, "is not a type that models can use")
            case name:
                return self._unresolved(node, where, name)

    def _element(self, node: ast.expr, whole: ast.expr, where: Where) -> Type:
        item = self.read(node, replace(where, in_container=True))
        if where.place == "input" and isinstance(item, ListOf | DictOf | OptionalOf | UnionOf):
            self._limit(whole, where, "nests one generic type in another")
        return item

    def _dict(self, arguments: list[ast.expr], node: ast.expr, where: Where) -> Type:
        if len(arguments) != 2:
            return self._unsupported(node, where, "needs a type for keys and one for values")
        key = self.read(arguments[0], replace(where, in_container=True))
        if key not in (Scalar.STR, Scalar.ANY, Scalar.UNKNOWN) and not isinstance(key, LiteralOf):
            self._limit(node, where, "has keys that are not text, which JSON turns into text")
        return DictOf(self.read(arguments[1], replace(where, in_container=True)))

    def _tuple(self, arguments: list[ast.expr], node: ast.expr, where: Where) -> Type:
        self._limit(node, where, "is a tuple or a set")
        parts = [part for part in arguments if not (isinstance(part, ast.Constant) and part.value is ...)]
        types = list(dict.fromkeys(self.read(part, replace(where, in_container=True)) for part in parts))
        return ListOf(types[0] if len(types) == 1 else UnionOf(tuple(types)) if types else Scalar.ANY)

    def _annotated(self, arguments: list[ast.expr], where: Where) -> Type:
        inner, *more = arguments
        while isinstance(inner, ast.Subscript) and self._resolve(inner.value, where) == External("typing.Annotated"):
            # Python makes one of two that stand in each other.
            parts = inner.slice.elts if isinstance(inner.slice, ast.Tuple) else [inner.slice]
            inner, more = parts[0], [*parts[1:], *more]
        metadata = [self._project.resolve(_callee(part), where.module) for part in more]
        if External("cog.Opaque") in metadata:
            outer = inner.value if isinstance(inner, ast.Subscript) else inner
            is_list = self._is_list(outer, where.module)
            return ListOf(DictOf(Scalar.ANY)) if is_list else DictOf(Scalar.ANY)
        if External("cog.Input") in metadata:
            message = f"{where.subject} has `Input(...)` inside `Annotated`, where it is ignored"
            hint = "write it as the default: `name: type = Input(...)`"
            self._findings.add("COG422", message, self._span(arguments[1], where), hint=hint)
        return self.read(inner, where)

    def _is_list(self, node: ast.expr, module: Module) -> bool:
        symbol = self._project.resolve(node, module)
        return isinstance(symbol, External) and symbol.name in _LISTS

    def _literal(self, arguments: list[ast.expr], node: ast.expr, where: Where) -> Type:
        values = []
        for argument in arguments:
            try:
                values.append(freeze(self._folder.fold(Thunk(argument, where.module))))
            except (NotConstant, ValueError):
                return self._unsupported(argument, where, "is not a literal")
        distinct = _distinct(value for value in values if value is not None)
        literal = LiteralOf(distinct) if distinct else Scalar.NONE
        return OptionalOf(literal) if None in values and distinct else literal

    def _union(self, members: list[ast.expr], node: ast.expr, where: Where) -> Type:
        types = [self.read(member, replace(where, in_container=True)) for member in members]
        flat = [part for type_ in types for part in _flatten(type_)]
        distinct = tuple(dict.fromkeys(part for part in flat if part is not Scalar.NONE))
        is_optional = Scalar.NONE in flat
        if not distinct:
            return Scalar.NONE
        if len(distinct) > 1:
            if where.place == "output":
                self._limit(node, where, "is a union as output")
            elif any(part in (Scalar.PATH, Scalar.FILE, Scalar.SECRET) for part in distinct):
                self._limit(node, where, "is a union with `Path`, `File` or `Secret`")
        elif is_optional and where.place == "output":
            self._limit(node, where, "is optional as output")
        whole = distinct[0] if len(distinct) == 1 else UnionOf(distinct)
        return OptionalOf(whole) if is_optional else whole

    def _iterator(self, name: str, arguments: list[ast.expr], node: ast.expr, where: Where) -> Type:
        span = self._span(node, where)
        if where.place != "output" or where.in_container:
            message = f"{where.subject} has an iterator type, which only the whole output can have"
            self._findings.add("COG420", message, span, hint="use `list[...]`")
            return Scalar.UNKNOWN
        is_concatenated = name in _CONCATENATED
        default = Scalar.STR if is_concatenated else Scalar.ANY
        item = self.read(arguments[0], replace(where, in_container=True)) if arguments else default
        if is_concatenated and item not in (Scalar.STR, Scalar.UNKNOWN):
            found = where.module.text(arguments[0]) if where.text_node is None else item
            message = f"the element type of `ConcatenateIterator` must be `str`, got `{found}`"
            self._findings.add("COG420", message, span, hint="use `Iterator[...]` for other types")
            item = Scalar.STR
        return IteratorOf(item, is_concatenated)

    def _span(self, node: ast.AST, where: Where) -> Span:
        return where.module.span(where.text_node or node)

    def _text(self, node: ast.expr, where: Where) -> str:
        return ast.unparse(node)[:80] if where.text_node is not None else where.module.text(node)

    def _limit(self, node: ast.expr, where: Where, phrase: str) -> None:
        message = f"{where.subject} {phrase}; Cog itself may refuse it"
        self._findings.add("COG422", message, self._span(node, where))

    def _unsupported(self, node: ast.expr, where: Where, reason: str, hint: str | None = None) -> Type:
        message = f"the type of {where.subject}, `{self._text(node, where)}`, {reason}"
        hint = hint or f"supported are {SUPPORTED_TYPES}"
        self._findings.add("COG408", message, self._span(node, where), hint=hint)
        return Scalar.UNKNOWN

    def _unresolved(self, node: ast.expr, where: Where, name: str | None) -> Type:
        if where.place == "input" and name is not None and name.partition(".")[0] in sys.stdlib_module_names:
            return self._unsupported(node, where, "is not a type that models can use")
        origin = f" (imported from `{name.rpartition('.')[0]}`)" if name and "." in name else ""
        message = f"cannot resolve the type of {where.subject}, `{self._text(node, where)}`{origin}"
        self._findings.defer("COG409", message, self._span(node, where))
        return Scalar.UNKNOWN


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """The members of `A | B | C`, left to right."""
    members: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        members.append(node.right)
        node = node.left
    return [node, *reversed(members)]


def _flatten(type_: Type) -> tuple[Type, ...]:
    match type_:
        case OptionalOf(item=item):
            return (*_flatten(item), Scalar.NONE)
        case UnionOf(members=members):
            return members
        case _:
            return (type_,)


def _callee(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _distinct(values: Iterable[Json]) -> tuple[Json, ...]:
    """Each value once; `1` and `True` are different values in JSON."""
    return tuple({(type(value), value): value for value in values}.values())
