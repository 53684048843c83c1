"""Podman in docker's place: a program `docker` that is Podman's, as its package podman-docker installs it.

It takes the words of docker but for those of buildx, has no events of a build, and its older versions do not know
`COPY --link`. So a build is put in its words here, without that, and its lines are told as BuildKit would tell them.

Source: podman-build(1); the lines are those of Podman 4.3 and 5.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...backends.source_map import MAKE_LAYERS, instructions_of
from ...diagnostics import report
from .. import EngineFailure
from .build import BuildFailed, BuildRequest, BuildResult
from .build_progress import BuildProgress, Change
from .cli import DockerCli

__all__ = ["DIALECT", "build_with_podman", "is_podman"]

DIALECT = (1, 4)  # of the Dockerfile

_MOST_READ = 4096
_STEP = re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<number>\d+)/\d+: (?P<text>.*)")
_MADE = re.compile(r"--> ([0-9a-f]{11,}|Using cache .*)|(?:\[\d+/\d+\] )?COMMIT\b.*")
_EXIT = re.compile(r"exit status (\d+)\s*$")
_NOTHING = "type=cacheonly"  # without an output the image is just kept
_OUTPUTS = ("type=local,", "type=tar,", _NOTHING)


def is_podman(program: str) -> bool:
    """Whether the program of that name is Podman's, or a script that calls it. It is not run for that."""
    path = shutil.which(program)
    if path is None:
        return False
    try:
        with Path(path).open("rb") as file:
            start = file.read(_MOST_READ)
        return Path(path).resolve().name == "podman" or (start.startswith(b"#!") and b"podman" in start)
    except OSError:
        return False


def build_with_podman(
    docker: DockerCli, request: BuildRequest, progress: BuildProgress, show: Callable[[Change], None]
) -> BuildResult:
    """Build, and tell what happens; nothing is pushed. Errors: BuildFailed; EngineFailure with COG503, COG620."""
    _refuse(request)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cogc-build-") as directory:
        place = Path(directory)
        text = re.sub(r"^COPY --link ", "COPY ", request.dockerfile, flags=re.MULTILINE)
        (place / request.name).write_text(text, "utf-8")
        if request.ignore is not None:
            (place / "ignore").write_text(request.ignore, "utf-8")
        status, said = _run(docker, _words(request, place), _Events(text), progress, show)
        if status:
            raise BuildFailed(said, None, progress.failed)
        image = place / "image"
        digest = image.read_text("utf-8").strip() if image.exists() and request.tags else None
    return BuildResult(seconds=time.monotonic() - started, digest=digest or None)


def _refuse(request: BuildRequest) -> None:
    """COG503 for what only BuildKit has."""
    asked = {
        "--builder": request.builder,
        "--sbom": request.sbom,
        "--provenance": request.provenance if request.provenance != "false" else None,
        "--cache-from": request.cache_from,
        "--cache-to": request.cache_to,
        "--output -": request.prints,
        **{f"--output {output}": not output.startswith(_OUTPUTS) for output in request.outputs},
    }
    for option, value in asked.items():
        if value:
            message = f"{option}: `docker` is Podman here, which has no BuildKit"
            raise EngineFailure(report("COG503", message, hint="leave it out, or use Docker"))


def _words(request: BuildRequest, place: Path) -> list[str]:
    words = ["build", f"--file={place / request.name}", f"--iidfile={place / 'image'}"]
    words += [f"--tag={tag}" for tag in request.tags]
    for name, value in request.labels:
        words += ["--label", f"{name}={value}"]
    for argument in request.build_args:
        words += ["--build-arg", argument]
    words += [f"--secret={secret}" for secret in request.secrets]
    words += [f"--ssh={agent}" for agent in request.agents]
    words += [f"--output={output}" for output in request.outputs if output != _NOTHING]
    words += [f"--platform={request.platform}"] if request.platform is not None else []
    words += [f"--timestamp={request.timestamp}"] if request.timestamp is not None else []
    words += [f"--ignorefile={place / 'ignore'}"] if request.ignore is not None else []
    words += ["--layers"] if request.uses_cache else ["--no-cache"]
    return [*words, str(request.context)]


def _run(
    docker: DockerCli, words: list[str], events: _Events, progress: BuildProgress, show: Callable[[Change], None]
) -> tuple[int, str]:
    """The exit code, and the last thing that was said in a form that failures are explained from."""
    process = docker.start(*words, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            for change in progress.take(events.of(line.decode("utf-8", "replace").rstrip("\r\n"))):
                show(change)
        status = process.wait()
        for change in progress.take(events.end(status)):
            show(change)
        return status, events.failure
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Events:
    """The lines of one build → documents for BuildProgress."""

    def __init__(self, dockerfile: str) -> None:
        making = (item for item in instructions_of(dockerfile.split("\n")) if item.keyword in MAKE_LAYERS)
        self._counts = Counter(item.stage for item in making)
        self._stage: str | None = None
        self._number = 0
        self._current: dict[str, Any] | None = None
        self._said: list[str] = []
        self.failure = ""

    def of(self, line: str) -> dict[str, Any]:
        """What a line tells."""
        if found := _STEP.fullmatch(line):
            return {"vertexes": [*self._ended(), *self._begun(found["stage"] or "1", found["number"], found["text"])]}
        if found := _MADE.fullmatch(line):
            if self._current is not None and line.startswith("--> Using cache"):
                self._current["cached"] = True
            return {"vertexes": list(self._ended())}
        self._said.append(line)
        if self._current is None:
            return {}
        data = base64.b64encode(f"{line}\n".encode()).decode()
        return {"logs": [{"vertex": self._current["digest"], "data": data}]}

    def end(self, status: int) -> dict[str, Any]:
        """What the exit code tells: the step that was running has failed."""
        if status:
            self.failure = "\n".join(self._said[-20:])
            code = _EXIT.search(self.failure)
            if code is not None and self._current is not None:
                self.failure = f"did not complete successfully: exit code: {code[1]}"
                self._current["error"] = self.failure
        return {"vertexes": list(self._ended())}

    def _begun(self, stage: str, number: str, text: str) -> Iterator[dict[str, Any]]:
        keyword, _, rest = text.partition(" ")
        if keyword == "FROM":
            self._stage = rest.rpartition(" AS ")[2] if " AS " in rest else None
            self._number = 0
        if keyword not in MAKE_LAYERS:
            return
        self._number += 1
        name = f"[{self._stage} {self._number}/{self._counts[self._stage]}] {text}"
        self._current = {"digest": f"{stage}.{number}.{text}", "name": name, "started": _now()}
        yield self._current

    def _ended(self) -> Iterator[dict[str, Any]]:
        if self._current is not None:
            yield {**self._current, "completed": _now()}
        self._current = None


def _now() -> str:
    return datetime.now(UTC).isoformat()
