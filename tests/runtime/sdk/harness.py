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
import tempfile
import threading
import time
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[3]
HEADER = "import os, sys, time\nfrom typing import *\nfrom cog import *\nfrom cog import current_scope\n"
# Much longer than anything here takes, even on a machine that is busy.
TIMEOUT_SECONDS = 60


class Worker:
    """A worker process. `log` is all that it wrote to descriptors 1 and 2 so far."""

    def __init__(self, process, connection, control):
        from cog.frames import Channel

        self.process = process
        self.connections = (connection, control)
        self.channel, self.control = Channel(connection), Channel(control)
        self.numbers = {}
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
        deadline = time.monotonic() + TIMEOUT_SECONDS
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
        (self.channel if message["type"] == "predict" else self.control).send(message)

    def begin(self, input=None, **fields):
        """Send a prediction and return its id."""
        self._count += 1
        id_ = fields.pop("id", "p%d" % self._count)
        self.numbers[id_] = self._count
        fields = {"number": self._count, "files": [], "context": {}, **fields}
        self.send(type="predict", id=id_, input=input or {}, **fields)
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
        self.send(type="cancel", number=self.numbers[id_])

    def hang_up(self):
        """Close the sockets, as a server that dies does."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)

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
        for connection in self.connections:
            connection.close()


def start(folder, source, name="Predictor", mode="predict", environment=None, is_ready=True):
    """Start a worker for a source; by default wait until it is ready."""
    (folder / "predict.py").write_text(HEADER + dedent(source))
    (ours, theirs), (our_control, their_control) = socket.socketpair(), socket.socketpair()
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "runtime"), "COGC_SCRATCH": str(folder / "scratch")}
    variables.update(environment or {})
    arguments = ["--fd", str(theirs.fileno()), "--control-fd", str(their_control.fileno())]
    with tempfile.TemporaryFile() as memory:
        memory.truncate(128 * 1024)
        arguments += ["--memory-fd", str(memory.fileno()), "--mode", mode, "--target", "predict.py:" + name if name else "predict.py"]
        process = subprocess.Popen(
            [sys.executable, "-m", "cog.worker", *arguments],
            cwd=str(folder), env=variables, pass_fds=[theirs.fileno(), their_control.fileno(), memory.fileno()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    theirs.close()
    their_control.close()
    process.stdin.close()
    worker = Worker(process, ours, our_control)
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
