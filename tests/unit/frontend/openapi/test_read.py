"""Documents that people hand in: what is wrong with them, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cogc.frontend.openapi.read import read_document
from cogc.frontend.signature import openapi_document
from cogc.source import SourceFile
from tests.unit.frontend.signature import test_signature_seeds as seeds
from tests.unit.frontend.signature.support import analyse, predictor


def read(text: str) -> tuple[Any, list[tuple[str, str]]]:
    """The document, and (place, message) of what is wrong with it."""
    document, found = read_document(SourceFile("s.json", text))
    assert (document is None) == bool(found)
    assert {one.code for one in found} <= {"COG442"}
    return document, [(str(one.span).removeprefix("s.json:"), one.message) for one in found]


def wrong(document: Any) -> list[str]:
    return [message for _, message in read(json.dumps(document, indent=2))[1]]


def document(**properties: Any) -> dict[str, Any]:
    """A sound document but for the properties of its input."""
    return {
        "openapi": "3.0.2",
        "info": {"title": "x", "version": "1"},
        "paths": {},
        "components": {"schemas": {"Input": {"type": "object", "properties": properties}}},
    }


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(document()),
        json.dumps(document(a={"type": "string", "x-anything": [1], "format": "uri"}), indent="\t"),
        json.dumps({**document(), "openapi": "3.0.0", "servers": [], "x-mine": 1}),
        json.dumps(document(a={"type": "string", "default": None, "nullable": True})),
        json.dumps(document(a={"type": "object", "default": [1]}), ensure_ascii=False),
        json.dumps(
            document(**{"$ref": {"type": "string"}, "default": {"type": "integer"}, "enum": {"type": "string"}})
        ),
        json.dumps(document(a={"anyOf": [{"type": "string"}, {"type": "integer"}], "default": 3})),
        json.dumps(document(a={"type": "string", "minLength": 3, "default": "été"})),
    ],
)
def test_sound_documents(text: str) -> None:
    assert read(text)[1] == []


@pytest.mark.parametrize(
    "source", [*seeds.PREDICTORS.values(), predictor("a: int = Input(ge=1, default=2), s: Literal['a'] = 'a'")]
)
def test_what_cogc_makes_itself_is_sound(source: str) -> None:
    signature, _ = analyse(source)
    assert signature is not None
    assert wrong(openapi_document(signature, None)) == []


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "1:1", "the document is not valid JSON: Expecting value"),
        ('{"a": 1,\n  "b": }', "2:8", "the document is not valid JSON: Expecting value"),
        ("[]", "1:1", "the document is not a JSON object"),
        ('{"a": NaN}', "1:1", "the document is not valid JSON: NaN is not a number of JSON"),
        ('{"a": 1, "a": 2}', "1:1", "the document is not valid JSON: the member `a` is there twice"),
        ("[" * 100_000, "1:1", "the document is nested too deeply"),
        ('{"openapi": "3.1.0"}', "1:13", "$.openapi: the version is 3.1.0, not 3.0"),
        ('{"swagger": "2.0"}', "1:13", "$.swagger: the version is 2.0, not 3.0"),
        ('{"openapi": 3}', "1:13", "$.openapi: must be of the type string"),
    ],
)
def test_text_that_is_no_document(text: str, place: str, message: str) -> None:
    assert (place, message) in read(text)[1]


def test_a_document_that_is_too_large_is_refused() -> None:
    assert "larger than 4 MiB" in read('"' + "a" * 5_000_000 + '"')[1][0][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"openapi": "three"}, "$.openapi: the version is three, not 3.0"),
        ({"openapi": "3.0.x"}, "$.openapi: must be a version such as 3.0.2"),
        ({"openapi": None}, "$.openapi: must be of the type string"),
        ({"info": {"title": "x"}}, "$.info: `version` is missing"),
        ({"paths": []}, "$.paths: must be of the type object"),
        ({"paths": {"/x": {"get": {}}}}, "$.paths['/x'].get: `responses` is missing"),
        ({"paths": {"/x": {"get": {"responses": {}}}}}, "$.paths['/x'].get.responses: must not be empty"),
        (
            {"paths": {"/x": {"get": {"responses": {"200": {"$ref": "#/components/responses/No"}}}}}},
            "$.paths['/x'].get.responses['200']['$ref']: `#/components/responses/No` leads nowhere",
        ),
        ({"paths": {"/x": {"get": {"responses": {"200": {}}}}}}, "$.paths['/x'].get.responses['200']: `description` is missing"),
    ],
)  # fmt: skip
def test_the_shape(change: dict[str, Any], message: str) -> None:
    assert wrong({**document(), **change}) == [message]


@pytest.mark.parametrize("key", ["openapi", "info", "paths"])
def test_what_every_document_has(key: str) -> None:
    assert wrong({name: value for name, value in document().items() if name != key}) == [f"$: `{key}` is missing"]


A = "$.components.schemas.Input.properties.a"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "text"}, f"{A}.type: must be one of `array`, `boolean`, `integer`, `number`, `object`, `string`"),
        ({"type": ["string", "null"]}, f"{A}.type: must be one of `array`, `boolean`, `integer`, `number`, `object`, `string`"),
        ({"minimum": "1"}, f"{A}.minimum: must be of the type number"),
        ({"minLength": -1}, f"{A}.minLength: must not be less than 0"),
        ({"enum": []}, f"{A}.enum: must not be empty"),
        ({"nullable": "yes"}, f"{A}.nullable: must be of the type boolean"),
        ({"required": "a"}, f"{A}.required: must be of the type array"),
        ({"properties": {"b": {"type": 1}}}, f"{A}.properties.b.type: must be one of `array`, `boolean`, `integer`, `number`, `object`, `string`"),
        ({"anyOf": [{"type": "string"}, {"maximum": True}]}, f"{A}.anyOf[1].maximum: must be of the type number"),
        ({"$ref": "#/components/schemas/Nowhere"}, f"{A}['$ref']: `#/components/schemas/Nowhere` leads nowhere"),
        ({"$ref": "https://example.com/x"}, f"{A}['$ref']: `https://example.com/x` leads out of the document"),
        ({"allOf": [{"$ref": "#/nowhere"}]}, f"{A}.allOf[0]['$ref']: `#/nowhere` leads nowhere"),
        # defaults outside of what their own schema allows
        ({"type": "integer", "minimum": 2, "default": 1}, f"{A}.default: the default 1 is less than its minimum 2"),
        ({"type": "integer", "maximum": 2, "default": 3}, f"{A}.default: the default 3 is greater than its maximum 2"),
        ({"type": "number", "minimum": 2, "exclusiveMinimum": True, "default": 2}, f"{A}.default: the default 2 is less than its minimum 2"),
        ({"type": "string", "minLength": 2, "default": "a"}, f'{A}.default: the default "a" is shorter than its minLength 2'),
        ({"type": "string", "maxLength": 2, "default": "abc"}, f'{A}.default: the default "abc" is longer than its maxLength 2'),
        ({"type": "string", "enum": ["a"], "default": "b"}, f'{A}.default: the default "b" is not one of its choices'),
        ({"type": "integer", "enum": [1], "default": True}, f"{A}.default: the default true is not of the type integer"),
        ({"type": "integer", "default": "1"}, f'{A}.default: the default "1" is not of the type integer'),
        ({"type": "boolean", "default": 1}, f"{A}.default: the default 1 is not of the type boolean"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1}, "default": [1, 0]},
         f"{A}.default: the default 0 is less than its minimum 1"),
        ({"type": "array", "minItems": 1, "default": []}, f"{A}.default: the default [] is shorter than its minItems 1"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}], "default": True},
         f"{A}.default: the default true is a value of none of its types"),
    ],
)  # fmt: skip
def test_schemas(schema: Any, message: str) -> None:
    assert wrong(document(a=schema)) == [message]


def test_bounds_of_a_component_count_as_well() -> None:
    given = document(a={"allOf": [{"$ref": "#/components/schemas/n"}], "default": 5})
    given["components"]["schemas"]["n"] = {"type": "integer", "enum": [1, 2]}
    assert wrong(given) == [f"{A}.default: the default 5 is not one of its choices"]


def test_places_are_those_of_the_text() -> None:
    text = '{"openapi": "3.0.2",\n "info": {"title": "é\\"}", "version": "1"}, "paths": {},\n "components": {"schemas": {"a": [],\n   "b": {"enum": [1], "type": "x"}}}}'
    assert [place for place, _ in read(text)[1]] == ["3:34", "4:31"]


def test_the_number_of_findings_is_bounded() -> None:
    properties = {f"p{number}": {"type": "x"} for number in range(200)}
    assert len(wrong(document(**properties))) == 50
