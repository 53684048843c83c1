"""From a target to its signature: finds the function, reads its inputs, its output and its decorators.

Comes in: the project's files and a target. Goes out: a `Signature` and diagnostics COG400 to COG432. The source is
parsed, never imported or run.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...diagnostics import Diagnostic, Edit, Fix
from ...source import Span
from ..files import FileProblem, Files
from .annotations import TypeReader
from .constants import Folder, NotConstant, Thunk
from .decorators import replacing_decorators
from .inputs import InputReader, parameters
from .legacy import LegacyReader
from .modules import External, Function, Module, Project
from .parsing import SourceProblem
from .report import Findings, Where
from .targets import Target, find_target, header
from .types import InputField, IteratorOf, Mode, Scalar, Signature, Type

__all__ = ["analyse_target"]

_RETURN_HELP = (
    "say what it returns, for example:\n"
    "    def {name}({first}prompt: str) -> str:\n"
    '        return "hello " + prompt\n'
    "`-> Any` (from typing) allows every output"
)


def analyse_target(
    files: Files,
    target_file: str,
    target_name: str,
    *,
    mode: Mode,
    python_version: str | None = None,
    named_at: Span | None = None,
) -> tuple[Signature | None, tuple[Diagnostic, ...]]:
    """Read the signature of `target_file:target_name`.

    `python_version` is that of the image ("3.13"), when it is known: syntax that is newer than the Python that
    cogc runs on is then left to the image. `named_at` is where cog.yaml names the target. The signature is None
    when there is no function to be read, or when it comes from outside the project; errors in single inputs leave
    the rest of the signature as it is.
    Errors: COG300, COG400 to COG432.
    """
    # The trees die within `_analyse`, so that the collector never sees them.
    with _collector_paused():
        return _analyse(files, target_file, target_name, mode, python_version, named_at)


def _analyse(
    files: Files, path: str, name: str, mode: Mode, python_version: str | None, named_at: Span | None
) -> tuple[Signature | None, tuple[Diagnostic, ...]]:
    findings = Findings()
    project = Project(files)
    signature = None
    module = _load(project, path, python_version, findings, named_at)
    if module is not None:
        _report_parameter_order(module, findings)
        target = find_target(project, module, name, mode, findings, named_at)
        if target is not None:
            signature = _Reader(project, findings).read(target, f"{path}:{name}", mode)
    return signature, tuple(dict.fromkeys(findings.diagnostics))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A syntax tree is a hundred thousand objects without cycles: collecting meanwhile costs a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _load(
    project: Project, path: str, python_version: str | None, findings: Findings, named_at: Span | None
) -> Module | None:
    try:
        return project.load(path)
    except FileProblem as problem:
        findings.add("COG300", f"`{path}` {problem.reason}", named_at)
    except SourceProblem as problem:
        if problem.code == "COG403" and _may_be_newer(python_version, project, path):
            running = f"{sys.version_info[0]}.{sys.version_info[1]}"
            message = f"`{path}` has syntax that Python {running}, which cogc runs on, does not know"
            findings.defer("COG430", message, problem.span)
        else:
            findings.add(problem.code, problem.message, problem.span)
    return None


def _may_be_newer(python_version: str | None, project: Project, path: str) -> bool:
    """Whether the image's Python may read a file that ours does not."""
    parts = (python_version or "").split(".")
    numbers = tuple(int(part) for part in parts[:2] if part.isdigit() and len(part) < 4)
    if len(numbers) != 2 or numbers <= sys.version_info[:2]:
        return False
    return numbers > _KNOWN_SYNTAX or _NEW_SYNTAX.search(project.source(path)) is not None


_KNOWN_SYNTAX = (3, 14)
# What came after 3.11 and an older parser stumbles over: type statements and parameters, quotes inside f-strings,
# template strings, `except` without parentheses. Source: "What's New in Python" of 3.12 and 3.14.
_NEW_SYNTAX = re.compile(
    r"""(?mx) ^\s*type\s+\w+\s*[=\[]  |  ^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\[
    |  \b(?:[fFtT][rR]?|[rR][fFtT])["']  |  ^\s*except\*?\s+[\w.]+\s*,"""
)


def _report_parameter_order(module: Module, findings: Findings) -> None:
    span = module.repaired_at
    if span is None:
        return
    message = "a parameter without a default follows one with a default, which Python does not allow"
    place = Span(span.file, span.line, span.column, span.line, span.column)
    fix = Fix(title="insert `*,`", edits=(Edit(span=place, replacement="*, "),))
    findings.add("COG429", message, span, hint="move it to the front, or write `*,` before it", fix=fix)


