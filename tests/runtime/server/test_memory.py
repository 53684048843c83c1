"""What has ended is gone at once, and not only when the garbage collector comes by."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.server.harness import SERVER_PYTHON, Receiver, Server, until

MODEL = """
import time
from typing import Iterator
from cog import BasePredictor

class Predictor(BasePredictor):
    def predict(self, seconds: float = 0.0, n: int = 1) -> Iterator[str]:
        for i in range(n):
            yield "x" * 100
        time.sleep(seconds)
"""
# An interpreter for the server in which nothing is collected, and that writes down what there is when asked to.
INTERPRETER = """#!{python}
import sys, threading
def count():
    import collections, gc, json, os, time
    gc.disable()
    while True:
        time.sleep(0.05)
        try:
            os.rename("count", "counting")
        except OSError:
            continue
        counts = collections.Counter(type(one).__name__ for one in gc.get_objects())
        with open("counted.new", "w") as file:
            json.dump(counts, file)
        os.rename("counted.new", "counted")
threading.Thread(target=count, daemon=True).start()
del sys.argv[:2]
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def server(serve: Any, tmp_path: Path) -> Server:
    interpreter = tmp_path / "python"
    interpreter.write_text(INTERPRETER.format(python=SERVER_PYTHON))
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    started: Server = serve(MODEL, environment={"COGC_SERVER_PYTHON": str(interpreter)})
    return started


@pytest.fixture
def counts(server: Server, tmp_path: Path) -> Any:
    folder = tmp_path / "project0"

    def counts() -> Any:
        (folder / "count").touch()
        until(lambda: (folder / "counted").exists(), context=server)
        text = (folder / "counted").read_text()
        (folder / "counted").unlink()
        return json.loads(text)

    return counts


def leave(server: Server, body: dict[str, Any]) -> None:
    """Ask for a prediction, and go before the answer."""
    data = json.dumps(body).encode()
    head = f"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=60)) as connection:
        connection.sendall(head.encode() + data)
        until(lambda: server.ask("GET", f"/predictions/{body['id']}").status == 200, context=server)


def test_connections_requests_and_predictions_are_gone_when_they_have_ended(
    server: Server, counts: Any, receiver: Receiver
) -> None:
    for number in range(10):
        assert server.ask("POST", "/predictions", {"input": {}, "webhook": receiver.url}).status == 200
        leave(server, {"id": f"left{number}", "input": {"seconds": 10}, "webhook": receiver.url})
        assert server.wait_status(f"left{number}", "canceled")
    receiver.wait(lambda requests: sum(one.json["status"] in ("succeeded", "canceled") for one in requests) == 20)

    def are_gone() -> bool:
        found = counts()
        return sum(found.get(name, 0) for name in ("Connection", "Request", "Prediction", "_Delivery")) <= 4

    until(are_gone, context=server)


def test_a_request_that_failed_leaves_nothing_of_its_body(server: Server, counts: Any) -> None:
    for _ in range(10):
        body = {"input": {}, "webhook": "http://127.0.0.1:9/dead", "webhook_events_filter": ["start", "completed"]}
        assert server.ask("POST", "/predictions", body).status == 200
    until(lambda: server.output.count("cannot be reached") >= 20, context=server)
    assert counts().get("ClientRequest", 0) <= 4
