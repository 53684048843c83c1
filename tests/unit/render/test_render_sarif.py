"""SARIF logs, against what the 2.1.0 schema demands of the parts that are used."""

import json
from typing import Any

import jsonschema
import pytest

from cogc import __version__
from cogc.diagnostics import Diagnostic, Edit, Fix, Note, Severity, report
from cogc.render import render
from cogc.source import Span


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    """As in the real schema, an object with another property is not valid."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def _array(items: Any, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


STRING = {"type": "string"}
POSITIVE = {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
TEXT = _object("text", text=STRING)
URI = {"type": "string", "pattern": r"^([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*$"}
ARTIFACT = _object("uri", uri=URI, uriBaseId=STRING)
REGION = _object("startLine", startLine=POSITIVE, startColumn=POSITIVE, endLine=POSITIVE, endColumn=POSITIVE)
PHYSICAL = _object("artifactLocation", artifactLocation=ARTIFACT, region=REGION)
LOCATION = _object("physicalLocation", physicalLocation=PHYSICAL, message=TEXT)
REPLACEMENT = _object("deletedRegion", deletedRegion=REGION, insertedContent=TEXT)
CHANGE = _object("artifactLocation replacements", artifactLocation=ARTIFACT, replacements=_array(REPLACEMENT, least=1))
FIX = _object("artifactChanges", description=TEXT, artifactChanges=_array(CHANGE, least=1))
RULE = _object("id", id=STRING, name=STRING, shortDescription=TEXT, defaultConfiguration=_object(level=LEVEL))
RESULT = _object(
    "message",
    ruleId=STRING,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=TEXT,
    locations=_array(LOCATION),
    relatedLocations=_array(LOCATION),
    fixes=_array(FIX),
)
DRIVER = _object("name", name=STRING, version=STRING, rules={**_array(RULE), "uniqueItems": True})
RUN = _object(
    "tool",
    tool=_object("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=_array(RESULT),
)
SCHEMA = _object("version runs", version={"const": "2.1.0"}, runs=_array(RUN), **{"$schema": STRING})

SPAN = Span("dir/cog.yaml", 4, 1, 4, 5)


def run_of(*diagnostics: Diagnostic) -> Any:
    log = json.loads(render(diagnostics, {}, "sarif"))
    jsonschema.validate(log, SCHEMA)
    (run,) = log["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    return run


def test_the_driver_lists_the_rules_that_occur() -> None:
    driver = run_of(report("COG228", "b"), report("COG120", "a"), report("COG228", "c"))["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("cogc", __version__)
    assert [rule["id"] for rule in driver["rules"]] == ["COG120", "COG228"]
    assert driver["rules"][1] == {
        "id": "COG228",
        "name": "base-image-choice",
        "shortDescription": {"text": "Why this base image was chosen."},
        "defaultConfiguration": {"level": "note"},
    }


def test_a_result_has_message_level_and_place() -> None:
    notes = [Note(message="n"), Note(message="here", span=Span("r.txt", 2, 1, 2, 3))]
    (result,) = run_of(report("COG120", "a key", SPAN, notes=notes, hint="h"))["results"]
    assert result["message"] == {"text": "a key\nnote: n\nhint: h"}
    assert result["level"] == "error"
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "dir/cog.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 4, "startColumn": 1, "endLine": 4, "endColumn": 5},
            }
        }
    ]
    (related,) = result["relatedLocations"]
    assert related["message"] == {"text": "here"}
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "r.txt"


def test_each_severity_has_its_level() -> None:
    results = run_of(report("COG120", ""), report("COG131", ""), report("COG228", ""))["results"]
    assert [result["level"] for result in results] == ["error", "warning", "note"]


def test_the_edits_of_a_fix_are_grouped_by_file() -> None:
    edits = [
        Edit(span=SPAN, replacement="build{}"),
        Edit(span=Span("b", 1, 1, 1, 1), replacement="x"),
        Edit(span=Span("dir/cog.yaml", 5, 1, 6, 1), replacement=""),
    ]
    (result,) = run_of(report("COG120", "m", SPAN, fix=Fix(title="rename", edits=tuple(edits))))["results"]
    (fix,) = result["fixes"]
    first, second = fix["artifactChanges"]
    assert fix["description"] == {"text": "rename"}
    assert [item["insertedContent"]["text"] for item in first["replacements"]] == ["build{}", ""]
    assert second["artifactLocation"]["uri"] == "b"


def test_a_fix_without_edits_is_left_out() -> None:
    (result,) = run_of(report("COG120", "m", fix=Fix(title="t", edits=())))["results"]
    assert "fixes" not in result


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("my model/cog.yaml", "my%20model/cog.yaml"),
        ("100%#?.yaml", "100%25%23%3F.yaml"),
        ("模.yaml", "%E6%A8%A1.yaml"),
        ("a:b.yaml", "a%3Ab.yaml"),
        ("\udcff.yaml", "%FF.yaml"),
        ("\ud800.yaml", "%3F.yaml"),
    ],
)
def test_file_names_are_percent_encoded(file: str, uri: str) -> None:
    (result,) = run_of(report("COG120", "m", Span(file, 1, 1, 1, 2)))["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": uri, "uriBaseId": "%SRCROOT%"}


def test_an_absolute_path_has_no_base() -> None:
    (result,) = run_of(report("COG120", "m", Span("/a b/cog.yaml", 1, 1, 1, 2)))["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///a%20b/cog.yaml"}


def test_braces_of_messages_are_doubled() -> None:
    (result,) = run_of(report("COG120", "`${A}`"))["results"]
    assert result["message"]["text"] == "`${{A}}`"


def test_a_span_that_counts_wrong_is_still_valid() -> None:
    (result,) = run_of(report("COG120", "m", Span("f", 0, 0, -1, 0)))["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 1,
        "startColumn": 1,
        "endLine": 1,
        "endColumn": 1,
    }


def test_a_code_outside_the_catalogue_is_a_bare_rule() -> None:
    run = run_of(Diagnostic(code="X1", severity=Severity.INFO, message="m"))
    assert run["tool"]["driver"]["rules"] == [{"id": "X1"}]


def test_without_diagnostics_there_is_a_run_without_results() -> None:
    assert run_of()["results"] == []
