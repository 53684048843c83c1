"""Models made at random: what the compiler accepts, the worker accepts as well, and both say the same of it."""

# Runs on Python 3.8 as well.
# ruff: noqa: UP036

from __future__ import annotations

import json
import os
import sys
import tempfile
import typing
from pathlib import Path

import pytest

pytest.importorskip("cogc")
if sys.version_info < (3, 11):
    pytest.skip("the compiler needs Python 3.11", allow_module_level=True)

from hypothesis import given
from hypothesis import strategies as st

from cog.openapi import openapi_document as introspected
from cog.predictor import load_target
from cogc.diagnostics import has_errors
from cogc.frontend.signature import analyse_target
from cogc.frontend.signature import openapi_document as static
from tests.memory_files import MemoryFiles

pytestmark = pytest.mark.property

HEADER = '''\
from __future__ import annotations
import dataclasses, datetime, enum, io, pathlib, typing
import typing as t
import cog
from typing import *
from cog import *
class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"
class Inner(BaseModel):
    x: int
    y: Optional[str]
class Node(BaseModel):
    value: int = 3
    children: List["Node"] = []
class TD(TypedDict, total=False):
    a: int
    b: Required[List[str]]
@dataclasses.dataclass
class Data(object):
    a: int
    b: Optional[float] = None
    c: List[Inner] = dataclasses.field(default_factory=list)
class Pair(NamedTuple):
    left: str
    right: int = 1
Alias = Optional[List[str]]
Name = NewType("Name", str)
N, F, S = 4, 1.5, "text"
WORDS = ["a", "b", "c"]
TABLE = {"small": 1, "large": 2}
class Shared:
    steps: int = Input(description="shared", ge=1, le=9, default=3)
def sized(default, most=N, **more):
    """Not a long one."""
    return Input(default=default, le=most, **more)
'''

SCALARS = ["str", "int", "float", "bool", "Path", "File", "Secret", "Any", "None", "object", "pathlib.Path", "cog.Path"]
CLASSES = ["Inner", "Node", "TD", "Data", "Pair", "Alias", "Name", "Color", "datetime.datetime", "io.StringIO"]
BARE = ["list", "dict", "List", "t.Dict", "tuple", "set", "Iterator", "ConcatenateIterator", "typing.List"]
MARKED = ["Annotated[Data, Opaque]", "Annotated[List[Inner], Opaque]", "Annotated[Annotated[list, 'note'], Opaque]"]
LITERALS = ["Literal['a', 'b']", "Literal[1, 2]", "Literal['a', None]", "Literal[True, 1]", "t.Literal['x']"]


def around(inner):
    one = inner.map
    some = inner.filter(lambda text: text != "None").map  # `None | None` is an error of Python's own
    two = st.tuples(inner, inner.filter(lambda text: text != "None")).map
    return st.one_of(
        one("List[{}]".format), one("list[{}]".format), one("Optional[{}]".format), some("{} | None".format),
        one("Dict[str, {}]".format), one("dict[str, {}]".format), one("t.Sequence[{}]".format), one("Set[{}]".format),
        one("Tuple[{}, ...]".format), one("Annotated[{}, 'note']".format),
        two(lambda pair: "Union[%s, %s]" % pair), two(lambda pair: "%s | %s" % pair), two(lambda pair: "Tuple[%s, %s]" % pair),
    )  # fmt: skip


TYPES = st.recursive(st.sampled_from([*SCALARS, *CLASSES, *BARE, *MARKED, *LITERALS]), around, max_leaves=4)
OUTPUTS = st.one_of(
    TYPES,
    TYPES.map("Iterator[{}]".format),
    TYPES.map("AsyncIterator[{}]".format),
    st.sampled_from(["ConcatenateIterator[str]", "AsyncConcatenateIterator[str]", "Generator[int, None, None]"]),
)

