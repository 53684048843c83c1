"""Schemas that the source does not tell are completed in the build, by importing the model there."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.images import BuildFailed, Engine, Image, Project
from tests.e2e.serving import serving

pytestmark = pytest.mark.engine

CONFIG = """\
build:
  python_version: "3.11"
  python_packages: [six==1.16.0]
  user: model
predict: predict.py:Predictor
train: train.py:train
"""
# `six` decides what a default is, the model leaves things behind when it is imported, and it may not be instantiated.
PREDICT = """\
import os

import six
from cog import BasePredictor, Input

print("imported by", os.getuid())
os.makedirs(os.path.expanduser("~/.cache/left-by-the-import"), exist_ok=True)


class Predictor(BasePredictor):
    def __init__(self):
        assert not os.environ.get("PYTHONPATH", "").endswith("nowhere")

    def predict(self, n: int = Input(default=len(six.__version__), le=10)) -> str:
        return "x" * n
"""
TRAIN = """\
from cog import Input, Secret


def train(token: Secret, n: int = Input(le=3, default=1)) -> str:
    return "done"
"""
FILES = {"predict.py": PREDICT, "train.py": TRAIN}
SCHEMA = "/src/.cog/openapi_schema.json"

MakeProject = Callable[..., Project]


@pytest.fixture(scope="module")
def completed(engine: Engine, project: MakeProject) -> tuple[Project, Image]:
    made = project("completed", CONFIG, FILES)
    return made, engine.compile_and_build("completed", made)


def test_the_document_of_the_import_is_in_the_image(completed: tuple[Project, Image]) -> None:
    _, image = completed
    document = json.loads(image.output("cat", SCHEMA))
    schemas = document["components"]["schemas"]
    assert schemas["Input"]["properties"]["n"]["default"] == len("1.16.0")
    assert schemas["TrainingInput"]["properties"]["token"]["x-cog-secret"] is True
    assert image.tree(SCHEMA)[SCHEMA].mode == "-rw-r--r--"


def test_the_import_leaves_nothing_else_behind(completed: tuple[Project, Image]) -> None:
    _, image = completed
    assert image.files("/src") == {".cog/openapi_schema.json", "cog.yaml", "predict.py", "train.py", "Dockerfile"}
    assert image.shell("find / -xdev -name left-by-the-import 2>/dev/null || true") == ""
    assert not image.shell("ls -d /tmp/cogc-schema 2>/dev/null || true")
    assert "run.cog.openapi_schema" not in image.labels
    assert image.config["User"] == "model"
    assert "imported by 0" not in image.log


def test_cogc_build_makes_a_label_of_it(engine: Engine, completed: tuple[Project, Image]) -> None:
    made, image = completed
    name = engine.name("completed-built")
    made.cogc("build", "-t", name)
    label = Image(engine, name).labels["run.cog.openapi_schema"]
    assert json.loads(label) == json.loads(image.output("cat", SCHEMA))


def test_the_document_is_what_the_server_serves(engine: Engine, completed: tuple[Project, Image]) -> None:
    _, image = completed
    with serving(engine, image) as (client, _):
        assert client.ask("GET", "/openapi.json")[1] == json.loads(image.output("cat", SCHEMA))
        assert client.predict()["output"] == "x" * 6
        assert client.ask("POST", "/trainings", {"input": {"token": "hunter2", "n": 9}})[0] == 422
        _, answer = client.ask("POST", "/trainings", {"input": {"token": "hunter2"}})
        assert answer["status"] == "succeeded"
        assert "hunter2" not in json.dumps(answer)


def test_an_edit_renews_the_code_and_the_document_only(engine: Engine, completed: tuple[Project, Image]) -> None:
    made, before = completed
    made.write("predict.py", PREDICT.replace("le=10", "le=11"))
    after = engine.compile_and_build("completed-edited", made)
    assert json.loads(after.output("cat", SCHEMA))["components"]["schemas"]["Input"]["properties"]["n"]["maximum"] == 11
    same = [one for one, other in zip(before.layers, after.layers, strict=True) if one == other]
    assert len(same) == len(before.layers) - 2


def test_a_model_that_cannot_be_imported_without_a_gpu_is_built_with_a_warning(
    engine: Engine, project: MakeProject
) -> None:
    source = PREDICT + "\n\nif not os.path.exists('/dev/shm/gpu'):\n    raise RuntimeError('no GPU was found')\n"
    made = project("no-gpu", CONFIG, {**FILES, "predict.py": source})
    image = engine.compile_and_build("no-gpu", made, build=["--no-cache-filter=schema"])
    assert "cogc: warning: the model cannot be imported here: RuntimeError: no GPU was found" in image.log
    assert "predict.py" in image.log
    assert image.shell(f"ls {SCHEMA} 2>/dev/null || true") == ""
    built = made.cogc("build", "-t", engine.name("no-gpu-built"), "--format", "json", "--progress", "quiet")
    (warning,) = [found for found in json.loads(built.stdout)["diagnostics"] if found["code"] == "COG636"]
    assert warning["span"]["file"] == "predict.py"
    command = "touch /dev/shm/gpu && exec python -m cog.server.http"
    with serving(engine, image, "--entrypoint=sh", command=("-c", command)) as (client, _):
        schemas = client.ask("GET", "/openapi.json")[1]["components"]["schemas"]
        assert schemas["Input"]["properties"]["n"]["default"] == 6
        assert client.predict(n=2)["output"] == "xx"
        assert client.ask("POST", "/trainings", {"input": {"token": "hunter2", "n": 9}})[0] == 422
        assert "hunter2" not in json.dumps(client.ask("POST", "/trainings", {"input": {"token": "hunter2"}})[1])


def test_a_build_stops_at_a_model_that_contradicts_itself(engine: Engine, project: MakeProject) -> None:
    made = project("contradiction", CONFIG, {**FILES, "predict.py": PREDICT.replace("le=10", "le=5")})
    with pytest.raises(BuildFailed, match="cogc: error: the default 6 of the input 'n' is greater than its maximum 5"):
        engine.compile_and_build("contradiction", made)


def test_a_target_that_a_command_brings_is_read_in_the_image(engine: Engine, project: MakeProject) -> None:
    config = """\
build:
  python_version: "3.11"
  run:
    - mkdir -p /src/model && echo 'def predict(brought:int)->str:pass' > /src/model/predict.py
predict: model/predict.py:predict
"""
    made = project("brought", config, {"predict.py": "", "notes.txt": "code of ours"})
    image = engine.compile_and_build("brought", made)
    document = json.loads(image.output("cat", SCHEMA))
    assert list(document["components"]["schemas"]["Input"]["properties"]) == ["brought"]


def test_the_command_of_images_prints_the_document(completed: tuple[Project, Image]) -> None:
    _, image = completed
    printed = image.output("python", "-m", "cog.command.openapi_schema")
    assert json.loads(printed) == json.loads(image.output("cat", SCHEMA))
