"""The options that a line of a requirements file may have, read as pip reads them.

Comes in: the text of a logical line. Goes out: the part before the options, and the options in their long
spelling. Whether an option makes sense in an image build is decided elsewhere.

Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/#supported-options
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from ..record import record

__all__ = [
    "DIRECTIVES",
    "PER_REQUIREMENT_OPTIONS",
    "LineOption",
    "option_text",
    "parse_options",
    "quoted",
    "split_options",
]

# Long spelling → whether a value follows.
_OPTIONS = {
    "--all-releases": True,
    "--config-settings": True,
    "--constraint": True,
    "--editable": True,
    "--extra-index-url": True,
    "--find-links": True,
    "--global-option": True,
    "--hash": True,
    "--index-url": True,
    "--no-binary": True,
    "--no-index": False,
    "--no-require-hashes": False,
    "--only-binary": True,
    "--only-final": True,
    "--pre": False,
    "--prefer-binary": False,
    "--require-hashes": False,
    "--requirement": True,
    "--trusted-host": True,
    "--use-feature": True,
}
_SHORT = {
    "-C": "--config-settings",
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
    "-r": "--requirement",
}

DIRECTIVES = ("--editable", "--requirement", "--constraint")
"""Options that stand for a line of their own; pip reads at most one of a line, the first in this order."""

PER_REQUIREMENT_OPTIONS = frozenset({"--config-settings", "--global-option", "--hash"})
"""Options that belong to the requirement they stand beside. All others are about the list as a whole."""

_OPTION_START = re.compile(r"(?<!\S)-")
_NEEDS_QUOTES = re.compile(r"[\s\"'\\]")
_NEEDS_SHLEX = re.compile(r"[\"'\\]")


@record(kw_only=False)
class LineOption:
    """One option of a line: its long name, its value ('' for a flag), and the name as it is written."""

    name: str
    value: str
    spelling: str


def split_options(text: str) -> tuple[str, int]:
    """The part of a line before its options, and the offset at which the options start.

    Options start at the first word that begins with `-`. Unlike pip, any white space may stand before it, so
    that a continuation line may be indented with a tab.
    """
    found = _OPTION_START.search(text)
    start = found.start() if found else len(text)
    return text[:start].rstrip(), start


def parse_options(text: str) -> tuple[LineOption, ...]:
    """Read `--name value`, `--name=value`, `-nvalue`, `-n value`, quoted as in a shell, in the order written.

    A long name may be cut short as long as it stays unique. Errors: `ValueError` whose text is a phrase.
    """
    words = iter(_words(text))
    return tuple(_option(word, words) for word in words)


def option_text(options: Iterable[tuple[str, str]]) -> str:
    """Write (name, value) pairs so that `parse_options` reads the same pairs: `--hash=… --pre`."""
    return " ".join(f"{name}={quoted(value)}" if _OPTIONS.get(name, True) else name for name, value in options)


def quoted(value: str) -> str:
    """An option's value as one word; bare where that is possible, because not every installer knows quotes."""
    return shlex.quote(value) if not value or _NEEDS_QUOTES.search(value) else value


def _words(text: str) -> list[str]:
    # shlex reads character by character in Python: too slow for the thousands of hashes of a locked list.
    if not _NEEDS_SHLEX.search(text):
        return text.split()
    try:
        return shlex.split(text)
    except ValueError:
        raise ValueError("a quotation mark is not closed") from None


def _option(word: str, following: Iterator[str]) -> LineOption:
    """Read one option from `word`, and from the next word where the value stands there."""
    if word.startswith("--"):
        spelling, equals, value = word.partition("=")
        name = _full_name(spelling)
        has_value = bool(equals)
    elif word.startswith("-") and word[:2] in _SHORT:
        spelling, value, name = word[:2], word[2:], _SHORT[word[:2]]
        has_value = bool(value)
    else:
        raise ValueError(f"`{word}` is not an option" if word.startswith("-") else f"`{word}` stands after an option")
    if not _OPTIONS[name]:
        if has_value:
            raise ValueError(f"`{spelling}` takes no value")
        return LineOption(name, "", spelling)
    if not has_value:
        value = next(following, "")
        if not value:
            raise ValueError(f"`{spelling}` needs a value")
    return LineOption(name, value, spelling)


def _full_name(spelling: str) -> str:
    if spelling in _OPTIONS:
        return spelling
    candidates = [name for name in _OPTIONS if name.startswith(spelling) and len(spelling) > 2]
    if not candidates:
        raise ValueError(f"`{spelling}` is not an option")
    if len(candidates) > 1:
        raise ValueError(f"`{spelling}` may mean {' or '.join(f'`{name}`' for name in candidates)}")
    return candidates[0]
