"""Diagnostics as workflow commands, which GitHub shows beside the changed lines of a pull request.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..catalogue import CATALOGUE
from ..diagnostics import Diagnostic, Severity
from ..source import Span
from ._visible import one_line, visible, visible_lines
from ._ways import labelled_ways

__all__ = ["render_github"]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """One command, in one line, for each; notes and the hint are further lines of its message."""
    return "".join(f"{_command(diagnostic)}\n" for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    entry = CATALOGUE.get(diagnostic.code)
    title = f"{diagnostic.code} {entry.name}" if entry else diagnostic.code
    pairs = [*(_place(diagnostic.span) if diagnostic.span else ()), ("title", one_line(title))]
    properties = ",".join(f"{key}={_property(value)}" for key, value in pairs)
    return f"::{_COMMANDS[diagnostic.severity]} {properties}::{_escaped(_message(diagnostic))}"


def _place(span: Span) -> Iterator[tuple[str, str]]:
    yield "file", visible(span.file)
    yield "line", str(span.line)
    if span.line == span.end_line:  # GitHub refuses columns on an annotation of several lines
        yield "col", str(span.column)
    yield "endLine", str(span.end_line)
    if span.line == span.end_line:
        yield "endColumn", str(span.end_column)


def _message(diagnostic: Diagnostic) -> str:
    lines = visible_lines(diagnostic.message)
    for note in diagnostic.notes:
        place = f"{one_line(note.span.file)}:{note.span.line}: " if note.span else ""
        lines.append(f"note: {place}{one_line(note.message)}")
    if diagnostic.hint is not None:
        lines.append(f"hint: {one_line(diagnostic.hint)}")
    lines += (f"{label}: {one_line(way)}" for label, way in labelled_ways(diagnostic.ways))
    return "\n".join(lines)


def _escaped(text: str) -> str:
    r"""Escape the message of a command.

    >>> _escaped("100%\nof 1, 2: all")
    '100%25%0Aof 1, 2: all'
    """
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape the value of a property, where `:` and `,` would end it.

    >>> _property("a,b: 1%")
    'a%2Cb%3A 1%25'
    """
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
