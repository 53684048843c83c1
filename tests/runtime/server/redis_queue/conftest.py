"""Redis servers of the tests' own, queues in them, and workers that read the queues: real processes, all of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.server.harness import MODEL_PYTHON, RUNTIME, SERVER_PYTHON, free_port, until

try:
    import redis
except ImportError:
    redis = None  # type: ignore[assignment]

BINARY = shutil.which("redis-server")


def has_library() -> bool:
    """Whether this interpreter and the server's have the library `redis`."""
    if redis is None or SERVER_PYTHON in (None, sys.executable):
        return redis is not None and SERVER_PYTHON is not None
    return subprocess.run([SERVER_PYTHON, "-c", "import redis.asyncio"], capture_output=True).returncode == 0


FINAL = ("succeeded", "failed", "canceled")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = None
    if BINARY is None:
        reason = "there is no redis-server; on Debian it is in the package redis-server"
    elif not has_library():
        reason = "the library redis is not installed"
    for item in items:
        if reason is not None and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=reason))


class Redis:
    """A redis-server that writes everything to disk before it answers, so that it may be killed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.client = redis.Redis(port=self.port, socket_timeout=10)
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, password: str | None = None) -> None:
        assert BINARY is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "K$l"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([BINARY, *options, *durable, *self._arguments], stdout=log, stderr=log)
        if password is not None:
            self.client = redis.Redis(port=self.port, password=password, socket_timeout=10)
        until(self._answers, 20)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.exceptions.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.client.close()
        self.kill()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    one = Redis(tmp_path_factory.mktemp("redis"))
    one.start()
    yield one
    one.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., Redis]]:
    """Makes servers for tests that stop and start them. `start` is left to the test."""
    made: list[Redis] = []

    def make(*arguments: str) -> Redis:
        folder = tmp_path / f"redis{len(made)}"
        folder.mkdir()
        made.append(Redis(folder, *arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


_names = itertools.count()


class Queue:
    """A stream with its consumer group, as an operator makes them."""

    def __init__(self, server: Redis) -> None:
        self.server = server
        self.name = f"queue{next(_names)}"
        self._keys = itertools.count()

    @property
    def client(self) -> Any:
        return self.server.client

    def make(self) -> None:
        self.client.xgroup_create(self.name, self.name, id="$", mkstream=True)

    def put_raw(self, value: Any, field: str = "value") -> bytes:
        return self.client.xadd(self.name, {field: value})

    def put(self, **message: Any) -> str:
        """Send a message; the key of its answer."""
        key = message.setdefault("response_queue", f"{self.name}:answer{next(self._keys)}")
        self.put_raw(json.dumps(message))
        return key

    def answer(self, key: str, *statuses: str, seconds: float = 20) -> Any:
        """The answer in a key, once it has one of the statuses; by default a final one."""

        def look() -> Any:
            found = self.client.get(key)
            document = json.loads(found) if found else {}
            return document if document.get("status") in (statuses or FINAL) else None

        return until(look, seconds)

    def ask(self, inputs: dict[str, Any], **message: Any) -> Any:
        return self.answer(self.put(input=inputs, **message))

    @property
    def length(self) -> int:
        return self.client.xlen(self.name)

    @property
    def pending(self) -> list[Any]:
        return self.client.xpending_range(self.name, self.name, "-", "+", 10)

    def wait_empty(self, seconds: float = 20) -> None:
        """Until every message is acknowledged and deleted."""
        until(lambda: not self.length and not self.pending, seconds)

    def count(self, command: str) -> int:
        """How often Redis carried out a command."""
        return self.client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


@pytest.fixture
def queue(shared_redis: Redis) -> Queue:
    one = Queue(shared_redis)
    one.make()
    return one


class Worker:
    """A running queue worker. `output` is what it and the model wrote so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 20) -> int:
        return self.process.wait(seconds)

    def stop(self) -> int:
        self.signal()
        return self.wait()

    def wait_output(self, text: str, seconds: float = 20) -> None:
        until(lambda: text in self.output, seconds, self)


def worker_environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COG_", "COGC_")) and k.lower()[-6:] != "_proxy"}
    return {
        **kept,
        "PYTHONPATH": str(RUNTIME),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COGC_SERVER_PYTHON": SERVER_PYTHON or sys.executable,
        "COGC_ALLOW_PRIVATE_URLS": "1",
        "LOG_FORMAT": "console",
        "COG_THROTTLE_RESPONSE_INTERVAL": "0.05",
        **more,
    }


class Workers:
    """Starts workers for a model, all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Worker] = []

    def write(self, model: str) -> None:
        (self.folder / "predict.py").write_text(model)
        (self.folder / "cog.yaml").write_text('predict: "predict.py:Predictor"\n')

    def run(self, *arguments: str, command: tuple[str, ...] = (), **environment: str) -> Worker:
        """Start a worker with this command line."""
        log = self.folder / f"worker{len(self._made)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [MODEL_PYTHON, *(command or ("-m", "cog.server.redis_queue")), *arguments],
                cwd=self.folder,
                env=worker_environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._made.append(Worker(process, log))
        return self._made[-1]

    def start(
        self, queue: Queue, *arguments: str, name: str = "one", port: int | None = None, **options: str
    ) -> Worker:
        """Start a worker on a queue."""
        where = ["--redis-host", "127.0.0.1", "--redis-port", str(port or queue.server.port)]
        return self.run(*where, "--input-queue", queue.name, "--consumer-id", name, *arguments, **options)

    def close(self) -> None:
        for worker in self._made:
            if worker.process.poll() is None:
                for number in (signal.SIGTERM, signal.SIGINT):  # asked twice: at once
                    worker.signal(number)
                try:
                    worker.wait(10)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    folder = tmp_path / "project"
    folder.mkdir()
    one = Workers(folder)
    yield one
    one.close()


class Proxy:
    """Stands between a worker and Redis. While `swallows(answer)` says so, an answer is lost with its connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.swallows: Callable[[bytes], bool] = lambda answer: False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self.accepted += 1
            self._sockets += [near, far]
            threading.Thread(target=self._copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, True), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_answer and self.swallows(data):
                    break
                sink.sendall(data)
        self._shut(source, sink)

    @staticmethod
    def _shut(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End all connections."""
        self._shut(*self._sockets)

    def close(self) -> None:
        self._shut(self._listener)
        self._listener.close()
        self.cut()
        self._thread.join()
        for one in self._sockets:
            one.close()


@pytest.fixture
def proxy(shared_redis: Redis) -> Iterator[Proxy]:
    one = Proxy(shared_redis.port)
    yield one
    one.close()
