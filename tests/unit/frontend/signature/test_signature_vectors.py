"""Signatures and the schemas that Cog's server gives for them."""

from __future__ import annotations

from typing import Any

import pytest

from cogc.frontend.signature import openapi_document
from tests.unit.frontend.signature.support import HEADER, analyse, inputs, output, predictor, schemas, signature

URI = {"type": "string", "format": "uri"}
STREAM = {"x-cog-array-type": "iterator"}


@pytest.mark.parametrize(
    ("parameter", "expected", "is_required"),
    [
        ("s: str", {"title": "S", "type": "string"}, True),
        ("p: Path", {"title": "P", **URI}, True),
        ("f: File", {"title": "F", **URI}, True),
        ("paths: list[Path]", {"title": "Paths", "type": "array", "items": URI}, True),
        ("paths: List[Path]", {"title": "Paths", "type": "array", "items": URI}, True),
        ('i: Path = Input(description="d")', {"title": "I", **URI, "description": "d"}, True),
        ("v: Union[str, int]", {"title": "V", "anyOf": [{"type": "string"}, {"type": "integer"}]}, True),
        ("v: str | int", {"title": "V", "anyOf": [{"type": "string"}, {"type": "integer"}]}, True),
        ('s: str = "x"', {"title": "S", "type": "string", "default": "x"}, False),
        ("x: int = Input(ge=0)", {"title": "X", "type": "integer", "minimum": 0}, True),
        (
            "n: int = Input(default=None, ge=1)",
            {"title": "N", "type": "integer", "minimum": 1, "nullable": True},
            False,
        ),
        ("n: Optional[int] = None", {"title": "N", "type": "integer", "nullable": True}, False),
        ("n: int | None", {"title": "N", "type": "integer", "nullable": True}, False),
        ("n: Optional[int] = 3", {"title": "N", "type": "integer", "default": 3, "nullable": True}, False),
        ("b: bool = True", {"title": "B", "type": "boolean", "default": True}, False),
        ("d: dict", {"title": "D", "type": "object"}, True),
        ("d: Dict[str, int]", {"title": "D", "type": "object", "additionalProperties": {"type": "integer"}}, True),
        ("a: Any", {"title": "A", "type": "object", "x-cog-any": True}, True),
        (
            "api_token: Secret",
            {"title": "Api Token", "type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True},
            True,
        ),
        (
            's: str = Input(min_length=1, max_length=9, regex="^a", deprecated=True)',
            {"title": "S", "type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a", "deprecated": True},
            True,
        ),
        ('p: Path = Input(accept="image/*")', {"title": "P", **URI, "x-cog-accept": "image/*"}, True),
        (
            "n: list[int] = Input(ge=1)",
            {"title": "N", "type": "array", "items": {"type": "integer", "minimum": 1}},
            True,
        ),
        ("o: Annotated[Image, Opaque]", {"title": "O", "type": "object"}, True),
        (
            "o: Annotated[list[Image], Opaque]",
            {"title": "O", "type": "array", "items": {"type": "object"}},
            True,
        ),
    ],
)
def test_input_has_the_schema(parameter: str, expected: dict[str, Any], is_required: bool) -> None:
    found = schemas(predictor(parameter))["Input"]
    name = parameter.partition(":")[0]
    assert found["properties"] == {name: {**expected, "x-order": 0}}
    assert found.get("required") == ([name] if is_required else None)


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ("str", {"type": "string"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("Path", URI),
        ("Any", {}),
        ("None", {"nullable": True}),
        ("list[Path]", {"type": "array", "items": URI}),
        (
            "List[Dict[str, float]]",
            {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "number"}}},
        ),
        ("dict", {"type": "object"}),
        ("Dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("Iterator[Path]", {"type": "array", "items": URI, **STREAM}),
        ("AsyncIterator[str]", {"type": "array", "items": {"type": "string"}, **STREAM}),
        ("Generator[str, None, None]", {"type": "array", "items": {"type": "string"}, **STREAM}),
        (
            "ConcatenateIterator[str]",
            {"type": "array", "items": {"type": "string"}, **STREAM, "x-cog-array-display": "concatenate"},
        ),
        (
            "AsyncConcatenateIterator[str]",
            {"type": "array", "items": {"type": "string"}, **STREAM, "x-cog-array-display": "concatenate"},
        ),
    ],
)  # fmt: skip
def test_output_has_the_schema(returns: str, expected: dict[str, Any]) -> None:
    assert output(returns) == {"title": "Output", **expected}


def test_model_without_inputs_has_no_required_key() -> None:
    assert schemas(predictor(""))["Input"] == {"title": "Input", "type": "object", "properties": {}}


def test_object_output_is_inlined_under_output() -> None:
    before = """
        class Result(BaseModel):
            file: File
            text: str
        """
    assert output("Result", before) == {
        "title": "Output",
        "type": "object",
        "required": ["file", "text"],
        "properties": {"file": {"title": "File", **URI}, "text": {"title": "Text", "type": "string"}},
    }


