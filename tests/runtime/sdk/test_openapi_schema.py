"""`python -m cog.command.openapi_schema`: the document, and what becomes of models that cannot be imported."""

# Runs on Python 3.8 as well.
# ruff: noqa: UP022

from __future__ import annotations

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

from tests.runtime.sdk.harness import ROOT

MODEL = """
    from cog import BasePredictor
    class Predictor(BasePredictor):
        def predict(self, s: str) -> str: ...
    """
TRAINER = "def train(n: int) -> str: ...\n"
CONFIG = "predict: predict.py:Predictor\n"
BOTH = CONFIG + "train: train.py:train\n"


@pytest.fixture
def command(tmp_path):
    """Run the command in a folder with a model: `command(source, "--report", "r.json")`."""

    def run(source, *arguments, config=CONFIG, **files):
        (tmp_path / "predict.py").write_text(dedent(source))
        (tmp_path / "cog.yaml").write_text(config)
        for name, text in files.items():
            (tmp_path / (name + ".py")).write_text(dedent(text))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COG")}
        return subprocess.run(
            [sys.executable, "-m", "cog.command.openapi_schema", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "PYTHONPATH": str(ROOT / "runtime")},
            cwd=str(tmp_path),
        )

    return run


def inputs(document, component="Input"):
    return list(document["components"]["schemas"][component]["properties"])


def test_the_document_is_all_that_is_printed(command):
    result = command("print('noise')\nimport os\nos.system('echo more')\n" + dedent(MODEL))
    assert inputs(json.loads(result.stdout)) == ["s"]
    assert "noise" in result.stderr
    assert "more" in result.stderr


def test_both_targets_are_in_it_and_one_can_be_chosen(command):
    both = json.loads(command(MODEL, config=BOTH, train=TRAINER).stdout)
    assert (inputs(both), inputs(both, "TrainingInput")) == (["s"], ["n"])
    one = json.loads(command("raise ValueError", "--mode", "train", config=BOTH, train=TRAINER).stdout)
    assert "/predictions" not in one["paths"]
    assert inputs(one, "TrainingInput") == ["n"]


def test_the_class_is_not_instantiated(command):
    source = MODEL.rstrip() + "\n        def __init__(self): raise RuntimeError('no GPU')\n"
    assert inputs(json.loads(command(source).stdout)) == ["s"]


@pytest.mark.parametrize(
    "method",
    [
        "@staticmethod\n    def predict(s: str) -> str: ...",
        "@classmethod\n    def predict(cls, s: str) -> str: ...",
        "predict = functools.partialmethod(generate, x=1)",
        "predict = Callable()",
        "@timed\n    def predict(self, s: str) -> str: ...",
    ],
)
def test_methods_of_every_kind_are_read_without_an_instance(command, method):
    source = """\
import functools
def generate(self, s: str, x: int = 2) -> str: ...
class Callable:
    def __call__(self, s: str) -> str: ...
def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs): return function(*args, **kwargs)
    return wrapper
class Predictor:
    """
    found = command(source + method + "\n")
    assert found.returncode == 0, found.stderr
    assert inputs(json.loads(found.stdout))[0] == "s"


def test_it_is_written_whole_to_a_file_that_everybody_may_read(command, tmp_path):
    result = command(MODEL, "--output", "made/schema.json")
    assert (result.returncode, result.stdout) == (0, "")
    path = tmp_path / "made" / "schema.json"
    assert inputs(json.loads(path.read_text())) == ["s"]
    assert os.stat(str(path)).st_mode & 0o777 == 0o644
    assert os.stat(str(path)).st_mtime == 0
    assert os.listdir(str(path.parent)) == ["schema.json"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("import sys\nsys.exit(0)", "SystemExit"),
        ("class Other: ...", "Predictor"),
        ("class Predictor:\n    def predict(self, s: str): ...", "missing return type annotation"),
    ],
)
def test_without_a_model_there_is_a_reason_and_no_document(command, source, text):
    result = command(source)
    assert (result.returncode, result.stdout) == (1, "")
    assert text in result.stderr
    assert "cog/command" not in result.stderr, "the traceback begins with the model's own code"


UNIMPORTABLE = [
    ("def f():\n    raise RuntimeError('no GPU here')\nf()", "RuntimeError: no GPU here", ["predict.py", 2]),
    ("import helper", "ZeroDivisionError", ["helper.py", 3]),
    ("import json\njson.loads('x')", "JSONDecodeError", ["predict.py", 2]),
    ("f(", "SyntaxError", ["predict.py", 1]),
    ("import sys\nsys.exit('bye')", "bye", ["predict.py", 2]),
    ("import os\nos._exit(7)", "exit code 7", None),
    ("import os\nos.kill(os.getpid(), 11)", "SIGSEGV", None),
    (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n1 / 0",
        "Zero",
        ["predict.py", 3],
    ),
]


@pytest.mark.parametrize(("source", "message", "place"), UNIMPORTABLE)
def test_the_report_says_what_the_models_code_raised_and_where(command, tmp_path, source, message, place):
    result = command(source, "--report", "report.json", helper="def g():\n    pass\n1 / 0\n")
    assert (result.returncode, result.stdout) == (0, "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["kind"] == "import"
    assert message in report["message"]
    assert report["place"] == place


@pytest.mark.parametrize(("source", "message", "place"), UNIMPORTABLE)
def test_a_build_does_without_a_model_that_cannot_be_imported(command, tmp_path, source, message, place):
    result = command(source, "--optional", "--output", "made/schema.json", helper="def g():\n    pass\n1 / 0\n")
    assert result.returncode == 0
    assert "cogc: warning: the model cannot be imported here: " in result.stderr
    assert message in result.stderr
    assert os.listdir(str(tmp_path / "made")) == []


def test_a_build_writes_the_document_where_it_can(command, tmp_path):
    result = command("print('noise')\n" + dedent(MODEL), "--optional", "--output", "made/schema.json")
    assert (result.returncode, result.stdout) == (0, "")
    assert inputs(json.loads((tmp_path / "made" / "schema.json").read_text())) == ["s"]


def test_a_build_stops_at_what_is_wrong_with_the_model_itself(command):
    result = command("class Predictor:\n    def predict(self, n: int = 3): ...", "--optional", "--output", "s.json")
    assert result.returncode == 1
    assert "cogc: error: missing return type annotation" in result.stderr


def test_a_file_that_is_not_there_is_left_to_the_server(command, tmp_path):
    result = command(MODEL, "--optional", "--output", "made/s.json", config="predict: nowhere.py:P\n")
    assert result.returncode == 0
    assert "'nowhere.py' does not exist" in result.stderr


def test_an_import_that_does_not_end_is_ended_with_what_it_started(command, tmp_path):
    source = """
        import subprocess, time
        child = subprocess.Popen(["sleep", "99"])
        open("child", "w").write(str(child.pid))
        time.sleep(99)
        """
    result = command(source, "--report", "report.json", "--time-limit", "2")
    assert result.returncode == 0
    assert "did not end within 2 seconds" in json.loads((tmp_path / "report.json").read_text())["message"]
    with pytest.raises(OSError):
        _wait_for_end(int((tmp_path / "child").read_text()))


def _wait_for_end(pid):
    """Return while a process runs; `OSError` once it is gone, or waits for its parent to notice."""
    for _ in range(2_000_000):
        with open("/proc/%d/stat" % pid) as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                raise OSError("ended")
