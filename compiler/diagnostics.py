"""One type for everything cogc has to say about the user's input: errors, warnings, remarks.

Comes in: a code of the catalogue, a message, where. Goes out: frozen `Diagnostic` values. How they
are shown is the business of `cogc.render`; exceptions are for our own bugs.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from .catalogue import CATALOGUE
from .record import record
from .source import Span

__all__ = ["Diagnostic", "Edit", "Fix", "Note", "Severity", "has_errors", "in_order", "report"]


class Severity(StrEnum):
    """How much a diagnostic weighs. Errors stop; warnings are always shown; info only by `check`."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@record
class Note:
    """A further fact, with its own place where it has one."""

    message: str
    span: Span | None = None


@record
class Edit:
    """Replace the characters of `span` with `replacement`."""

    span: Span
    replacement: str


@record
class Fix:
    """A change that `cogc check --fix` may make, because it does not change what is meant."""

    title: str
    edits: tuple[Edit, ...]


@record
class Diagnostic:
    """One finding. `message` is one phrase that stands alone; `hint` says what to do.

    `ways` are ways out, each of which was seen to work; any one of them is enough.
    """

    code: str
    severity: Severity
    message: str
    span: Span | None = None
    notes: tuple[Note, ...] = ()
    hint: str | None = None
    fix: Fix | None = None
    ways: tuple[str, ...] = ()


def report(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    notes: Iterable[Note] = (),
    hint: str | None = None,
    fix: Fix | None = None,
    ways: Iterable[str] = (),
) -> Diagnostic:
    """Make a diagnostic with the severity that the catalogue gives to `code`."""
    return Diagnostic(
        code=code,
        severity=Severity(CATALOGUE[code].severity),
        message=message,
        span=span,
        notes=tuple(notes),
        hint=hint,
        fix=fix,
        ways=tuple(ways),
    )


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any of them stops the compilation."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted by file and position, each finding once; those without a place come last.

    The main file is the one named `cog.yaml`; it comes before the files that it names.
    """

    def key(diagnostic: Diagnostic) -> tuple[bool, bool, Span | tuple[()], str]:
        span = diagnostic.span
        if span is None:
            return True, True, (), diagnostic.code
        return False, not span.file.endswith((".yaml", ".yml")), span, diagnostic.code

    return tuple(dict.fromkeys(sorted(diagnostics, key=key)))
