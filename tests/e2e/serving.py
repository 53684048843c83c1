"""Containers of a model: their image's sources, a client of their HTTP, and a receiver of what they send."""

from __future__ import annotations

import http.client
import http.server
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.images import Engine, Image

CONFIG = """\
build:
  python_version: "{python}"
  python_packages: [{packages}]
predict: predict.py:Predictor
train: train.py:train
"""
PREDICT = """\
import os
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
        is_stubborn: bool = False,
        crashes: bool = False,
        makes_file: bool = False,
    ) -> Any:
        subprocess.run(["echo", "from a child"])
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                time.sleep(until - time.monotonic())
            except BaseException:
                if not is_stubborn:
                    raise
        if crashes:
            os._exit(3)
        if makes_file:
            with open("/tmp/out.txt", "w") as file:
                file.write(self.greeting + " " + text)
            return Path("/tmp/out.txt")
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
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def predict(self, **values: Any) -> dict[str, Any]:
        status, answer = self.ask("POST", "/predictions", {"input": values})
        assert status == 200, answer
        return answer

    def begin(self, identity: str = "one", **values: Any) -> None:
        """Start a prediction and leave it running."""
        status, _ = self.ask("PUT", f"/predictions/{identity}", {"input": values}, {"Prefer": "respond-async"})
        assert status == 202
        self.wait_for("BUSY")

    def wait_for(self, wanted: str = "READY") -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/health-check")[1]["status"] == wanted:
                    return
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"the container did not become {wanted}")


@contextmanager
def serving(engine: Engine, image: Image, *options: str, command: Sequence[str] = ()) -> Iterator[tuple[Client, str]]:
    words = ["run", "--detach", "--publish=127.0.0.1::5000", *options, image.reference, *command]
    container = engine.text(*words).strip()
    try:
        port = int(engine.text("port", container, "5000").split(":")[-1])
        client = Client(port)
        client.wait_for()
        yield client, container
    finally:
        engine.docker("rm", "--force", container)


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a container sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """A web server of this machine, on the engine's network: what containers call `host.docker.internal`."""

    def __init__(self, address: str) -> None:
        self._requests: queue.Queue[Request] = queue.Queue()
        requests = self._requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                requests.put(Request(self.command, self.path, headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_PUT = take  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """As containers see it."""
        return f"http://host.docker.internal:{self._server.server_port}"

    def next(self) -> Request:
        """The next request; an error after two minutes without one."""
        return self._requests.get(timeout=120)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def receiving(engine: Engine) -> Iterator[Receiver]:
    gateway = json.loads(engine.text("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]
    try:
        receiver = Receiver(gateway)
    except OSError:
        pytest.skip(f"the engine's network is not on this machine: {gateway}")
    try:
        yield receiver
    finally:
        receiver.close()
