"""Programs that engines start: those that run in the foreground, and those that must not outlive the command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

from ..diagnostics import report
from . import EngineFailure

__all__ = ["ends_with_parent", "run_program"]

_PR_SET_PDEATHSIG = 1


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


def ends_with_parent() -> Callable[[], None] | None:
    """What a new process does so that it is told when this one is gone; None where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

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
