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


# -- how a model may be written --------------------------------------------------------------------

COG = "from typing import *\nfrom cog import *\n"
PACKAGE = {
    "pkg/__init__.py": "from .base import *\nCOUNT = 4\n",
    "pkg/base.py": COG + "from .consts import SIZES\nfrom . import consts\nfrom .sub.deep import STEPS\n"
    "class Base(BasePredictor):\n"
    "    def predict(self, s: str = Input(choices=SIZES), n: int = consts.MOST, t: int = STEPS) -> 'Out': ...\n"
    "class Out(BaseModel):\n    x: Optional[int]\n",
    "pkg/consts.py": "SIZES = ['s', 'l']\nMOST = 9\nclass Settings:\n    steps = 3\n    names = ('a', 'b')\n",
    "pkg/sub/__init__.py": "",
    "pkg/sub/deep.py": "from ..consts import MOST as STEPS\n",
    "helpers.py": COG + "MOST = 9\n"
    "def steps(default, most=MOST, *rest, **more):\n    'Doc.'\n    text = f'up to {most}'\n"
    "    return Input(default=default, le=most, description=text, **more)\n"
    "word = lambda default, **more: Input(default=default, max_length=5, **more)\n",
    "schemas.py": COG + "class Inner(BaseModel):\n    x: int\n"
    "class Parent(BaseModel):\n    a: Optional[Inner]\n    b: List[Inner] = []\n    c: 'Inner'\n    kind: ClassVar[str] = 'k'\n"
    "class Keys(TypedDict):\n    a: int\n    b: NotRequired[str]\nDashed = TypedDict('Dashed', {'a-b': int, 'c': List[Inner]}, total=False)\n",
}  # fmt: skip

