"""Trainings, beside predictions and in a mode of their own; the interface of 2021."""

from __future__ import annotations

import json

import pytest

MODEL = """
import os, time
from cog import BasePredictor, Input
class Predictor(BasePredictor):
    def predict(self, seconds: float = 0) -> int:
        time.sleep(seconds)
        return os.getpid()
"""
TRAIN = """
import os, time
from cog import BaseModel, Input, Path
class TrainingOutput(BaseModel):
    weights: Path
    pid: int
def train(n: int = Input(ge=1), seconds: float = 0) -> TrainingOutput:
    time.sleep(seconds)
    print("training", n)
    with open("/tmp/cog-test-weights.bin", "w") as file:
        file.write("w" * n)
    return TrainingOutput(weights=Path("/tmp/cog-test-weights.bin"), pid=os.getpid())
"""
CONFIG = 'predict: "predict.py:Predictor"\ntrain: "train.py:train"\n'
DOCUMENT = {
    "openapi": "3.0.2",
    "components": {
        "schemas": {
            "Input": {"type": "object", "properties": {"seconds": {"type": "number", "default": 0}}},
            "TrainingInput": {
                "type": "object",
                "required": ["n"],
                "properties": {"n": {"type": "integer", "minimum": 1}, "seconds": {"type": "number", "default": 0}},
            },
        }
    },
}


def project(tmp_path):
    folder = tmp_path / "project0"
    (folder / ".cog").mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / ".cog/openapi_schema.json").write_text(json.dumps(DOCUMENT))


def test_a_second_worker_trains_on_demand(serve, tmp_path, wait_until):
    project(tmp_path)
    server = serve(MODEL, config=CONFIG, environment={"COGC_TRAINING_IDLE_SECONDS": "0.5"})
    assert server.ask("GET", "/openapi.json").json == DOCUMENT
    assert server.ask("GET", "/").json["trainings_idempotent_url"] == "/trainings/{training_id}"
    pid = server.predict()["output"]
    answer = server.ask("POST", "/trainings", {"input": {"n": 3}}).json
    assert answer["status"] == "succeeded", answer
    assert answer["output"]["weights"].endswith("base64,d3d3")
    assert answer["output"]["pid"] != pid
    assert answer["logs"] == "training 3\n"
    assert server.predict()["output"] == pid
    refused = server.ask("POST", "/trainings", {"input": {"n": 0}})
    assert refused.status == 422
    assert (
        server.ask("PUT", "/trainings/a", {"id": "b", "input": {"n": 1}})
        .json["detail"][0]["msg"]
        .startswith("training ID")
    )

    # One at a time, in both directions.
    server.ask("PUT", "/trainings/t1", {"input": {"n": 1, "seconds": 30}}, {"Prefer": "respond-async"})
    assert server.ask("POST", "/predictions", {"input": {}}).status == 409
    assert server.health()["status"] == "BUSY"
    assert server.ask("PUT", "/trainings/t1", {"input": {"n": 1}}).status == 202
    server.wait_status("t1", "processing", kind="trainings")
    assert server.ask("POST", "/trainings/t1/cancel").status == 200
    assert server.wait_status("t1", "canceled", kind="trainings")
    server.begin("p1", {"seconds": 30})
    assert server.ask("POST", "/trainings", {"input": {"n": 1}}).status == 409
    assert server.ask("POST", "/predictions/p1/cancel").status == 200
    server.wait_status("p1", "canceled")
    trainer = answer["output"]["pid"]
    wait_until(lambda: not is_running(trainer))


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_train_mode_has_no_predictions(serve, tmp_path):
    project(tmp_path)
    server = serve(MODEL, "--x-mode", "train", config=CONFIG)
    assert server.ask("POST", "/predictions", {"input": {}}).status == 404
    answer = server.ask("POST", "/trainings", {"input": {"n": "2"}}).json
    assert answer["status"] == "succeeded", answer


LEGACY = """
import cog
from pathlib import Path
class Predictor(cog.Predictor):
    def setup(self):
        pass
    @cog.input("image", type=Path, help="An image")
    @cog.input("scale", type=float, default=1.5, min=1, max=10, help="Factor")
    @cog.input("mode", type=str, default="a", options=["a", "b"], help="How")
    @cog.input("size", type=int, default=1, options=[1, 2])
    def predict(self, image, scale, mode, size):
        return Path(image).read_text() + " " + Path(image).name + " " + str(scale)
"""


def form(**parts: tuple[str, bytes] | str) -> tuple[bytes, dict[str, str]]:
    body = b""
    for name, value in parts.items():
        filename = f'; filename="{value[0]}"' if isinstance(value, tuple) else ""
        content = value[1] if isinstance(value, tuple) else value.encode()
        body += f'--B\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--B--\r\n", {"Content-Type": "multipart/form-data; boundary=B"}


