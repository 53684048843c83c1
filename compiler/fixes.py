"""Applies the fixes that diagnostics carry.

Comes in: the texts of files and diagnostics. Goes out: the new texts and the diagnostics that are settled.
Reads and writes no files; CRLF survives only if the text was read without newline translation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .diagnostics import Diagnostic, Edit
from .source import Span

__all__ = ["apply_fixes"]


class _Change(NamedTuple):
    """An edit with its place as character indices; the end is exclusive."""

    file: str
    start: int
    end: int
    replacement: str


def apply_fixes(
    sources: Mapping[str, str], diagnostics: Iterable[Diagnostic]
) -> tuple[dict[str, str], tuple[Diagnostic, ...]]:
    """Apply each fix that overlaps no earlier one; return the changed files and what was fixed.

    A fix is applied whole or not at all. It is left alone when an edit points into a file that is not in
    `sources` or outside its text, when it changes nothing, or when it overlaps itself or one already taken
    (the next run meets it again). Line breaks in a replacement become those of the file.

    Shapes: file name → text, with the file names of the spans.
    """
    taken: list[_Change] = []
    fixed: list[Diagnostic] = []
    lines = {name: text.split("\n") for name, text in sources.items()}
    for diagnostic in diagnostics:
        changes = _changes(diagnostic, sources, lines)
        if changes and not _collide(changes, taken):
            taken += changes
            fixed.append(diagnostic)
    rewritten = {file: _rewritten(sources[file], file, taken) for file in sorted({change.file for change in taken})}
    return {file: text for file, text in rewritten.items() if text != sources[file]}, tuple(fixed)


def _changes(diagnostic: Diagnostic, sources: Mapping[str, str], lines: Mapping[str, Sequence[str]]) -> list[_Change]:
    """The edits of its fix; empty when it has none that can be applied."""
    edits = diagnostic.fix.edits if diagnostic.fix else ()
    changes = [
        _change(edit, sources[edit.span.file], lines[edit.span.file]) for edit in edits if edit.span.file in lines
    ]
    whole = [change for change in changes if change is not None]
    if len(whole) < len(edits):
        return []
    is_real = any(sources[change.file][change.start : change.end] != change.replacement for change in whole)
    return whole if is_real else []


def _change(edit: Edit, text: str, lines: Sequence[str]) -> _Change | None:
    """None when the place is not in the text, as after a change of the file."""
    span = edit.span
    start, end = _start(span, lines), _end(span, lines)
    if start is None or end is None or end < start:
        return None
    replacement = edit.replacement
    if span.end_line > len(lines):
        replacement = replacement.removesuffix("\n").removesuffix("\r")  # there is no line break to replace
    if _has_crlf(text):
        replacement = re.sub(r"\r?\n", "\r\n", replacement)
    return _Change(span.file, start, end, replacement)


def _start(span: Span, lines: Sequence[str]) -> int | None:
    if not 0 < span.line <= len(lines) or not 0 < span.column <= _length(lines[span.line - 1]) + 1:
        return None
    return _offset(span.line, lines) + span.column - 1


def _end(span: Span, lines: Sequence[str]) -> int | None:
    """A column behind the line means the line's end; the line behind the last one, the text's end."""
    if span.end_line == len(lines) + 1:
        return _offset(span.end_line, lines) - 1
    if not 0 < span.end_line <= len(lines) or span.end_column < 1:
        return None
    return _offset(span.end_line, lines) + min(span.end_column - 1, _length(lines[span.end_line - 1]))


def _offset(line: int, lines: Sequence[str]) -> int:
    return sum(len(text) + 1 for text in lines[: line - 1])


def _length(line: str) -> int:
    return len(line.rstrip("\r"))


def _has_crlf(text: str) -> bool:
    """Whether the first line ends as on Windows."""
    first, line_break, _ = text.partition("\n")
    return bool(line_break) and first.endswith("\r")


def _collide(changes: Sequence[_Change], taken: Sequence[_Change]) -> bool:
    return any(_overlap(change, other) for index, change in enumerate(changes) for other in (*taken, *changes[:index]))


def _overlap(one: _Change, other: _Change) -> bool:
    """Whether they share a character, or one inserts within the other, or both at the same place."""
    if one.file != other.file:
        return False
    if (one.start, one.end) == (other.start, other.end):
        return True
    return one.start < other.end and other.start < one.end


def _rewritten(text: str, file: str, changes: Iterable[_Change]) -> str:
    parts, done = [], 0
    for change in sorted(change for change in changes if change.file == file):
        parts += [text[done : change.start], change.replacement]
        done = change.end
    return "".join((*parts, text[done:]))
