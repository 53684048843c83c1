"""The project's Python files as syntax trees, and what a name in them stands for.

Comes in: bytes. Goes out: `Module` values and, for an expression, the `Symbol` it names. Nothing is ever
imported; a module that is not part of the project is only a dotted name (`External`).
"""

from __future__ import annotations

import ast
import builtins
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ...record import record
from ...source import Span
from ..files import FileProblem, Files
from .bindings import Assigned, Binding, Defined, Dynamic, Function, Imported, index
from .effects import effects_of
from .parsing import SourceProblem, parse

__all__ = [
    "Assigned",
    "ClassMember",
    "Defined",
    "Dynamic",
    "External",
    "Function",
    "Local",
    "LocalModule",
    "Module",
    "Project",
    "Symbol",
    "Undefined",
]

MAX_MODULES = 40
MAX_ANCESTORS = 100
MAX_HOPS = 20
# Names looked up in one analysis; real models need a few hundred, classes that inherit in circles need any number.
MAX_STEPS = 20_000


@dataclass(slots=True, repr=False, eq=False)
class Module:
    """One parsed file.

    `written` are the attributes that it sets on anything when it is imported. `repaired_at` is the place of a
    parameter-order error that was worked around.
    """

    path: str
    lines: list[str]
    tree: ast.Module
    bindings: dict[str, Binding]
    star_imports: list[Imported]
    written: frozenset[str] = frozenset()
    repaired_at: Span | None = None

    def span(self, node: ast.AST) -> Span:
        """Where a node stands, in characters."""
        line = getattr(node, "lineno", 1)
        end_line = getattr(node, "end_lineno", None) or line
        column = self._column(line, getattr(node, "col_offset", 0))
        end_column = self._column(end_line, getattr(node, "end_col_offset", None) or 0)
        return Span(self.path, line, column, end_line, end_column if end_line > line else max(end_column, column + 1))

    def _column(self, line: int, byte_offset: int) -> int:
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        if text.isascii():
            return byte_offset + 1
        return len(text.encode("utf-8", "surrogatepass")[:byte_offset].decode("utf-8", "ignore")) + 1

    def text(self, node: ast.AST, limit: int = 60) -> str:
        """The source of a node on one line, cut to `limit` characters."""
        span = self.span(node)
        lines = self.lines[span.line - 1 : span.end_line]
        if not lines:
            return ""
        lines[-1] = lines[-1][: span.end_column - 1]
        lines[0] = lines[0][span.column - 1 :]
        text = " ".join(" ".join(lines).split())
        return text if len(text) <= limit else text[: limit - 1] + "…"


@record(kw_only=False)
class External:
    """A name outside the project, such as `cog.Path`; aliases of the same thing have one spelling."""

    name: str


@record(kw_only=False, eq=False)
class Local:
    """A name of one of the project's modules."""

    module: Module
    name: str
    binding: Assigned | Defined | Dynamic


@record(kw_only=False, eq=False)
class ClassMember:
    """A name in the body of a class of the project."""

    module: Module
    owner: ast.ClassDef
    name: str
    binding: Assigned | Defined | Dynamic


@record(kw_only=False, eq=False)
class LocalModule:
    """A module of the project."""

    module: Module


@record(kw_only=False)
class Undefined:
    """A name that nothing defines. `is_certain` is False when a star import could define it."""

    name: str
    is_certain: bool = True


Symbol: TypeAlias = External | Local | ClassMember | LocalModule | Undefined


def _module(path: str, content: bytes) -> Module:
    text, tree, repaired_at = parse(path, content)
    bindings, star_imports = index(tree.body)
    effects = effects_of(tree)
    bindings |= {name: Dynamic() for name in effects.names if isinstance(bindings.get(name), Assigned)}
    return Module(path, text.split("\n"), tree, bindings, star_imports, effects.attributes, repaired_at)


# Modules whose names are read by what they are, never looked for among the project's files.
_KNOWN_ROOTS = {"cog", "typing", "typing_extensions", "collections", "builtins", "pathlib", "os", "io", "enum",
                "dataclasses", "abc", "datetime", "textwrap", "functools"}  # fmt: skip


