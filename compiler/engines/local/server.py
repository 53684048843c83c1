"""A model's server as a process of this machine.

It leads a session of its own, so that Ctrl-C in the terminal reaches the command alone, which then ends the
server in order. Should the command itself be killed, the system tells the server to end (on Linux).
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from ...diagnostics import report
from .. import EngineFailure
from ..processes import ends_with_parent

__all__ = ["LocalServer", "check_port", "free_port"]

# The server gives a running prediction eight seconds; asked a second time, it waits no longer.
_PATIENCE_SECONDS = 2.0
_ENDING_SECONDS = 8.0


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
            preexec_fn=ends_with_parent(),
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


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
