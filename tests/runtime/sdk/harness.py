"""The server's side of a worker, for tests: real processes, real frames, and pipes for what they write."""

# Runs on Python 3.8 as well.
# ruff: noqa: SIM105, UP031

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[3]
HEADER = "import os, sys, time\nfrom typing import *\nfrom cog import *\nfrom cog import current_scope\n"
TIMEOUT_SECONDS = 20


class Worker:
    """A worker process. `log` is all that it wrote to descriptors 1 and 2 so far."""

    def __init__(self, process, connection):
        from cog.frames import Channel

        self.process = process
        self.connection = connection
        self.channel = Channel(connection)
        self._log = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._count = 0
        self.loaded = None

    def _read_log(self):
        with self.process.stdout as pipe:
            while True:
                piece = os.read(pipe.fileno(), 65536)
                if not piece:
                    return
                self._log.append(piece)

    @property
    def log(self):
        return b"".join(self._log).decode("utf-8", "replace")

    def log_with(self, text):
        """The log, once it has the text in it."""
        deadline = time.monotonic() + 5
        while text not in self.log and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.log

    def receive(self, kind=None):
        """The next message, or the next one of a kind."""
        while True:
            message = self.channel.receive()
            if message is None:
                raise EOFError("the worker has ended: " + self.log)
            if kind is None or message["type"] == kind:
                return message

    def ready(self):
        self.loaded = self.receive()
        assert self.loaded["type"] == "loaded", self.loaded
        message = self.receive()
        assert message["type"] == "ready", message
        return self

    def send(self, **message):
        self.channel.send(message)

    def begin(self, input=None, **fields):
        """Send a prediction and return its id."""
        self._count += 1
        id_ = "p%d" % self._count
        self.send(type="predict", id=id_, input=input or {}, files=fields.pop("files", []), context={}, **fields)
        return id_

    def finish(self, id_=None):
        """All messages up to the `done` of a prediction."""
        messages = []
        while not messages or messages[-1]["type"] != "done" or (id_ is not None and messages[-1]["id"] != id_):
            messages.append(self.receive())
        return messages

    def predict(self, input=None, **fields):
        """Run a prediction and return its `done`."""
        return self.finish(self.begin(input, **fields))[-1]

    def cancel(self, id_):
        self.send(type="cancel", id=id_)

    def hang_up(self):
        """Close the socket, as a server that dies does."""
        self.connection.shutdown(socket.SHUT_RDWR)

    def end(self):
        """The exit status, after the socket was closed."""
        self.hang_up()
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self):
        try:
            self.hang_up()
        except OSError:
            pass
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (OSError, PermissionError):
            pass
        self.process.wait()
        self._reader.join(5)
        self.channel._reader.close()
        self.connection.close()


def start(folder, source, name="Predictor", mode="predict", environment=None, is_ready=True):
    """Start a worker for a source; by default wait until it is ready."""
    (folder / "predict.py").write_text(HEADER + dedent(source))
    ours, theirs = socket.socketpair()
    ours.settimeout(None)
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "runtime"), **(environment or {})}
    arguments = ["--fd", str(theirs.fileno()), "--mode", mode, "--target", "predict.py:" + name]
    process = subprocess.Popen(
        [sys.executable, "-m", "cog.worker", *arguments],
        cwd=str(folder), env=variables, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    theirs.close()
    process.stdin.close()
    worker = Worker(process, ours)
    watchdog = threading.Timer(TIMEOUT_SECONDS, _give_up, (worker,))
    watchdog.daemon = True
    watchdog.start()
    return worker.ready() if is_ready else worker


def _give_up(worker):
    """A test that hangs ends with an EOFError instead."""
    if worker.process.poll() is None:
        os.killpg(worker.process.pid, signal.SIGKILL)


def is_readable(connection, seconds):
    return bool(select.select([connection], [], [], seconds)[0])