WAYS = {
    "cog under another name": "import cog as c\nclass Predictor(c.BasePredictor):\n    def predict(self, p: c.Path, n: int = c.Input(default=1, ge=0)) -> c.Path: ...\n",
    "its names under others": "from cog import BasePredictor as B, Input as I, Path as P\nclass Predictor(B):\n    def predict(self, p: P, n: int = I(default=1)) -> P: ...\n",
    "old module paths": "from cog.types import Path, Secret, ConcatenateIterator\nfrom cog.base_predictor import BasePredictor\nclass Predictor(BasePredictor):\n    def predict(self, p: Path, s: Secret) -> ConcatenateIterator: ...\n",
    "imports for type checkers": "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from typing import List\nclass Predictor:\n    def predict(self, l: List[int]) -> 'List[str]': ...\n",
    "an import with a fallback": "try:\n    from typing import Literal\nexcept ImportError:\n    from typing_extensions import Literal\ndef Predictor(l: Literal['a', 'b'] = 'a') -> str: ...\n",
    "a package": "from pkg import Base, COUNT\nclass Predictor(Base): pass\n",
    "a package by its path": "import pkg.consts\nimport pkg.consts as k\ndef Predictor(n: int = pkg.consts.MOST, m: int = k.Settings.steps, s: str = k.Settings.names[0]) -> str: ...\n",
    "objects of another module": "from schemas import Parent, Keys, Dashed\nfrom typing import *\nclass Out(Parent):\n    b: int = 3\n    d: Dict[str, Keys]\ndef Predictor(k: Keys, d: Optional[Dashed] = None) -> Out: ...\n",
    "helpers of another module": "import helpers\nfrom helpers import steps, word\ndef Predictor(a: int = steps(3), b: int = helpers.steps(1, most=2, ge=0), c: str = word('x', description='d'), d: int = steps(1, 5, 6)) -> str: ...\n",
    "a mixin": COG + "class Mixin:\n    def predict(self, a: int) -> str: ...\nclass Predictor(Mixin, BasePredictor): pass\n",
    "a diamond": COG + "class A(BasePredictor):\n    def predict(self, a: int) -> str: ...\nclass B(A): pass\nclass C(A):\n    def predict(self, c: int) -> str: ...\nclass Predictor(B, C): pass\n",
    "an abstract base": COG + "from abc import ABC, abstractmethod\nclass A(BasePredictor, ABC):\n    @abstractmethod\n    def load(self): ...\n    def predict(self, a: int) -> str: ...\nclass Predictor(A):\n    def load(self): ...\n",
    "a generic base": COG + "T = TypeVar('T')\nclass A(BasePredictor, Generic[T]):\n    def predict(self, a: int) -> str: ...\nclass Predictor(A[int]): pass\n",
    "a runner with predict": COG + "class Predictor(BaseRunner):\n    def predict(self, a: int) -> str: ...\n",
    "a predictor with run": COG + "class Predictor(BasePredictor):\n    def run(self, a: int) -> str: ...\n",
    "a static method": "class Predictor:\n    @staticmethod\n    def predict(a: int) -> str: ...\n",
    "a method of another name": "class Predictor:\n    def go(self, a: int) -> str: ...\n    predict = go\n",
    "a function as a method": "def generate(self, a: int) -> str: ...\nclass Predictor:\n    predict = generate\n",
    "another name of a class": "class Other:\n    def predict(self, a: int) -> str: ...\nPredictor = Other\n",
    "another name of a function": "def go(a: int) -> str: ...\nPredictor = go\n",
    "defined twice": "def Predictor(a: int) -> str: ...\ndef Predictor(b: int) -> str: ...\n",
    "defined under a condition": "import sys\nif sys.version_info >= (3, 8):\n    def Predictor(a: int) -> str: ...\nelse:\n    def Predictor(b: int) -> str: ...\n",
    "constants of the class": COG + "class Predictor:\n    N = 3\n    S = ['a', 'b']\n    T = List[int]\n    def predict(self, n: int = N, s: str = Input(choices=S), t: T = []) -> T: ...\n",
    "an object class within": COG + "class Predictor:\n    class Out(BaseModel):\n        x: int\n    def predict(self) -> Out: ...\n",
    "an object class within an object class": COG + "class R(BaseModel):\n    class In(BaseModel):\n        x: int\n    a: In\n    b: List['In'] = []\ndef Predictor() -> R: ...\n",
    "an object class within, annotations as text": "from __future__ import annotations\n" + COG + "class R(BaseModel):\n    class In(BaseModel):\n        x: int\n    a: In\ndef Predictor() -> R: ...\n",
    "fields with None as their default": COG + "class R(BaseModel):\n    a: Path = None\n    b: Any = None\n    c: Optional[str] = None\n    d: List[str] = Input(default=None)\ndef Predictor() -> R: ...\n",
    "an object class within, as text": COG + "class Predictor:\n    class Out(BaseModel):\n        x: int\n    def predict(self) -> 'Predictor.Out': ...\n",
    "classes of plain types": COG + "class Name(str): pass\nclass Where(Path): pass\nclass Count(int): pass\ndef Predictor(n: Name, w: Where, c: Count = 3) -> List[Name]: ...\n",
    "a name of Python's own": "str = int\ndef Predictor(a: str) -> str: ...\n",
    "constants of all kinds": COG + "A, B = 1, 2\nC = D = 3\nE: Final = A + B * 2\nF: int\nF = 4\nTEXT = f'{A} of {B}'\nTABLE = {'x': A, **{'y': B}}\ndef Predictor(a: int = E, b: int = D, c: int = F, d: str = TEXT, e: str = Input(choices=[*TABLE]), f: int = TABLE['y'], g: int = -A if A > B else +B, h: float = 7 / 2, i: int = 7 // 2, j: str = 'a' 'b' + 'c' * 2, k: bool = not A, l: int = max(A, B, *TABLE.values())) -> str: ...\n",
    "constants of a base class": "class Base:\n    N = 3\nclass C(Base): pass\ndef Predictor(a: int = C.N) -> str: ...\n",
    "a literal's values": COG + "Size = Literal['s', 'l']\ndef Predictor(a: Size = 's', b: str = Input(choices=list(get_args(Size))), c: str = get_args(Size)[1]) -> Size: ...\n",
    "values of an enum": COG + "import enum\nclass E(str, enum.Enum):\n    A = 'a'\n    B = 'b'\n    C = 'a'\ndef Predictor(a: str = Input(choices=[e.value for e in E]), b: str = E.B, c: str = Input(choices=[e.name for e in E], default='B')) -> E: ...\n",
    "sets": COG + "def Predictor(a: Set[int] = {3, 1, 2}, b: str = Input(choices={'z', 'a'}), c: List[int] = sorted({2, 1}), d: dict = {'s': frozenset(['b', 'a'])}) -> str: ...\n",
    "functions that nothing calls": COG + "L = ['a']\ndef add():\n    L.append('b')\nclass Predictor:\n    def setup(self):\n        L.append('c')\n        add()\n    def predict(self, a: str = Input(choices=L)) -> str: ...\n",
    "names that clash with our own": COG + "def Predictor(Output: str = Input(choices=['a']), Status: str = Input(choices=['b']), type: str = 'x', self_: int = 1, PredictionRequest: Literal[1] = 1) -> str: ...\n",
    "numbers": "def Predictor(a: int = 2 ** 70, b: float = 1e300, c: float = -0.0, d: float = .5, e: int = 0x10, f: int = 1_000) -> str: ...\n",
    "texts": "def Predictor(a: str = 'a\\n\\x00\\u1234\"', b: str = r'\\d', c: str = '', größe: str = 'ü', 名前: int = 3) -> str: ...\n",
    "everything optional": COG + "def Predictor(a: Optional[int] = ..., b: Optional[str] = Input(), c: 'str | None' = None, d: Optional[Literal['x']] = None) -> Optional[str]: ...\n",
    "decorators that keep the signature": "import functools\ndef plain(f):\n    print(f)\n    return f\ndef named(name):\n    def keep(f):\n        return f\n    return keep\ndef timed(f):\n    @functools.wraps(f)\n    def w(*a, **k): return f(*a, **k)\n    return w\n@plain\nclass Predictor:\n    @timed\n    @named('x')\n    @plain\n    def predict(self, a: int) -> str: ...\n",
    "types of other modules as outputs": COG + "import collections, os, datetime\ndef Predictor() -> Dict[str, Tuple[os.PathLike, datetime.date, collections.OrderedDict, Deque[int]]]: ...\n",
}  # fmt: skip


