from __future__ import annotations

from dataclasses import replace

from cogc.ir.nodes import Run, SourceCode
from cogc.ir.passes.order_for_cache import order_for_cache
from tests.builds import resolved_build

TEXT = "build: {run: [first, second], user: model}\nenvironment: [A=1]"


def test_what_changes_often_comes_last() -> None:
    build = resolved_build(TEXT, sizes={"w/a.bin": 20_000_000})
    kinds = [type(step).__name__ for step in build.stages[-1].steps]
    assert kinds[:2] == ["Run", "Run"]
    assert kinds.index("Copy") < kinds.index("Env") < kinds.index("SourceCode") < kinds.index("Label")
    assert kinds[-1] == "User"


def test_commands_keep_their_order() -> None:
    steps = resolved_build(TEXT).stages[-1].steps
    assert [step.command for step in steps if isinstance(step, Run)] == ["first", "second"]


def test_nothing_that_makes_a_layer_comes_after_the_code() -> None:
    steps = resolved_build(TEXT).stages[-1].steps
    (at,) = (index for index, step in enumerate(steps) if isinstance(step, SourceCode))
    assert {type(step).__name__ for step in steps[at + 1 :]} == {"Label", "User"}


def test_it_is_idempotent() -> None:
    build = resolved_build(TEXT)
    assert order_for_cache(build) == build


def test_the_stage_of_the_code_is_ordered_also_below_others() -> None:
    open_type = "from somewhere import T\nclass P:\n    def predict(self, a: T) -> str: ...\n"
    build = resolved_build(TEXT + "\npredict: predict.py:P", {"predict.py": open_type})
    assert [stage.name for stage in build.stages[-3:]] == ["model", "schema", "complete"]
    model, last = build.stages[-3], build.stages[-1]
    shuffled = replace(build, stages=(*build.stages[:-3], replace(model, steps=model.steps[::-1]), *build.stages[-2:]))
    kinds = [type(step).__name__ for step in order_for_cache(shuffled).stages[-3].steps]
    assert kinds[0] == "Run"
    assert kinds[-2:] == ["SourceCode", "User"]
    assert [type(step).__name__ for step in last.steps] == ["Copy", "Label"]
