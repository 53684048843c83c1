"""Builds whose result is one file share their steps with the image."""

from __future__ import annotations

from cogc.ir.nodes import Copy, Label, Process, Run, ScratchBase, SourceCode
from cogc.ir.outputs import FREEZE_FILE, environment_build, freeze_build, schema_build
from cogc.ir.verify import verify
from tests.builds import resolved_build


def test_same_steps_up_to_the_last_command_then_the_list_alone() -> None:
    build = resolved_build("build:\n  python_packages: [six]\n  run: [pip install x]\n")
    frozen = freeze_build(build)
    assert [stage.name for stage in frozen.stages] == ["base", "packages", "model", "output"]
    assert frozen.stages[:2] == build.stages[:2]
    own, listing = frozen.stages[2].steps
    assert isinstance(own, Run)
    assert isinstance(listing, Run)
    assert own.command == "pip install x"
    assert listing.command.startswith("python -m pip ")
    assert frozen.stages[-1].base == ScratchBase()
    (copy,) = frozen.stages[-1].steps
    assert isinstance(copy, Copy)
    assert copy.sources == (f"/{FREEZE_FILE}",)
    verify(frozen)


def test_project_without_packages_and_commands_is_listed_from_its_base() -> None:
    frozen = freeze_build(resolved_build("build: {}\n"))
    assert [stage.name for stage in frozen.stages][-2:] == ["model", "output"]
    verify(frozen)


SOURCE = """\
from elsewhere import Kind

class Predictor:
    def predict(self, kind: Kind) -> str: ...
"""


def test_schema_comes_out_where_a_stage_makes_it() -> None:
    config = "build:\n  python_packages: [elsewhere]\npredict: predict.py:Predictor\n"
    build = resolved_build(config, {"predict.py": SOURCE})
    assert build.stages[-1].name == "complete"
    output = schema_build(build)
    assert output is not None
    assert [stage.name for stage in output.stages][-3:] == ["model", "schema", "output"]
    verify(output)
    frozen = freeze_build(build)
    assert [stage.name for stage in frozen.stages] == ["base", "packages", "model", "output"]
    verify(frozen)


def test_schema_that_the_source_tells_needs_no_build() -> None:
    source = "class Predictor:\n    def predict(self) -> str: ...\n"
    assert schema_build(resolved_build("predict: predict.py:Predictor\n", {"predict.py": source})) is None


def test_environment_is_the_image_without_code_weights_and_labels() -> None:
    config = "build:\n  python_packages: [elsewhere]\n  run: [echo one]\npredict: predict.py:Predictor\n"
    build = resolved_build(config, {"predict.py": SOURCE}, sizes={"checkpoints/model.bin": 20 * 2**20})
    assert {"weights", "schema", "complete"} <= {stage.name for stage in build.stages}
    environment = environment_build(build)
    assert [stage.name for stage in environment.stages] == ["base", "packages", "server", "model"]
    verify(environment)
    kept = [type(step) for step in environment.stages[-1].steps]
    assert SourceCode not in kept
    assert Label not in kept
    assert {Run, Process} <= set(kept)
    model = next(stage for stage in build.stages if stage.name == "model")
    assert [step for step in model.steps if step in environment.stages[-1].steps] == list(environment.stages[-1].steps)
