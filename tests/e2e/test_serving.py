"""The images serve: predictions over HTTP in a container, whatever old packages the model brings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.images import Engine, Image
from tests.e2e.serving import CONFIG, FILES, serving

pytestmark = pytest.mark.engine


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
        client.begin("one", text="x", seconds=60)
        assert client.ask("POST", "/predictions/one/cancel")[0] == 200
        client.wait_for("READY")
        assert client.predict(text="next")["output"] == "hello next"


def test_trainings_are_served_beside_predictions(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, _):
        status, answer = client.ask("POST", "/trainings", {"input": {"name": "you"}})
        assert (status, answer["status"]) == (200, "succeeded")
        assert answer["output"]["weights"].startswith("data:text/plain;base64,")
        assert client.predict(text="after")["output"] == "hello after"


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
