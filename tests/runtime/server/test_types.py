"""Types of inputs and outputs as a client sees them: what is converted, what is refused, what fails."""

from __future__ import annotations

import pytest

MODEL = """
import datetime, enum, io, os, tempfile
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Union
from cog import BaseModel, BasePredictor, File, Input, Path, Secret
try:
    from typing import Literal, TypedDict
except ImportError:
    from typing_extensions import Literal, TypedDict

class Box(TypedDict):
    x: int
    label: Optional[str]
    token: Secret

class Colour(enum.Enum):
    RED = "red"

@dataclass
class Point:
    x: float
    y: float = 0.0

class Custom:
    def __init__(self): self.me = self

class Predictor(BasePredictor):
    def predict(self, do: str = "echo", union: Union[str, int] = "u", numbers: Union[int, float, bool] = 1,
                several: Union[int, List[int]] = 1, literal: Literal["a", "b", 3] = "a",
                maybe: Optional[Literal["x"]] = None, box: Optional[Box] = None, free: dict = {}, typed: Dict[str, int] = {},
                boxes: List[Box] = []) -> Any:
        if do == "echo":
            return {"union": union, "numbers": [numbers, type(numbers).__name__], "several": several, "literal": literal,
                    "maybe": maybe, "free": free, "typed": typed}
        if do == "box":
            return [box["x"], box["label"], box["token"].get_secret_value()[:2], type(box).__name__, len(boxes)]
        return eval(do, globals())
"""


@pytest.mark.parametrize(
    ("given", "name", "seen"),
    [
        ({"union": 5}, "union", 5),
        ({"union": "5"}, "union", "5"),
        ({"numbers": 1.5}, "numbers", [1.5, "float"]),
        ({"numbers": 2}, "numbers", [2, "int"]),
        ({"numbers": True}, "numbers", [True, "bool"]),
        ({"several": [1, 2]}, "several", [1, 2]),
        ({"several": 3}, "several", 3),
        ({"literal": "b"}, "literal", "b"),
        ({"literal": 3}, "literal", 3),
        ({"literal": "3"}, "literal", 3),
        ({"maybe": "x"}, "maybe", "x"),
        ({"maybe": None}, "maybe", None),
        ({}, "maybe", None),
        ({"free": {"a": [1]}}, "free", {"a": [1]}),
        ({"typed": {"a": 1}}, "typed", {"a": 1}),
    ],
)
def test_what_fits_arrives_as_it_is(shared, given, name, seen):
    answer = shared.predict(**given)
    assert answer["status"] == "succeeded", answer["error"]
    assert answer["output"][name] == seen


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"union": [1]}, ["union"], "fits none of the types"),
        ({"union": None}, ["union"], "none is not an allowed value"),
        ({"numbers": "many"}, ["numbers"], "fits none of the types"),
        ({"several": ["x"]}, ["several"], "fits none of the types"),
        ({"literal": "c"}, ["literal"], "permitted: 'a', 'b', 3"),
        ({"literal": True}, ["literal"], "permitted"),
        ({"maybe": "y"}, ["maybe"], "permitted: 'x'"),
        ({"free": [1]}, ["free"], "value is not a valid dict"),
        ({"box": 1}, ["box"], "value is not a valid dict"),
        ({"box": {"x": 1, "label": None}}, ["box", "token"], "field required"),
        ({"box": {"x": "one", "label": None, "token": "t"}}, ["box", "x"], "value is not a valid integer"),
        ({"box": {"x": None, "label": None, "token": "t"}}, ["box", "x"], "none is not an allowed value"),
        ({"box": {"x": 1, "label": 2, "token": "t"}}, ["box", "label"], "str type expected"),
        ({"boxes": [{"x": 1, "label": "a", "token": "t"}, {}]}, ["boxes", 1, "x"], "field required"),
    ],
)
def test_what_does_not_fit_is_named(shared, given, where, message):
    answer = shared.ask("POST", "/predictions", {"input": given})
    assert answer.status == 422
    first = answer.json["detail"][0]
    assert first["loc"] == ["body", "input", *where]
    assert message in first["msg"]


