"""Diagnostics for people: the message, the line it is about with the place underlined, notes, the hint.

Comes in: diagnostics and the texts they point into. Goes out: text for a terminal, with or without colours.
Everything is first a list of lines of `(style, text)` segments, so both forms have the same text.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ..diagnostics import Diagnostic, Severity
from ..source import Span
from ._excerpt import Excerpt, excerpt
from ._visible import one_line, visible_lines
from ._ways import labelled_ways

__all__ = ["render_text"]

Line = list[tuple[str, str]]
Files = Mapping[str, Sequence[str]]

_STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "info": "bold cyan",
    "strong": "bold",
    "frame": "bold blue",
    "hint": "bold green",
}
_NOUNS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}


def render_text(
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str],
    *,
    colour: bool = False,
    width: int = 100,
    wraps: bool = False,
) -> str:
    """A block for each diagnostic and a line with their number; nothing without diagnostics.

    Shapes: `sources` maps the file names of the spans to texts; without its text a file is only named.
    Units: `width` in terminal columns. Lines of source are cut to it; with `wraps` messages are broken
    between words, as a terminal needs it.
    """
    if not diagnostics:
        return ""
    files = {name: text.split("\n") for name, text in sources.items()}
    lines: list[Line] = []
    for diagnostic in diagnostics:
        lines += [*_block(diagnostic, files, width, width if wraps else None), []]
    lines += _summary(diagnostics)
    write = _coloured if colour else _plain
    return "".join(f"{write(_stripped(line))}\n" for line in lines)


def _block(diagnostic: Diagnostic, files: Files, width: int, room: int | None) -> Iterator[Line]:
    """The lines about one diagnostic; messages have `room` columns, or any number of them."""
    margin = _margin(diagnostic, files)
    bar: Line = [("frame", f"{margin} |")]
    yield from _header(diagnostic, room)
    if diagnostic.span is not None:
        yield [("frame", f"{margin}--> "), ("", one_line(str(diagnostic.span)))]
        snippet = _snippet(diagnostic.span, files, width, margin, (diagnostic.severity, "^"))
        if snippet:
            yield from (bar, *snippet)
            if diagnostic.notes or diagnostic.hint is not None or diagnostic.ways:
                yield bar
    for note in diagnostic.notes:
        place = f" ({one_line(str(note.span))})" if note.span else ""
        yield from _remark("note", note.message + place, "strong", margin, room)
        if note.span and not _same_line(note.span, diagnostic.span):
            yield from _snippet(note.span, files, width, margin, ("frame", "-"))
    if diagnostic.hint is not None:
        yield from _remark("hint", diagnostic.hint, "hint", margin, room)
    for label, way in labelled_ways(diagnostic.ways):
        yield from _remark(f"{label:>6}" if label == "or" else label, way, "hint", margin, room)


def _header(diagnostic: Diagnostic, room: int | None) -> Iterator[Line]:
    label = f"{diagnostic.severity}[{one_line(diagnostic.code)}]"
    first, *others = _broken(visible_lines(diagnostic.message), room, len(label) + 2, 2)
    yield [(diagnostic.severity, label), ("strong", f": {first}")]
    yield from ([("strong", f"  {other}")] for other in others)


def _remark(label: str, message: str, style: str, margin: str, room: int | None) -> Iterator[Line]:
    indent = " " * len(f"{margin} = {label}: ")
    first, *others = _broken(visible_lines(message), room, len(indent), len(indent))
    yield [("frame", f"{margin} = "), (style, f"{label}:"), ("", f" {first}")]
    yield from ([("", indent + other)] for other in others)


def _broken(lines: Sequence[str], room: int | None, first: int, others: int) -> Iterator[str]:
    """The lines, broken between words where `room` is too little; before them stand `first` and `others` columns."""
    if room is None:
        yield from lines
        return
    for number, line in enumerate(lines):
        indent = first if number == 0 else others
        if indent + len(line) <= room:
            yield line
            continue
        taken = " " * max(indent - others, 0)  # the first of several lines has less room than the rest
        broken = textwrap.wrap(taken + line, max(room - others, 20), break_long_words=False, break_on_hyphens=False)
        yield broken[0].removeprefix(taken)
        yield from broken[1:]


def _snippet(span: Span, files: Files, width: int, margin: str, mark: tuple[str, str]) -> list[Line]:
    """The first line of the span and its underline; empty when there is no such line."""
    shown = _excerpt_of(span, files, width - len(f"{margin} | "))
    if shown is None:
        return []
    style, character = mark
    underline = " " * (shown.indent + 1) + character * shown.length
    return [
        [("frame", f"{span.line:>{len(margin)}} |"), ("", f" {shown.text}")],
        [("frame", f"{margin} |"), (style, underline)],
    ]


def _excerpt_of(span: Span, files: Files, room: int) -> Excerpt | None:
    if not _has_line(span, files):
        return None
    line = files[span.file][span.line - 1].rstrip("\r")
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    return excerpt(line, span.column - 1, end, room)


def _margin(diagnostic: Diagnostic, files: Files) -> str:
    """Spaces as wide as the longest line number that is shown, and one before it."""
    spans = [diagnostic.span, *(note.span for note in diagnostic.notes)]
    digits = [len(str(span.line)) for span in spans if span is not None and _has_line(span, files)]
    return " " * (1 + max(digits, default=1))


def _has_line(span: Span, files: Files) -> bool:
    return 0 < span.line <= len(files.get(span.file, ()))


def _same_line(span: Span, other: Span | None) -> bool:
    return other is not None and (span.file, span.line) == (other.file, other.line)


def _summary(diagnostics: Sequence[Diagnostic]) -> Iterator[Line]:
    """`Found 2 errors, 1 warning and 1 remark.` and how many of them have a fix."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    parts = [_counted(counts[severity], noun) for severity, noun in _NOUNS.items() if counts[severity]]
    *most, last = parts
    yield [("strong", f"Found {', '.join(most)} and {last}." if most else f"Found {last}.")]
    fixable = sum(diagnostic.fix is not None for diagnostic in diagnostics)
    if fixable:
        yield [("", f"`cogc check --fix` can fix {fixable} of them.")]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _stripped(line: Line) -> Line:
    """Without spaces at its end."""
    return [*line[:-1], *((style, text.rstrip(" ")) for style, text in line[-1:])]


def _plain(line: Line) -> str:
    return "".join(text for _, text in line)


def _coloured(line: Line) -> str:
    """The text of the line is taken as it is: no markup of the `rich` library is read in it."""
    from rich.color import ColorSystem
    from rich.style import Style

    return "".join(
        Style.parse(_STYLES[style]).render(text, color_system=ColorSystem.STANDARD) if style else text
        for style, text in line
    )
