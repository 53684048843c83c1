"""The document in images that have none, or one that says too little: inputs are checked and secrets masked all the same."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.runtime.server.harness import RUNTIME

MODEL = """
from cog import BasePredictor, Input
class Predictor(BasePredictor):
    def predict(self, size: str = Input(choices=["s", "l"], default="s")) -> str:
        return size
"""
TRAIN = """
from cog import Input, Secret
from typing import List
def train(token: Secret, more: List[Secret] = [], n: int = Input(le=3, default=1), size: int = Input(choices=[1, 2], default=1)) -> str:
    print("with", token.get_secret_value(), more)
    return token.get_secret_value()
"""
CONFIG = 'predict: "predict.py:Predictor"\ntrain: "train.py:train"\n'


@pytest.fixture
def folder(tmp_path):
    """The folder of the first server, with a trainer beside the model."""
    found = tmp_path / "project0"
    found.mkdir()
    (found / "train.py").write_text(TRAIN)
    return found


@pytest.fixture
def join(monkeypatch):
    monkeypatch.syspath_prepend(str(RUNTIME))
    return pytest.importorskip("cog_server.documents").join


def by_the_sdk(folder: Path, *arguments: str, **sources: str):
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    written = {path.name: path.read_text() for path in sorted(folder.glob("*.py"))}
    return json.loads(_printed(arguments, tuple(written.items())))


@functools.cache
def _printed(arguments: tuple[str, ...], sources: tuple[tuple[str, str], ...]) -> bytes:
    command = [sys.executable, "-m", "cog.command.openapi_schema", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("cog.yaml", CONFIG), *sources):
            (Path(folder) / name).write_text(text)
        result = subprocess.run(
            command, cwd=folder, capture_output=True, env={"PYTHONPATH": str(RUNTIME), "PATH": "/usr/bin:/bin"}
        )
    assert result.returncode == 0, result.stderr
    return result.stdout


# -- joining -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "train",
    [
        TRAIN,
        TRAIN.replace("size: int = Input(choices=[1, 2], default=1)", 'size: str = Input(choices=["s", "l"])'),
        "def train() -> None: ...\n",
        "from cog import *\nfrom typing import *\nclass TrainingOutput(BaseModel):\n    weights: Path\n"
        'def train(size: Literal["a"], Status: Literal["b"], list_: List[str] = Input(max_length=3, default=[])) -> TrainingOutput: ...\n',
    ],
)
def test_one_document_from_two_is_what_the_sdk_makes_of_both(tmp_path, join, train):
    both = by_the_sdk(tmp_path, predict=MODEL, train=train)
    one, other = (by_the_sdk(tmp_path, "--mode", mode) for mode in ("predict", "train"))
    for document in (join(one, other), join(other, one)):
        assert document == both
        assert json.dumps(document) == json.dumps(both), "the order of keys differs"


def test_documents_by_hand_are_joined_whatever_they_lack(tmp_path, join):
    train = by_the_sdk(tmp_path, "--mode", "train", train=TRAIN)
    inputs = {"Input": {"type": "object", "properties": {"a": {"type": "string"}}}}
    document = join({"openapi": "3.0.0", "components": {"schemas": inputs}}, train)
    assert document["components"]["schemas"]["Input"] == inputs["Input"]
    assert "TrainingInput" in document["components"]["schemas"]
    assert join({"openapi": "3.0.0"}, train)["paths"] == train["paths"]


# -- without a document in the image ---------------------------------------------------------------


def test_trainings_are_checked_and_secrets_masked_from_the_first_request_on(serve, folder):
    server = serve(MODEL, config=CONFIG)
    refused = server.ask("POST", "/trainings", {"input": {"token": "hunter2", "n": 9}})
    assert (refused.status, refused.json["detail"][0]["loc"][2]) == (422, "n")
    answer = server.ask("POST", "/trainings", {"input": {"token": "hunter2", "more": ["hunter3"]}})
    assert answer.json["input"]["token"] == "**********"
    assert answer.json["input"]["more"] == ["**********"]
    assert answer.json["status"] == "succeeded"
    assert "hunter3" not in json.dumps(answer.json)


def test_webhooks_and_polling_show_no_secrets(serve, folder, receiver):
    server = serve(MODEL, config=CONFIG)
    body = {"input": {"token": "hunter2"}, "webhook": receiver.url}
    begun = server.ask("PUT", "/trainings/t", body, {"Prefer": "respond-async"})
    assert begun.status == 202
    bodies = receiver.wait_completed()
    polled = server.ask("GET", "/trainings/t")
    for shown in (begun.json, *bodies, polled.json):
        assert shown["input"]["token"] == "**********"


@pytest.mark.parametrize("mode", ["predict", "train"])
def test_the_document_has_both_targets_in_both_modes(serve, folder, tmp_path, mode):
    server = serve(MODEL, "--x-mode", mode, config=CONFIG)
    served = server.ask("GET", "/openapi.json")
    assert served.status == 200
    assert served.json == by_the_sdk(folder)


def test_a_trainer_that_cannot_be_imported_is_refused_with_the_reason_and_tried_again(serve, folder):
    (folder / "train.py").write_text("raise RuntimeError('no GPU today')\n")
    server = serve(MODEL, config=CONFIG)
    refused = server.ask("POST", "/trainings", {"input": {"token": "hunter2"}})
    assert refused.status == 503
    assert "RuntimeError: no GPU today" in refused.json["error"]
    assert "Input" in server.ask("GET", "/openapi.json").json["components"]["schemas"]
    assert server.predict(size="l")["output"] == "l"
    (folder / "train.py").write_text(TRAIN)
    assert server.ask("POST", "/trainings", {"input": {"token": "hunter2", "n": 9}}).status == 422


def test_a_server_of_trainings_needs_no_predictor(serve, folder):
    server = serve("raise RuntimeError('no GPU today')\n", "--x-mode", "train", config=CONFIG)
    assert server.ask("POST", "/trainings", {"input": {"token": "hunter2", "n": 9}}).status == 422
    assert server.ask("POST", "/trainings", {"input": {"token": "hunter2"}}).json["input"]["token"] == "**********"


# -- with a document that says too little ------------------------------------------------------------


def test_secrets_of_the_model_are_masked_whatever_the_images_document_says(serve, folder):
    model = """
