"""Every line of the output can be traced: each stage's steps say why they are there."""

from cogc.driver import Source, bundled_matrix, compile_project
from cogc.frontend.lower import BuildOptions
from cogc.ir.nodes import ResolvedBuild
from tests.memory_files import MemoryFiles

CONFIG = b"""\
build:
  gpu: true
  cuda: "12.1"
  python_version: "3.11"
  system_packages: [ffmpeg]
  python_packages: [torch==2.3.1, six]
  run: [echo hello]
  user: model
environment: [A=1]
predict: predict.py:Predictor
concurrency: {max: 2}
"""
PREDICTOR = b"from cog import BasePredictor\nclass Predictor(BasePredictor):\n    async def predict(self) -> str: ...\n"


def _resolved() -> ResolvedBuild:
    files = MemoryFiles({"cog.yaml": CONFIG, "predict.py": PREDICTOR}, sizes={"weights/a.bin": 20_000_000})
    source = Source(config=CONFIG, name="cog.yaml", directory="p", files=files, certificate="PEM\n")
    options = BuildOptions(precompiles=True)
    compilation = compile_project(source, options, bundled_matrix())
    assert compilation.resolved is not None, compilation.diagnostics
    return compilation.resolved


def test_every_step_has_a_cause() -> None:
    without = [f"{stage.name}: {step}" for stage in _resolved().stages for step in stage.steps if not step.because]
    assert without == []


def test_what_the_user_wrote_points_into_the_configuration() -> None:
    lines = {
        cause.span.line
        for stage in _resolved().stages
        for node in (stage, *stage.steps)
        for cause in node.because
        if cause.span is not None
    }
    assert {3, 4, 5, 6, 7, 8, 9} <= lines
