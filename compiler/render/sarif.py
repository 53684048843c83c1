"""Diagnostics as a SARIF 2.1.0 log, the form in which code scanners hand over their results.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html (sections in the functions)
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from .. import __version__
from ..catalogue import CATALOGUE
from ..diagnostics import Diagnostic, Edit, Fix, Note
from ..source import Span
from ._document import Value, dump
from ._ways import labelled_ways

__all__ = ["render_sarif"]

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """One run, with a rule for each code that occurs and a result for each diagnostic."""
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    driver: Value = {"name": "cogc", "version": __version__, "rules": [_rule(code) for code in codes]}
    results: list[Value] = [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in diagnostics]
    run: Value = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str) -> Value:
    entry = CATALOGUE.get(code)
    if entry is None:
        return {"id": code}
    return {
        "id": code,
        "name": entry.name,
        "shortDescription": {"text": entry.summary},
        "defaultConfiguration": {"level": _LEVELS[entry.severity]},
    }


def _result(diagnostic: Diagnostic, rule_index: int) -> Value:
    """Notes with a place are related locations; other notes and the hint belong to the message."""
    texts = [diagnostic.message, *(f"note: {note.message}" for note in diagnostic.notes if note.span is None)]
    if diagnostic.hint is not None:
        texts.append(f"hint: {diagnostic.hint}")
    texts += [f"{label}: {way}" for label, way in labelled_ways(diagnostic.ways)]
    result: dict[str, Value] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[diagnostic.severity],
        "message": _message("\n".join(texts)),
    }
    if diagnostic.span is not None:
        result["locations"] = [{"physicalLocation": _physical_location(diagnostic.span)}]
    related = [_related_location(note, note.span) for note in diagnostic.notes if note.span is not None]
    if related:
        result["relatedLocations"] = related
    if diagnostic.fix is not None and diagnostic.fix.edits:
        result["fixes"] = [_fix(diagnostic.fix)]
    return result


def _message(text: str) -> Value:
    """Section 3.11.5: literal braces are doubled, because single ones are placeholders."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}


def _related_location(note: Note, span: Span) -> Value:
    return {"physicalLocation": _physical_location(span), "message": _message(note.message)}


def _physical_location(span: Span) -> Value:
    return {"artifactLocation": _artifact_location(span.file), "region": _region(span)}


def _artifact_location(file: str) -> Value:
    """Section 3.4: relative to where the source tree lies, which the reader of the log knows."""
    if file.startswith("/"):
        return {"uri": "file://" + _percent_encoded(file)}
    return {"uri": _percent_encoded(file), "uriBaseId": "%SRCROOT%"}


def _percent_encoded(file: str) -> str:
    try:
        octets = file.encode("utf-8", "surrogateescape")  # the bytes of a name that is not UTF-8
    except UnicodeEncodeError:
        octets = file.encode("utf-8", "replace")
    return quote(octets, safe="/")


def _region(span: Span) -> Value:
    """Section 3.30: columns from 1, and the end column is exclusive, as in `Span`."""
    start = max(span.line, 1), max(span.column, 1)
    end = max((span.end_line, max(span.end_column, 1)), start)
    return {"startLine": start[0], "startColumn": start[1], "endLine": end[0], "endColumn": end[1]}


def _fix(fix: Fix) -> Value:
    """Section 3.55: the edits of a fix, grouped by file."""
    files = dict.fromkeys(edit.span.file for edit in fix.edits)
    changes: list[Value] = [
        {
            "artifactLocation": _artifact_location(file),
            "replacements": [_replacement(edit) for edit in fix.edits if edit.span.file == file],
        }
        for file in files
    ]
    return {"description": _message(fix.title), "artifactChanges": changes}


def _replacement(edit: Edit) -> Value:
    """Section 3.57; the inserted text is no message, so its braces stay as they are."""
    return {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.replacement}}
