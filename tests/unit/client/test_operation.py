"""What is read from the OpenAPI documents of cogc, of Cog's older servers and of newer ones."""

from __future__ import annotations

import pytest

from cogc.client.operation import alternatives, is_file, read_operation


def document(inputs=None, output=None, *, mode="predict", required=(), others=None, streaming=False):
    path, name = ("/trainings", "Training") if mode == "train" else ("/predictions", "")
    schemas = {
        f"{name}Input": {"type": "object", "properties": inputs or {}, "required": list(required)},
        **({f"{name}Output": output} if output is not None else {}),
        **(others or {}),
    }
    post = {"x-cog-streaming": True} if streaming else {}
    return {"openapi": "3.0.2", "paths": {path: {"post": post}}, "components": {"schemas": schemas}}


def only_field(schema, **others):
    operation = read_operation(document({"x": schema}, others=others), "predict")
    assert operation is not None
    (field,) = operation.fields
    return field


def test_fields_come_in_the_order_of_the_signature():
    inputs = {"b": {"type": "string", "x-order": 1}, "z": {"type": "string"}, "a": {"type": "integer", "x-order": 0}}
    operation = read_operation(document(inputs, required=["a"]), "predict")
    assert [field.name for field in operation.fields] == ["a", "b", "z"]
    assert [field.is_required for field in operation.fields] == [True, False, False]


def test_choices_behind_a_reference_are_those_of_the_field():
    field = only_field(
        {"allOf": [{"$ref": "#/components/schemas/size"}], "default": "a", "x-order": 3},
        size={"title": "size", "type": "string", "enum": ["a", "b"]},
    )
    assert field.schema["enum"] == ["a", "b"]
    assert field.schema["type"] == "string"
    assert field.schema["default"] == "a"


@pytest.mark.parametrize(
    ("schema", "members"),
    [
        ({"type": "string"}, [{"type": "string"}]),
        ({"type": "string", "nullable": True}, [{"type": "string"}]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, [{"type": "integer"}]),
        ({"anyOf": [{"type": "integer"}, {"anyOf": [{"type": "string"}]}]}, [{"type": "integer"}, {"type": "string"}]),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, [{"type": "integer"}, {"type": "string"}]),
    ],
)
def test_alternatives_leave_null_out(schema, members):
    assert list(alternatives(only_field(schema).schema)) == members


def test_choices_that_may_be_null():
    field = only_field(
        {"allOf": [{"$ref": "#/components/schemas/size"}], "nullable": True},
        size={"type": "string", "enum": ["a", "b"]},
    )
    assert [member["enum"] for member in alternatives(field.schema)] == [["a", "b"]]


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ({"type": "string", "format": "uri"}, "file"),
        ({"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}, "file"),
        ({"type": "string", "format": "uri", "nullable": True}, "file"),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, "files"),
        ({"type": "array", "items": {"type": "string", "format": "uri"}, "x-cog-array-type": "iterator"}, "files"),
        ({"type": "string"}, "text"),
        ({"type": "array", "items": {"type": "string"}, "x-cog-array-display": "concatenate"}, "pieces"),
        ({"type": "array", "items": {"type": "string"}}, "other"),
        ({"type": "object"}, "other"),
        ({"type": "integer"}, "other"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "other"),
        ({}, "other"),
        (None, "other"),
    ],
)
def test_kinds_of_output(output, kind):
    operation = read_operation(document({}, output), "predict")
    assert operation.output_kind == kind


def test_an_output_object_is_read_through_its_reference():
    output = {"$ref": "#/components/schemas/Result"}
    result = {"type": "object", "properties": {"image": {"type": "string", "format": "uri"}}}
    operation = read_operation(document({}, output, others={"Result": result}), "predict")
    assert is_file(operation.output["properties"]["image"])


def test_trainings_have_names_of_their_own():
    training = document({"n": {"type": "integer"}}, {"type": "string"}, mode="train")
    assert read_operation(training, "predict") is None
    operation = read_operation(training, "train")
    assert operation.path == "/trainings"
    assert [field.name for field in operation.fields] == ["n"]


def test_streaming_is_told():
    assert read_operation(document({}, streaming=True), "predict").is_streaming
    assert not read_operation(document({}), "predict").is_streaming


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"components": None},
        {"components": {"schemas": []}},
        {"paths": {"/predictions": None}, "components": {"schemas": {"Input": "x", "Output": 3}}},
        {"components": {"schemas": {"Input": {"properties": {"a": 1}, "required": None}}}},
    ],
)
def test_documents_that_are_none(broken):
    operation = read_operation(broken, "predict")
    assert operation is None or [field.schema for field in operation.fields] in ([], [{}])


def test_circles_end():
    tree = {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}}}
    field = only_field({"$ref": "#/components/schemas/Tree"}, Tree=tree)
    assert field.schema["type"] == "object"
    doubling = {f"N{i}": {"anyOf": [{"$ref": f"#/components/schemas/N{i + 1}"}] * 2} for i in range(40)}
    assert only_field({"$ref": "#/components/schemas/N0"}, **doubling).name == "x"
