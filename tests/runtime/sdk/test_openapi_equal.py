"""The document by introspection is the one that the compiler makes from the source."""

# Runs on Python 3.8 as well.
# ruff: noqa: RUF012, UP036

from __future__ import annotations

import sys
import types
from textwrap import dedent

import pytest

pytest.importorskip("cogc")
if sys.version_info < (3, 11):
    pytest.skip("the compiler needs Python 3.11", allow_module_level=True)

from cog.openapi import openapi_document as introspected
from cogc.frontend.signature import analyse_target
from cogc.frontend.signature import openapi_document as static
from tests.memory_files import MemoryFiles
from tests.unit.frontend.signature import test_signature_seeds as seeds
from tests.unit.frontend.signature import test_signature_targets as targets
from tests.unit.frontend.signature import test_signature_vectors as vectors
from tests.unit.frontend.signature.support import HEADER, predictor

LIBRARIES = ("torch", "numpy", "PIL", "PIL.Image", "tensorflow", "tensorflow.keras.applications.resnet50",
             "tensorflow.keras.preprocessing", "my_notebook")  # fmt: skip


class Library(types.ModuleType):
    """A library that has every name."""

    __path__: list[str] = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: lambda function: function


@pytest.fixture
def same(load, monkeypatch):
    """Assert that both documents of a source are equal, the order of keys included, and return one."""
    for name in LIBRARIES:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            whole = ".".join(parts[:end])
            if end == len(parts) or whole not in LIBRARIES:
                monkeypatch.setitem(sys.modules, whole, Library(whole))

    def check(source: str, name: str = "Predictor", mode: str = "predict", others=()):
        files = {"predict.py": dedent(source), **{key: dedent(text) for key, text in dict(others).items()}}
        read, diagnostics = analyse_target(MemoryFiles(files), "predict.py", name, mode=mode)
        assert read is not None, diagnostics
        assert read.is_complete, diagnostics
        found = load(source, name, mode, others).signature
        documents = [static(read, None), introspected(found, None)]
        if mode == "train":
            documents = [static(None, read), introspected(None, found)]
        components = [document["components"]["schemas"] for document in documents]
        for part, expected in components[0].items():
            assert components[1].get(part) == expected
        assert documents[1] == documents[0]
        assert str(documents[1]) == str(documents[0]), "the order of keys differs"
        assert (found.is_legacy, found.is_async, found.is_streaming, found.max_concurrency, found.method) == (
            read.is_legacy, read.is_async, read.is_streaming, read.max_concurrency, read.method,
        )  # fmt: skip
        return documents[1]

    return check


def cases(function):
    """The values of a parametrised test, without the expected ones."""
    (mark,) = [mark for mark in function.pytestmark if mark.name == "parametrize"]
    return [case if isinstance(case, str) else case[0] for case in mark.args[1]]


@pytest.mark.parametrize("source", seeds.PREDICTORS.values(), ids=seeds.PREDICTORS)
def test_predictors_of_the_seeds(same, source):
    same(source)


@pytest.mark.parametrize("source", seeds.TRAINERS.values(), ids=seeds.TRAINERS)
def test_trainers_of_the_seeds(same, source):
    same(source, "train", "train")


def test_other_samples_of_the_seeds(same):
    same(seeds.TRAINER_CLASS, "Trainer", "train")
    same(seeds.LEGACY, "ImageScalingPredictor")


@pytest.mark.parametrize("parameter", cases(vectors.test_input_has_the_schema) + cases(vectors.test_enumerations))
def test_vectors_of_inputs(same, parameter):
    same(predictor(parameter, before="class Image: pass\n"))


@pytest.mark.parametrize("returns", cases(vectors.test_output_has_the_schema))
def test_vectors_of_outputs(same, returns):
    same(predictor("", returns))


@pytest.mark.parametrize("declaration", cases(vectors.test_kinds_of_object_classes))
def test_vectors_of_objects(same, declaration):
    if "pydantic" in declaration:
        pytest.importorskip("pydantic")
    same(predictor("", "R", declaration))


