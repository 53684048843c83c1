"""Whatever the source is, reading it gives a signature or findings, never an exception."""

from __future__ import annotations

import json
import keyword
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogc.frontend.signature import Absent, Mode, analyse_target, openapi_document, thaw
from tests.examples import examples
from tests.memory_files import MemoryFiles

pytestmark = pytest.mark.property

FRAGMENTS = [
    "from cog import BasePredictor, Input, Path, Secret, BaseModel, ConcatenateIterator\n", "import cog\n",
    "from cog import input\n", "from typing import *\n", "from .other import *\n",
    "from other import X as Y\n", "class Predictor(BasePredictor):\n", "class Predictor(cog.Predictor):\n",
    "class Out(BaseModel):\n", "    x: Out\n", "    a: Optional[int] = 3\n", "    def predict(self, ",
    "    async def run(self, ", "def predict(", "    @cog.input('a', type=int, options=[1])\n",
    "    @cog.concurrent(max=3)\n", "    yield 1\n", ") -> ", ":\n", "str", "int", "list[", "]", "Path",
    "Any", "Iterator[str]", "Union[str, int]", "'Out'", "a: ", "b: ", ", ", " = ", "Input(", "default=",
    "choices=", "ge=", "[1, 2]", "list(D.keys())", "{**D, 'a': 1}", "lambda: 0", "X", "Y.Z", "D = {'a': 1}\n",
    "D['b'] = D\n", "D = D\n", "1", "-1.5", "'é'", "f'{D}'", "*", "**", "/", "(", ")", "...",
    "        pass\n", "return Input(default=a)\n", "\\\n", "#", "\x0c", "\t", "\x00", "é", "if x:\n",
    "else:\n", "for a in D:\n", "del D\n",
]  # fmt: skip
SETTINGS = examples(150)


def read(content: bytes, other: bytes = b"X = 1\n", name: str = "Predictor") -> None:
    files = MemoryFiles({"predict.py": content, "other.py": other})
    modes: tuple[Mode, ...] = ("predict", "train")
    for mode in modes:
        signature, diagnostics = analyse_target(files, "predict.py", name, mode=mode)
        assert signature is not None or diagnostics
        document = openapi_document(signature, None) if mode == "predict" else openapi_document(None, signature)
        json.dumps(document, allow_nan=False)
        for diagnostic in diagnostics:
            span = diagnostic.span
            assert span is None or (1 <= span.line <= span.end_line and span.column >= 1 and span.end_column >= 1)


@SETTINGS
@given(st.binary(max_size=300))
def test_any_bytes_give_findings(content: bytes) -> None:
    read(content)


@SETTINGS
@given(st.text(max_size=300))
def test_any_text_gives_findings(text: str) -> None:
    read(text.encode("utf-8", "surrogatepass"))


@SETTINGS
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join), st.sampled_from(["Predictor", "predict", "Out"]))
def test_any_mixture_of_fragments_gives_findings(text: str, name: str) -> None:
    read(text.encode(), text.encode(), name)


@SETTINGS
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join))
def test_any_parameter_gives_findings(text: str) -> None:
    source = "from cog import *\nfrom typing import *\nD = {'a': 1}\nclass Out(BaseModel):\n    n: int\n"
    read(f"{source}class Predictor(BasePredictor):\n    def predict(self, a: str = {text}) -> Out: ...\n".encode())
    read(f"{source}class Predictor(BasePredictor):\n    def predict(self, a: {text}) -> {text}: ...\n".encode())


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name != "self"
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(max_size=20),
    "int": st.integers(-(2**70), 2**70),
    "float": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-100, 100),
    "bool": st.booleans(),
    "list[int]": st.lists(st.integers(0, 9), max_size=4),
    "dict": st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
}


@st.composite
def parameters(draw: st.DrawFn) -> list[tuple[str, str, Any, str | None]]:
    """(name, annotation, default, description) with the parameters that have no default first."""
    found = []
    for name in draw(st.lists(NAMES, unique=True, max_size=6)):
        annotation = draw(st.sampled_from(sorted(VALUES)))
        default = draw(st.just(Absent.MISSING) | st.none() | VALUES[annotation])
        found.append((name, annotation, default, draw(st.none() | st.text(max_size=20))))
    return found


@SETTINGS
@given(parameters())
def test_generated_predictors_have_the_inputs_they_were_made_from(
    wanted: list[tuple[str, str, Any, str | None]],
) -> None:
    lines = []
    for name, annotation, default, description in wanted:
        value = "" if default is Absent.MISSING else f"default={default!r}, "
        lines.append(f"        {name}: {annotation} = Input({value}description={description!r}),\n")
    source = (
        "from cog import Input\nclass Predictor:\n    def predict(\n        self,\n"
        + "".join(lines)
        + "    ) -> str: ...\n"
    )
    files = MemoryFiles({"predict.py": source.encode("utf-8", "surrogatepass")})
    signature, diagnostics = analyse_target(files, "predict.py", "Predictor", mode="predict")
    assert diagnostics == ()
    assert signature is not None
    found = [
        (field.name, field.default if isinstance(field.default, Absent) else thaw(field.default), field.description)
        for field in signature.inputs
    ]
    assert found == [(name, default, description) for name, _, default, description in wanted]
    assert [field.order for field in signature.inputs] == list(range(len(wanted)))
    required = [name for name, _, default, _ in wanted if default is Absent.MISSING]
    schema = openapi_document(signature, None)["components"]["schemas"]["Input"]
    assert schema.get("required", []) == required
