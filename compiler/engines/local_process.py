"""Processes of the local engine: the HTTP server, and programs that run in the foreground.

A server leads a session of its own, so that Ctrl-C in the terminal reaches the command alone, which then ends the
server in order. Should the command itself be killed, the system tells the server to end (on Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Self

from ..diagnostics import report
from . import EngineFailure

__all__ = ["LocalServer", "check_port", "free_port", "run_program"]

# The server gives a running prediction eight seconds; asked a second time, it waits no longer.
_PATIENCE_SECONDS = 2.0
_ENDING_SECONDS = 8.0
_PR_SET_PDEATHSIG = 1


class LocalServer:
    """A server process; `on_end` is called once it has ended."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        url: str,
        on_end: Callable[[], None],
    ) -> None:
        self._url = url
        self._on_end = on_end
        self._process = subprocess.Popen(
            words,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=2,  # all that a server writes is a log
            start_new_session=True,
            preexec_fn=_ends_with_parent(),
        )

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self._url

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for its end by itself, and give the exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """End it, kindly, then urgently, then by force; whatever interrupts that, it ends."""
        try:
            for number, seconds in ((signal.SIGTERM, _PATIENCE_SECONDS), (signal.SIGTERM, _ENDING_SECONDS)):
                if self._process.poll() is None:
                    self._process.send_signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(seconds)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._on_end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def check_port(host: str, port: int) -> None:
    """Whether a server may listen there. Error: COG602."""
    try:
        with _socket(host) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        message = f"cannot listen on {host} port {port}: {reason}"
        raise EngineFailure(report("COG602", message, hint="--port N takes another one")) from error


def free_port(host: str) -> int:
    """A port that nobody listens on at this moment. Error: COG602."""
    try:
        with _socket(host) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EngineFailure(report("COG602", f"cannot listen on {host}: {reason}")) from error


def run_program(words: Sequence[str], *, directory: str, environment: Mapping[str, str]) -> int:
    """Run in the foreground, with this process's streams; its exit status, 128 + the signal where one ended it.

    Meanwhile signals are the program's business: a terminal sends them to it anyway, and others are passed on.
    Error: COG604.
    """
    program = shutil.which(words[0], path=environment.get("PATH", "")) if "/" not in words[0] else words[0]
    if program is None:
        hint = "does a package of the project have it? `cogc run pip list` shows them"
        raise EngineFailure(report("COG604", f"there is no program `{words[0]}` in the environment", hint=hint))
    sys.stdout.flush()
    sys.stderr.flush()
    with _signals_passed_on() as started:
        try:
            process = subprocess.Popen([program, *words[1:]], cwd=directory, env=dict(environment))
        except OSError as error:
            message = f"`{words[0]}` cannot be run: {(error.strerror or str(error)).lower()}"
            raise EngineFailure(report("COG604", message)) from error
        started(process)
        status = process.wait()
    return 128 - status if status < 0 else status


@contextlib.contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Until it is left, Ctrl-C does not end this process, and SIGTERM and SIGHUP go to the program."""
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    old = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    old |= {number: signal.signal(number, _ignore) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield running.append
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: FrameType | None) -> None:
    """A handler, unlike SIG_IGN, is not inherited by the program."""


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _ends_with_parent() -> Callable[[], None] | None:
    """What a new process does so that it is told when this one is gone; None where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        prctl = library.prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return arrange
