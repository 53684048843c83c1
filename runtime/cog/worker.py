"""`python -m cog.worker --fd N --control-fd N --memory-fd N --mode predict|train --target FILE:NAME`: a model's process.

It speaks the messages of `frames` over two sockets. The main thread imports the model, sets it up, and then takes
predictions from the first socket and runs them; a second thread waits at the other one, so that a prediction can be
cancelled. The process ends when the sockets close. Descriptors 1 and 2 belong to the model and to what it starts.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import sys
import threading
from typing import Any, Sequence

from . import __version__, logs
from .arguments import lazy_inputs
from .frames import Channel
from .predictor import LoadError, Target, load_target, setup_arguments

__all__ = ["main"]

# How long a prediction may clean up after the server has gone.
ORPHAN_SECONDS = 5.0
# How long threads of the model may keep the process alive after its end.
LINGER_SECONDS = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until its socket closes; the exit status."""
    parser = argparse.ArgumentParser(prog="cog.worker", description=__doc__, allow_abbrev=False)
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the socket to the server")
    parser.add_argument("--control-fd", type=int, required=True, help="descriptor of the socket for cancels")
    parser.add_argument("--memory-fd", type=int, required=True, help="descriptor of memory for lines of the log")
    parser.add_argument("--mode", choices=("predict", "train"), default="predict")
    parser.add_argument("--target", required=True, help="file.py:Name")
    options = parser.parse_args(arguments)
    if arguments is None:
        del sys.argv[1:]  # models parse what they take for their own arguments, also in setup()
    os.set_inheritable(options.memory_fd, False)
    worker = _Process(Channel(_connect(options.fd)), Channel(_connect(options.control_fd)), options.memory_fd)
    _own_descriptors()
    status = worker.run(options.target, options.mode)
    logs.flush()
    # Threads that the model left running must not keep a worker alive that nobody talks to any more.
    timer = threading.Timer(LINGER_SECONDS, os._exit, (status,))
    timer.daemon = True
    timer.start()
    return status


def _connect(descriptor: int) -> socket.socket:
    """The socket, closed in every child: programs by close-on-exec, forks by a hook."""
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    connection.set_inheritable(False)

    def forget() -> None:
        own = connection.detach()
        if own >= 0:
            os.close(own)

    os.register_at_fork(after_in_child=forget)
    return connection


def _own_descriptors() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)
    logs.prepare()


class _Process:
    """The life of the worker: load, set up, then predictions until the end."""

    def __init__(self, channel: Channel, control: Channel, memory: int) -> None:
        self.channel = channel
        self._memory = memory
        self._control = control
        self._lock = threading.Lock()
        self._runner: Any = None
        self._early: list[dict[str, Any]] = []

    def run(self, reference: str, mode: str) -> int:
        """Do it all; the exit status."""
        threading.Thread(target=self._listen, name="cog-control", daemon=True).start()
        try:
            target = load_target(reference, mode)
            runner = self._make_runner(target)
            loaded = _description(target, runner.max_concurrency)
        except BaseException as error:
            return self._fail("load_failed", error)
        self.channel.send(loaded)
        try:
            if target.setup is not None:
                runner.set_up(target.setup, setup_arguments(target.setup))
        except BaseException as error:
            return self._fail("setup_failed", error)
        logs.flush()
        runner.listen()
        with self._lock:
            self._runner = runner
            for message in self._early:
                self._obey(message)
        self.channel.send({"type": "ready"})
        return int(runner.run())

    def _make_runner(self, target: Target) -> Any:
        if target.signature.is_async:
            from .running_async import AsyncRunner

            return AsyncRunner(self.channel, target, self._memory)
        from .running import SyncRunner

        return SyncRunner(self.channel, target)

    def _fail(self, kind: str, error: BaseException) -> int:
        logs.flush()
        text = str(error) if isinstance(error, LoadError) else logs.format_error(error)
        try:
            self.channel.send({"type": kind, "error": logs.error_line(error), "traceback": text})
        except OSError:
            pass
        return 1

    def _listen(self) -> None:
        """Take what must be heard while the model runs."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        while True:
            try:
                message = self._control.receive()
            except (OSError, ValueError):
                message = None
            with self._lock:
                if self._runner is not None:
                    self._obey(message or {"type": "closed"})
                elif message is None or message.get("type") == "shutdown":
                    # The model is still being set up, and nobody waits for it.
                    os._exit(0 if message else 1)
                else:
                    self._early.append(message)
            if message is None:
                return

    def _obey(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "cancel":
            self._runner.cancel(message["number"])
        elif kind == "fetched":
            self._runner.fetched(message)
        elif kind == "healthcheck":
            self._runner.health.check(message.get("nonce"))
        elif kind == "shutdown":
            self._runner.stop()
        elif kind == "closed":
            timer = threading.Timer(ORPHAN_SECONDS, os._exit, (1,))
            timer.daemon = True
            timer.start()
            self._runner.abandon()


def _description(target: Target, max_concurrency: int) -> dict[str, Any]:
    from .openapi import openapi_document

    signature = target.signature
    document = openapi_document(
        signature if target.mode == "predict" else None, signature if target.mode == "train" else None
    )
    return {
        "type": "loaded",
        "pid": os.getpid(),
        "python": platform.python_version(),
        "sdk": __version__,
        "openapi": document,
        "max_concurrency": max_concurrency,
        "is_async": signature.is_async,
        "is_streaming": signature.is_streaming,
        "has_healthcheck": target.healthcheck is not None,
        "is_legacy": signature.is_legacy,
        "lazy_inputs": lazy_inputs(signature),
    }


if __name__ == "__main__":
    sys.exit(main())
