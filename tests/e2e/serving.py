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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.e2e.images import Engine, Image

T = TypeVar("T")

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
from typing import Any, TypeVar

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

    def predict_patiently(self, **request: Any) -> dict[str, Any]:
        """The answer to a request that has the container call the host; `input` and other members are in `request`."""

        def ask() -> tuple[bool, dict[str, Any]]:
            _, answer = self.ask("POST", "/predictions", request)
            return answer.get("status") == "succeeded", answer

        return patiently(ask)

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
        self.files: dict[str, bytes] = {}  # what GET gives, by path
        requests, files = self._requests, self.files

        class Handler(http.server.BaseHTTPRequestHandler):
            def take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                requests.put(Request(self.command, self.path, headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_PUT = take  # noqa: N815

            def do_GET(self) -> None:
                content = files.get(self.path)
                requests.put(
                    Request("GET", self.path, {name.lower(): value for name, value in self.headers.items()}, b"")
                )
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content or b"")

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self.address = address
        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """As containers see it that know the host by name."""
        return f"http://host.docker.internal:{self.port}"

    @property
    def port(self) -> int:
        return self._server.server_port

    def next(self) -> Request:
        """The next request; an error after two minutes without one."""
        return self._requests.get(timeout=120)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def patiently(ask: Callable[[], tuple[bool, T]]) -> T:
    """The result of a call that needs the host, asked for again where it failed, at most three times in all.

    A bridge of an engine may have no address of its own and take that of one of its ports: when other containers come
    and go, the connections of the rest stall for seconds.
    """
    for _ in range(3):
        is_fine, result = ask()
        if is_fine:
            break
    return result


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
