"""One build with `docker buildx build`: a Dockerfile and a context go in, an image or files come out."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...record import record
from .build_progress import BuildProgress, BuildStep, Change
from .cli import DockerCli
from .objects import begin_import, objects_of, translated

__all__ = ["BuildFailed", "BuildRequest", "BuildResult", "build"]

_AT_LINE = re.compile(r"^(\S+):(\d+)$")
_GRACE_SECONDS = 10.0


@record
class BuildRequest:
    """What is built, and where the result goes.

    `ignore` replaces the context's .dockerignore. `outputs` are what buildx calls so, such as `type=local,dest=…`; with
    `prints` one of them goes to standard output. The image is also pushed, or else loaded into the engine. `timestamp`
    is seconds since 1970.
    """

    context: Path
    dockerfile: str
    name: str = "Dockerfile"
    ignore: str | None = None
    tags: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    build_args: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    platform: str | None = None
    builder: str | None = None
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    uses_cache: bool = True
    sbom: str | None = None
    provenance: str | None = None
    outputs: tuple[str, ...] = ()
    prints: bool = False
    loads: bool = True
    pushes: bool = False
    timestamp: int | None = None


@record
class BuildResult:
    """A build that worked. `digest` is that of the image, where there is one."""

    seconds: float
    digest: str | None


class BuildFailed(Exception):
    """A build that did not work: what the builder said, the line of the Dockerfile, and the step that failed."""

    def __init__(self, text: str, line: int | None, step: BuildStep | None) -> None:
        super().__init__(text)
        self.text = text
        self.line = line
        self.step = step


def build(
    docker: DockerCli, request: BuildRequest, progress: BuildProgress, show: Callable[[Change], None]
) -> BuildResult:
    """Build, and tell what happens. Errors: BuildFailed; EngineFailure without a docker program.

    After KeyboardInterrupt the builder is told to stop, and nothing of the build is left.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cogc-build-") as directory:
        place = Path(directory)
        (place / request.name).write_text(request.dockerfile, "utf-8")
        if request.ignore is not None:
            (place / f"{request.name}.dockerignore").write_text(request.ignore, "utf-8")
        stdout = sys.stdout.fileno() if request.prints else subprocess.DEVNULL
        status, text = _run(docker, _words(request, place), stdout, progress, show)
        if status:
            raise BuildFailed(text, _line(text, request.name), progress.failed)
        if request.timestamp is not None and (request.loads or request.pushes):
            with translated(docker, "image load"):
                objects_of(docker).image.load(place / "image.tar", quiet=True)
        digest = _metadata(place / "metadata.json").get("containerimage.digest")
    return BuildResult(seconds=time.monotonic() - started, digest=digest)


def _run(
    docker: DockerCli, words: list[str], stdout: int, progress: BuildProgress, show: Callable[[Change], None]
) -> tuple[int, str]:
    """The exit code, and what was said besides the progress."""
    # The metadata is for the digest alone; collecting where everything came from takes time.
    environment = {"BUILDX_METADATA_PROVENANCE": "disabled"}
    process = docker.start(*words, stdout=stdout, environment=environment)
    begin_import()  # what comes after a build asks for its image
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            changes = progress.feed(line)
            if changes is None:
                said.append(line.decode("utf-8", "replace"))
                continue
            for change in changes:
                show(change)
        return process.wait(), "".join(said)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have the program stop its build, which it does on an interrupt; then make sure that it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _words(request: BuildRequest, place: Path) -> list[str]:
    words = ["buildx", "build", "--progress=rawjson", f"--file={place / request.name}"]
    words.append(f"--metadata-file={place / 'metadata.json'}")
    words += [f"--tag={tag}" for tag in request.tags if request.timestamp is None]
    for name, value in request.labels:
        words += ["--label", f"{name}={value}"]
    for argument in request.build_args:
        words += ["--build-arg", argument]
    words += [f"--secret={secret}" for secret in request.secrets]
    words += [f"--ssh={agent}" for agent in request.agents]
    words += [f"--cache-from={source}" for source in request.cache_from]
    words += [f"--cache-to={target}" for target in request.cache_to]
    options = {
        "platform": request.platform,
        "builder": request.builder,
        "sbom": request.sbom,
        "provenance": request.provenance,
    }
    words += [f"--{name}={value}" for name, value in options.items() if value is not None]
    words += [] if request.uses_cache else ["--no-cache"]
    return [*words, *_outputs(request, place), str(request.context)]


def _outputs(request: BuildRequest, place: Path) -> list[str]:
    words = [f"--output={output}" for output in request.outputs]
    if request.timestamp is None:
        return [*words, *(["--push"] if request.pushes else ["--load"] if request.loads else [])]
    words += ["--build-arg", f"SOURCE_DATE_EPOCH={request.timestamp}"]
    if request.loads or request.pushes:
        # Only an archive can have the times of its files rewritten; it is loaded afterwards.
        names = ",".join(request.tags)
        words.append(f'--output=type=docker,dest={place / "image.tar"},rewrite-timestamp=true,"name={names}"')
    return words


def _line(text: str, name: str) -> int | None:
    """The line of the Dockerfile that an error is about: buildx prints `NAME:LINE` and an excerpt."""
    for line in text.splitlines():
        found = _AT_LINE.match(line.strip())
        if found is not None and found[1] == name:
            return int(found[2])
    return None


def _metadata(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        document = json.loads(path.read_bytes())
        return document if isinstance(document, dict) else {}
    return {}
