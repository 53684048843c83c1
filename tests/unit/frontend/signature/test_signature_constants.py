"""Which expressions are read as constants, and which are left to the image."""

from __future__ import annotations

import pytest

from cogc.frontend.signature import Absent, thaw
from tests.unit.frontend.signature.support import analyse, only, predictor, signature

BEFORE = """
import enum
import os
import textwrap
import config
import pkg.deep.names as deep
from config import MODELS as M, Scheduler
from pkg import *
A = "a"
NUMBERS = (3, 1, 2)
PIPES = {"fast": os.getcwd(), "slow": 2}
SHARED = {"ge": 1, "le": 5}
TWICE = 1
TWICE = 2
GROWING = ["a"]
GROWING.append("b")
HALF, WHOLE = 0.5, 1
for LOOPED in NUMBERS:
    pass
try:
    import torch
    DEVICE = "cuda"
except ImportError:
    DEVICE = "cpu"
class Options:
    sizes = ["s", "m"]
    first = sizes[0]
class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"
"""
OTHERS = {
    "config.py": "from enum import Enum\nMODELS = {'x': 1, 'y': 2}\nclass Scheduler(Enum):\n    A = 'k'\n    B = 'l'\n",
    "pkg/__init__.py": "from .inner import STARRED\n",
    "pkg/inner.py": "STARRED = 'from a star import'\n",
    "pkg/deep/names.py": "from ..inner import STARRED as DEEP\n",
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a' 'b'", "ab"),
        (r"r'\d'", r"\d"),
        ("-1.5", -1.5),
        ("1e-4", 1e-4),
        ("(1, 2)", [1, 2]),
        ("{'a': [1]}", {"a": [1]}),
        ("A", "a"),
        ("A + 'b' * 2", "abb"),
        ("f'{A}-{1 + 1:>3}-{HALF:.2f}'", "a-  2-0.50"),
        ("'%s of %d' % (A, 3)", "a of 3"),
        ("'{} {x}'.format(A) if False else 'no'", "no"),
        ("'{}'.format(A)", "a"),
        ("2 ** 10 // 3", 341),
        ("not True", False),
        ("None or 'x'", "x"),
        ("'x' if A == 'a' else 'y'", "x"),
        ("list(PIPES)", ["fast", "slow"]),
        ("list(PIPES.keys())[0]", "fast"),
        ("sorted(NUMBERS, reverse=True)", [3, 2, 1]),
        ("len(NUMBERS) + max(NUMBERS)", 6),
        ("[*NUMBERS, 4]", [3, 1, 2, 4]),
        ("list(NUMBERS) + [9]", [3, 1, 2, 9]),
        ("list(range(0, 6, 2))", [0, 2, 4]),
        ("[str(n) for n in NUMBERS if n > 1]", ["3", "2"]),
        ("{k: v for k, v in zip_free} if False else [k for k, v in M.items()]", ["x", "y"]),
        ("{k: v + 1 for k, v in M.items()}", {"x": 2, "y": 3}),
        ("{'b', 'a', 'b'}", ["a", "b"]),
        ("list(M.values())", [1, 2]),
        ("config.MODELS['y']", 2),
        ("M.get('z', 7)", 7),
        ("Scheduler.B.value", "l"),
        ("Scheduler['A'].value", "k"),
        ("[s.value for s in Scheduler]", ["k", "l"]),
        ("[s.name for s in config.Scheduler]", ["A", "B"]),
        ("Color.BLUE", "blue"),
        ("list(Color)", ["red", "blue"]),
        ("Options.first", "s"),
        ("Options.sizes[-1]", "m"),
        ("HALF", 0.5),
        ("STARRED", "from a star import"),
        ("deep.DEEP", "from a star import"),
        ("','.join(['a', 'b']).upper()", "A,B"),
        ("'a-b'.replace('-', '_').split('_')", ["a", "b"]),
        ("textwrap.dedent('''\n    x\n    ''')", "\nx\n"),
        ("Path('examples') if False else str(3)", "3"),
        ("'abc'[1:]", "bc"),
    ],
)
def test_constant_expression_is_folded(expression: str, value: object) -> None:
    source = predictor(f"x: Any = {expression}", before=BEFORE)
    (field,) = signature(source, others=OTHERS).inputs
    assert not isinstance(field.default, Absent)
    assert thaw(field.default) == value


