"""Bytes of a Python file to a syntax tree, whatever the bytes are.

Comes in: the content of one file. Goes out: its text and tree, or a `SourceProblem` that says what to report.
"""

from __future__ import annotations

import ast
import re
import warnings

from ...source import Span

__all__ = ["SourceProblem", "parse"]

MAX_FILE_BYTES = 5 * 1024 * 1024

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_BLANK = re.compile(rb"^[ \t\f]*(?:#.*)?$")
# Decoders that take quadratic time or that no source file is written in.
_REFUSED_ENCODINGS = {"punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape"}
_ORDER_MESSAGES = ("non-default argument follows default", "parameter without a default follows parameter with")


class SourceProblem(Exception):
    """A file that yields no syntax tree: the code to report, the phrase, and where."""

    def __init__(self, code: str, message: str, span: Span | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.span = span


def decode(path: str, content: bytes) -> str:
    """The text of a Python file, by PEP 263. Errors: `SourceProblem` COG404."""
    encoding = "utf-8"
    body = content
    if content.startswith(b"\xef\xbb\xbf"):
        body = content[3:]
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceProblem("COG404", f"`{path}` is UTF-16, which Python does not read", Span.of_file(path))
    else:
        encoding = _declared_encoding(content) or "utf-8"
    if encoding.lower().replace("-", "_") in _REFUSED_ENCODINGS:
        raise SourceProblem("COG404", f"`{path}` declares the encoding `{encoding}`", Span.of_file(path))
    try:
        text = body.decode(encoding)
    except LookupError:
        message = f"`{path}` declares the encoding `{encoding}`, which does not exist"
        raise SourceProblem("COG404", message, Span.of_file(path)) from None
    except ValueError as error:
        line = content.count(b"\n", 0, error.start) + 1 if isinstance(error, UnicodeDecodeError) else 1
        message = f"`{path}` is not valid {encoding} text"
        raise SourceProblem("COG404", message, Span.at_line(path, line)) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _declared_encoding(content: bytes) -> str | None:
    for line in content[:4096].splitlines()[:2]:
        if match := _COOKIE.match(line):
            return match.group(1).decode("ascii")
        if not _BLANK.match(line):
            return None
    return None


def parse(path: str, content: bytes) -> tuple[str, ast.Module, Span | None]:
    """Decode and parse one file: its text, its tree, and the place of a parameter-order error worked around.

    Line ends become line feeds. Errors: `SourceProblem` COG403, COG404, COG405.
    """
    if len(content) > MAX_FILE_BYTES:
        message = f"`{path}` is larger than {MAX_FILE_BYTES // (1024 * 1024)} MiB"
        raise SourceProblem("COG405", message, Span.of_file(path))
    text = decode(path, content)
    try:
        return text, _parse(text), None
    except SyntaxError as error:
        span = _syntax_span(path, error)
        repaired = _repair_parameter_order(text, error)
        if repaired is not None:
            tree, offset = repaired
            line = text.count("\n", 0, offset) + 1
            column = offset - (text.rfind("\n", 0, offset) + 1) + 1
            return text, tree, Span(path, line, column, line, column + 1)
        raise SourceProblem("COG403", f"`{path}` is not valid Python: {error.msg}", span) from None
    except (RecursionError, MemoryError):
        raise SourceProblem("COG405", f"`{path}` is nested too deeply to be read", Span.of_file(path)) from None
    except ValueError as error:
        raise SourceProblem("COG403", f"`{path}` is not valid Python: {error}", Span.of_file(path)) from None


def _parse(text: str) -> ast.Module:
    # An invalid escape such as "\d" is a warning, which becomes an exception under `python -W error`.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _repair_parameter_order(text: str, error: SyntaxError) -> tuple[ast.Module, int] | None:
    """Read `def f(a=1, b)` as `def f(a=1, *, b)`, which means the same to a caller that names its arguments."""
    if not any(phrase in error.msg for phrase in _ORDER_MESSAGES):
        return None
    start = _offset_of(text, error.lineno or 1, error.offset or 1)
    definition = max(text.rfind("def ", 0, start), 0)
    # Some Python versions point at the parameter, others at the end of the list: look back from there.
    window = text[definition : start + 200]
    places = [definition + match.end() for match in re.finditer(r"[(,]\s*(?:#[^\n]*\s*)*(?=\w+\s*[:,)])", window)]
    for place in (start, *reversed(places[-12:])):
        try:
            return _parse(f"{text[:place]}*, {text[place:]}"), place
        except (SyntaxError, RecursionError, MemoryError, ValueError):
            continue
    return None


def _offset_of(text: str, line: int, column: int) -> int:
    offset = 0
    for _ in range(line - 1):
        offset = text.find("\n", offset) + 1
    return offset + column - 1


def _syntax_span(path: str, error: SyntaxError) -> Span:
    line = max(error.lineno or 1, 1)
    column = max(error.offset or 1, 1)
    end_line = max(error.end_lineno or line, line)
    end_column = max(error.end_offset or 0, column + 1) if end_line == line else max(error.end_offset or 1, 1)
    return Span(path, line, column, end_line, end_column)
