"""Where things stand in the user's files: spans, and the text they point into.

A `Span` is plain data (file, lines, columns), so that it can travel through every stage, be written
to JSON and be read back without the text it came from.
"""

from __future__ import annotations

from .record import record

__all__ = ["SourceFile", "Span"]


@record(kw_only=False, order=True)
class Span:
    """A range of characters in one file.

    Lines and columns count from 1; columns count characters, not bytes. The end is exclusive.
    `file` is the path as shown to the user, with forward slashes.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @classmethod
    def at_line(cls, file: str, line: int, text: str = "") -> Span:
        """The span of a whole line, given its text without the line break."""
        return cls(file, line, 1, line, 1 + max(len(text), 1))

    @classmethod
    def of_file(cls, file: str) -> Span:
        """The span that stands for a file as a whole: its first character."""
        return cls(file, 1, 1, 1, 2)


@record(kw_only=False)
class SourceFile:
    """The decoded text of one file of the user, under the name shown to them."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its line break; empty beyond the end."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""