class _Reader:
    """Turns a target into its signature."""

    def __init__(self, project: Project, findings: Findings) -> None:
        self._project = project
        self._findings = findings
        self._folder = Folder(project)
        self._types = TypeReader(project, self._folder, findings)
        self._legacy = LegacyReader(project, self._folder, findings)

    def read(self, target: Target, name: str, mode: Mode) -> Signature:
        """The signature of a target; where parts of it are wrong, the rest is still read."""
        function, module = target.function, target.module
        self._check_replacements(target)
        is_decorated = bool(self._legacy.decorators(function, module))
        is_legacy = is_decorated or target.is_legacy_class
        inputs = self._inputs(target, is_decorated)
        output = self._output(target, is_legacy)
        is_async = isinstance(function, ast.AsyncFunctionDef)
        has_setup, takes_weights = self._setup(target)
        return Signature(
            target=name,
            mode=mode,
            method=target.method,
            inputs=inputs,
            output=output,
            is_function=target.owner is None,
            is_legacy=is_legacy,
            is_async=is_async,
            is_streaming=self._is_streaming(function, module, output),
            has_setup=has_setup,
            takes_weights=takes_weights,
            max_concurrency=self._max_concurrency(function, module, is_async),
            is_complete=self._findings.is_complete,
            origin=header(module, function),
        )

    def _check_replacements(self, target: Target) -> None:
        """COG412 for what makes the function that is called another than the one that is written."""
        written: list[tuple[Module, ast.ClassDef | Function]] = [(target.module, target.function)]
        if target.owner is not None:
            written.append(target.owner)
            if self._project.is_written(target.method):
                message = f"`{target.method}` may be replaced at run time, so its inputs cannot be read"
                self._findings.defer("COG412", message, header(target.module, target.function))
        for module, node in written:
            for decorator in replacing_decorators(self._project, module, node):
                message = f"`{module.text(decorator)}` may change the inputs of `{node.name}`: it does not use `wraps`"
                self._findings.defer("COG412", message, module.span(decorator))

    def _inputs(self, target: Target, is_decorated: bool) -> tuple[InputField, ...]:
        function, module = target.function, target.module
        if is_decorated:
            return self._legacy.read(function, module, target.is_bound)
        if target.is_legacy_class:
            found = parameters(function, target.is_bound)
            if found and all(parameter.node.annotation is None for parameter in found):
                return self._legacy.read_undecorated(function, target.is_bound, module)
        reader = InputReader(self._project, self._folder, self._types, self._findings)
        return reader.read(function, module, target.is_bound, target.scope)

    def _output(self, target: Target, is_legacy: bool) -> Type:
        function, module = target.function, target.module
        yields = _yields(function)
        if function.returns is None:
            if is_legacy:
                return IteratorOf(Scalar.ANY) if yields else Scalar.ANY
            first = "self, " if target.is_bound else ""
            message = f"missing return type annotation on `{function.name}`: the output type must be given"
            hint = _RETURN_HELP.format(name=function.name, first=first)
            self._findings.add("COG406", message, header(module, function), hint=hint)
            return Scalar.UNKNOWN
        where = Where(module, "output", f"the output of `{function.name}`", owner=target.scope)
        output = self._types.read(function.returns, where)
        if yields and not isinstance(output, IteratorOf) and output not in (Scalar.ANY, Scalar.UNKNOWN):
            message = f"`{function.name}` yields, but its output type is not an iterator"
            hint = "use `Iterator[...]` or `ConcatenateIterator[str]`"
            self._findings.add("COG427", message, module.span(function.returns), hint=hint)
        return output

    def _setup(self, target: Target) -> tuple[bool, bool]:
        if target.owner is None:
            return False, False
        member = self._project.class_member(*target.owner, "setup")
        definition = self._project.definition(member) if member is not None else None
        if definition is None or isinstance(definition[1], ast.ClassDef):
            return member is not None, False
        return True, any(parameter.node.arg == "weights" for parameter in parameters(definition[1], True))

    def _decorator(self, function: Function, module: Module, name: str) -> ast.expr | None:
        for decorator in function.decorator_list:
            callee = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._project.resolve(callee, module) == External(name):
                return decorator
        return None

    def _is_streaming(self, function: Function, module: Module, output: Type) -> bool:
        decorator = self._decorator(function, module, "cog.streaming")
        if decorator is None:
            return False
        if not isinstance(output, IteratorOf) and output is not Scalar.UNKNOWN:
            message = f"`{function.name}` is marked as streaming, but its output type is not an iterator"
            self._findings.add("COG423", message, module.span(decorator), hint="return `Iterator[...]`")
        return True

    def _max_concurrency(self, function: Function, module: Module, is_async: bool) -> int | None:
        decorator = self._decorator(function, module, "cog.concurrent")
        if decorator is None:
            return None
        keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
        node = next((keyword.value for keyword in keywords if keyword.arg == "max"), None)
        try:
            value = self._folder.fold(Thunk(node, module)) if node is not None else None
        except NotConstant:
            value = None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            message = "`@cog.concurrent` needs `max=N` with a whole number of at least 1"
            self._findings.add("COG423", message, module.span(decorator))
            return None
        if value > 1 and not is_async:
            message = "concurrent max greater than 1 requires an async function"
            self._findings.add("COG423", message, module.span(decorator), hint=f"write `async def {function.name}`")
        return value


def _yields(function: Function) -> bool:
    """Whether the function is a generator; functions within it do not count."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(function))


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(node)
