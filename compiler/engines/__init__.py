"""Engines: where models run. One protocol that container images and virtual environments both satisfy.

A command chooses an engine, has it prepare an `Environment` from a compiled project, and then starts a `Server` or runs
a program in it. Each engine is a package whose module `engine` has `connect(reporter) -> Engine`, which fails when the
engine does not answer. What goes wrong for a reason that users can do something about is an `EngineFailure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from ..diagnostics import Diagnostic

if TYPE_CHECKING:
    from ..driver import Compilation
from ..record import record

__all__ = [
    "PROJECT",
    "Engine",
    "EngineFailure",
    "Environment",
    "Gpus",
    "Preparation",
    "ProgramRequest",
    "PublishedPort",
    "Reporter",
    "Server",
    "ServerRequest",
]

# Where a container has the project's folder.
PROJECT = "/src"


class EngineFailure(Exception):
    """What an engine was asked for cannot be had. `diagnostics` say why and what to do; at least one is an error."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))
        self.diagnostics = diagnostics


# -- requests --------------------------------------------------------------------------------------


@record
class Preparation:
    """A project to make an environment from.

    `root` is the project's folder and `config_file` the configuration's name in it; `compilation` is free of errors.
    `progress` says how building is shown; without `uses_cache` everything is made anew.
    """

    root: Path
    config_file: str
    compilation: Compilation
    progress: Literal["auto", "tty", "plain", "quiet"] = "auto"
    uses_cache: bool = True


@record
class Environment:
    """Something that models run in: an image, or a virtual environment.

    `reference` is the image's name or the environment's folder, for the engine that made it. `root` is the project
    that servers and programs see (None: an image with its own code). `schema` is the OpenAPI document as JSON where it
    is known without a start; `variables` are those of cog.yaml that the environment does not carry by itself.
    """

    reference: str
    root: Path | None = None
    is_gpu: bool = False
    schema: str | None = None
    variables: tuple[tuple[str, str], ...] = ()


@record
class Gpus:
    """Which GPUs: `all`, a count such as `2`, or `device=0,1`.

    When a person asked for them by name, that they cannot be had is an error; otherwise it is said, and done without.
    """

    spec: str
    is_asked: bool = False


@record
class ServerRequest:
    """How to start the HTTP server.

    `variables` are (name, value) pairs in the order given, the last of a name wins. `port` None takes a free one.
    `host` is the address of this machine to listen on.
    """

    mode: Literal["predict", "train"] = "predict"
    variables: tuple[tuple[str, str], ...] = ()
    gpus: Gpus | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    upload_url: str | None = None


@record
class PublishedPort:
    """A port of a container that is reached as `host`:`host_port`."""

    port: int
    host_port: int
    host: str = "127.0.0.1"


@record
class ProgramRequest:
    """A program to run with this process's standard streams (a terminal stays one), in the project's folder."""

    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    gpus: Gpus | None = None
    ports: tuple[PublishedPort, ...] = ()


# -- what engines are and give -----------------------------------------------------------------------


class Reporter(Protocol):
    """How an engine tells what it does. All of it goes to standard error."""

    def notice(self, text: str) -> None:
        """One line for people: what begins, or what was decided."""
        ...

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Findings that do not stop the command."""
        ...

    def program(self, words: Sequence[str], variables: Iterable[tuple[str, str]] = ()) -> None:
        """A program that is about to run: shown under --debug, with the values of variables masked."""
        ...

    def copy(self, data: bytes) -> None:
        """Output of a build or of the model, as it came. Called from any thread."""
        ...


class Server(Protocol):
    """A running HTTP server. Its logs are copied to the reporter until it ends.

    Leaving the `with` block stops it. It takes no part in the terminal's signals: after Ctrl-C it still runs, so that
    the command can cancel a prediction before it stops the server.
    """

    @property
    def url(self) -> str:
        """Where it is reached from this machine, without a slash at the end."""
        ...

    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def wait(self) -> int:
        """Wait for its end by itself, and give the exit code."""
        ...

    def stop(self) -> None:
        """End it, wait for that, copy the rest of its logs and remove what it left. Again is harmless."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Engine(Protocol):
    """Docker, virtual environments on this machine, …. Every method may raise `EngineFailure`."""

    @property
    def name(self) -> str:
        """As in `--engine NAME`."""
        ...

    def prepare(self, preparation: Preparation) -> Environment:
        """Make the environment of a project, without its code: the folder itself is seen by what runs in it."""
        ...

    def open_image(self, reference: str) -> Environment:
        """The environment of an existing image of a model; it is pulled when it is not here."""
        ...

    def serve(self, environment: Environment, request: ServerRequest) -> Server:
        """Start the server. It may not answer yet when this returns."""
        ...

    def run(self, environment: Environment, request: ProgramRequest) -> int:
        """Run a program to its end and give its exit code; one that a signal ended gives 128 + the signal."""
        ...
