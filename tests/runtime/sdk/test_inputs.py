"""`Input()`, the interface of 2021, and what is refused when a model is loaded."""

# Runs on Python 3.8 as well.
# ruff: noqa: UP031

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import cog
from cog import Input
from cog.inputs import MISSING
from cog.legacy import type_signature
from cog.predictor import LoadError
from tests.runtime.sdk.harness import ROOT

HEADER = "from typing import *\nfrom cog import *\nimport cog\n"


def test_only_the_default_is_positional():
    assert Input(3).default == 3
    assert Input().default is MISSING
    assert Input(...).default is MISSING
    assert Input(default=None).default is None
    with pytest.raises(TypeError):
        Input(3, "description")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"default_factory": list}, "default_factory is not supported in Input()"),
        ({"gt": 3}, "no argument 'gt'"),
        ({"ge": "3"}, "ge of Input() must be a number"),
        ({"min_length": True}, "min_length of Input() must be a whole number"),
        ({"choices": "abc"}, "choices of Input() must be a list"),
    ],
)
def test_wrong_arguments_are_a_type_error(arguments, message):
    with pytest.raises(TypeError) as caught:
        Input(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("x", "'x' of predict has no type annotation"),
        ("x: complex", "the type of the input 'x', complex, is not a type that models can use"),
        ("x: Iterator[str]", "the input 'x' has an iterator type"),
        ("x: bool = Input(choices=[True, False])", "the input 'x' has choices"),
        ("x: int = Input(default=4, choices=[1, 2])", "the default 4 of the input 'x' is not one of 1, 2"),
        ("x: int = Input(default=0, ge=1)", "less than its minimum 1"),
        ("x: str = Input(default='', min_length=1)", "shorter than its minimum length"),
        ("x: str = Input(ge=1)", "ge of the input 'x' applies to int and float only"),
        ("x: int = Input(regex='a')", "regex of the input 'x' applies to str only"),
        ("x: str = Input(accept='image/*')", "accept is only valid on Path or File inputs (parameter 'x')"),
        ("x: 'Nothing'", "cannot resolve the type of the input 'x', 'Nothing'"),
        ("x: str, /", "positional-only"),
    ],
)
def test_wrong_parameters_are_refused_at_load(load, parameters, message):
    with pytest.raises(LoadError) as caught:
        load(HEADER + "def predict(%s) -> str: ..." % parameters, "predict")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("returns", "message"),
    [("ConcatenateIterator[int]", "ConcatenateIterator element type must be str, got int"),
     ("List[Iterator[str]]", "only the whole output")],
)  # fmt: skip
def test_wrong_outputs_are_refused_at_load(load, returns, message):
    with pytest.raises(LoadError) as caught:
        load(HEADER + "def predict() -> %s: ..." % returns, "predict")
    assert message in str(caught.value)


def test_streaming_needs_an_iterator(load):
    with pytest.raises(LoadError, match="not an iterator"):
        load(HEADER + "@streaming\ndef predict() -> str: ...", "predict")


@pytest.mark.parametrize(("max", "error"), [(True, TypeError), (0, ValueError), (2, TypeError)])
def test_concurrent_checks_its_argument(max, error):
    with pytest.raises(error):

        @cog.concurrent(max=max)
        def predict() -> str: ...


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"type": list}, ValueError, "list is not a valid input type. Valid types are: "),
        ({"type": str, "min": 1}, ValueError, "Non-numeric type str cannot have min and max values"),
        ({"type": pathlib.Path, "options": ["a", "b"]}, ValueError, "File type cannot have options"),
        ({"type": int, "options": [1]}, ValueError, "Options list must have at least two items"),
        ({"type": cog.Path, "default": "x"}, TypeError, "Cannot use default with Path type"),
    ],
)
def test_legacy_decorators_check_their_arguments(arguments, error, message):
    with pytest.raises(error) as caught:
        cog.input("x", **arguments)(lambda self, x: None)
    assert message in str(caught.value)


def test_legacy_names_are_unique_and_undeclared_parameters_refused(load):
    with pytest.raises(ValueError, match="x is already defined as an argument"):
        cog.input("x", type=int)(cog.input("x", type=int)(lambda self, x: None))
    source = HEADER + "class P(cog.Predictor):\n    @cog.input('a', type=int)\n    def predict(self, a, b): ..."
    with pytest.raises(LoadError, match="'b' of predict is not declared"):
        load(source, "P")


def test_legacy_type_signature_has_texts(load):
    source = HEADER + (
        "class P(cog.Predictor):\n    @cog.input('a', type=Path, help='A file')\n"
        "    @cog.input('b', type=float, default=1.5, min=1, max=10)\n    @cog.input('c', type=int, options=[1, 2])\n"
        "    def predict(self, a, b, c): ..."
    )
    assert type_signature(load(source, "P").function.__cog_inputs__) == {
        "inputs": [
            {"name": "a", "type": "Path", "help": "A file"},
            {"name": "b", "type": "float", "default": "1.5", "min": "1", "max": "10"},
            {"name": "c", "type": "int", "options": ["1", "2"]},
        ]
    }


@pytest.mark.parametrize(
    ("files", "printed"),
    [
        ({}, "{}"),
        ({"cog.yaml": "train: t.py:train\n"}, "{}"),
        (
            {
                "cog.yaml": "predict: p.py:P\n",
                "p.py": "import cog\nprint('loading')\nclass P(cog.Predictor):\n    @cog.input('n', type=int, help='How many')\n"
                "    def predict(self, n): ...\n",
            },
            '{"inputs": [{"name": "n", "type": "int", "help": "How many"}]}',
        ),
    ],
)
def test_the_command_prints_the_type_signature(tmp_path, files, printed):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = {"PYTHONPATH": str(ROOT / "runtime"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "cog.command.type_signature"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == printed


def test_module_is_loaded_under_its_name_with_a_short_command_line(load, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["worker", "--fd", "3"])
    source = (
        HEADER
        + "import sys\nimport predict as me\nSEEN = (sys.argv, me.__name__)\ndef predict() -> str:\n    return str(SEEN)"
    )
    assert load(source, "predict").function() == "(['worker'], 'predict')"
    assert sys.argv == ["worker", "--fd", "3"]


def test_run_and_predict_forward_to_each_other():
    class Runner(cog.BaseRunner):
        def run(self, x: int) -> int:
            return x + 1

    class Predictor(cog.BasePredictor):
        def run(self, x: int) -> int:
            return x + 2

    assert Runner().predict(x=1) == 2
    assert Predictor().predict(x=1) == 3
    with pytest.raises(NotImplementedError):
        cog.BasePredictor().predict()
