"""cog.yaml text → a tree of values that remember where they stand and how they were written.

Comes in: bytes. Goes out: a `Tree` and diagnostics; never an exception, whatever the bytes. Built from
PyYAML's event stream, without recursion, so that deep nesting, huge files and exploding aliases end at
a limit. Shape and meaning are not looked at here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from yaml.reader import Reader
from yaml.resolver import Resolver

from ..diagnostics import Diagnostic, Note, report
from ..record import record
from ..source import SourceFile, Span

__all__ = ["Entry", "MappingNode", "ScalarNode", "SequenceNode", "TreeNode", "decode", "parse"]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 50_000

# The C parser is ten times as fast; both give the same events.
_YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@record(kw_only=False)
class ScalarNode:
    """A scalar. `text` is what was written (quotes removed), `value` what YAML makes of it."""

    span: Span
    text: str
    value: str | int | float | bool | None
    is_quoted: bool = False


@record(kw_only=False)
class SequenceNode:
    """A list of nodes."""

    span: Span
    items: tuple[TreeNode, ...]


@record(kw_only=False)
class Entry:
    """One key of a mapping with its value."""

    key: str
    key_span: Span
    value: TreeNode


@record(kw_only=False)
class MappingNode:
    """A mapping in the order written; keys are unique."""

    span: Span
    entries: tuple[Entry, ...]

    def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        return next((entry for entry in self.entries if entry.key == key), None)


TreeNode: TypeAlias = ScalarNode | SequenceNode | MappingNode


def decode(raw: bytes, name: str) -> tuple[SourceFile | None, tuple[Diagnostic, ...]]:
    """Decode the bytes of a configuration as UTF-8. Errors: COG105, COG106; remarks: COG108, COG111."""
    if len(raw) > MAX_BYTES:
        return None, (
            report(
                "COG106",
                f"the file has {len(raw):,} bytes; a configuration may have {MAX_BYTES:,}",
                Span.of_file(name),
                hint="move data out of the configuration into files of the project",
            ),
        )
    found: list[Diagnostic] = []
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None, (_wrong_encoding(name, 1, 1, "it looks like UTF-16"),)
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
        found.append(report("COG108", "the file starts with a byte order mark, which is ignored", Span.of_file(name)))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return None, (_wrong_encoding(name, line, column, f"byte 0x{raw[error.start]:02x} is not valid there"),)
    if "\r\n" in text:
        found.append(report("COG111", "the file has Windows line ends", Span.of_file(name)))
    return SourceFile(name, text), tuple(found)


def _wrong_encoding(name: str, line: int, column: int, why: str) -> Diagnostic:
    return report(
        "COG105",
        f"the file is not UTF-8 text: {why}",
        Span(name, line, column, line, column + 1),
        hint="save the file with the encoding UTF-8",
    )


def parse(source: SourceFile) -> tuple[MappingNode | None, tuple[Diagnostic, ...]]:
    """The root mapping of the document, or None where there is an error.

    An empty document is an empty mapping. Errors: COG101–COG104, COG107, COG121 (a root that is no mapping).
    """
    lines = _Lines(source.text)
    composer = _Composer(source, lines)
    try:
        root = composer.compose()
    except yaml.YAMLError as error:
        return None, (*composer.found, _yaml_error(source, lines, error))
    except _LimitReached as error:
        return None, (*composer.found, error.diagnostic)
    if root is None or (isinstance(root, ScalarNode) and root.value is None):
        empty = report("COG110", "the file is empty; every key has its default", Span.of_file(source.name))
        return MappingNode(Span.of_file(source.name), ()), (*composer.found, empty)
    if not isinstance(root, MappingNode):
        what = "a list" if isinstance(root, SequenceNode) else "a single value"
        wrong = report("COG121", f"the file must be a mapping, but it is {what}", root.span, hint="start with `build:`")
        return None, (*composer.found, wrong)
    return root, tuple(composer.found)


class _Lines:
    """Offsets in a text → lines and columns from 1.

    PyYAML's own lines also end at a lone carriage return, U+0085, U+2028 and U+2029; those of editors and of
    `SourceFile` do not.
    """

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of the character at `offset`."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class _LimitReached(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


@dataclass(slots=True, repr=False, eq=False)
class _Open:
    """A collection that is being read: its start, and what has been read of it."""

    start: Span
    is_mapping: bool
    anchor: str | None
    items: list[TreeNode] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, Span] | None = None
    skipped: bool = False
    merged: list[Entry] = field(default_factory=list)


class _Composer:
    """Builds nodes from events with a stack of its own, counting nodes as aliases are expanded."""

    def __init__(self, source: SourceFile, lines: _Lines) -> None:
        self.found: list[Diagnostic] = []
        self._source = source
        self._lines = lines
        self._anchors: dict[str, tuple[TreeNode, int]] = {}
        self._sizes: list[int] = [0]
        self._used_alias = False

    def compose(self) -> TreeNode | None:
        root: TreeNode | None = None
        stack: list[_Open] = []
        for event in self._events():
            node: TreeNode | None = None
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.found.append(self._several_documents(event))
                break
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._check_depth(len(stack), event)
                stack.append(_Open(self._span(event), isinstance(event, yaml.MappingStartEvent), event.anchor))
                self._sizes.append(1)
            elif isinstance(event, yaml.ScalarEvent):
                node = self._scalar(event)
                self._sizes[-1] += 1
                if event.anchor:
                    self._anchors[event.anchor] = (node, 1)
            elif isinstance(event, yaml.AliasEvent):
                node, size = self._alias(event)
                self._sizes[-1] += size
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                opened = stack.pop()
                node = self._close(opened, event)
                size = self._sizes.pop()
                self._sizes[-1] += size
                if opened.anchor:
                    self._anchors[opened.anchor] = (node, size)
            if node is not None:
                self._check_size(self._span(event) if isinstance(event, yaml.AliasEvent) else node.span)
                if stack:
                    self._add(stack[-1], node)
                elif root is None:
                    root = node
        if self._used_alias:
            span = Span.of_file(self._source.name)
            self.found.append(report("COG109", "the file uses anchors and aliases; each alias is expanded", span))
        return root

    def _events(self) -> Iterator[yaml.Event]:
        loader = _YAML_LOADER(self._source.text)
        try:
            while loader.check_event():
                yield loader.get_event()
        finally:
            loader.dispose()

    def _span(self, event: yaml.Event) -> Span:
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        return Span(self._source.name, *self._lines.place(start.index), *self._lines.place(end.index))

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        is_quoted = event.style in ("'", '"', "|", ">")
        value = event.value if is_quoted or not event.implicit[0] else _resolve(event.value)
        return ScalarNode(self._span(event), event.value, value, is_quoted)

    def _alias(self, event: yaml.AliasEvent) -> tuple[TreeNode, int]:
        self._used_alias = True
        span = self._span(event)
        if event.anchor not in self._anchors:
            message = f"the alias `*{event.anchor}` has no anchor before it, or stands inside it"
            raise _LimitReached(report("COG101", message, span, hint=f"define it first, with `&{event.anchor}`"))
        return self._anchors[event.anchor]

    def _close(self, opened: _Open, event: yaml.Event) -> TreeNode:
        end, start = event.end_mark, opened.start
        assert end is not None
        span = Span(start.file, start.line, start.column, *self._lines.place(end.index))
        if not opened.is_mapping:
            return SequenceNode(span, tuple(opened.items))
        own = opened.entries
        for entry in opened.merged:  # `<<: *anchor`: keys of the mapping itself win
            own.setdefault(entry.key, entry)
        return MappingNode(span, tuple(own.values()))

    def _add(self, parent: _Open, node: TreeNode) -> None:
        if not parent.is_mapping:
            parent.items.append(node)
        elif parent.key is None and not parent.skipped:
            self._start_key(parent, node)
        else:
            self._finish_key(parent, node)

    def _start_key(self, parent: _Open, node: TreeNode) -> None:
        if isinstance(node, ScalarNode):
            parent.key = (node.text, node.span)
            return
        parent.skipped = True
        self.found.append(report("COG121", "a key must be text, not a list or a mapping", node.span))

    def _finish_key(self, parent: _Open, node: TreeNode) -> None:
        if parent.key is None:
            parent.skipped = False
            return
        key, key_span = parent.key
        parent.key = None
        if key == "<<":
            self._merge(parent, node)
        elif key in parent.entries:
            first = parent.entries[key].key_span
            note = Note(message=f"`{key}` is first set here", span=first)
            message = f"`{key}` is set twice in the same mapping"
            self.found.append(report("COG102", message, key_span, notes=(note,), hint="keep one of them"))
        else:
            parent.entries[key] = Entry(key, key_span, node)

    def _merge(self, parent: _Open, node: TreeNode) -> None:
        sources = node.items if isinstance(node, SequenceNode) else (node,)
        for source in sources:
            if isinstance(source, MappingNode):
                parent.merged.extend(source.entries)
            else:
                self.found.append(report("COG121", "`<<` merges mappings only", source.span))

    def _check_depth(self, depth: int, event: yaml.Event) -> None:
        if depth >= MAX_DEPTH:
            raise _LimitReached(_too_deep(self._span(event)))

    def _check_size(self, span: Span) -> None:
        if sum(self._sizes) > MAX_NODES:
            message = f"the document has more than {MAX_NODES:,} values once its aliases are expanded"
            raise _LimitReached(report("COG107", message, span))

    def _several_documents(self, event: yaml.DocumentStartEvent) -> Diagnostic:
        return report(
            "COG104",
            "the file holds more than one YAML document",
            self._span(event),
            hint="keep one document; remove the `---` line and what follows it",
        )


_RESOLVERS = Resolver.yaml_implicit_resolvers


def _resolve(text: str) -> str | int | float | bool | None:
    """What a plain scalar is under the YAML 1.1 rules that PyYAML and Cog's reader share."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if not pattern.match(text):
            continue
        kind = tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in ("yes", "true", "on")
        if kind in ("int", "float"):
            return _number(text, kind)
        return text
    return text