def canonical(name: str) -> str:
    """One spelling for the names that have several: `typing_extensions.List` is `typing.List`."""
    for prefix in ("typing_extensions.", "collections.abc."):
        if name.startswith(prefix):
            return "typing." + name[len(prefix) :]
    if name.startswith("cog."):
        return "cog." + name.rpartition(".")[2]
    return name


class Project:
    """The project's modules, parsed when first needed, a bounded number of them."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._modules: dict[str, Module | None] = {}
        self._located: dict[tuple[str, str], str | None] = {}
        self._indexed: dict[ast.ClassDef, dict[str, Binding]] = {}
        self._lines: dict[ast.ClassDef, list[tuple[Module, ast.ClassDef]]] = {}
        self._searching: set[tuple[str, str]] = set()
        self._steps_left = MAX_STEPS

    def load(self, path: str) -> Module:
        """Parse the file at `path`. Errors: `SourceProblem`, `FileProblem`."""
        module = self._modules.get(path)
        if module is None:
            module = self._modules[path] = _module(path, self._files.read(path))
        return module

    def source(self, path: str) -> str:
        """The text of a file that could be read, whatever its encoding says. Error: `FileProblem`."""
        return self._files.read(path).decode("utf-8", "replace")

    def _module_at(self, path: str) -> Module | None:
        """The module, or None if it is beyond the bounds or has no syntax tree."""
        if path not in self._modules:
            if len(self._modules) >= MAX_MODULES:
                return None
            self._modules[path] = None
            try:
                self.load(path)
            except (SourceProblem, FileProblem):
                return None
        return self._modules[path]

    def _locate(self, dotted: str, level: int, importer: Module) -> str | None:
        """The path of a module of the project, seen from `importer`."""
        if level == 0 and dotted.partition(".")[0] in _KNOWN_ROOTS:
            return None
        folder = importer.path.rpartition("/")[0]
        key = (folder, "." * level + dotted)
        if key not in self._located:
            candidates = _module_paths(dotted, level, folder)
            self._located[key] = next((path for path in candidates if self._files.kind(path) == "file"), None)
        return self._located[key]

    def resolve(self, expression: ast.expr, module: Module, hops: int = 0) -> Symbol | None:
        """What a name or dotted name stands for; None for every other expression."""
        self._steps_left -= 1
        if hops > MAX_HOPS or self._steps_left < 0:
            return None
        match expression:
            case ast.Name(id=name):
                return self.lookup(name, module, hops)
            case ast.Attribute(value=value, attr=attribute):
                owner = self.resolve(value, module, hops + 1)
                member = self._member(owner, attribute, hops) if owner is not None else None
                return self._submodule(member, module) if isinstance(member, External) else member
            case _:
                return None

    def _submodule(self, symbol: External, importer: Module) -> Symbol:
        """`models.image` after `import models.image`, where `models` is a folder without an `__init__.py`."""
        path = self._locate(symbol.name, 0, importer)
        source = self._module_at(path) if path is not None else None
        return LocalModule(source) if source is not None else symbol

    def lookup(self, name: str, module: Module, hops: int = 0) -> Symbol | None:
        """What a global name of a module stands for."""
        self._steps_left -= 1
        if hops > MAX_HOPS or self._steps_left < 0:
            return None
        binding = module.bindings.get(name)
        if isinstance(binding, Imported):
            return self._follow(binding, module, hops)
        if binding is not None:
            return Local(module, name, binding)
        return self._search(name, module, hops)

    def _search(self, name: str, module: Module, hops: int) -> Symbol:
        """A name that the module itself does not bind: from a star import, of Python itself, or of nothing."""
        certain = True
        if (module.path, name) not in self._searching:
            self._searching.add((module.path, name))
            try:
                for star in reversed(module.star_imports):
                    found = self._in_star_import(name, star, module, hops)
                    if found is not None and not isinstance(found, Undefined):
                        return found
                    certain = certain and (found is None or found.is_certain)
            finally:
                self._searching.discard((module.path, name))
        if hasattr(builtins, name):
            return External(f"builtins.{name}")
        return Undefined(name, certain)

    def star_closure(self, module: Module) -> Iterator[Module]:
        """The module and those of the project that it takes all names from, each once."""
        seen: set[str] = set()
        pending = [module]
        while pending:
            current = pending.pop()
            if current.path in seen:
                continue
            seen.add(current.path)
            yield current
            paths = (self._locate(star.module, star.level, current) for star in current.star_imports)
            pending += filter(None, (self._module_at(path) for path in paths if path is not None))

    def _in_star_import(self, name: str, star: Imported, module: Module, hops: int) -> Symbol | None:
        """The name as a star import brings it in; None when it certainly does not."""
        path = self._locate(star.module, star.level, module)
        source = self._module_at(path) if path is not None else None
        if source is not None:
            found = self.lookup(name, source, hops + 1)
            # Every module has the names of Python itself; a star import does not bring them in.
            is_own = isinstance(found, External) and found.name == f"builtins.{name}"
            return None if is_own else found
        if star.module in _STAR_NAMES:
            return External(f"{star.module}.{name}") if name in _STAR_NAMES[star.module] else None
        return Undefined(name, is_certain=False)

    def _follow(self, imported: Imported, module: Module, hops: int) -> Symbol | None:
        path = self._locate(imported.module, imported.level, module)
        if imported.name is None:
            source = self._module_at(path) if path is not None else None
            return LocalModule(source) if source is not None else External(imported.module)
        if path is not None and (source := self._module_at(path)) is not None:
            found = self.lookup(imported.name, source, hops + 1)
            if found is not None and not isinstance(found, Undefined):
                return found
        dotted = f"{imported.module}.{imported.name}" if imported.module else imported.name
        submodule = self._locate(dotted, imported.level, module)
        if submodule is not None and (source := self._module_at(submodule)) is not None:
            return LocalModule(source)
        return External(canonical(dotted))

    def _member(self, owner: Symbol, attribute: str, hops: int) -> Symbol | None:
        match owner:
            case External(name=name):
                return External(canonical(f"{name}.{attribute}"))
            case LocalModule(module=module):
                found = self.lookup(attribute, module, hops + 1)
                inner = module.path.removesuffix("__init__.py") + f"{attribute}.py"
                if isinstance(found, Undefined) and module.path.endswith("__init__.py"):
                    source = self._module_at(inner) if self._files.kind(inner) == "file" else None
                    return LocalModule(source) if source is not None else found
                return found
            case Local(module=module, binding=Defined(node=ast.ClassDef() as node)):
                return self.class_member(module, node, attribute, hops)
            case Local(module=module, binding=Assigned(value=value)):
                # `SHARED = SharedInputs()` has the attributes of its class.
                named = value.func if isinstance(value, ast.Call) and not value.args + value.keywords else value
                target = self.resolve(named, module, hops + 1)
                if named is not value and not isinstance(target, Local):
                    return None
                return self._member(target, attribute, hops + 1) if target is not None and hops < MAX_HOPS else None
            case _:
                return None

    def class_member(self, module: Module, node: ast.ClassDef, name: str, hops: int = 0) -> ClassMember | None:
        """The first definition of `name` in a class and its bases of the project."""
        for home, current in self.ancestry(module, node, hops):
            binding = self.class_bindings(current).get(name)
            if binding is not None and not isinstance(binding, Imported):
                return ClassMember(home, current, name, binding)
        return None

    def class_bindings(self, node: ast.ClassDef) -> dict[str, Binding]:
        """What the body of a class binds."""
        if node not in self._indexed:
            self._indexed[node] = index(node.body)[0]
        return self._indexed[node]

    def ancestry(self, module: Module, node: ast.ClassDef, hops: int = 0) -> Iterator[tuple[Module, ast.ClassDef]]:
        """The class and its bases within the project, in the order in which Python looks names up."""
        yield from self._linearized(module, node, hops, ())

    def _linearized(
        self, module: Module, node: ast.ClassDef, hops: int, below: tuple[ast.ClassDef, ...]
    ) -> list[tuple[Module, ast.ClassDef]]:
        if node not in self._lines:
            if node in below or len(below) > MAX_ANCESTORS:
                return [(module, node)]
            bases = (self.resolve(_unsubscripted(base), module, hops + 1) for base in node.bases)
            found = (self.definition(base) for base in bases if base is not None)
            local = [(home, base) for home, base in filter(None, found) if isinstance(base, ast.ClassDef)]
            lines = [self._linearized(home, base, hops, (*below, node)) for home, base in local]
            self._lines[node] = [(module, node), *_merged([*lines, local])][:MAX_ANCESTORS]
        return self._lines[node]

    def is_written(self, name: str) -> bool:
        """Whether one of the modules read so far sets an attribute of that name on something."""
        return any(module is not None and name in module.written for module in self._modules.values())

    def external_bases(self, module: Module, node: ast.ClassDef) -> tuple[str, ...]:
        """The names of all bases outside the project; `?` for what cannot be told."""
        names: dict[str, None] = {}
        for home, current in self.ancestry(module, node):
            for base in current.bases:
                symbol = self.resolve(_unsubscripted(base), home)
                if isinstance(symbol, External):
                    names[symbol.name] = None
                elif isinstance(symbol, Undefined):
                    names[symbol.name if symbol.is_certain else "?"] = None
                elif symbol is None or self.definition(symbol) is None:
                    names["?"] = None
        return tuple(names)

    def definition(self, symbol: Symbol, hops: int = 0) -> tuple[Module, ast.ClassDef | Function] | None:
        """The class or function behind a symbol, through aliases such as `Predictor = Upscaler`."""
        match symbol:
            case (
                Local(module=module, binding=Defined(node=node))
                | ClassMember(module=module, binding=Defined(node=node))
            ):
                return module, node
            case (
                Local(module=module, binding=Assigned(value=value))
                | ClassMember(module=module, binding=Assigned(value=value))
            ) if hops < MAX_HOPS:
                target = self.resolve(value, module, hops + 1)
                return self.definition(target, hops + 1) if target is not None else None
            case _:
                return None


def _merged(lines: list[list[tuple[Module, ast.ClassDef]]]) -> list[tuple[Module, ast.ClassDef]]:
    """The C3 merge of Python's method resolution: a class comes before its bases, and bases in their order.

    Source: https://docs.python.org/3/howto/mro.html. Where the orders contradict each other, which is an error in
    Python, the first class that is left goes first.
    """
    pending = [list(line) for line in lines if line]
    merged: list[tuple[Module, ast.ClassDef]] = []
    while pending:
        later = {id(node) for line in pending for _, node in line[1:]}
        chosen = next((line[0] for line in pending if id(line[0][1]) not in later), pending[0][0])
        merged.append(chosen)
        pending = [[each for each in line if each[1] is not chosen[1]] for line in pending]
        pending = [line for line in pending if line]
    return merged


def _unsubscripted(base: ast.expr) -> ast.expr:
    return base.value if isinstance(base, ast.Subscript) else base


def _module_paths(dotted: str, level: int, folder: str) -> list[str]:
    if level > 0:
        parts = folder.split("/") if folder else []
        if level - 1 > len(parts):
            return []
        bases = ["/".join(parts[: len(parts) - (level - 1)])]
    else:
        # /src, the project root, is on the module search path; the file's own folder is a courtesy.
        bases = ["", folder] if folder else [""]
    inner = dotted.replace(".", "/")
    paths = []
    for base in bases:
        stem = "/".join(part for part in (base, inner) if part)
        if stem:
            paths += [f"{stem}.py", f"{stem}/__init__.py"] if inner else [f"{stem}/__init__.py"]
        else:
            paths.append("__init__.py")
    return paths


COG_NAMES = frozenset({
    "AsyncConcatenateIterator", "AsyncIterator", "BaseModel", "BasePredictor", "BaseRunner", "CancelationException",
    "ConcatenateIterator", "File", "Input", "Opaque", "Path", "Predictor", "Secret", "URLFile", "URLPath",
})  # fmt: skip
TYPING_NAMES = frozenset({
    "Annotated", "Any", "AsyncGenerator", "AsyncIterator", "ClassVar", "Dict", "Final", "FrozenSet", "Generator",
    "Iterable", "Iterator", "List", "Literal", "Mapping", "NamedTuple", "NewType", "NotRequired", "Optional",
    "Required", "Sequence", "Set", "Text", "Tuple", "TypedDict", "Union",
})  # fmt: skip
_STAR_NAMES = {"cog": COG_NAMES | {"input", "streaming", "concurrent"}, "typing": frozenset(typing.__all__)}
