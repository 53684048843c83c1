"""Where commands write: results to standard output as they are, everything for people to standard error."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence

from ..diagnostics import Diagnostic
from ._project import Project, show

__all__ = ["StandardErrorReporter", "print_bytes", "print_exactly"]


def print_exactly(text: str) -> None:
    """To standard output, at once and in UTF-8 whatever the locale."""
    print_bytes(text.encode("utf-8", "backslashreplace"))


def print_bytes(data: bytes) -> None:
    """To standard output, at once."""
    sys.stdout.flush()
    rest = memoryview(data)
    while rest:  # under PYTHONUNBUFFERED a write may take only a part, and says so
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


class StandardErrorReporter:
    """`project` is whose files diagnostics point into; `debug` shows the programs that are run."""

    def __init__(self, *, debug: bool = False) -> None:
        self.project: Project | None = None
        self.is_quiet = False
        self._debug = debug

    def notice(self, text: str) -> None:
        """One line for people, unless they want none. A terminal breaks it between words."""
        if self.is_quiet:
            return
        if sys.stderr.isatty():
            width = max(os.get_terminal_size(sys.stderr.fileno()).columns, 40)
            text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
        print(text, file=sys.stderr, flush=True)

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Findings that do not stop the command."""
        sys.stdout.flush()
        show(tuple(diagnostics), self.project)
        sys.stderr.flush()

    def program(self, words: Sequence[str], variables: Iterable[tuple[str, str]] = ()) -> None:
        """A program that is about to run, under --debug. Values of variables may be secrets, and are not shown."""
        if self._debug:
            shown = [f"{name}=***" for name, _ in variables]
            print(f"+ {' '.join([*shown, *map(shlex.quote, words)])}", file=sys.stderr, flush=True)

    def copy(self, data: bytes) -> None:
        """Output of a program, as it came."""
        stream = getattr(sys.stderr, "buffer", None)
        if stream is None:  # a stream of text alone
            sys.stderr.write(data.decode("utf-8", "replace"))
        else:
            sys.stderr.flush()
            stream.write(data)
        sys.stderr.flush()
