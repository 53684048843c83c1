import json
from typing import Any

from cogc.diagnostics import Diagnostic, Edit, Fix, Note, Severity, report
from cogc.render import render
from cogc.source import Span


def document(*diagnostics: Diagnostic) -> Any:
    return json.loads(render(diagnostics, {}, "json"))


def test_every_field_is_there() -> None:
    span = Span("cog.yaml", 4, 1, 4, 5)
    place = {"file": "cog.yaml", "line": 4, "column": 1, "end_line": 4, "end_column": 5}
    fix = Fix(title="rename", edits=(Edit(span=span, replacement="build"),))
    notes = [Note(message="n"), Note(message="here", span=span)]
    assert document(report("COG120", "a key", span, notes=notes, hint="h", fix=fix)) == {
        "version": 1,
        "diagnostics": [
            {
                "code": "COG120",
                "name": "unknown-key",
                "severity": "error",
                "message": "a key",
                "span": place,
                "notes": [{"message": "n", "span": None}, {"message": "here", "span": place}],
                "hint": "h",
                "fix": {"title": "rename", "edits": [{"span": place, "replacement": "build"}]},
                "ways": [],
            }
        ],
        "summary": {"errors": 1, "warnings": 0, "infos": 0},
    }


def test_what_is_missing_is_null() -> None:
    (found,) = document(report("COG228", "m"))["diagnostics"]
    assert (found["span"], found["hint"], found["fix"], found["notes"]) == (None, None, None, [])


def test_the_summary_counts_each_severity() -> None:
    found = document(report("COG100", "m"), report("COG131", "m"), report("COG131", "n"), report("COG228", "m"))
    assert found["summary"] == {"errors": 1, "warnings": 2, "infos": 1}


def test_without_diagnostics_it_is_still_a_document() -> None:
    assert document() == {"version": 1, "diagnostics": [], "summary": {"errors": 0, "warnings": 0, "infos": 0}}


def test_an_unknown_code_has_no_name() -> None:
    (found,) = document(Diagnostic(code="X1", severity=Severity.ERROR, message="m"))["diagnostics"]
    assert found["name"] is None


def test_control_characters_are_escaped_and_lone_surrogates_replaced() -> None:
    output = render([report("COG100", "\x9b模\udc80\U0001f600")], {}, "json")
    assert output.isascii()
    assert json.loads(output)["diagnostics"][0]["message"] == "\x9b模\ufffd\U0001f600"