def _number(text: str, kind: str) -> int | float | str:
    digits = text.replace("_", "").lower()
    try:
        if kind == "int":
            return int(digits, 0) if re.fullmatch(r"[-+]?(0[xb].*|0|[1-9]\d*)", digits) else int(digits, 8)
        return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # sexagesimal numbers, digits beyond Python's limit: nothing here wants them
        return text


def _too_deep(span: Span) -> Diagnostic:
    return report("COG107", f"the document is nested more than {MAX_DEPTH} levels deep", span)


_TAB = re.compile(r"(?m)^[ ]*\t")


def _yaml_error(source: SourceFile, lines: _Lines, error: yaml.YAMLError) -> Diagnostic:
    """A diagnostic for PyYAML's complaint, with the usual causes explained."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).strip()
    if "nesting depth" in problem:  # libyaml's own limit, which its scanner meets before we see the first event
        return _too_deep(_span_at(source, lines, mark))
    if mark is None:
        return report("COG101", f"invalid YAML: {problem}", _unreadable_character(source, lines))
    span = _span_at(source, lines, mark)
    line = span.line
    tab = next(
        (found for found in _TAB.finditer(source.text) if source.text.count("\n", 0, found.start()) < line), None
    )
    if "\\t" in problem or (tab and source.text.count("\n", 0, tab.start()) + 1 == line):
        return report(
            "COG103",
            "a tab is used for indentation, which YAML forbids",
            span,
            hint="indent with spaces; most editors can convert tabs",
        )
    context, context_mark = getattr(error, "context", None), getattr(error, "context_mark", None)
    notes = []
    if context and context_mark is not None:
        notes.append(Note(message=str(context), span=_span_at(source, lines, context_mark)))
    return report("COG101", f"invalid YAML: {problem}", span, notes=notes, hint=_yaml_hint(source, span, problem))


def _span_at(source: SourceFile, lines: _Lines, mark: Any) -> Span:
    """The character at a mark of PyYAML's."""
    line, column = lines.place(mark.index)
    return Span(source.name, line, column, line, column + 1)


def _unreadable_character(source: SourceFile, lines: _Lines) -> Span:
    """The first character that YAML does not allow, or a byte order mark that is not the first one."""
    found = Reader.NON_PRINTABLE.search(source.text) or re.search("\ufeff", source.text)
    line, column = lines.place(found.start() if found else 0)
    return Span(source.name, line, column, line, column + 1)


def _yaml_hint(source: SourceFile, span: Span, problem: str) -> str | None:
    text = source.line(span.line)
    if "mapping values are not allowed" in problem:
        if re.fullmatch(r"\s+[\w-]+", text[: span.column - 1]):  # a key, further to the right than it may stand
            return "line up the keys of one section, in one column"
        return "quote a value that contains `: `"
    if "expected key" in problem or "<block end>" in problem or "'-' indicator" in problem:
        return "line up keys, or the items of a list, in one column"
    for bracket in ("]", "}"):
        if f"expected ',' or '{bracket}'" in problem:
            return f"close it with `{bracket}`, or put a comma between the items"
    if re.search(r":\s+[@`%]", text) or "cannot start any token" in problem:
        return "quote a value that starts with a special character"
    if text.lstrip().startswith("*"):
        return "quote a value that starts with `*`, which names an alias"
    return None
