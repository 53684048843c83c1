"""What a change of a model means for those who call it: one row each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cogc.frontend.openapi.changes import Change, compare
from cogc.frontend.signature import openapi_document
from tests.unit.frontend.signature.support import predictor, signature

BREAKING, COMPATIBLE, DOCS = "breaking", "compatible", "docs"


def changes(old: Any, new: Any) -> list[tuple[str, str, str]]:
    """(kind, path below the components, message)."""
    return [
        (found.kind, found.path.removeprefix("$.components.schemas."), found.message) for found in compare(old, new)
    ]


def model(parameters: str, returns: str = "str", before: str = "") -> dict[str, Any]:
    return openapi_document(signature(predictor(parameters, returns, before)), None)


def inputs(old: str, new: str) -> list[tuple[str, str, str]]:
    """The changes between two lists of parameters, with paths below the properties of the input."""
    return [
        (kind, path.removeprefix("Input.properties."), message)
        for kind, path, message in changes(model(old), model(new))
    ]


def outputs(old: str, new: str, before: str = "") -> list[tuple[str, str, str]]:
    return changes(model("", old, before), model("", new, before))


# -- inputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # which inputs there are
        ("a: str", "a: str", []),
        ("a: str, b: str", "a: str", [(BREAKING, "b", "input `b` removed")]),
        ("a: str, b: str = 'x'", "a: str", [(BREAKING, "b", "input `b` removed")]),
        ("a: str", "a: str, b: int", [(BREAKING, "b", "input `b` added, required")]),
        ("a: str", "a: str, b: int = 3", [(COMPATIBLE, "b", "input `b` added")]),
        ("prompt: str", "text: str", [(BREAKING, "text", "input `prompt` renamed to `text`")]),
        ("a: int, size: str", "a: int, sizes: str", [(BREAKING, "sizes", "input `size` renamed to `sizes`")]),
        (
            "a: str = Input(description='the text'), b: int = 1",
            "b: int = 1, z: str = Input(description='the text')",
            [
                (BREAKING, "z", "input `a` renamed to `z`"),
                (DOCS, "b['x-order']", "changed from `1` to `0`"),
            ],
        ),
        (
            "a: str",
            "b: int",
            [(BREAKING, "a", "input `a` removed"), (BREAKING, "b", "input `b` added, required")],
        ),
        # whether they are needed
        ("a: str", "a: str = 'x'", [(COMPATIBLE, "a", "may be left out now"), (DOCS, "a.default", 'default changed from `null` to `"x"`')]),
        ("a: str = 'x'", "a: str", [(BREAKING, "a", "is required now"), (DOCS, "a.default", 'default changed from `"x"` to `null`')]),
        ("a: int = 1", "a: int = 2", [(BREAKING, "a.default", "default changed from `1` to `2`")]),
        ("a: int = 1", "a: float = 1", [(COMPATIBLE, "a.type", "type changed from integer to number")]),
        ("a: str = Input(default=None)", "a: str = 'x'", [
            (BREAKING, "a.nullable", "may no longer be null"),
            (BREAKING, "a.default", 'default changed from `null` to `"x"`'),
        ]),
        ("a: List[str] = ['x']", "a: List[str] = ['y']", [(BREAKING, "a.default", 'default changed from `["x"]` to `["y"]`')]),
        ("a: bool = True", "a: bool = False", [(BREAKING, "a.default", "default changed from `true` to `false`")]),
        # types
        ("a: int", "a: float", [(COMPATIBLE, "a.type", "type changed from integer to number")]),
        ("a: float", "a: int", [(BREAKING, "a.type", "type changed from number to integer")]),
        ("a: str", "a: int", [(BREAKING, "a.type", "type changed from string to integer")]),
        ("a: str", "a: Path", [(BREAKING, "a.format", "type changed from string to file")]),
        ("a: Path", "a: str", [(COMPATIBLE, "a.format", "type changed from file to string")]),
        ("a: Path", "a: File", []),
        ("a: dict", "a: Any", [(COMPATIBLE, "a.type", "type changed from object to any")]),
        ("a: Any", "a: dict", [(BREAKING, "a.type", "type changed from any to object")]),
        ("a: str", "a: List[str]", [(BREAKING, "a.type", "type changed from string to array")]),
        ("a: List[int]", "a: List[float]", [(COMPATIBLE, "a.items.type", "type changed from integer to number")]),
        ("a: List[float]", "a: List[int]", [(BREAKING, "a.items.type", "type changed from number to integer")]),
        ("a: str", "a: Optional[str] = None", [
            (COMPATIBLE, "a", "may be left out now"),
            (COMPATIBLE, "a.nullable", "may be null now"),
        ]),
        ("a: str", "a: Union[str, int]", [(COMPATIBLE, "a", "allows integer")]),
        ("a: Union[str, int]", "a: str", [(BREAKING, "a", "no longer allows integer")]),
        ("a: Union[str, int]", "a: Union[int, str]", []),
        ("a: Union[str, int]", "a: Union[str, float]", [(COMPATIBLE, "a", "allows number")]),
        ("a: Union[str, float]", "a: Union[str, int]", [(BREAKING, "a", "no longer allows number")]),
        ("a: float = 1", "a: float = 1.0", []),
        ("a: str", "a: Secret", [
            (COMPATIBLE, "a['x-cog-secret']", "is a secret now"),
            (DOCS, "a.format", "added"),
        ]),
        ("a: Secret", "a: str", [
            (BREAKING, "a['x-cog-secret']", "is no longer hidden as a secret"),
            (DOCS, "a.format", "removed"),
        ]),
        # bounds
        ("a: int = Input(ge=1)", "a: int = Input(ge=2)", [(BREAKING, "a.minimum", "raised from 1 to 2")]),
        ("a: int = Input(ge=2)", "a: int = Input(ge=1)", [(COMPATIBLE, "a.minimum", "lowered from 2 to 1")]),
        ("a: int", "a: int = Input(ge=1)", [(BREAKING, "a.minimum", "minimum 1 added")]),
        ("a: int = Input(ge=1)", "a: int", [(COMPATIBLE, "a.minimum", "minimum 1 removed")]),
        ("a: int = Input(le=9)", "a: int = Input(le=8)", [(BREAKING, "a.maximum", "lowered from 9 to 8")]),
        ("a: int = Input(le=8)", "a: int = Input(le=9)", [(COMPATIBLE, "a.maximum", "raised from 8 to 9")]),
        ("a: int", "a: int = Input(le=9)", [(BREAKING, "a.maximum", "maximum 9 added")]),
        ("a: str", "a: str = Input(min_length=2)", [(BREAKING, "a.minLength", "minLength 2 added")]),
        ("a: str = Input(max_length=9)", "a: str = Input(max_length=3)", [(BREAKING, "a.maxLength", "lowered from 9 to 3")]),
        ("a: str = Input(max_length=9)", "a: str", [(COMPATIBLE, "a.maxLength", "maxLength 9 removed")]),
        ("a: str", "a: str = Input(regex='^x')", [(BREAKING, "a.pattern", 'pattern `"^x"` added')]),
        ("a: str = Input(regex='^x')", "a: str", [(COMPATIBLE, "a.pattern", 'pattern `"^x"` removed')]),
        ("a: str = Input(regex='x')", "a: str = Input(regex='y')", [(BREAKING, "a.pattern", 'changed from `"x"` to `"y"`')]),
        # choices, which stand in a component of their own
        ("a: str = Input(choices=['x', 'y'])", "a: str = Input(choices=['x', 'y', 'z'])",
         [(COMPATIBLE, "a.enum", 'choice `"z"` added')]),
        ("a: str = Input(choices=['x', 'y'])", "a: str = Input(choices=['x', 'z'])",
         [(BREAKING, "a.enum", 'choice `"y"` removed'), (COMPATIBLE, "a.enum", 'choice `"z"` added')]),
        ("a: str = Input(choices=['x', 'y'])", "a: str = Input(choices=['y', 'x'])",
         [(DOCS, "a.enum", "choices are in another order")]),
        ("a: int = Input(choices=[1, 2])", "a: int = Input(choices=[1])", [(BREAKING, "a.enum", "choice `2` removed")]),
        ("a: str", "a: Literal['x', 'y']", [
            (BREAKING, "a.enum", 'limited to `"x"`, `"y"`'),
            (DOCS, "a.description", "added"),
        ]),
        ("a: Literal['x']", "a: str", [
            (COMPATIBLE, "a.enum", 'no longer limited to `"x"`'),
            (DOCS, "a.description", "removed"),
        ]),
        # what is for people
        ("a: str", "a: str = Input(description='d')", [(DOCS, "a.description", "added")]),
        ("a: str = Input(description='d')", "a: str = Input(description='e')",
         [(DOCS, "a.description", 'changed from `"d"` to `"e"`')]),
        ("a: str", "a: str = Input(deprecated=True)", [(DOCS, "a.deprecated", "added")]),
        ("a: Path", "a: Path = Input(accept='image/*')", [(DOCS, "a['x-cog-accept']", "added")]),
        ("a: str, b: str", "b: str, a: str", [
            (DOCS, "a['x-order']", "changed from `0` to `1`"),
            (DOCS, "b['x-order']", "changed from `1` to `0`"),
        ]),
    ],
)  # fmt: skip
def test_inputs(old: str, new: str, expected: list[tuple[str, str, str]]) -> None:
    assert inputs(old, new) == expected


# -- outputs ---------------------------------------------------------------------------------------

OBJECTS = """
    class One(BaseModel):
        a: int
        b: Optional[str]
    class NoB(BaseModel):
        a: int
    class MaybeA(BaseModel):
        a: Optional[int]
        b: Optional[str]
    class Wide(BaseModel):
        a: float
        b: Optional[str]
    class More(One):
        c: str
    class Renamed(BaseModel):
        a: int
        bb: Optional[str]
    """


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("str", "str", []),
        ("str", "int", [(BREAKING, "Output.type", "type changed from string to integer")]),
        ("float", "int", [(COMPATIBLE, "Output.type", "type changed from number to integer")]),
        ("int", "float", [(BREAKING, "Output.type", "type changed from integer to number")]),
        ("Any", "str", [(COMPATIBLE, "Output.type", "type changed from any to string")]),
        ("str", "Any", [(BREAKING, "Output.type", "type changed from string to any")]),
        ("str", "Path", [(COMPATIBLE, "Output.format", "type changed from string to file")]),
        ("Path", "str", [(BREAKING, "Output.format", "type changed from file to string")]),
        ("Path", "List[Path]", [(BREAKING, "Output.type", "type changed from file to array")]),
        ("List[int]", "List[str]", [(BREAKING, "Output.items.type", "type changed from integer to string")]),
        ("List[str]", "Iterator[str]", [(COMPATIBLE, "Output['x-cog-array-type']", "arrives item by item")]),
        ("Iterator[str]", "List[str]", [(BREAKING, "Output['x-cog-array-type']", "no longer arrives item by item")]),
        ("Iterator[str]", "ConcatenateIterator[str]", [(DOCS, "Output['x-cog-array-display']", "is shown as one text")]),
        ("Dict[str, int]", "Dict[str, float]",
         [(BREAKING, "Output.additionalProperties.type", "type changed from integer to number")]),
        ("Dict[str, int]", "dict", [(BREAKING, "Output.additionalProperties.type", "type changed from integer to any")]),
        ("dict", "Dict[str, int]", [(COMPATIBLE, "Output.additionalProperties.type", "type changed from any to integer")]),
        ("One", "NoB", [(BREAKING, "Output.properties.b", "field `b` removed")]),
        ("NoB", "One", [(COMPATIBLE, "Output.properties.b", "field `b` added")]),
        ("One", "More", [(COMPATIBLE, "Output.properties.c", "field `c` added")]),
        ("One", "Renamed", [(BREAKING, "Output.properties.bb", "field `b` renamed to `bb`")]),
        ("One", "Wide", [(BREAKING, "Output.properties.a.type", "type changed from integer to number")]),
        ("Wide", "One", [(COMPATIBLE, "Output.properties.a.type", "type changed from number to integer")]),
        ("One", "MaybeA", [
            (BREAKING, "Output.properties.a", "may be missing now"),
            (BREAKING, "Output.properties.a.nullable", "may be null now"),
        ]),
        ("MaybeA", "One", [
            (COMPATIBLE, "Output.properties.a", "is always there now"),
            (COMPATIBLE, "Output.properties.a.nullable", "may no longer be null"),
        ]),
        ("List[One]", "List[Wide]", [(BREAKING, "Output.items.properties.a.type", "type changed from integer to number")]),
        ("Literal['a']", "Literal['a', 'b']", [(BREAKING, "Output.enum", 'choice `"b"` added')]),
        ("Literal['a', 'b']", "Literal['a']", [(COMPATIBLE, "Output.enum", 'choice `"b"` removed')]),
    ],
)  # fmt: skip
def test_outputs(old: str, new: str, expected: list[tuple[str, str, str]]) -> None:
    assert outputs(old, new, OBJECTS) == expected


# -- targets ---------------------------------------------------------------------------------------


def trained(parameters: str = "n: int") -> Any:
    return signature(f"def train({parameters}) -> str: ...\n", "train", "train")


def test_targets_that_come_and_go() -> None:
    predict = signature(predictor("a: str"))
    one, both, other = (openapi_document(*pair) for pair in ((predict, None), (predict, trained()), (None, trained())))
    assert changes(one, both) == [(COMPATIBLE, "$.paths['/trainings']", "trainings are offered")]
    assert changes(both, one) == [(BREAKING, "$.paths['/trainings']", "trainings are no longer offered")]
    assert changes(one, other) == [
        (BREAKING, "$.paths['/predictions']", "predictions are no longer offered"),
        (COMPATIBLE, "$.paths['/trainings']", "trainings are offered"),
    ]


def test_trainings_are_compared_as_well() -> None:
    predict = signature(predictor("a: str"))
    old, new = (openapi_document(predict, trained(each)) for each in ("n: int", "n: float, m: int"))
    assert changes(old, new) == [
        (COMPATIBLE, "TrainingInput.properties.n.type", "type changed from integer to number"),
        (BREAKING, "TrainingInput.properties.m", "input `m` added, required"),
    ]


def test_streaming() -> None:
    source = "from cog import streaming\nfrom typing import Iterator\n{}def predict() -> Iterator[str]:\n    yield ''\n"
    plain, streams = (
        openapi_document(signature(source.format(each), "predict"), None) for each in ("", "@streaming\n")
    )
    path = "$.paths['/predictions'].post['x-cog-streaming']"
    assert changes(plain, streams) == [(COMPATIBLE, path, "streams events")]
    assert changes(streams, plain) == [(BREAKING, path, "no longer streams events")]


# -- documents of other origin -----------------------------------------------------------------------


def document(**schemas: Any) -> dict[str, Any]:
    return {"openapi": "3.0.2", "info": {"title": "x", "version": "1"}, "paths": {}, "components": {"schemas": schemas}}


def given(old: Any, new: Any) -> list[tuple[str, str, str]]:
    """The changes of one input by its schemas."""
    pair = [document(Input={"type": "object", "properties": {"a": schema}}) for schema in (old, new)]
    return [(kind, path.removeprefix("Input.properties."), message) for kind, path, message in changes(*pair)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "string", "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"enum": ["x"], "type": "string"}, {"const": "x", "type": "string"}),
        ({"type": "string", "enum": ["x"]}, {"allOf": [{"type": "string"}, {"enum": ["x"]}]}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"oneOf": [{"type": "integer"}, {"type": "string"}]}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"type": ["string", "integer"]}),
        ({}, True),
    ],
)
def test_spellings_of_one_thing_are_no_change(old: Any, new: Any) -> None:
    assert given(old, new) == given(new, old) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"type": "array", "items": {}}, {"type": "array", "items": {}, "maxItems": 3}, [(BREAKING, "a.maxItems", "maxItems 3 added")]),
        ({"type": "array", "uniqueItems": True}, {"type": "array"}, [(COMPATIBLE, "a.uniqueItems", "uniqueItems removed")]),
        ({"type": "number", "multipleOf": 2}, {"type": "number", "multipleOf": 3}, [(BREAKING, "a.multipleOf", "changed from `2` to `3`")]),
        ({"type": "number", "minimum": 1}, {"type": "number", "minimum": 1, "exclusiveMinimum": True},
         [(BREAKING, "a.exclusiveMinimum", "exclusiveMinimum added")]),
        ({"type": "object"}, {"type": "object", "additionalProperties": False},
         [(BREAKING, "a.additionalProperties", "other properties are refused")]),
        ({"type": "object", "additionalProperties": False}, {"type": "object"},
         [(COMPATIBLE, "a.additionalProperties", "other properties are allowed")]),
        ({"type": "string", "not": {}}, {"type": "string"}, [(BREAKING, "a.not", "changed")]),
        ({"type": "string", "x-mine": 1}, {"type": "string", "x-mine": 2}, [(DOCS, "a['x-mine']", "changed from `1` to `2`")]),
        ({"type": "string", "title": "A b"}, {"type": "string", "title": "C"}, [(DOCS, "a.title", 'changed from `"A b"` to `"C"`')]),
        ({"type": "string", "enum": [1]}, {"type": "string", "enum": [True]},
         [(BREAKING, "a.enum", "choice `1` removed"), (COMPATIBLE, "a.enum", "choice `true` added")]),
        (
            {"type": "object", "properties": {"x": {"type": "string"}}},
            {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
            [(BREAKING, "a.properties.x", "is required now"),
             (BREAKING, "a.properties.x.type", "type changed from string to integer")],
        ),
    ],
)  # fmt: skip
def test_keywords_that_only_other_tools_write(old: Any, new: Any, expected: list[tuple[str, str, str]]) -> None:
    assert given(old, new) == expected


def test_a_component_is_compared_once_and_where_it_is_written() -> None:
    ref = {"$ref": "#/components/schemas/Size"}
    old, new = (
        document(
            Input={"type": "object", "properties": {"a": ref, "b": {"type": "array", "items": ref}}},
            Size={"type": "string", "enum": choices},
        )
        for choices in (["s", "l"], ["s"])
    )
    assert changes(old, new) == [(BREAKING, "Size.enum", 'choice `"l"` removed')]


def test_the_same_component_means_other_things_as_input_and_as_output() -> None:
    ref = {"$ref": "#/components/schemas/Size"}
    old, new = (
        document(
            Input={"type": "object", "properties": {"a": ref}}, Output=ref, Size={"type": "string", "enum": choices}
        )
        for choices in (["s"], ["s", "l"])
    )
    assert changes(old, new) == [
        (COMPATIBLE, "Size.enum", 'choice `"l"` added'),
        (BREAKING, "Size.enum", 'choice `"l"` added'),
    ]


def test_schemas_that_refer_to_themselves_end() -> None:
    ref = {"$ref": "#/components/schemas/Node"}

    def tree(kind: str) -> dict[str, Any]:
        node = {"type": "object", "properties": {"value": {"type": kind}, "next": {"type": "array", "items": ref}}}
        return document(Input={"type": "object", "properties": {"a": ref}}, Node=node)

    assert changes(tree("integer"), tree("number")) == [
        (COMPATIBLE, "Node.properties.value.type", "type changed from integer to number")
    ]
    circle = document(Input={"$ref": "#/components/schemas/B"}, B={"$ref": "#/components/schemas/Input"})
    assert changes(circle, circle) == []


def test_schemas_that_refer_to_each_other_without_end_are_cut_short() -> None:
    names = [f"N{number}" for number in range(40)]

    def web(extra: str) -> dict[str, Any]:
        # Each refers to all others, with something of its own beside, so that no pair is the same.
        refs = {name: {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "description": extra} for name in names}
        return document(**{name: {"type": "object", "properties": refs} for name in (*names, "Input")})

    found = compare(web("a"), web("b"))
    assert any("too many schemas" in change.message for change in found)


def test_other_paths_and_titles() -> None:
    old, new = document(), document()
    old["paths"], new["paths"] = {"/x": {"get": {}, "post": {}}}, {"/x": {"get": {}}, "/y": {"get": {}}}
    new["info"] = {"title": "y", "version": "1"}
    assert changes(old, new) == [
        (BREAKING, "$.paths['/x'].post", "removed"),
        (COMPATIBLE, "$.paths['/y'].get", "added"),
        (DOCS, "$.info.title", "changed"),
    ]


def test_values_are_kept_as_json() -> None:
    (change,) = compare(model("a: int = Input(ge=1)"), model("a: int = Input(ge=2)"))
    assert change == Change(
        kind="breaking", path="$.components.schemas.Input.properties.a.minimum", message="raised from 1 to 2",
        old="1", new="2",
    )  # fmt: skip
    assert json.loads(change.new or "") == 2


@pytest.mark.parametrize("parameters", ["a: str, b: Path = None", "x: Union[int, str], y: List[Optional[str]] = []"])
def test_a_document_does_not_differ_from_itself(parameters: str) -> None:
    one = openapi_document(signature(predictor("a: str")), trained())
    assert compare(one, json.loads(json.dumps(one))) == ()