def test_legacy_models_have_the_endpoints_of_2021(serve):
    server = serve(LEGACY)
    assert server.ask("GET", "/ping").body == b"PONG"
    inputs = server.ask("GET", "/type-signature").json["inputs"]
    assert inputs[0] == {"name": "image", "type": "Path", "help": "An image"}
    assert inputs[1]["min"] in ("1", "1.0")
    assert inputs[2] == {"name": "mode", "type": "str", "help": "How", "default": "a", "options": ["a", "b"]}
    assert inputs[3] == {"name": "size", "type": "int", "default": "1", "options": ["1", "2"]}
    answer = server.ask("POST", "/predict", *form(image=("cat.txt", b"meow"), scale="2"))
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.startswith(b"meow ")
    assert answer.body.endswith(b" 2.0")
    assert b"cat.txt" in answer.body
    assert float(answer.headers["x-run-time"]) >= 0
    for parts, message in (
        ({}, "Missing expected argument: image"),
        ({"image": ("a", b""), "more": "x"}, "Extraneous input keys: more"),
        ({"image": ("a", b""), "scale": "x"}, "Could not convert scale=x to float"),
        ({"image": ("a", b""), "scale": "0"}, "is less than the min value 1"),
    ):
        answer = server.ask("POST", "/predict", *form(**parts))
        assert answer.status == 400
        assert message in answer.json["message"]


LEGACY_TYPES = """
import cog, os, tempfile
from pathlib import Path
class Predictor(cog.Predictor):
    @cog.input("do", type=str, default="values", options=["values", "file", "text"])
    @cog.input("n", type=int, default=1, min=0, max=10)
    @cog.input("x", type=float, default=1.5)
    @cog.input("flag", type=bool, default=False)
    @cog.input("file", type=Path, default=None)
    def predict(self, do, n, x, flag, file):
        if do == "file":
            path = Path(tempfile.gettempdir()) / "picture.png"
            path.write_bytes(b"png")
            return path
        if do == "text":
            return "data:text/plain;base64,not a file"
        return [n, x, flag, file and file.read_text()]
"""


def test_forms_of_2021_give_values_and_get_values_and_files(serve, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    server = serve(LEGACY_TYPES, environment={"TMPDIR": str(folder)})

    def ask(path="/predict", **parts):
        return server.ask("POST", path, *form(**parts))

    for path in ("/predict", "/infer"):
        answer = ask(path, n="7", x="2.5e0", flag="TRUE", file=("a.txt", b"content"))
        assert (answer.status, answer.json) == (200, [7, 2.5, True, "content"])
        assert answer.headers["content-type"] == "application/json"
        assert float(answer.headers["x-setup-time"]) > 0
        assert float(answer.headers["x-run-time"]) >= 0
    assert ask().json == [1, 1.5, False, None]
    picture = ask(do="file")
    assert (picture.body, picture.headers["content-type"]) == (b"png", "image/png")
    assert not (folder / "picture.png").exists()
    text = ask(do="text")
    assert (text.body, text.headers["content-type"]) == (b"data:text/plain;base64,not a file", "text/plain; charset=utf-8")
    urlencoded = server.ask("POST", "/predict", b"n=3", {"Content-Type": "application/x-www-form-urlencoded"})
    assert urlencoded.json == [3, 1.5, False, None]
    body, headers = form(n="1")
    double, _ = form(n=("n.txt", b"1"))
    for (body, headers), message in (
        (form(n="many"), "Could not convert n=many to int"),
        (form(n="1.5"), "Could not convert n=1.5 to int"),
        (form(x="nan"), "Could not convert x=nan to float"),
        (form(flag="yes"), "flag=yes is not a boolean"),
        (form(n="-1"), "Value -1 is less than the min value 0"),
        (form(n="11"), "Value 11 is greater than the max value 10"),
        (form(do="other"), "Value other is not an option. Valid options are: values, file, text"),
        (form(do=("a.txt", b"values")), "Could not convert file input do to str"),
        (form(file=("", b"x")), "No filename is provided for file input file"),
        ((body.replace(b"--B--\r\n", b"") + double, headers), "Duplicated argument name in form and files: n"),
        (form(more="1", others="2"), "Extraneous input keys: more, others"),
    ):
        answer = server.ask("POST", "/predict", body, headers)
        assert (answer.status, answer.json) == (400, {"message": message})


YIELDS = """
        for number in range(n):
            yield "item %d" % number
"""
RETURNS = """
        return ("item %d" % number for number in range(n))
"""


@pytest.mark.parametrize("body", [YIELDS, RETURNS], ids=["yields", "returns"])
def test_a_generator_of_2021_is_answered_with_its_last_value(serve, body):
    source = """
import cog
class Predictor(cog.Predictor):
    @cog.input("n", type=int)
    def predict(self, n):"""
    server = serve(source + body)
    assert server.ask("POST", "/predict", *form(n="3")).body == b"item 2"
    assert server.ask("POST", "/predict", *form(n="0")).json is None
    assert server.predict(n=2)["output"] == ["item 0", "item 1"]


def test_the_interface_of_2021_is_there_for_its_models_or_when_it_is_asked_for(serve):
    assert serve(LEGACY, environment={"COGC_LEGACY_HTTP": "0"}).ask("GET", "/ping").status == 404
    modern = serve(MODEL, environment={"COGC_LEGACY_HTTP": "1"})
    assert modern.ask("GET", "/ping").body == b"PONG"
    assert modern.ask("POST", "/predict", *form(seconds="0")).json == modern.predict()["output"]
    plain = serve(MODEL)
    assert [plain.ask("GET", path).status for path in ("/ping", "/type-signature")] == [404, 404]
