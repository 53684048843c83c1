"""Server-sent events, asynchronous predictors with slots, the queue."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

import pytest

from tests.runtime.server.harness import RUNTIME, SERVER_PYTHON, impatient_python, running_server

STREAMING = """
import time
import cog
from typing import Iterator
from cog import BasePredictor, current_scope
class Predictor(BasePredictor):
    @cog.streaming
    def predict(self, n: int = 3, pause: float = 0.0) -> Iterator[str]:
        print("begin")
        current_scope().record_metric("tokens", n)
        for i in range(n):
            yield "t%d" % i
            time.sleep(pause)
"""
ASYNC = """
import asyncio
from cog import BasePredictor
class Predictor(BasePredictor):
    async def setup(self):
        self.inside, self.all_are_inside = 0, asyncio.Event()
    async def predict(self, name: str = "a", seconds: float = 0.0, together: int = 0) -> str:
        print("log of", name)
        await asyncio.sleep(seconds)
        if together:
            self.inside += 1
            if self.inside == together:
                self.all_are_inside.set()
            await self.all_are_inside.wait()
        print("end of", name)
        return "hello " + name
"""
PLAIN = """
import time
from cog import BasePredictor
class Predictor(BasePredictor):
    def predict(self, seconds: float = 0.0) -> str:
        time.sleep(seconds)
        return "ok"
