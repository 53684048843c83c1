"""What commands that run models share: their options, the compiled project, starting a server, signals.

A run is ended by Ctrl-C, SIGTERM or SIGHUP in the same way: as a KeyboardInterrupt, so that everything that was started
is stopped on the way out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Literal

from ..diagnostics import Diagnostic, Note, has_errors, report
from ..record import record
from ._project import (
    Project,
    add_build_arguments,
    add_config_name,
    build_options,
    fail,
    load_project,
    source_of,
)
from ._reporter import StandardErrorReporter

if TYPE_CHECKING:
    from ..client.http import ModelClient
    from ..driver import Compilation
    from ..engines import Engine, Environment, Gpus, PublishedPort, Server

__all__ = [
    "Ended",
    "Problem",
    "RunOptions",
    "add_run_arguments",
    "choose",
    "compile_here",
    "ending_signals",
    "prepare",
    "published_port",
    "refuse",
    "run_options",
    "wait_until_ready",
]

_ENGINE_NAMES = ("auto", "docker", "local")
_PROGRESS = ("auto", "tty", "plain", "quiet")
_FIRST_PAUSE_SECONDS, _PAUSE_SECONDS = 0.02, 0.1
_LOG_LINES = 5


class Problem(Exception):
    """The command cannot go on: what to show, and the exit code."""

    def __init__(self, diagnostics: Sequence[Diagnostic], status: int = 1) -> None:
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))
        self.diagnostics = tuple(diagnostics)
        self.status = status


class Ended(KeyboardInterrupt):
    """A signal asked this process to end. `status` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@record
class RunOptions:
    """The options of a run. `variables` are those of -e, in their order; `gpus` None leaves it to the model."""

    engine: str
    variables: tuple[tuple[str, str], ...]
    gpus: Gpus | None
    hides_gpus: bool
    progress: Literal["tty", "plain", "quiet"]
    is_debug: bool
    is_locked: bool = False

    def gpus_for(self, environment: Environment) -> Gpus | None:
        """Those that were asked for; else all for a model that wants one."""
        from ..engines import Gpus

        if self.gpus is not None or self.hides_gpus:
            return self.gpus
        return Gpus(spec="all") if environment.is_gpu else None


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """What predict, train, run and serve take; `run_options` reads it."""
    add_config_name(parser)
    parser.add_argument(
        "--engine",
        choices=_ENGINE_NAMES,
        default="auto",
        help="where the model runs: docker, or local for a virtual environment on this machine "
        "(default: docker if it answers, else local)",
    )
    parser.add_argument(
        "-e",
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a variable in the model's environment; NAME alone copies it from here",
    )
    parser.add_argument(
        "--gpus", metavar="SPEC", help="all, a count, device=0,1 or none (default: all for a model with gpu: true)"
    )
    parser.add_argument(
        "--progress",
        choices=_PROGRESS,
        default="auto",
        metavar="MODE",
        help="how building is shown: auto, tty, plain or quiet (default: auto)",
    )
    add_build_arguments(parser)


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """Read them. Error: `Problem` with COG503, exit code 2."""
    from ..engines.docker.build_display import progress_mode

    found: list[Diagnostic] = []
    variables: list[tuple[str, str]] = []
    for text in arguments.env:
        name, separator, value = text.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in value:
            found.append(report("COG503", f"--env {name}: write NAME=VALUE, or the NAME of a variable of this shell"))
        elif separator or name in os.environ:
            variables.append((name, value if separator else os.environ[name]))
    gpus, hides, problems = _gpus(arguments.gpus)
    found += problems
    if found:
        raise Problem(found, 2)
    return RunOptions(
        engine=arguments.engine,
        variables=tuple(variables),
        gpus=gpus,
        hides_gpus=hides,
        progress=progress_mode(arguments.progress),
        is_debug=arguments.debug,
        is_locked=arguments.locked,
    )


def _gpus(text: str | None) -> tuple[Gpus | None, bool, tuple[Diagnostic, ...]]:
    from ..engines import Gpus

    if text is None:
        return None, False, ()
    spec = text.strip().strip("'\"")
    if spec in ("none", "0"):
        return None, True, ()
    if re.fullmatch(r"all|[1-9][0-9]{0,3}|device=[\w.:-]+(,[\w.:-]+)*", spec):
        return Gpus(spec=spec, is_asked=True), False, ()
    return None, False, (report("COG503", f'invalid GPU specification: "{text}"', hint="all, 2, or device=0,1"),)