@pytest.mark.parametrize("source", WAYS.values(), ids=WAYS)
def test_ways_to_write_a_model(same, source):
    same(source, others=PACKAGE)


TRAINERS = {
    "a class": COG + "class train:\n    def setup(self): ...\n    def train(self, n: int = Input(ge=1)) -> Path: ...\n",
    "a base class": COG + "class Base:\n    def train(self, n: int) -> Path: ...\nclass train(Base): pass\n",
    "an async function": "async def train(n: int) -> str: ...\n",
    "choices": COG + "def train(size: str = Input(choices=['a', 'b']), Input_: int = 3) -> str: ...\n",
    "an output of another name": COG
    + "class Weights(BaseModel):\n    weights: Path\n    metrics: dict = {}\ndef train(data: Path, keys: List[Secret] = []) -> Weights: ...\n",
}


@pytest.mark.parametrize("source", TRAINERS.values(), ids=TRAINERS)
def test_ways_to_write_a_trainer(same, source):
    same(source, "train", "train")


LEGACY = {
    "inherited": "import cog\nclass Base(cog.Predictor):\n    @cog.input('a', type=cog.Path, help='x')\n    @cog.input('n', type=int, default=3, min=1, max=9)\n    def predict(self, a, n): ...\nclass Predictor(Base): pass\n",
    "imported": "from cog import Predictor as P, input as inp\nclass Predictor(P):\n    @inp('a', type=str, options=['x', 'y'], default='x')\n    def predict(self, a): ...\n",
    "constants": "import cog\nfrom consts import OPTIONS\nclass Predictor(cog.Predictor):\n    @cog.input('a', type=str, options=OPTIONS, default=OPTIONS[1], help='h' 'i')\n    def predict(self, a): ...\n",
    "an annotated output": "import cog\nclass Predictor(cog.Predictor):\n    @cog.input('a', str, default='x')\n    def predict(self, a) -> int: ...\n",
    "any arguments": "import cog\nclass Predictor(cog.Predictor):\n    @cog.input('a', type=float, options=[0.5, 1], default=None)\n    def predict(self, **kw): ...\n",
    "a parameter with a default": "import cog\nclass Predictor(cog.Predictor):\n    @cog.input('a', type=int, min=0, max=0, default=0)\n    def predict(self, a, b=3): ...\n",
    "no base class": "import cog\nclass Predictor:\n    @cog.input('a', type=str)\n    def predict(self, a): ...\n",
    "a function": "import cog\n@cog.input('a', type=str)\n@cog.input('b', type=bool, default=True)\ndef Predictor(a, b): ...\n",
    "async": "import cog\nclass Predictor(cog.Predictor):\n    async def predict(self, a: str = cog.Input(default='x')) -> str: ...\n",
}  # fmt: skip