def test_members_of_objects_are_converted_and_their_secrets_masked(shared):
    box = {"x": "7", "label": None, "token": "hidden-token", "more": 1}
    answer = shared.predict(do="box", box=box, boxes=[box])
    assert answer["output"] == [7, None, "hi", "dict", 1]
    assert "hidden-token" not in str(answer)


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ("Colour.RED", "red"),
        ("[Colour.RED, {Colour.RED: 1}]", ["red", {"red": 1}]),
        ("datetime.datetime(2026, 1, 2, 3, 4, 5)", "2026-01-02T03:04:05"),
        ("datetime.date(2026, 1, 2)", "2026-01-02"),
        ("Point(1)", {"x": 1, "y": 0.0}),
        ("{1, 1}", [1]),
        ("(x for x in range(3))", [0, 1, 2]),
        ("{'a': (1, 2)}", {"a": [1, 2]}),
        ("2 ** 70", 2**70),
        ("-(2 ** 63) - 1", -(2**63) - 1),
        ("'a\\ud800b'", "a\ufffdb"),
        ("'\\0\\x1f\\u2028'", "\0\x1f\u2028"),
        ("{1: 'a', None: 'b', True: 'c'}", {"1": "c", "null": "b"}),
        ("1e308", 1e308),
        ("io.StringIO('text')", "data:application/octet-stream;base64,dGV4dA=="),
        ("io.BytesIO(b'text')", "data:application/octet-stream;base64,dGV4dA=="),
        ("None", None),
    ],
)
def test_natural_values_become_json(shared, expression, output):
    answer = shared.predict(do=expression)
    assert answer["status"] == "succeeded", answer["error"]
    found = answer["output"]
    if expression.startswith("{1: 'a'"):
        assert found["null"] == "b"
    else:
        assert found == output


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("float('nan')", "output is NaN"),
        ("{'a': [1, float('inf')]}", "output.a[1] is infinite"),
        ("b'bytes'", "of type bytes"),
        ("{'deep': {'er': object()}}", "output.deep.er is of type object"),
        ("Custom()", "of type Custom"),
        ("(lambda a: a.append(a) or a)([])", "contains itself"),
        ("__import__('functools').reduce(lambda a, _: [a], range(100000), 0)", "nested too deeply"),
        ("{(1, 2): 3}", "key of type tuple"),
        ("Path('/no/such/file')", "No such file"),
        ("Path('/proc')", "not a regular file"),
        ("lambda: 1", "of type function"),
        ("(1 / 0 for _ in range(2))", "division by zero"),
    ],
)
def test_outputs_that_json_does_not_have_fail_with_their_place(shared, expression, words):
    answer = shared.ask("POST", "/predictions", {"input": {"do": expression}})
    assert answer.status == 200
    assert answer.json["status"] == "failed"
    assert words in answer.json["error"]
    assert answer.json["output"] is None
    assert shared.predict()["status"] == "succeeded"


DECLARED = """
from typing import Any, List, Optional
from cog import BaseModel, BasePredictor, Path
class Output(BaseModel):
    score: Optional[float]
    file: Optional[Path]
    names: List[str] = []
class Predictor(BasePredictor):
    def predict(self, do: str) -> Output:
        return eval(do, globals())
"""


def test_outputs_are_compared_with_the_declared_type(serve):
    server = serve(DECLARED)
    assert server.predict(do="Output(score=1.5)")["output"] == {"score": 1.5, "names": []}
    assert server.predict(do="Output(score=1, file=None)")["output"] == {"score": 1.0, "file": None, "names": []}
    for expression, words in (
        ("5", "output must be Output, but the model returned int"),
        ("Output(score='high')", "output.score must be float, but the model returned str"),
        ("Output(names=['a', 2])", "output.names[1] must be str, but the model returned int"),
        ("Output(file=3)", "output.file must be Path, but the model returned int"),
    ):
        answer = server.ask("POST", "/predictions", {"input": {"do": expression}})
        assert (answer.status, answer.json["status"]) == (200, "failed")
        assert words in answer.json["error"]


ITERATOR = """
from typing import Iterator
from cog import BasePredictor
class Predictor(BasePredictor):
    def predict(self, bad: bool) -> Iterator[int]:
        yield 1
        yield "two" if bad else 2
"""


def test_each_item_is_compared_with_the_declared_type(serve):
    server = serve(ITERATOR)
    assert server.predict(bad=False)["output"] == [1, 2]
    failed = server.predict(bad=True)
    assert (failed["status"], failed["output"]) == ("failed", [1])
    assert "must be int, but the model returned str" in failed["error"]
