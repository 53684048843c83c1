"""Text of a requirements file → logical lines that remember where each character stands.

Comes in: the bytes or the text of a requirements file, or the text of one `python_packages` item. Goes out:
`LogicalLine` values with continuations joined and comments removed. What a line means is not decided here.

Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from ..record import record
from ..source import Span

__all__ = ["LogicalLine", "decode_requirements", "forbidden_character", "item_lines", "logical_lines"]

# UTF-32 before UTF-16: the little-endian mark of the latter is a prefix of that of the former.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
)
_COOKIE = re.compile(rb"coding[:=]\s*([-\w.]+)")
# Neither can be written to a UTF-8 file that pip then reads; NUL also cannot be part of a path.
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")
# What `str.splitlines`, and so pip, breaks lines at besides line feeds.
_OTHER_BREAKS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class _Piece(NamedTuple):
    """A run of characters that stand side by side: where it starts in the joined text, and in the file."""

    offset: int
    line: int
    column: int


@record(kw_only=False)
class LogicalLine:
    """One line after joining and cutting: `text` has no white space at its ends and is not empty.

    `pieces` map offsets of the joined text to the file, in ascending order; `base` is where `text` starts in
    the joined text. Where `whole` is set, places inside the line are not known and every span is `whole`.
    """

    text: str
    file: str
    pieces: tuple[_Piece, ...] = ()
    base: int = 0
    whole: Span | None = None

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """The place in the file of `text[start:end]`; at least one character wide."""
        if self.whole is not None:
            return self.whole
        last = max((len(self.text) if end is None else end) - 1, start)
        line, column = self._position(start)
        end_line, end_column = self._position(last)
        return Span(self.file, line, column, end_line, end_column + 1)

    def span_of(self, part: str, start: int = 0) -> Span:
        """The place of the first `part` at or after `start`; that of the line where it does not occur as written."""
        found = self.text.find(part, start) if part else -1
        return self.span() if found < 0 else self.span(found, found + len(part))

    def _position(self, offset: int) -> tuple[int, int]:
        index = bisect_right(self.pieces, self.base + offset, key=lambda piece: piece.offset) - 1
        piece = self.pieces[max(index, 0)]
        return piece.line, piece.column + self.base + offset - piece.offset


def decode_requirements(raw: bytes) -> str:
    """Decode a requirements file as pip does: byte order mark, else PEP 263 cookie in two lines, else UTF-8.

    pip's last resort, the encoding of the machine's locale, is left out: the result would depend on the machine.

    Errors: `UnicodeDecodeError` whose `reason` is a phrase that follows the file's name: `is not UTF-8 text`.
    Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/#encoding
    """
    encoding, body = _encoding(raw)
    try:
        text = body.decode(encoding)
        text.encode("utf-8")  # some codecs, utf-7 for one, make lone surrogates
    except (LookupError, UnicodeError) as problem:
        is_unknown = isinstance(problem, LookupError)
        reason = f"names the unknown encoding `{encoding}`" if is_unknown else f"is not {encoding.upper()} text"
        start = problem.start if isinstance(problem, UnicodeDecodeError) else 0
        raise UnicodeDecodeError(encoding, raw, start, start + 1, reason) from None
    return text


def _encoding(raw: bytes) -> tuple[str, bytes]:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return encoding, raw[len(mark) :]
    for line in raw.split(b"\n", 2)[:2]:
        cookie = _COOKIE.search(line) if line.startswith(b"#") else None
        if cookie:
            return cookie[1].decode("ascii"), raw
    return "utf-8", raw


def forbidden_character(text: str) -> int | None:
    """The offset of the first character that no requirements file may hold (NUL, lone surrogates), or None."""
    found = _FORBIDDEN.search(text)
    return found.start() if found else None


def logical_lines(name: str, text: str) -> Iterator[LogicalLine]:
    """The logical lines of a requirements file; those that are empty or only a comment are left out.

    A line that ends with `\\` goes on in the next one, but a comment line never goes on and always ends the
    line before it. As in pip, a comment is cut only after lines were joined.
    """
    held: list[tuple[str, int, int]] = []
    for part, line, column in _physical_lines(text):
        is_comment = part.lstrip().startswith("#")
        if part.endswith("\\") and not is_comment:
            # pip takes backslashes off both ends of a line that goes on.
            bare = part.lstrip("\\")
            held.append((bare.rstrip("\\"), line, column + len(part) - len(bare)))
            continue
        if not is_comment:
            held.append((part, line, column))
        yield from _joined(name, held)
        held = []
    yield from _joined(name, held)


def item_lines(text: str, origin: Span) -> tuple[LogicalLine, ...]:
    """The logical lines of a `python_packages` item whose YAML scalar stands at `origin`; normally just one.

    Where the scalar spells its text out, plainly or in quotes, places inside it are exact.
    """
    width = origin.end_column - origin.column
    is_exact = origin.line == origin.end_line and width in (len(text), len(text) + 2)
    if not is_exact or text.splitlines() != [text] or text.endswith("\\"):
        lines = logical_lines(origin.file, text)
        return tuple(LogicalLine(text=line.text, file=origin.file, whole=origin) for line in lines)
    column = origin.column + (width - len(text)) // 2
    return tuple(_joined(origin.file, [(text, origin.line, column)]))


def _physical_lines(text: str) -> Iterator[tuple[str, int, int]]:
    """(text, line, column) of each line. pip also breaks lines at form feeds and the like; editors do not."""
    for number, row in enumerate(text.split("\n"), 1):
        column = 1
        for part in _OTHER_BREAKS.split(row.removesuffix("\r")):
            yield part, number, column
            column += len(part) + 1


def _joined(name: str, parts: list[tuple[str, int, int]]) -> Iterator[LogicalLine]:
    pieces: list[_Piece] = []
    length = 0
    for part, line, column in parts:
        pieces.append(_Piece(length, line, column))
        length += len(part)
    joined = "".join(part for part, _, _ in parts)
    joined = joined[: _comment_start(joined)].rstrip()
    text = joined.lstrip()
    if text:
        yield LogicalLine(text=text, file=name, pieces=tuple(pieces), base=len(joined) - len(text))


def _comment_start(text: str) -> int:
    """Where the comment starts: the first `#` at the start or after white space; the length if there is none."""
    found = text.find("#")
    while found > 0 and not text[found - 1].isspace():
        found = text.find("#", found + 1)
    return len(text) if found < 0 else found