@pytest.mark.parametrize(
    "expression",
    [
        "os.environ['X']",
        "open('x').read()",
        "list(PIPES.values())",
        "PIPES['fast']",
        "TWICE",
        "GROWING",
        "LOOPED",
        "DEVICE",
        "torch.float16",
        "undefined",
        "'a' * 10 ** 9",
        "9 ** 9 ** 9",
        "f'{1:>99999}'",
        "list(range(10 ** 9))",
        "[1 for a in range(9999) for b in range(9999)]",
        "[][0]",
        "1 / 0",
        "b'bytes'",
        "lambda: 1",
        "Options",
        "Options.missing",
    ],
)
def test_expression_that_depends_on_run_time_is_left_to_the_image(expression: str) -> None:
    found, diagnostics = analyse(predictor(f"x: Any = {expression}", before=BEFORE), others=OTHERS)
    assert found is not None
    assert found.inputs[0].default is Absent.UNKNOWN
    assert {diagnostic.code for diagnostic in diagnostics} <= {"COG410", "COG428"}
    assert diagnostics


def test_note_points_at_the_part_that_is_not_constant() -> None:
    diagnostic = only(predictor("x: Any = ['a', os.sep]", before="import os"))
    (note,) = diagnostic.notes
    assert "os.sep" in note.message
    assert note.span is not None
    assert diagnostic.span is not None
    assert note.span.column > diagnostic.span.column


def test_default_may_use_constants_of_the_class() -> None:
    source = """
        from cog import Input
        class Base:
            pass
        class Predictor(Base):
            SIZES = ["s", "m"]
            def predict(self, size: str = Input(choices=SIZES, default=SIZES[0])) -> str: ...
        """
    (field,) = signature(source).inputs
    assert (field.choices, field.default) == (("s", "m"), "s")


@pytest.mark.parametrize(
    "default",
    ["PROMPT", "Inputs.prompt", "SHARED.prompt", "make('a')", "make(default='a')",
     "Inputs.make('a')", "Inputs.shared('a')", "inputs.PROMPT"],
)  # fmt: skip
def test_input_call_is_found_behind_names_and_helpers(default: str) -> None:
    before = """
        import inputs
        PROMPT = Input(default="a", description="d")
        def make(default, description="d"):
            "Makes an input."
            return Input(default=default, description=description)
        class Inputs:
            prompt = Input(default="a", description="d")
            @staticmethod
            def make(value):
                return Input(default=value, description="d")
            @classmethod
            def shared(cls, value):
                return Input(default=value, description="d")
        SHARED = Inputs()
        """
    others = {"inputs.py": "from cog import Input\nPROMPT = Input(default='a', description='d')\n"}
    (field,) = signature(predictor(f"x: str = {default}", before=before), others=others).inputs
    assert (field.default, field.description) == ("a", "d")


def test_arguments_can_be_unpacked_from_a_constant_dict() -> None:
    (field,) = signature(predictor("x: int = Input(default=3, **SHARED)", before=BEFORE), others=OTHERS).inputs
    assert (field.ge, field.le, field.default) == (1, 5, 3)


def test_arguments_unpacked_from_elsewhere_leave_the_schema_open() -> None:
    found, (diagnostic,) = analyse(predictor("x: int = Input(**options())", before="from lib import options"))
    assert diagnostic.code == "COG411"
    assert found is not None
    assert not found.is_complete


def test_ellipsis_as_default_means_required() -> None:
    (field,) = signature(predictor("x: int = Input(..., ge=1)")).inputs
    assert field.is_required


def test_infinite_bound_is_no_bound() -> None:
    (field,) = signature(predictor('x: float = Input(ge=float("-inf"), le=1)')).inputs
    assert (field.ge, field.le) == (None, 1)
