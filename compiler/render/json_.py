"""Diagnostics as a JSON document for other programs; `version` changes when a reader would break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..catalogue import CATALOGUE
from ..diagnostics import Diagnostic, Fix, Note, Severity
from ..source import Span
from ._document import Value, dump

__all__ = ["as_document", "render_json"]


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Shape: `{version, diagnostics: [...], summary: {errors, warnings, infos}}`.

    Lines and columns count characters from 1, and the end is exclusive, as in `Span`.
    """
    return dump(as_document(diagnostics))


def as_document(diagnostics: Sequence[Diagnostic]) -> dict[str, Value]:
    """The same as a value, for commands that add a result of their own."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    return {
        "version": 1,
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in diagnostics],
        "summary": {
            "errors": counts[Severity.ERROR],
            "warnings": counts[Severity.WARNING],
            "infos": counts[Severity.INFO],
        },
    }


def _diagnostic(diagnostic: Diagnostic) -> Value:
    entry = CATALOGUE.get(diagnostic.code)
    return {
        "code": diagnostic.code,
        "name": entry.name if entry else None,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "span": _span(diagnostic.span),
        "notes": [_note(note) for note in diagnostic.notes],
        "hint": diagnostic.hint,
        "fix": _fix(diagnostic.fix) if diagnostic.fix else None,
        "ways": list(diagnostic.ways),
    }


def _note(note: Note) -> Value:
    return {"message": note.message, "span": _span(note.span)}


def _fix(fix: Fix) -> Value:
    edits: list[Value] = [{"span": _span(edit.span), "replacement": edit.replacement} for edit in fix.edits]
    return {"title": fix.title, "edits": edits}


def _span(span: Span | None) -> Value:
    if span is None:
        return None
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
