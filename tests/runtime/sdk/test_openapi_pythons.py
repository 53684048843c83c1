"""Each Python of this machine makes the document that the compiler makes, by importing the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("cogc")
if sys.version_info < (3, 11):
    pytest.skip("the compiler needs Python 3.11", allow_module_level=True)

from cogc.frontend.signature import analyse_target, openapi_document
from scripts.test_pythons import interpreter
from tests.memory_files import MemoryFiles
from tests.runtime.sdk.harness import ROOT

pytestmark = pytest.mark.slow

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

# What Python 3.8 can read: newer annotations are text there, by the future import.
MODEL = '''\
from __future__ import annotations
import collections.abc, dataclasses, datetime, enum, io, os, pathlib
from collections.abc import Mapping as Table
from typing import *
import cog
from cog import *
from consts import SIZES, Settings, steps
class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"
class Inner(BaseModel):
    x: int
    y: str | None
class Keys(TypedDict, total=False):
    a: int
    b: list[str]
@dataclasses.dataclass
class Data:
    a: int
    b: Optional[float] = None
    c: list[Inner] = dataclasses.field(default_factory=list)
class Output(BaseModel):
    score: Optional[float]
    file: Path
    inner: Inner
    many: dict[str, list[Inner]] = {}
    data: Data | None = None
    when: datetime.datetime
class Base(BasePredictor):
    def predict(
        self,
        prompt: str,
        image: Path = Input(description="A picture", accept="image/*"),
        scale: float = Input(description="Factor", default=1.5, ge=0, le=10),
        size: str = Input(choices=SIZES, default=SIZES[0]),
        kind: Literal["x", "y"] = "x",
        count: int | None = None,
        tags: list[str] = ["a", "b"],
        keys: Optional[Keys] = None,
        token: Secret = Input(default=None, min_length=3),
        color: str = Input(default=Color.RED, choices=[c.value for c in Color]),
        anything: Any = None,
        several: Union[str, int, None] = 3,
        pairs: tuple[int, ...] = (1, 2),
        words: Set[str] = {"b", "a"},
        n: int = steps(4),
        m: int = Settings.most,
        old: str = Input(default="o", deprecated=True, regex="^o", max_length=5),
        files: collections.abc.Sequence[Path] = (),
        table: Table[str, int] = {},
    ) -> Output: ...
class Predictor(Base):
    def setup(self, weights: Optional[Path] = None): ...
@streaming
def stream(n: int = Input(default=3, ge=1)) -> ConcatenateIterator[str]:
    yield "a"
async def several(n: int) -> AsyncIterator[list[Path]]:
    yield []
class Legacy(cog.Predictor):
    @cog.input("image", type=cog.Path, help="A picture")
    @cog.input("scale", type=float, default=1.5, min=1, max=10)
    @cog.input("size", type=int, options=[1, 2], default=None)
    def predict(self, image, scale, size): ...
class Runner(BaseRunner):
    def run(self, a: pathlib.Path, b: dict = {"x": [1, None]}) -> Iterator[dict[str, Any]]:
        yield {}
'''
TRAIN = """\
from cog import *
class TrainingOutput(BaseModel):
    weights: Path
def train(data: Path, token: Secret, size: str = Input(choices=["s", "xl"], default="s")) -> TrainingOutput: ...
"""
FILES = {
    "predict.py": MODEL,
    "train.py": TRAIN,
    "consts.py": "from cog import Input\nSIZES = ['s', 'l']\nclass Settings:\n    most = 9\n"
    "def steps(default, most=Settings.most):\n    return Input(default=default, le=most)\n",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["Predictor", "stream", "several", "Legacy", "Runner"])
def test_every_python_makes_the_document_of_the_compiler(tmp_path, version, name):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"Python {version} is not here")
    for path, text in FILES.items():
        (tmp_path / path).write_text(text)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COG", "PYTHON"))}
    variables = {"COG_PREDICT_TYPE_STUB": f"predict.py:{name}", "COG_TRAIN_TYPE_STUB": "train.py:train"}
    made = subprocess.run(
        [python, "-m", "cog.command.openapi_schema"],
        cwd=tmp_path,
        env={**kept, **variables, "PYTHONPATH": str(ROOT / "runtime"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    signatures = []
    for file, target, mode in (("predict.py", name, "predict"), ("train.py", "train", "train")):
        signature, found = analyse_target(MemoryFiles(FILES), file, target, mode=mode)
        assert signature is not None, found
        assert signature.is_complete, found
        signatures.append(signature)
    assert json.dumps(json.loads(made.stdout)) == json.dumps(openapi_document(*signatures))