from typing import List
from cog import Secret
def predict(token: Secret, more: List[Secret] = []) -> str:
    return "done"
"""
    plain = {"type": "object", "properties": {"token": {"type": "string"}, "more": {"type": "array", "items": {}}}}
    (folder / ".cog").mkdir()
    (folder / ".cog/openapi_schema.json").write_text(json.dumps({"components": {"schemas": {"Input": plain}}}))
    server = serve(model, config='predict: "predict.py:predict"\n')
    answer = server.predict(token="hunter2", more=["hunter3"])
    assert answer["input"] == {"token": "**********", "more": ["**********"]}
    assert server.ask("GET", "/openapi.json").json["components"]["schemas"]["Input"] == plain


def test_a_document_of_predictions_only_is_completed(serve, folder):
    document = by_the_sdk(folder, "--mode", "predict", predict=MODEL)
    (folder / ".cog").mkdir()
    (folder / ".cog/openapi_schema.json").write_text(json.dumps(document))
    server = serve(MODEL, config=CONFIG)
    assert server.ask("POST", "/trainings", {"input": {"token": "hunter2", "n": 9}}).status == 422
    assert server.ask("GET", "/openapi.json").json == by_the_sdk(folder)


def test_without_a_document_there_is_none(serve):
    server = serve("import does_not_exist_at_all\n", states=("SETUP_FAILED",))
    answer = server.ask("GET", "/openapi.json")
    assert (answer.status, answer.json) == (503, {"error": "OpenAPI schema not available"})