@pytest.mark.parametrize("declaration", cases(targets.test_target_is_found))
def test_kinds_of_targets(same, declaration):
    same(HEADER + "import torch\n" + declaration.replace("Generic[int]", "Generic[TypeVar('T')]") + "\n")


@pytest.mark.parametrize(
    "parameters",
    [
        'Output: str = Input(choices=["a", "b"])',
        "b: str, a: int = 3, *, d: str, c: float = 1.5",
        "train_data: str, _x: int, maxLen: int, __: str",
        'prompt: str = "default prompt", n: int = Input(description="d", default=None, ge=1), seed: int = 3',
        'files: List[Path] = [], tags: List[str] = ["a", "b"], d: dict = {"a": [1, None]}',
        "x: float = Input(ge=float('-inf'), le=10, default=1)",
        "x: int = Input(..., description='d')",
        "t: Tuple[int, str], u: Tuple[int, ...], v: Set[str], w: tuple",
        "x: Union[str, int, None] = None, y: Optional[List[str]] = None, z: List[Optional[str]] = []",
        "p: Union[Path, str], q: Optional[Path] = None, r: Optional[Secret] = None",
        "t: TD, l: List[TD]",
        "o: Obj",
        "c: str = Input(choices=list(TABLE.keys()), default='one')",
        "c: str = Input(choices=[*TABLE] + ['three'])",
        "c: str = Shared.choice, n: int = Shared.made(4)",
        "e: str = Input(default=Color.RED, choices=[c.value for c in Color])",
        'x: "str" = "a", y: "Optional[List[Path]]" = None',
        "a: Alias, n: Name, j: Json",
        "p: Path = Path('weights/a.pth')",
        "x: Literal['a', None], y: Literal[1, 1.5, True]",
        "f: float = 3, b: bool = False, s: str = ''",
        "d: Dict[str, List[int]], e: Mapping[str, int], g: Sequence[str]",
        "x: List[int] = Input(ge=1, le=3, default=[1])",
        "s: Secret = Input(min_length=3, description='d')",
        "p: pathlib.Path",
        "s: str = Input(choices=('a', 'b'), deprecated=True, description='x')",
    ],
)
def test_more_inputs(same, parameters):
    before = """
        import enum, pathlib
        TABLE = {"one": object, "two": dict}
        class TD(TypedDict, total=False):
            a: int
            b: List[str]
        class Obj(BaseModel):
            a: int
            b: Optional[str]
        class Shared:
            choice: str = Input(description="shared", choices=["x", "y"], default="x")
            @staticmethod
            def made(default: int):
                return Input(default=default, ge=0)
        class Color(str, enum.Enum):
            RED = "red"
            BLUE = "blue"
        Alias = Optional[List[str]]
        Name = NewType("Name", str)
        Json = Union[str, int, List["Json"], Dict[str, "Json"]]
        """
    same(predictor(parameters, before=before))


