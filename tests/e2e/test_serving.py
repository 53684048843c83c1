"""The images serve: predictions over HTTP in a container, whatever old packages the model brings."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.images import Engine, Image

pytestmark = pytest.mark.engine

CONFIG = """\
build:
  python_version: "{python}"
  python_packages: [{packages}]
predict: predict.py:Predictor
train: train.py:train
"""
PREDICT = """\
import subprocess
import sys
import time
from typing import Any

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("ready soon")
        self.greeting = "hello"

    def predict(
        self,
        text: str = Input(description="Some text"),
        times: int = Input(default=1, ge=1, le=3),
        seconds: float = 0,
        fails: bool = False,
        lists_modules: bool = False,
    ) -> Any:
        subprocess.run(["echo", "from a child"])
        time.sleep(seconds)
        if fails:
            raise ValueError("not today")
        if lists_modules:
            return sorted(name.partition(".")[0] for name in sys.modules)
        return " ".join([self.greeting, text] * times)
"""
TRAIN = """\
from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Path


def train(name: str = Input(description="A name")) -> TrainingOutput:
    with open("out.txt", "w") as file:
        file.write("hello " + name)
    return TrainingOutput(weights=Path("out.txt"))
"""
FILES = {"predict.py": PREDICT, "train.py": TRAIN}


class Client:
    """A client of one container. Errors of HTTP are answers as well."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def predict(self, **values: Any) -> dict[str, Any]:
        status, answer = self.ask("POST", "/predictions", {"input": values})
        assert status == 200, answer
        return answer

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                _, health = self.ask("GET", "/health-check")
                if health["status"] == "READY":
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)
        raise AssertionError("the container did not become ready")


@contextmanager
def serving(engine: Engine, image: Image, *options: str, command: Sequence[str] = ()) -> Iterator[tuple[Client, str]]:
    words = ["run", "--detach", "--publish=127.0.0.1::5000", *options, image.reference, *command]
    container = engine.text(*words).strip()
    try:
        port = int(engine.text("port", container, "5000").split(":")[-1])
        client = Client(port)
        client.wait_until_ready()
        yield client, container
    finally:
        engine.docker("rm", "--force", container)


@pytest.fixture(scope="module")
def model(image: Callable[..., Image]) -> Image:
    return image("serving", CONFIG.format(python="3.11", packages="six==1.16.0"), FILES)


def test_predictions_are_served(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, _):
        answer = client.predict(text="you", times="2")
        assert answer["status"] == "succeeded"
        assert answer["output"] == "hello you hello you"
        assert answer["logs"] == "from a child\n"
        assert answer["metrics"]["predict_time"] > 0
        assert client.ask("GET", "/openapi.json")[1] == json.loads(model.labels["run.cog.openapi_schema"])


def test_wrong_input_is_refused_and_failures_carry_their_logs(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, _):
        status, answer = client.ask("POST", "/predictions", {"input": {"times": 9}})
        assert status == 422
        assert {item["loc"][2] for item in answer["detail"]} == {"text", "times"}
        failed = client.predict(text="x", fails=True)
        assert (failed["status"], failed["error"]) == ("failed", "not today")
        assert "from a child" in failed["logs"]
        assert 'raise ValueError("not today")' in failed["logs"]
        assert client.predict(text="y")["status"] == "succeeded"


def test_running_prediction_is_cancelled(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, _):
        started = {"input": {"text": "x", "seconds": 60}}
        status, _ = client.ask("PUT", "/predictions/one", started, {"Prefer": "respond-async"})
        assert status == 202
        assert client.ask("POST", "/predictions/one/cancel")[0] == 200
        deadline = time.monotonic() + 10
        while client.ask("GET", "/health-check")[1]["status"] != "READY" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.predict(text="next")["output"] == "hello next"


def test_trainings_are_served_beside_predictions(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, _):
        status, answer = client.ask("POST", "/trainings", {"input": {"name": "you"}})
        assert (status, answer["status"]) == (200, "succeeded")
        assert answer["output"]["weights"].startswith("data:text/plain;base64,")
        assert client.predict(text="after")["output"] == "hello after"


def test_stopping_takes_less_than_ten_seconds_with_a_running_prediction(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, container):
        client.ask("POST", "/predictions", {"input": {"text": "x", "seconds": 60}}, {"Prefer": "respond-async"})
        started = time.monotonic()
        engine.text("stop", container)
        assert time.monotonic() - started < 10
        state = json.loads(engine.text("inspect", container))[0]["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def test_container_with_a_read_only_root_and_another_user_serves(engine: Engine, model: Image) -> None:
    options = ("--read-only", "--tmpfs=/tmp", "--user=1234:1234")
    with serving(engine, model, *options) as (client, _):
        assert client.predict(text="you")["output"] == "hello you"


def test_server_stage_is_the_same_for_models_with_the_same_python(engine: Engine, image: Callable[..., Image]) -> None:
    # One right after the other: the engine may drop from its cache what the model of this module was built from.
    again = image("serving-again", CONFIG.format(python="3.11", packages="six==1.15.0"), FILES)
    other = image("serving-other", CONFIG.format(python="3.11", packages="toml==0.10.2"), FILES)
    shared = set(again.layers) & set(other.layers)
    base = set(Image(engine, "python:3.11-slim-bookworm").layers)
    sizes = "find /opt/cogc -type f | wc -l"
    assert shared - base, "no layer beyond the base image is shared"
    assert again.shell(sizes) == other.shell(sizes)


# What models really pin, and what a server in the same environment would break or be broken by.
OLD = {
    "pydantic-1": "pydantic==1.10.13, typing_extensions==4.2.0",
    "pydantic-2": "pydantic==2.7.1",
    "old-web": "fastapi==0.75.2, starlette==0.17.1, uvicorn==0.16.0",
    "protobuf-3": "protobuf==3.20.3, typing_extensions==4.0.0",
}


@pytest.mark.parametrize("name", OLD)
def test_runtime_and_packages_of_the_model_do_not_see_each_other(
    engine: Engine, image: Callable[..., Image], name: str
) -> None:
    packages = OLD[name]
    made = image(f"isolated-{name}", CONFIG.format(python="3.11", packages=packages), FILES)
    wanted = {package.strip() for package in packages.split(",")}
    before = Image(engine, "python:3.11-slim-bookworm").freeze()
    assert {line.replace("-", "_").lower() for line in wanted} <= {
        line.replace("-", "_").lower() for line in made.freeze()
    }
    plain = made.output("python", "-c", "import sys; print(sorted(m.partition('.')[0] for m in sys.modules))")
    assert not {"uvicorn", "uvloop", "msgspec", "aiohttp", "cog_server"} & set(json.loads(plain.replace("'", '"')))
    with serving(engine, made) as (client, _):
        assert client.predict(text="you")["output"] == "hello you"
        seen = set(client.predict(text="x", lists_modules=True)["output"])
    ours = {"uvicorn", "uvloop", "httptools", "msgspec", "aiohttp", "starlette", "fastapi", "pydantic", "cog_server"}
    assert not seen & ours
    assert before <= made.freeze()