@pytest.mark.parametrize("source", LEGACY.values(), ids=LEGACY)
def test_ways_to_write_a_model_of_2021(same, source):
    same(source, others={"consts.py": "OPTIONS = ('x', 'y')\n"})


# What only running the module tells. A schema that is wrong would be worse than none.
OPEN = {
    "assigned twice": "N = 1\nN = 2\n",
    "assigned under conditions": "import sys\nif sys.version_info >= (3, 8):\n    N = 1\nelse:\n    N = 2\n",
    "added to": "N = 1\nN += 1\n",
    "added to later": ("N = 1\n", "N += 1\n"),
    "a global of a function": "N = 1\ndef f():\n    global N\n    N = 2\nf()\n",
    "a global of a function that a function calls": "N = 1\ndef f():\n    global N\n    N = 2\ndef g():\n    f()\ng()\n",
    "a global of a decorator": "N = 1\ndef f(g):\n    global N\n    N = 2\n    return g\n@f\ndef h(): ...\n",
    "a global of a constructor": "N = 1\nclass C:\n    def __init__(self):\n        global N\n        N = 2\nC()\n",
    "from the environment": "import os\nN = int(os.environ.get('N', 3))\n",
    "a walrus": "print(N := 3)\n",
    "an attribute that another module sets": "import consts\nconsts.COUNT = 7\nfrom consts import COUNT as N\n",
    "an attribute that is set by name": "import consts\nsetattr(consts, 'COUNT', 7)\nN = consts.COUNT\n",
    "an attribute of a class": "class C:\n    N = 1\nC.N = 2\nN = C.N\n",
    "an attribute of an instance": "class C:\n    N = 1\n    def __init__(self):\n        self.N = 2\nN = C().N\n",
    "a match": "X = 1\nmatch X:\n    case 1:\n        N = 3\n    case _:\n        N = 4\n",
}


@pytest.mark.parametrize("before", OPEN.values(), ids=OPEN)
def test_numbers_that_only_the_import_tells(before):
    before, after = before if isinstance(before, tuple) else (before, "")
    assert_open(before + "def Predictor(a: int = N) -> str: ...\n" + after)


@pytest.mark.parametrize(
    "before",
    [
        "L = ['a']\nL.append('b')\n",
        "L = ['a']\ndef f():\n    L.append('b')\nf()\n",
        "L = []\nfor x in 'ab':\n    L.append(x)\n",
        "L = ['b', 'a']\nL.sort()\n",
        "D = {'a': 1}\nD['b'] = 2\nL = list(D)\n",
        "D = {'a': 1}\ndef register(name):\n    D[name] = 1\nregister('b')\nL = list(D)\n",
        "D = {'a': 1}\nD.update(b=2)\nL = list(D)\n",
        "import consts\nconsts.WORDS.append('z')\nL = consts.WORDS\n",
        "list = lambda x: ['q', 'r']\nL = list('ab')\n",
        "import os\nL = os.listdir('.')\n",
    ],
)
def test_choices_that_only_the_import_tells(before):
    assert_open("from cog import Input\n" + before + "def Predictor(a: str = Input(choices=L)) -> str: ...\n")


@pytest.mark.parametrize(
    "source",
    [
        "def d(f):\n    def w(self, b: int) -> str: return f(self, b)\n    return w\nclass Predictor:\n    @d\n    def predict(self, a: int) -> str: ...\n",
        "class D:\n    def __init__(self, f): ...\nclass Predictor:\n    @D\n    def predict(self, a: int) -> str: ...\n",
        "def d(c):\n    class Other(c):\n        def predict(self, b: int) -> str: ...\n    return Other\n@d\nclass Predictor:\n    def predict(self, a: int) -> str: ...\n",
        "class Predictor:\n    def predict(self, a: int) -> str: ...\ndef other(self, b: int) -> str: ...\nPredictor.predict = other\n",
        "class Predictor:\n    def predict(self, a: int) -> str: ...\nsetattr(Predictor, 'predict', None)\n",
    ],
)
def test_signatures_that_only_the_import_tells(source):
    assert_open(source)


def assert_open(source):
    files = {"predict.py": source, "consts.py": "COUNT = 1\nWORDS = ['x']\n"}
    read, found = analyse_target(MemoryFiles(files), "predict.py", "Predictor", mode="predict")
    assert {one.severity.value for one in found} == {"warning"}
    assert read is None or not read.is_complete
