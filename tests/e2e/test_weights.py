"""Weights: layers of their own, which neither a code edit nor a new requirement touches."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.e2e.conftest import PREDICT, MakeProject
from tests.e2e.images import MIB, Engine, Image, Project

pytestmark = pytest.mark.engine

CONFIG = """\
build:
  python_version: "3.11"
  python_packages:
    - six==1.16.0
predict: predict.py:Predictor
"""


def _make(project: MakeProject, name: str) -> Project:
    made = project(name, CONFIG, {".dockerignore": "# never in the image\nold\n*.tmp\n", "large/readme.txt": "small\n"})
    made.write_large("large/a.bin", "a")
    made.write_large("large/deep/b.bin", "b")
    made.write_large("root.bin", "c")
    made.write_large("old/weights.bin", "old")
    made.write_large("scratch.tmp", "tmp")
    made.write_large("models/mixed.bin", "stays with the code beside it")
    made.write("models/code.py", "x = 1\n")
    return made


class Stages:
    """One project built after each of three edits."""

    def __init__(self, engine: Engine, made: Project) -> None:
        self.project = made
        self.first = engine.compile_and_build("weights-1", made)
        made.write("predict.py", PREDICT + "# edited\n")
        self.edited = engine.compile_and_build("weights-2", made)
        made.write("cog.yaml", CONFIG.replace("six==1.16.0", "six==1.16.0\n    - toml==0.10.2"))
        self.required = engine.compile_and_build("weights-3", made)
        made.write("predict.py", PREDICT)
        made.write("cog.yaml", CONFIG)


@pytest.fixture(scope="module")
def stages(engine: Engine, project: MakeProject) -> Stages:
    return Stages(engine, _make(project, "weights"))


def _layers_of(image: Image, path: str) -> list[int]:
    """Where in the order of the layers a file is."""
    blobs = {f"sha256:{hashlib.sha256(blob).hexdigest()}": blob for _, blob in image.blobs()}
    found = []
    for number, digest in enumerate(image.layers):
        with tarfile.open(fileobj=io.BytesIO(blobs[digest])) as archive:
            if path in archive.getnames():
                found.append(number)
    return found


def test_code_edit_changes_only_the_last_layer(stages: Stages) -> None:
    before, after = stages.first.layers, stages.edited.layers
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def test_requirement_leaves_the_layers_of_weights_alone(stages: Stages) -> None:
    places = [_layers_of(stages.edited, path) for path in ("src/large/a.bin", "src/root.bin")]
    assert all(len(place) == 1 for place in places)
    of_weights = {stages.edited.layers[number] for place in places for number in place}
    assert len(of_weights) == 2
    assert of_weights <= set(stages.required.layers)
    assert "toml==0.10.2" in stages.required.freeze()


def test_weights_are_in_no_layer_of_the_code(stages: Stages) -> None:
    last = len(stages.first.layers) - 1
    assert _layers_of(stages.first, "src/predict.py") == [last]
    assert _layers_of(stages.first, "src/models/mixed.bin") == [last]
    assert last not in _layers_of(stages.first, "src/large/a.bin")


def test_files_of_a_directory_of_weights_stay_together(stages: Stages) -> None:
    places = {tuple(_layers_of(stages.first, f"src/large/{name}")) for name in ("a.bin", "deep/b.bin", "readme.txt")}
    assert len(places) == 1


def test_ignored_files_are_not_in_the_image(stages: Stages) -> None:
    assert {path for path in stages.first.files("/src") if path.startswith(("old", "scratch", ".cog/build"))} == set()


def test_separate_weights_image_gives_the_same_files(engine: Engine, stages: Stages, tmp_path: Path) -> None:
    copy = Project(tmp_path / "weights")
    shutil.copytree(stages.project.root, copy.root, symlinks=True)
    name = engine.name("separate")
    weights = f"{name}-weights"
    engine.references.append(weights)
    copy.write("Dockerfile.weights", copy.compile("--emit", "weights-dockerfile").stdout)
    engine.text("build", "--file", str(copy.root / "Dockerfile.weights"), "--tag", weights, str(copy.root))
    copy.root.joinpath("Dockerfile.weights").unlink()
    exported = {member.name for member in Image(engine, weights).exported() if member.isfile() and member.size >= MIB}
    assert exported == {"src/large/a.bin", "src/large/deep/b.bin", "src/root.bin"}
    ignore = copy.compile("--emit", "dockerignore").stdout
    assert ignore.splitlines() == ["large", "large/**/*", "root.bin"]
    separate = engine.compile_and_build("separate", copy, "--separate-weights", "--image-name", name)
    again = engine.compile_and_build("weights-again", stages.project)
    expected, found = again.tree("/src"), separate.tree("/src")
    del expected["/src/Dockerfile"], found["/src/Dockerfile"]
    assert found == expected