"""


def events(body: bytes) -> list[tuple[str, dict]]:
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append((fields["event"], json.loads(fields["data"])))
    return found


EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("streaming"), STREAMING) as server:
        yield server


def test_events_come_in_order_and_end_with_the_final_object(streaming):
    server = streaming
    answer = server.ask("POST", "/predictions", {"input": {"n": 3}}, EVENTS)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.body)
    assert found[0][0] == "start"
    assert found[0][1]["status"] == "processing"
    assert [data for name, data in found if name == "output"] == [{"chunk": f"t{i}", "index": i} for i in range(3)]
    assert {"name": "tokens", "value": 3, "mode": "replace"} in [data for name, data in found if name == "metric"]
    assert "begin" in "".join(data["data"] for name, data in found if name == "log")
    name, final = found[-1]
    assert (name, final["status"], final["output"], final["metrics"]["tokens"]) == (
        "completed", "succeeded", ["t0", "t1", "t2"], 3,
    )  # fmt: skip
    many = events(server.ask("POST", "/predictions", {"input": {"n": 5000}}, EVENTS).body)
    assert sum(name == "output" for name, _ in many) == 5000


def outputs(server, identity: str) -> int:
    """How many items the prediction has yielded."""
    return len(server.ask("GET", f"/predictions/{identity}").json["output"] or [])


def test_put_replays_the_running_prediction_and_leaving_the_owner_cancels(streaming, wait_until):
    server = streaming
    body = json.dumps({"input": {"n": 100, "pause": 0.05}}).encode()
    head = b"PUT /predictions/s1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as owner:
        owner.sendall(head % len(body) + body)
        wait_until(lambda: outputs(server, "s1") > 3)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as second:
            second.sendall(head % 0)
            seen = b""
            while b'"index":3}' not in seen:
                seen += second.recv(65536)
        assert b'{"chunk":"t0","index":0}' in seen
        assert server.ask("GET", "/predictions/s1").json["status"] == "processing"
    assert server.wait_status("s1", "canceled")


@pytest.mark.parametrize("capacity", ["2", "0"])
def test_a_late_reader_is_told_what_it_missed(serve, wait_until, capacity):
    server = serve(STREAMING, environment={"COG_STREAM_HISTORY_CAPACITY": capacity})
    server.begin("late", {"n": 400, "pause": 0.05})
    wait_until(lambda: outputs(server, "late") > 2)
    found = events(server.ask("PUT", "/predictions/late", {}, EVENTS).body)
    assert [name for name, _ in found] == ["error"]
    assert found[0][1]["skipped"] > 0
    assert server.ask("POST", "/predictions/late/cancel").status == 200
    server.wait_status("late", "canceled")
    # Who was there from the start has missed nothing.
    found = events(server.ask("POST", "/predictions", {"input": {"n": 2}}, EVENTS).body)
    assert [name for name, _ in found if name in ("start", "output", "completed")] == ["start", "output", "output", "completed"]


def test_what_readers_may_cost_is_bounded(serve, tmp_path, wait_until):
    """The limits are 32 readers, 32 MB for each of them, and a comment every 15 seconds; here they are small."""
    statement = "import cog_server.sse as s; s.MAX_READERS, s.MAX_BACKLOG_BYTES, s.KEEP_ALIVE_SECONDS = 1, 1000, 0.1"
    server = serve(STREAMING, environment={"COGC_SERVER_PYTHON": impatient_python(tmp_path, statement)})
    head = b"PUT /predictions/quiet HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    body = json.dumps({"input": {"n": 1, "pause": 60}}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as reader:
        reader.sendall(head % len(body) + body)
        seen = b""
        while seen.count(b": keep-alive\n\n") < 2:
            seen += reader.recv(65536)
        refused = server.ask("PUT", "/predictions/quiet", {}, EVENTS)
        assert (refused.status, refused.json) == (429, {"error": "Too many readers of this prediction."})
    server.wait_status("quiet", "canceled")
    # More comes than may wait for a reader that does not read.
    body = json.dumps({"input": {"n": 100_000}}).encode()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(20)
        reader.connect(("127.0.0.1", server.port))
        # HTTP/1.0 has no chunks, so what comes are the events as they are.
        reader.sendall(head.replace(b"quiet HTTP/1.1", b"flood HTTP/1.0") % len(body) + body)
        seen = reader.recv(1000)
        wait_until(lambda: server.ask("GET", "/health-check").json["status"] == "READY")
        while piece := reader.recv(65536):
            seen += piece
    found = events(seen.partition(b"\r\n\r\n")[2])
    assert found[-1][0] == "error"
    assert found[-1][1]["skipped"] > 0
    assert server.predict(n=1)["output"] == ["t0"]


def test_events_of_the_log_name_their_source(serve):
    server = serve(STREAMING.replace('print("begin")', 'print("begin"); print("warning", file=__import__("sys").stderr)'))
    found = events(server.ask("POST", "/predictions", {"input": {"n": 1}}, {"Accept": "application/json, Text/Event-Stream"}).body)
    logs = {source: "".join(d["data"] for name, d in found if name == "log" and d["source"] == source) for source in ("stdout", "stderr")}
    assert logs == {"stdout": "begin\n", "stderr": "warning\n"}


def test_trainings_are_never_streamed(serve):
    config = 'predict: "predict.py:Predictor"\ntrain: "predict.py:train"\n'
    server = serve(STREAMING + "def train(n: int) -> str:\n    return str(n)\n", config=config)
    answer = server.ask("POST", "/trainings", {"input": {"n": 1}}, EVENTS)
    assert (answer.status, answer.json) == (406, {"error": "Training endpoints do not support streaming responses."})


def test_models_that_do_not_stream_answer_406_before_anything_runs(serve):
    server = serve(PLAIN)
    answer = server.ask("POST", "/predictions", {"input": {}}, EVENTS)
    assert answer.status == 406
    assert answer.json["error"].startswith("This model does not support streaming responses.")


def test_events_of_any_model_where_the_operator_asks_for_them(serve):
    server = serve(STREAMING.replace("    @cog.streaming\n", ""), environment={"COGC_STREAM_ALL": "1"})
    found = events(server.ask("POST", "/predictions", {"input": {"n": 3}}, EVENTS).body)
    assert [data["chunk"] for name, data in found if name == "output"] == ["t0", "t1", "t2"]
    assert found[-1][1]["status"] == "succeeded"
    assert server.predict(n=2)["output"] == ["t0", "t1"]


def test_sixteen_clients_use_sixteen_slots_and_logs_stay_apart(serve):
    server = serve(ASYNC, environment={"COG_MAX_CONCURRENCY": "16"})
    answers = {}

    def ask(name: str) -> None:
        answers[name] = server.predict(name=name, together=16)  # one after the other would never end

    threads = [threading.Thread(target=ask, args=(f"n{i}",)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    for name, answer in answers.items():
        assert answer["output"] == "hello " + name
        assert answer["logs"] == f"log of {name}\nend of {name}\n"


def test_one_of_several_predictions_can_be_cancelled(serve):
    server = serve(ASYNC, environment={"COG_MAX_CONCURRENCY": "2"})
    server.begin("one", {"seconds": 600})
    server.begin("two", {"together": 2})
    assert server.ask("POST", "/predictions", {"input": {}}).status == 409
    assert server.ask("POST", "/predictions/one/cancel").status == 200
    assert server.wait_status("one", "canceled")
    assert server.predict(name="three", together=2)["output"] == "hello three"
    assert server.wait_status("two", "succeeded")


def test_no_more_requests_than_threads_are_served_at_a_time(serve):
    server = serve(ASYNC, "--threads=2", environment={"COG_MAX_CONCURRENCY": "8"})
    body = json.dumps({"input": {"seconds": 30}}).encode()
    head = b"PUT /predictions/t%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    clients = []
    for number in range(4):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        client.sendall(head % (number, len(body)) + body)
        clients.append(client)
        if number < 2:
            server.wait_status(f"t{number}", "processing")
    # Everything else is answered: health, states, the same id again, cancels.
    assert [server.ask("GET", f"/predictions/t{number}").status for number in range(4)] == [200, 200, 404, 404]
    assert server.ask("PUT", "/predictions/t0", {"input": {}}).status == 202
    assert server.health()["status"] == "READY"
    clients.pop(2).close()  # one that waits leaves
    assert server.ask("POST", "/predictions/t0/cancel").status == 200
    server.wait_status("t3", "processing")
    clients.pop(1).close()  # and one that is served
    server.wait_status("t1", "canceled")
    assert server.predict()["output"] == "hello a"
    assert server.ask("GET", "/predictions/t2").status == 404
    for client in clients:
        client.close()


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_number_of_threads_must_be_one(text):
    result = subprocess.run(
        [sys.executable, "-m", "cog.server.http", "--threads", text],
        env={"PYTHONPATH": str(RUNTIME), "COGC_SERVER_PYTHON": str(SERVER_PYTHON)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "--threads" in result.stderr


def test_the_queue_goes_on_after_a_crash(serve, tmp_path):
    gate = tmp_path / "gate"
    crash = f"while seconds < 0 and not os.path.exists({str(gate)!r}): time.sleep(0.01)\n        if seconds < 0: os._exit(1)"
    server = serve(PLAIN.replace("time.sleep(seconds)", crash).replace("import time", "import os, time"), "--queue", "3")
    server.begin("q0", {"seconds": -1})
    assert [server.begin(f"q{i}", {}).status for i in (1, 2)] == [202, 202]
    gate.touch()
    assert server.wait_status("q0", "failed")
    assert [server.wait_status(f"q{i}", "succeeded")["output"] for i in (1, 2)] == ["ok", "ok"]
    assert server.health()["status"] == "READY"


def test_a_queue_lets_requests_wait_and_is_bounded(serve):
    server = serve(PLAIN, "--queue", "2")
    server.begin("q0", {"seconds": 0.6})
    assert [server.begin(f"q{i}", {}).status for i in (1, 2)] == [202, 202]
    assert server.begin("q3", {}).status == 409
    assert server.ask("GET", "/predictions/q2").json["status"] == "starting"
    assert server.ask("POST", "/predictions/q2/cancel").status == 200
    assert server.ask("GET", "/predictions/q2").json["status"] == "canceled"
    assert server.wait_status("q1", "succeeded")
