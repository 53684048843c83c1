"""What happens to containers of a model: they call the host, are stopped, killed, restarted, and may do little."""

from __future__ import annotations

import http.client
import json
import threading
import time

import pytest

from tests.e2e.images import Engine, Image
from tests.e2e.serving import Client, receiving, serving

pytestmark = pytest.mark.engine

HOST = "--add-host=host.docker.internal:host-gateway"


def test_webhooks_reach_the_host(engine: Engine, model: Image) -> None:
    with receiving(engine) as receiver, serving(engine, model, HOST) as (client, _):
        body = {"input": {"text": "you"}, "webhook": f"{receiver.url}/hook?a=1"}
        assert client.ask("PUT", "/predictions/hooked", body, {"Prefer": "respond-async"})[0] == 202
        documents = []
        while not documents or "completed_at" not in documents[-1]:
            request = receiver.next()
            assert (request.method, request.path) == ("POST", "/hook?a=1")
            documents.append(json.loads(request.body))
        assert documents[0]["status"] in ("starting", "processing")
        assert (documents[-1]["id"], documents[-1]["status"], documents[-1]["output"]) == (
            "hooked",
            "succeeded",
            "hello you",
        )


def test_output_files_are_uploaded_to_the_host(engine: Engine, model: Image) -> None:
    with receiving(engine) as receiver:
        with serving(engine, model, HOST) as (client, _):
            values = {"text": "you", "makes_file": True}
            answer = client.predict_patiently(input=values, output_file_prefix=f"{receiver.url}/files/")
            assert answer["output"] == f"{receiver.url}/files/out.txt", answer
            request = receiver.next()
            assert (request.method, request.path) == ("PUT", "/files/out.txt")
            assert b"\r\n\r\nhello you\r\n" in request.body
        words = ("python", "-m", "cog.server.http", f"--upload-url={receiver.url}/uploads/")
        with serving(engine, model, HOST, command=words) as (client, _):
            answer = client.predict_patiently(input={"text": "me", "makes_file": True})
            assert answer["output"].startswith(f"{receiver.url}/uploads/"), answer
            request = receiver.next()
            assert (request.method, request.body) == ("PUT", b"hello me")
            assert request.path.startswith("/uploads/")


def test_stopping_takes_less_than_ten_seconds_with_a_prediction(engine: Engine, model: Image) -> None:
    """After those the engine kills."""
    with serving(engine, model) as (client, container), serving(engine, model) as (stubborn_client, stubborn):
        client.begin(text="x", seconds=60)
        stubborn_client.begin(text="x", seconds=60, is_stubborn=True)
        engine.text("stop", container, stubborn)  # both at the same time
        for name in (container, stubborn):
            state = _state(engine, name)
            assert (state["ExitCode"], state["OOMKilled"]) == (0, False)  # 137 where the engine had to kill


def test_killed_container_serves_when_it_is_started_again(engine: Engine, model: Image) -> None:
    with serving(engine, model) as (client, container):
        ended = []

        def predict() -> None:
            try:
                ended.append(client.predict(text="x", seconds=60))
            except (OSError, http.client.HTTPException) as error:
                ended.append(error)

        waiting = threading.Thread(target=predict)
        waiting.start()
        client.wait_for("BUSY")
        engine.text("kill", container)
        waiting.join(10)
        assert [isinstance(one, Exception) for one in ended] == [True]  # told at once, and not left waiting
        assert _state(engine, container)["ExitCode"] == 137
        engine.text("start", container)
        again = _client(engine, container)
        again.wait_for("READY")
        assert again.predict(text="again")["output"] == "hello again"


def test_crash_of_the_model_costs_its_prediction_only(engine: Engine, model: Image) -> None:
    with serving(engine, model, "--restart=on-failure:3") as (client, container):
        crashed = client.predict(text="x", crashes=True)
        assert crashed["status"] == "failed"
        client.wait_for("READY")
        assert client.predict(text="again")["output"] == "hello again"
        assert _inspected(engine, container)["RestartCount"] == 0


def test_crash_of_the_server_is_mended_by_a_restart_policy(engine: Engine, model: Image) -> None:
    with serving(engine, model, "--restart=on-failure:3") as (client, container):
        client.begin(text="x", seconds=60)
        # Not the first process, which is tini: what it started.
        kill = "import os, signal; os.kill(int(open('/proc/1/task/1/children').read().split()[0]), signal.SIGKILL)"
        engine.docker("exec", container, "python", "-c", kill)  # it may end with the container, before it can say so
        deadline = time.monotonic() + 120
        while _inspected(engine, container)["RestartCount"] != 1:
            assert time.monotonic() < deadline, "the engine did not restart the container"
            time.sleep(0.05)
        again = _client(engine, container)
        again.wait_for("READY")
        assert again.predict(text="again")["output"] == "hello again"


def test_stopped_container_is_not_restarted_on_failure(engine: Engine, model: Image) -> None:
    with serving(engine, model, "--restart=on-failure:3") as (_, container):
        engine.text("stop", container)
        state = _state(engine, container)
        assert (state["Running"], state["ExitCode"]) == (False, 0)


@pytest.mark.parametrize("user", ["--user=1234:1234", "--user=0:0"], ids=["another-user", "root"])
def test_read_only_root_serves_values_and_files(engine: Engine, model: Image, user: str) -> None:
    confined = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", user)
    with serving(engine, model, *confined) as (client, _):
        assert client.predict(text="you")["output"] == "hello you"
        made = client.predict(text="you", makes_file=True)
        assert made["output"].startswith("data:text/plain;base64,")


def _inspected(engine: Engine, container: str) -> dict:
    return json.loads(engine.text("inspect", container))[0]


def _state(engine: Engine, container: str) -> dict:
    return _inspected(engine, container)["State"]


def _client(engine: Engine, container: str) -> Client:
    """A client of a container that was started again: its published port may be another one."""
    deadline = time.monotonic() + 120
    while not (shown := engine.docker("port", container, "5000").stdout.decode().strip()):
        assert time.monotonic() < deadline, "the container has no port"
        time.sleep(0.05)
    return Client(int(shown.splitlines()[0].split(":")[-1]))
