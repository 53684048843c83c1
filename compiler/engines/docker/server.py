"""A model's server in a container, attached to one `docker run`: its output is the logs, its exit code the container's.

The program leads a process group of its own, so that Ctrl-C in the terminal reaches the command alone. Should the
command be killed, the system ends the program (on Linux), which passes that on to the container.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ...diagnostics import Diagnostic, report
from .. import EngineFailure
from .cli import DockerCli
from .objects import begin_import, objects_of, remove_container, translated
from .problems import diagnose, last_words

if TYPE_CHECKING:
    from python_on_whales import Container

__all__ = ["DockerServer", "container_problem", "start_server"]

_POLL_SECONDS = 0.05
_STOP_SECONDS = 10  # what `docker stop` gives the server before it kills
_END_SECONDS = 5.0
# How `docker run` itself fails: nothing was started, or the container's program could not be.
_NOT_STARTED = (125, 126, 127)

_GPU = r"could not select device driver|nvidia-container-cli|unresolvable CDI devices|libnvidia|no such gpu|unknown gpu"
_TAKEN = r"port is already allocated|address already in use|ports are not available|bind: permission denied"


def start_server(
    docker: DockerCli, name: str, words: Sequence[str], *, port: int, host: str, on_end: Callable[[], None]
) -> DockerServer:
    """Start the container `name` by `docker run`, and wait until it runs and its port is known.

    Errors: EngineFailure with COG602, COG603, COG62x when it cannot be started.
    """
    process = docker.start(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, own_group=True)
    begin_import()
    server = DockerServer(docker, name, process, on_end)
    try:
        while process.poll() is None:
            container = _container(docker, name)
            if container is not None and container.state.running:
                server.show_logs(_url(container.network_settings.ports or {}, port, host))
                return server
            time.sleep(_POLL_SECONDS)
        said = server.said()
        if process.returncode in _NOT_STARTED and re.search("^(?:docker|Error): ", said, re.MULTILINE):
            raise EngineFailure(container_problem(said))
        server.show_logs("")  # it ran, and has ended already
        return server
    except BaseException:
        server.discard()
        raise


def _container(docker: DockerCli, name: str) -> Container | None:
    """The container; None before there is one."""
    with contextlib.suppress(EngineFailure), translated(docker, "container inspect"):
        return objects_of(docker).container.inspect(name)
    return None


def _url(ports: Mapping[str, Any], port: int, host: str) -> str:
    """Where the published port is reached from this machine."""
    found = ports.get(f"{port}/tcp") or [{}]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{found[0].get('HostPort', port)}"


def container_problem(text: str) -> Diagnostic:
    """Why a container was not started. Errors: COG602, COG603, COG62x, COG64x."""
    said = last_words(text.partition("Run 'docker run")[0])
    if re.search(_GPU, text, re.IGNORECASE):
        hint = "install the NVIDIA container toolkit, or leave out --gpus"
        return report("COG603", f"the engine has no GPU for containers: {said}", hint=hint)
    if re.search(_TAKEN, text, re.IGNORECASE):
        return report("COG602", f"the port cannot be used: {said}", hint="--port N takes another one")
    return diagnose(text, "run")


class DockerServer:
    """A container with a server. Its output is held back until `show_logs`; `on_end` is called when it was stopped."""

    def __init__(
        self, docker: DockerCli, name: str, process: subprocess.Popen[bytes], on_end: Callable[[], None]
    ) -> None:
        self._docker = docker
        self._name = name
        self._process = process
        self._on_end = on_end
        self._url = ""
        self._held: list[bytes] | None = []
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while data := os.read(descriptor, 65536):
            with self._lock:
                if self._held is not None:
                    self._held.append(data)
                    continue
            self._docker.reporter.copy(data)

    def said(self) -> str:
        """What was printed, when the program has ended and nothing was shown."""
        self._reader.join(_END_SECONDS)
        with self._lock:
            return b"".join(self._held or ()).decode("utf-8", "replace")

    def show_logs(self, url: str) -> None:
        """From here on the output is copied to the reporter; `url` is where the server is."""
        self._url = url
        with self._lock:
            held, self._held = self._held or [], None
            for data in held:
                self._docker.reporter.copy(data)

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
        """Have the engine end the container, kindly and then by force; then it is gone, with what it left."""
        try:
            if self._process.poll() is None:
                with contextlib.suppress(EngineFailure), translated(self._docker, "container stop"):
                    objects_of(self._docker).container.stop(self._name, time=_STOP_SECONDS)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_SECONDS)
        finally:
            self.discard()
            self._on_end()

    def discard(self) -> None:
        """Remove the container, whatever its state, and end the program that is attached to it."""
        try:
            if self._process.poll() is None:
                remove_container(self._docker, self._name)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_SECONDS)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._reader.join(_END_SECONDS)
            if self._process.stdout is not None and not self._reader.is_alive():
                self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