def published_port(text: str) -> PublishedPort:
    """`PORT`, `HOST:PORT`, `[::1]:PORT` or, as in docker, `HOST_PORT:PORT`. Error: `Problem` with COG503."""
    from ..engines import PublishedPort

    host, separator, port = text.rpartition(":")
    if separator and host.isdigit():
        return PublishedPort(port=_port(port, text), host_port=_port(host, text))
    is_bracketed = host.startswith("[") and host.endswith("]")
    if separator and (not host or (":" in host and not is_bracketed)):
        raise _invalid_port(text, "write PORT, HOST:PORT or [ADDRESS]:PORT")
    number = _port(port, text)
    return PublishedPort(port=number, host_port=number, host=host.strip("[]") if separator else "127.0.0.1")


def _port(text: str, whole: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise _invalid_port(whole, "it is not a number")
    if not 1 <= int(text) <= 65535:
        raise _invalid_port(whole, "it is not between 1 and 65535")
    return int(text)


def _invalid_port(text: str, reason: str) -> Problem:
    return Problem([report("COG503", f'invalid port "{text}": {reason}')], 2)


# -- the project ----------------------------------------------------------------------------------


def compile_here(arguments: argparse.Namespace, reporter: StandardErrorReporter) -> tuple[Project, Compilation]:
    """The project around here, compiled; its warnings are shown. Error: `Problem`."""
    from ..driver import compile_project, matrix_of

    options, found = build_options(arguments)
    if options is None:
        raise Problem(found, 2)
    arguments.path = None  # the project is always searched for
    project, problems = load_project(arguments)
    found += problems
    if project is None:
        raise Problem(found)
    reporter.project = project
    source, problems = source_of(project, arguments.openapi_schema, is_locked=arguments.locked)
    found += problems
    if source is None:
        raise Problem(found)
    compilation = compile_project(source, options, matrix_of(source))
    found += compilation.diagnostics
    if has_errors(found):
        raise Problem(found)
    reporter.diagnose(found)
    return project, compilation


def choose(options: RunOptions, reporter: StandardErrorReporter) -> Engine:
    """The engine. Errors: `EngineFailure`; `Problem` for a lock, which is for images."""
    from ..engines.choice import choose_engine

    engine = choose_engine(options.engine, reporter)
    if options.is_locked and engine.name == "local":
        message = "--locked: a lock is for images, and the local engine installs what fits this machine"
        raise Problem([report("COG503", message, hint="--engine docker, or leave out --locked")], 2)
    return engine


def prepare(engine: Engine, project: Project, compilation: Compilation, options: RunOptions) -> Environment:
    """The project's environment on the engine. Errors: `EngineFailure`."""
    from ..engines import Preparation

    preparation = Preparation(
        root=project.root, config_file=project.name, compilation=compilation, progress=options.progress
    )
    return engine.prepare(preparation)


def refuse(problem: Problem, reporter: StandardErrorReporter, format: str = "text") -> int:
    """Show what is wrong, on standard error or as the document asked for; the exit code."""
    fail(problem.diagnostics, reporter.project, format)
    return problem.status


# -- a running server -------------------------------------------------------------------------------


def wait_until_ready(server: Server, client: ModelClient, limit_seconds: float | None, subject: str) -> None:
    """Poll the health until the model is ready; `subject` is what may exit. Error: `Problem` with COG720."""
    deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        health = client.health()
        code = server.exit_code()
        if code is not None:
            raise _did_not_start(f"{subject} exited unexpectedly (exit code {code})")
        status = health.status if health is not None else "UNKNOWN"
        if status in ("READY", "BUSY", "UNHEALTHY"):
            return
        if status in ("SETUP_FAILED", "DEFUNCT"):
            last = [line for line in (health.setup_logs if health else "").splitlines() if line.strip()]
            raise _did_not_start("Model setup failed", last[-1:])
        if deadline is not None and time.monotonic() > deadline:
            hint = "--setup-timeout SECONDS waits longer"
            raise _did_not_start(f"Timed out: the model was not ready after {limit_seconds:g} seconds", hint=hint)
        time.sleep(pause)
        pause = min(pause * 1.5, _PAUSE_SECONDS)


def _did_not_start(message: str, logs: Sequence[str] = (), hint: str | None = None) -> Problem:
    notes = [Note(message=line.strip()) for line in logs]
    return Problem([report("COG720", message, notes=notes, hint=hint)])


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP as `Ended` while it lasts; only the main thread can have that."""

    def end(number: int, _: FrameType | None) -> None:
        raise Ended(number)

    old = {}
    for number in (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,):
        with contextlib.suppress(ValueError):
            old[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
