"""What the end-to-end tests work with: projects that `cogc` compiles, an engine that builds them, images to look at."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from tests.network import patiently

PREFIX = "cogc-e2e-"
MIB = 1024 * 1024

# Prints one JSON line per file below the given roots. Runs in the image, with whatever Python is there.
_SURVEY = """
import hashlib, json, os, stat, sys
def report(path):
    info = os.lstat(path)
    entry = {"mode": stat.filemode(info.st_mode), "owner": [info.st_uid, info.st_gid], "size": 0, "content": ""}
    if stat.S_ISLNK(info.st_mode):
        entry["content"] = os.readlink(path)
    elif stat.S_ISREG(info.st_mode):
        entry["size"] = info.st_size
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        entry["content"] = digest.hexdigest()
    print(json.dumps([path, entry]))
for root in sys.argv[1:]:
    if os.path.lexists(root):
        report(root)
    for parent, directories, files in os.walk(root):
        for name in sorted(directories + files):
            report(os.path.join(parent, name))
"""


class BuildFailed(Exception):
    """`docker build` did not work; the text is its log."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an image. `content` is the SHA-256 of a file, or where a link points."""

    mode: str
    owner: tuple[int, int]
    size: int
    content: str


@dataclass(slots=True)
class Project:
    """A directory with a cog.yaml. `built` is called with it after `cogc build`, with the words and the variables."""

    built: ClassVar[Callable[[Project, Sequence[str], Mapping[str, str] | None], None] | None] = None

    root: Path

    def write(self, path: str, content: str | bytes) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def write_large(self, path: str, mark: str = "", size: int = 10 * MIB) -> None:
        """A file of just the size that makes it a weight. It starts with `mark`, else it is empty space."""
        self.write(path, mark)
        with (self.root / path).open("r+b") as file:
            file.truncate(size)

    def compile(
        self,
        *arguments: str,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `cogc compile` as a user does, in the project's directory."""
        return self.cogc("compile", *arguments, check=check, environment=environment, stdin=stdin)

    def cogc(
        self,
        *arguments: str,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of cogc as a user does, in the project's directory."""

        def run() -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(
                [cogc_program(), *arguments],
                cwd=self.root,
                env=self.environment(environment),
                input=None if stdin is None else stdin.encode(),
                capture_output=True,
            )

        process = patiently(run) if check else run()
        # Not in text mode, which would take carriage returns for line breaks.
        output, errors = process.stdout.decode(), process.stderr.decode()
        assert not check or process.returncode == 0, errors + output
        if self.built is not None and check and "build" in arguments:
            self.built(self, arguments, environment)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    @staticmethod
    def environment(more: Mapping[str, str] | None) -> dict[str, str]:
        """The variables of a command."""
        return {**os.environ, **(more or {})}


def cogc_program() -> str:
    beside = Path(sys.executable).with_name("cogc")
    return str(beside) if beside.exists() else shutil.which("cogc") or "cogc"


@dataclass
class Engine:
    """A container engine, through the docker client. Remembers what was made, to remove it in the end."""

    session: str
    references: list[str] = field(default_factory=list)
    timings: list[tuple[str, float]] = field(default_factory=list)

    def docker(
        self, *arguments: str, stdin: str | bytes | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            env={**os.environ, **(environment or {})},
            capture_output=True,
        )

    def text(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        process = self.docker(*arguments, stdin=stdin)
        assert process.returncode == 0, process.stderr.decode()
        return process.stdout.decode()

    def has(self, reference: str) -> bool:
        return self.docker("image", "inspect", reference).returncode == 0

    @cached_property
    def has_containerd_store(self) -> bool:
        """Whether its images may have several platforms, attestations, and archives that BuildKit writes."""
        return "io.containerd.snapshotter" in self.text("info", "--format", "{{.DriverStatus}}")

    def name(self, name: str) -> str:
        """A name for an image that is removed in the end."""
        reference = f"{PREFIX}{name}:{self.session}"
        if reference not in self.references:
            self.references.append(reference)
        return reference

    def build(
        self,
        name: str,
        context: Path,
        *arguments: str,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Image:
        """`docker build`. Raises BuildFailed with the log."""
        reference = self.name(name)
        started = time.monotonic()
        words = ["build", "--progress=plain", f"--tag={reference}", *arguments, str(context)]
        process = patiently(lambda: self.docker(*words, stdin=stdin, environment=environment))
        log = process.stderr.decode("utf-8", "replace")
        if process.returncode:
            raise BuildFailed(log)
        self.timings.append((name, time.monotonic() - started))
        return Image(self, reference, log)

    def compile_and_build(
        self,
        name: str,
        project: Project,
        *options: str,
        build: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Image:
        """`cogc compile > Dockerfile && docker build .`."""
        project.write("Dockerfile", "")  # the shell makes it before cogc starts
        project.write("Dockerfile", project.compile(*options, environment=environment).stdout)
        return self.build(name, project.root, *build, environment=environment)

    def clean(self) -> None:
        """Remove the images: several at a time, for the engine collects its garbage once for all that wait for it."""
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(lambda reference: self.docker("image", "rm", "--force", reference), self.references):
                pass
        self.references.clear()


@dataclass(frozen=True)
class Image:
    """A built image."""

    engine: Engine
    reference: str
    log: str = ""

    @cached_property
    def _inspected(self) -> dict[str, Any]:
        return json.loads(self.engine.text("image", "inspect", self.reference))[0]

    @property
    def config(self) -> dict[str, Any]:
        return self._inspected["Config"]

    @property
    def environment(self) -> dict[str, str]:
        return dict(variable.split("=", 1) for variable in self.config["Env"])

    @property
    def labels(self) -> dict[str, str]:
        return self.config["Labels"] or {}

    @property
    def layers(self) -> list[str]:
        return self._inspected["RootFS"]["Layers"]

    def run(
        self, *command: str, options: Sequence[str] = (), stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the image would be used: through its entrypoint, as its user; without a network unless
        `options` name one, which takes half a second less."""
        network = () if any(option.startswith("--network") for option in options) else ("--network=none",)
        words = ("run", "--rm", "--interactive", *network, *options, self.reference, *command)
        process = self.engine.docker(*words, stdin=stdin)
        return subprocess.CompletedProcess(
            process.args, process.returncode, process.stdout.decode(), process.stderr.decode()
        )

    def output(self, *command: str, options: Sequence[str] = (), stdin: str | None = None) -> str:
        process = self.run(*command, options=options, stdin=stdin)
        assert process.returncode == 0, process.stderr
        return process.stdout

    def shell(self, script: str, options: Sequence[str] = ()) -> str:
        return self.output("sh", "-c", script, options=options)

    def python(self, code: str, *arguments: str) -> str:
        return self.output("python", "-", *arguments, stdin=code)

    def freeze(self) -> set[str]:
        return set(self.output("python", "-m", "pip", "freeze").splitlines())

    def tree(self, *roots: str) -> dict[str, Entry]:
        """The files below `roots`."""
        options = ["--user=0", "--entrypoint=python"]
        lines = self.output("-IB", "-", *roots, options=options, stdin=_SURVEY).splitlines()
        found = {}
        for line in lines:
            path, entry = json.loads(line)
            found[path] = Entry(entry["mode"], tuple(entry["owner"]), entry["size"], entry["content"])
        return found

    def files(self, root: str) -> set[str]:
        """The paths of the files below `root`, relative to it."""
        return {path[len(root) + 1 :] for path, entry in self.tree(root).items() if not entry.mode.startswith("d")}

    def exported(self) -> Iterator[tarfile.TarInfo]:
        """The whole file tree, for an image in which nothing can run."""
        container = self.engine.text("create", self.reference, "none").strip()
        try:
            raw = self.engine.docker("export", container).stdout
        finally:
            self.engine.docker("rm", container)
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            yield from archive

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Everything of the image as it would be pushed or saved: manifests, configuration, unpacked layers."""
        raw = self.engine.docker("save", self.reference).stdout
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, _unpacked(file.read())


def _unpacked(raw: bytes) -> bytes:
    if raw.startswith(b"\x1f\x8b"):
        return gzip.decompress(raw)
    if raw.startswith(b"\x28\xb5\x2f\xfd"):
        return subprocess.run(["zstd", "-dc"], input=raw, capture_output=True, check=True).stdout
    return raw


def spellings(value: str) -> list[bytes]:
    """How a value may be written down: as it is, and base64 of it at each of the three alignments."""
    raw = value.encode()
    encoded = [base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, raw.hex().encode(), *encoded]