def test_list_of_objects_has_the_object_inline() -> None:
    before = """
        class Item(BaseModel):
            n: int
        """
    assert output("List[Item]", before)["items"] == {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"title": "N", "type": "integer"}},
    }


@pytest.mark.parametrize(
    ("declaration", "required"),
    [
        ("class R(TypedDict):\n    a: int\n    b: NotRequired[str]", ["a"]),
        ("class R(TypedDict, total=False):\n    a: Required[int]\n    b: str", ["a"]),
        ("import dataclasses\n@dataclasses.dataclass\nclass R:\n    a: int\n    b: str = 'x'", ["a"]),
        ("from dataclasses import dataclass, field\n@dataclass(frozen=True)\nclass R:\n    a: int\n    b: list[str] = field(default_factory=list)", ["a"]),
        ("import pydantic\nclass R(pydantic.BaseModel):\n    a: int\n    b: str = pydantic.Field('x', description='y')", ["a"]),
        ("class Base(BaseModel):\n    a: int\nclass R(Base):\n    b: Optional[str]\n    _c: int\n    D: ClassVar[int] = 3", ["a"]),
        ("class R(BaseModel):\n    a: int\n    b: Path = None", ["a"]),
        ("import dataclasses\n@dataclasses.dataclass\nclass R:\n    a: int\n    b: List[str] = None", ["a"]),
    ],
)  # fmt: skip
def test_kinds_of_object_classes(declaration: str, required: list[str]) -> None:
    found = output("R", declaration)
    assert list(found["properties"]) == ["a", "b"]
    assert found["required"] == required


def test_choices_become_a_component_named_like_the_input() -> None:
    found = schemas(predictor('size: str = Input(choices=["a", "b", "a"], default="a")'))
    assert found["Input"]["properties"]["size"] == {
        "allOf": [{"$ref": "#/components/schemas/size"}],
        "default": "a",
        "x-order": 0,
    }
    assert found["size"] == {"title": "size", "description": "An enumeration.", "enum": ["a", "b"], "type": "string"}


@pytest.mark.parametrize(
    ("parameter", "enum", "type_"),
    [
        ("n: int = Input(choices=[1, 2, 3])", [1, 2, 3], "integer"),
        ("n: float = Input(choices=[0.5, 1])", [0.5, 1], "number"),
        ('n: Literal["x", "y"]', ["x", "y"], "string"),
        ("n: Optional[Literal[1, 2]] = None", [1, 2], "integer"),
        ('n: Literal["x", 1]', ["x", 1], None),
    ],
)
def test_enumerations(parameter: str, enum: list[object], type_: str | None) -> None:
    found = schemas(predictor(parameter))
    assert found["n"]["enum"] == enum
    assert found["n"].get("type") == type_


def test_choices_of_an_input_named_like_a_component_get_another_name() -> None:
    found = schemas(predictor('Output: str = Input(choices=["a", "b"])'))
    assert found["Input"]["properties"]["Output"]["allOf"] == [{"$ref": "#/components/schemas/Output_choices"}]
    assert found["Output"] == {"title": "Output", "type": "string"}


def test_training_choices_with_other_values_get_a_suffix() -> None:
    source = HEADER + (
        "def predict(a: str = Input(choices=['x', 'y']), b: str = Input(choices=['x', 'y'])) -> str: ...\n"
        "def train(a: str = Input(choices=['z', 'y']), b: str = Input(choices=['x', 'y'])) -> str: ...\n"
    )
    document = openapi_document(signature(source, "predict"), signature(source, "train", "train"))
    found = document["components"]["schemas"]
    assert (found["a"]["enum"], found["a_training"]["enum"]) == (["x", "y"], ["z", "y"])
    assert found["TrainingInput"]["properties"]["a"]["allOf"] == [{"$ref": "#/components/schemas/a_training"}]
    assert found["TrainingInput"]["properties"]["b"]["allOf"] == [{"$ref": "#/components/schemas/b"}]


def test_order_is_that_of_the_signature() -> None:
    found = inputs("b: str, a: int = 3, *, d: str, c: float = 1.5")
    assert [(name, schema["x-order"]) for name, schema in found.items()] == [("b", 0), ("a", 1), ("d", 2), ("c", 3)]


def test_titles_are_the_words_of_the_name() -> None:
    found = inputs("train_data: str, _x: int, maxLen: int, __: str")
    assert [schema["title"] for schema in found.values()] == ["Train Data", "X", "Maxlen", "__"]


def test_equal_sources_give_equal_documents() -> None:
    source = predictor('a: str = Input(choices=["x", "y"]), b: list[Path] = []')
    assert openapi_document(analyse(source)[0], None) == openapi_document(analyse(source)[0], None)
