"""Text of the user, made safe and measurable for a terminal.

Comes in: any text, hostile text included. Goes out: text in which every character is printable, and the
number of terminal columns that it takes. What would move the cursor, change colours, reorder letters or
stay invisible is written as Python writes it: `\\x1b`, `\\u202e`, `\\xa0`.
"""

from __future__ import annotations

import unicodedata

__all__ = ["cell_width", "one_line", "visible", "visible_lines"]


def visible(text: str) -> str:
    r"""Every character that does not print is replaced by its escape.

    >>> visible("a\tb\x1b[31m")
    'a\\tb\\x1b[31m'
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def visible_lines(text: str) -> list[str]:
    """The lines of a message, each visible; at least one."""
    return [visible(line) for line in text.splitlines()] or [""]


def one_line(text: str) -> str:
    r"""The same in one line: line breaks and the spaces around them become one space.

    >>> one_line("one\n  two\r\n")
    'one two'
    """
    return " ".join(visible(line.strip()) for line in text.splitlines() if line.strip())


def cell_width(text: str) -> int:
    """How many columns of a terminal visible text takes.

    Source: https://www.unicode.org/reports/tr11/ for wide characters; combining ones share a column.

    >>> cell_width("e\u0301"), cell_width("\u6a21\u578b")
    (1, 4)
    """
    return len(text) if text.isascii() else sum(map(_character_width, text))


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me") or "\u1160" <= character <= "\u11ff":
        return 0  # the range holds the Korean vowels and final consonants that join the one before
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