@pytest.mark.parametrize(
    "returns",
    [
        "Optional[str]", "Union[str, int]", "Optional[Path]", "Tuple[int, str]", "Set[int]", "Nested", "List[Nested]",
        "Dict[str, Nested]", "Tree", "Named", "Data", "Color", "io.BytesIO", "BinaryIO", "IO[bytes]", "datetime.datetime",
        "pathlib.Path", "list", "List", "dict", "Dict", "tuple", "object", "Iterator", "Iterator[Nested]",
        "ConcatenateIterator", "AsyncIterator[Path]", "Generator[int, None, str]", "Iterable[Dict[str, Any]]",
        "Literal['a', 'b']", "Annotated[Nested, Opaque]", "Described", "Defaults",
    ],
)  # fmt: skip
def test_more_outputs(same, returns):
    before = """
        import dataclasses, datetime, enum, io, pathlib
        from typing import IO, BinaryIO
        class Inner(BaseModel):
            x: int
        class Nested(BaseModel):
            inner: Inner
            many: List[Inner] = []
            maybe: Optional[Inner]
            when: datetime.datetime
            where: pathlib.Path
        class Tree(BaseModel):
            value: str
            children: List["Tree"]
        class Named(NamedTuple):
            a: int
            b: str = "x"
        @dataclasses.dataclass
        class Base:
            a: int
        @dataclasses.dataclass
        class Data(Base):
            b: Optional[str] = None
            c: List[int] = dataclasses.field(default_factory=list)
            d: int = dataclasses.field(default=3)
            e: ClassVar[int] = 4
        class Color(enum.Enum):
            RED = "red"
            ONE = 1
        class Described(BaseModel):
            a: str = Input(description="the letter")
            b: int = Input(default=3, description="the number")
        class Defaults(BaseModel):
            a: str = "x"
            b: List[str] = ["y"]
            c: Dict[str, int] = {}
            d: Optional[float] = 1.5
            items: int
            json: str = "j"
        """
    same(predictor("", returns, before))


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_annotations_as_text(same, future):
    source = (
        future
        + HEADER
        + dedent(
            """
        class Output(BaseModel):
            a: list[str] | None
            b: "int"
        class TD(TypedDict):
            a: NotRequired[int]
            b: str
        class Predictor(BasePredictor):
            def predict(self, a: int | None, b: list[Path] = [], c: Literal["x", "y"] = "x", t: Optional[TD] = None) -> Output: ...
        """
        )
    )
    same(source)


def test_decorated_and_async_methods(same):
    source = HEADER + dedent(
        """
        import functools
        def timed(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs)
            return wrapper
        class Predictor(BasePredictor):
            @timed
            def predict(self, s: str = Input(description="d")) -> str: ...
        @concurrent(max=4)
        async def several(s: str) -> str: ...
        @streaming
        @concurrent(max=2)
        async def stream(s: str) -> AsyncIterator[str]:
            yield s
        @streaming()
        def parentheses(s: str) -> ConcatenateIterator[str]:
            yield s
        """
    )
    for name in ("Predictor", "several", "stream", "parentheses"):
        same(source, name)


def test_targets_in_other_modules(same):
    model = (
        HEADER
        + "class Output(BaseModel):\n    x: Optional[int]\nclass Base(BasePredictor):\n    def predict(self, s: 'str') -> 'Output': ...\n"
    )
    same("from models.base import Base\nclass Predictor(Base): pass\n", others={"models/base.py": model})


def test_legacy_models(same):
    source = """
        import cog
        from pathlib import Path
        class Predictor(cog.Predictor):
            @cog.input("image", type=cog.Path)
            @cog.input("scale", type=float, default=1.5, min=1, max=10, help="Factor")
            @cog.input("size", type=int, options=[1, 2, 3], default=None)
            @cog.input("flag", type=bool, default=False)
            def predict(self, image, scale, size, flag): ...
        class Plain(cog.Predictor):
            def predict(self, a, b): ...
        class Modern(cog.Predictor):
            def predict(self, a: int) -> str: ...
        class Stream(cog.Predictor):
            def predict(self, a):
                yield a
        """
    for name in ("Predictor", "Plain", "Modern", "Stream"):
        same(source, name)


def test_pydantic_outputs(same):
    pytest.importorskip("pydantic")
    source = """
        from typing import List, Optional
        import cog
        from cog import BasePredictor
        from pydantic import BaseModel, Field
        class Inner(BaseModel):
            x: float = 1.5
        class Output(BaseModel):
            path: cog.Path
            file: cog.File
            inner: Inner
            maybe: Optional[int]
            named: str = Field("n", description="a name")
            made: List[int] = Field(default_factory=list)
            needed: int = Field(..., description="needed")
        class Predictor(BasePredictor):
            def predict(self) -> Output: ...
        """
    same(source)