VALUES = st.sampled_from([
    "None", "0", "1", "3", "-2", "1.5", "0.5", "True", "'a'", "'b'", "''", "'text'", "[]", "[1]", "['a']", "[1, 'a']",
    "{}", "{'a': 1}", "(1, 2)", "{'b', 'a'}", "N", "N + 1", "-F", "S", "S * 2", "f'{S}-{N}'", "WORDS", "WORDS[0]",
    "TABLE['small']", "list(TABLE)", "Color.RED", "Path('a/b')", "pathlib.Path('c')", "len(WORDS)", "...",
    "[word.upper() for word in WORDS]", "{word: 1 for word in WORDS}", "'x' if N > 3 else 'y'", "max(TABLE.values())",
])  # fmt: skip
ARGUMENTS = {
    "default": VALUES,
    "description": st.sampled_from(["'d'", "S", "None", "'a' 'b'", "f'{N}'"]),
    "ge": st.sampled_from(["0", "1", "1.5", "-N", "None", "float('-inf')"]),
    "le": st.sampled_from(["1", "3", "9.5", "N", "None", "float('inf')"]),
    "min_length": st.sampled_from(["0", "1", "N"]),
    "max_length": st.sampled_from(["1", "4", "N * 2"]),
    "regex": st.sampled_from(["'^a'", "r'\\d'", "'.*'"]),
    "choices": st.sampled_from([
        "WORDS", "['a', 'b']", "[1, 2, 3]", "[0.5, 1]", "list(TABLE)", "list(TABLE.values())", "{'b', 'a'}", "range(3)",
        "[c.value for c in Color]", "('a',)", "[]", "None", "WORDS + ['d']", "[1, 'a']", "[True, False]",
    ]),
    "deprecated": st.sampled_from(["True", "False"]),
    "accept": st.sampled_from(["'image/*'", "'.bin,.pt'"]),
}  # fmt: skip


@st.composite
def inputs(draw):
    chosen = draw(st.lists(st.sampled_from(sorted(ARGUMENTS)), max_size=4, unique=True))
    return "Input(%s)" % ", ".join("%s=%s" % (name, draw(ARGUMENTS[name])) for name in chosen)


DEFAULTS = st.one_of(
    st.just(""),
    VALUES.map(" = {}".format),
    inputs().map(" = {}".format),
    st.sampled_from([" = Shared.steps", " = sized(1)", " = sized(2, most=3)", " = sized('a', most=None, description=S)"]),
)
NAMES = st.sampled_from(["a", "b", "train_data", "Output", "Status", "_x", "maxLen", "größe", "input", "id", "list_of"])
PARAMETERS = st.lists(st.tuples(NAMES, TYPES, DEFAULTS), max_size=4, unique_by=lambda one: one[0])


def source_of(parameters, returns, form):
    written = ", ".join("%s: %s%s" % one for one in parameters)
    star = "*, " if written else ""
    if form == "function":
        return HEADER + "def Model(%s%s) -> %s: ...\n" % (star, written, returns)
    base = {"predictor": "(BasePredictor)", "runner": "(BaseRunner)", "plain": "", "inherited": "(Base)"}[form]
    method = "run" if form == "runner" else "predict"
    body = "    def %s(self, %s%s) -> %s: ...\n" % (method, star, written, returns)
    if form == "inherited":
        return HEADER + "class Base(BasePredictor):\n" + body + "class Model(Base):\n    def setup(self): ...\n"
    return HEADER + "class Model%s:\n" % base + body


@given(PARAMETERS, OUTPUTS, st.sampled_from(["function", "predictor", "runner", "plain", "inherited"]))
def test_both_documents_are_equal(parameters, returns, form):
    source = source_of(parameters, returns, form)
    read, found = analyse_target(MemoryFiles({"model.py": source}), "model.py", "Model", mode="predict")
    if read is None or not read.is_complete or has_errors(found):
        return
    expected = static(read, None)
    assert json.dumps(introspected(loaded(source), None)) == json.dumps(expected), source


def loaded(source):
    """The signature of the worker."""
    folder, path = os.getcwd(), list(sys.path)
    for forget in getattr(typing, "_cleanups", ()):
        forget()  # unions of other order are equal to it, and the first that was made would come back
    with tempfile.TemporaryDirectory() as place:
        Path(place, "model.py").write_text(source, "utf-8")
        os.chdir(place)
        try:
            return load_target("model.py:Model").signature
        finally:
            os.chdir(folder)
            sys.path[:] = path
            sys.modules.pop("model", None)
