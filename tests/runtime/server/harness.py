"""A server in its own processes, a plain client, and a receiver of webhooks and uploads."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import importlib.util
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = ROOT / "runtime"
# How long something may take that is sure to happen: much longer than it does, even on a machine that is busy.
PATIENCE_SECONDS = 60.0
LIBRARIES = "uvloop, httptools, msgspec, aiohttp"


def server_python() -> str | None:
    """An interpreter that has the server's libraries: $COGC_SERVER_PYTHON, or this one."""
    candidate = os.environ.get("COGC_SERVER_PYTHON")
    if candidate and shutil.which(candidate):
        found = subprocess.run([candidate, "-c", f"import {LIBRARIES}"], capture_output=True)
        if found.returncode == 0:
            return candidate
    return sys.executable if all(importlib.util.find_spec(name) for name in LIBRARIES.split(", ")) else None


SERVER_PYTHON = server_python()
# The interpreter that models run in; in images it has the same minor version as the server's.
MODEL_PYTHON = os.environ.get("COGC_MODEL_PYTHON") or sys.executable


def impatient_python(folder: Path, statements: str) -> str:
    """An interpreter for a server (COGC_SERVER_PYTHON) that runs `statements` before the server starts.

    They change constants that no test can wait for, or that a busy machine exceeds; all else is the server as it is.
    """
    code = f"import runpy, sys; sys.path.append({str(RUNTIME)!r}); {statements}; sys.argv.pop(0); "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    program = folder / "impatient-python"
    program.write_text(f"#!/bin/sh\nshift\nexec {shlex.join([str(SERVER_PYTHON), '-I', '-c', code])} \"$@\"\n")
    program.chmod(0o755)
    return str(program)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.body[:2000]!r})"


class Server:
    """A running server. `output` is what it and the model wrote so far."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def connect(self, timeout: float = PATIENCE_SECONDS) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def predict(self, **inputs: Any) -> Any:
        answer = self.ask("POST", "/predictions", {"input": inputs})
        assert answer.status == 200, answer
        return answer.json

    def begin(self, identity: str, inputs: dict[str, Any], **fields: Any) -> Answer:
        body = {"input": inputs, **fields}
        return self.ask("PUT", f"/predictions/{identity}", body, {"Prefer": "respond-async"})

    def health(self) -> Any:
        return self.ask("GET", "/health-check").json

    def wait_health(self, *states: str, seconds: float = PATIENCE_SECONDS) -> Any:
        return until(lambda: (h := self.health())["status"] in states and h, seconds, self)

    def wait_status(
        self, identity: str, *states: str, seconds: float = PATIENCE_SECONDS, kind: str = "predictions"
    ) -> Any:
        def look() -> Any:
            found = self.ask("GET", f"/{kind}/{identity}")
            return found.status == 200 and found.json["status"] in states and found.json

        return until(look, seconds, self)

    def wait_webhooks(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until no webhook is still to be told anything."""
        until(lambda: b"\ncog_webhooks_open 0" in self.ask("GET", "/metrics").body, seconds, self)

    def stop(self, timeout: float = PATIENCE_SECONDS) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


def until(look: Callable[[], Any], seconds: float = PATIENCE_SECONDS, context: Any = None) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    output = getattr(context, "output", "")
    raise AssertionError(f"it did not happen within {seconds} s; output:\n{output[-3000:]}")


# Below the ports that systems give away by themselves, so that none is taken between the look and the server's start;
# each process of the tests begins somewhere else.
_ports = itertools.cycle((*range(10_000 + os.getpid() * 211 % 20_000, 30_000), *range(10_000, 30_000)))


def free_port() -> int:
    """A port at which nothing listens, which nobody else is given."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("", port))
                return port
    raise AssertionError("a cycle has no end")


def prepare(
    folder: Path, model: str, port: int, config: str, environment: dict[str, str] | None = None
) -> dict[str, str]:
    """Write a project; the environment in which its server starts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predict.py").write_text(model)
    (folder / "cog.yaml").write_text(config)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COG_", "COGC_")) and k.lower()[-6:] != "_proxy"}
    return {
        **kept,
        "PORT": str(port),
        "PYTHONPATH": str(RUNTIME),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COGC_SERVER_PYTHON": SERVER_PYTHON or sys.executable,
        "COGC_ALLOW_PRIVATE_URLS": "1",
        "LOG_FORMAT": "console",
        **(environment or {}),
    }


@contextlib.contextmanager
def running_server(
    folder: Path,
    model: str,
    *arguments: str,
    environment: dict[str, str] | None = None,
    config: str = 'predict: "predict.py:Predictor"\n',
    states: tuple[str, ...] = ("READY",),
) -> Iterator[Server]:
    port, log = free_port(), folder / "server.log"
    variables = prepare(folder, model, port, config, environment)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [MODEL_PYTHON, "-m", "cog.server.http", "--host", "127.0.0.1", *arguments],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, port, log)
    try:
        if states:
            until(lambda: _reaches(server, states), PATIENCE_SECONDS, server)
        yield server
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asked twice, a server ends at once. Signals that come together may be taken for one, so it is asked again."""
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    process.kill()
    process.wait()


def _reaches(server: Server, states: tuple[str, ...]) -> bool:
    assert server.process.poll() is None, server.output
    with contextlib.suppress(OSError):
        return server.health()["status"] in states
    return False


class Received:
    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.at = time.monotonic()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A web server on the loopback address. `answer` decides: (request) → (status, headers, body)."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.answer: Callable[[Received], tuple[int, dict[str, str], bytes]] = lambda request: (200, {}, b"")
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                request = Received(self.command, self.path, headers, body)
                receiver.requests.append(request)
                status, extra, content = receiver.answer(request)
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = _take  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    def wait(self, look: Callable[[list[Received]], Any], seconds: float = PATIENCE_SECONDS) -> Any:
        return until(lambda: look(self.requests), seconds)

    def wait_completed(self, seconds: float = PATIENCE_SECONDS) -> list[Any]:
        """All webhook bodies, once the last one is there."""
        final = ("succeeded", "failed", "canceled")
        self.wait(lambda all_: all_ and all_[-1].json["status"] in final, seconds)
        return [request.json for request in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
