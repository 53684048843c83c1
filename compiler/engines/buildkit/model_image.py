"""A compiled project → an image of it, by a daemon that we speak with ourselves; nothing is staged on disk.

One build does everything: it solves the graph of the image, and at the same time those of the labels that only a build
can tell, the installed packages and the schema of a model that has to be imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...backends.llb.image import full_reference, image_document, read_image
from ...backends.llb.lower import CONTEXT, LlbOptions
from ...backends.llb.ops import Platform
from ...diagnostics import Diagnostic, Note, has_errors, report
from ...driver import LlbBuild, Source, llb_build, weights_build
from ...frontend.lower import SCHEMA_FILE
from ...ir.credentials import without_credentials
from ...ir.nodes import ImageBase, ResolvedBuild
from ...ir.outputs import FREEZE_FILE, freeze_build, schema_build
from .. import EngineFailure, Reporter
from ..docker.build_display import Mode, display_for
from ..docker.build_progress import BuildProgress
from ..docker.model_image import FREEZE_LABEL, MOST_LABEL_BYTES, SCHEMA_LABEL, BuiltImage, ModelSource, WeightsState
from ..docker.project_lock import project_lock
from ..docker.step_titles import StepTitles
from .address import Address, find_address
from .client import Bridge, Export, Result, build, workers
from .context_files import ContextDirectory
from .credentials import credentials_of
from .errors import BuildkitError, CallFailed
from .grpc import Connection
from .problems import explain
from .session import Offers
from .transport import connect

__all__ = ["BuildkitRequest", "build_with_buildkit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildkitRequest:
    """What image is wanted, and where it goes.

    `secrets` are (id, file, variable), one of the two set. `platform` None takes that of the daemon. Caches are pairs
    of a type and its attributes. `builder` names a builder of buildx. `timestamp` is in seconds since 1970.
    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, Path | None, str | None], ...] = ()
    platform: str | None = None
    builder: str | None = None
    cache_from: tuple[tuple[str, Mapping[str, str]], ...] = ()
    cache_to: tuple[tuple[str, Mapping[str, str]], ...] = ()
    uses_cache: bool = True
    provenance: str | None = None
    loads: bool = True
    pushes: bool = False
    timestamp: int | None = None


def build_with_buildkit(
    reporter: Reporter, model: ModelSource, source: Source, request: BuildkitRequest, mode: Mode
) -> BuiltImage:
    """Build the image of the project. Errors: EngineFailure with COG316, COG62x, COG63x, COG64x."""
    job = _Job(reporter, model, source, request)
    display = display_for(mode, job.progress, job.titles, f"Building {request.name}")

    def tell() -> None:
        reporter.notice("another build of this project is running; waiting for it")

    with project_lock(model.root, tell), display as shown:
        job.show = shown.show
        try:
            return job.run()
        except BuildkitError as error:
            problems = [*job.offers.problems, *job.context.problems]
            config = model.compilation.config
            raise EngineFailure(*explain(error, job.titles.lines, job.progress, config, problems)) from error


@dataclass(slots=True)
class _Job:
    reporter: Reporter
    model: ModelSource
    source: Source
    request: BuildkitRequest
    progress: BuildProgress = field(default_factory=BuildProgress)
    titles: StepTitles = field(default_factory=StepTitles)
    show: Callable[[Any], None] = lambda change: None
    found: list[Diagnostic] = field(default_factory=list)
    offers: Offers = field(init=False)
    context: ContextDirectory = field(init=False)
    address: Address = field(init=False)
    platform: Platform = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        root = self.model.root.absolute()
        self.context = ContextDirectory(root)
        self.offers = Offers(
            directories={CONTEXT: self.context},
            secrets={name: _reader(file, variable) for name, file, variable in self.request.secrets},
            credentials=credentials_of,
            shared_key=_shared_key(root),
        )

    @property
    def resolved(self) -> ResolvedBuild:
        assert self.model.compilation.resolved is not None
        return self.model.compilation.resolved

    def run(self) -> BuiltImage:
        started = time.monotonic()
        self.address = find_address(self.request.builder)
        connection = Connection(connect(self.address))
        try:
            self.platform = Platform.parse(self.request.platform) if self.request.platform else _of_daemon(connection)
            weights = self._weights(connection)
            answer = self._build(connection, self.request.name, self._image)
        finally:
            connection.close()
        seconds = time.monotonic() - started
        return BuiltImage(
            name=self.request.name,
            digest=answer.get("containerimage.digest"),
            seconds=seconds,
            engine_seconds=seconds,
            progress=self.progress,
            titles=self.titles,
            lines=self.titles.lines,
            weights=weights,
            found=tuple(self.found),
        )

    # -- one build -----------------------------------------------------------------------------------

    def _build(self, connection: Connection, name: str, frontend: Callable[[Bridge], Result]) -> dict[str, str]:
        if not self._is_archive:
            return build(connection, self.offers, self._export(name), frontend, self._tell)
        with tempfile.TemporaryFile(prefix="cogc-image-") as archive:
            self.offers.result = archive
            answer = build(connection, self.offers, self._export(name), frontend, self._tell)
            archive.seek(0)
            self._load(archive)
        return answer

    @property
    def _is_archive(self) -> bool:
        """Whether the image comes back as an archive that is then loaded into an engine.

        Only of an archive can the times of files be rewritten, and a daemon that is not Docker's has no images.
        """
        is_rewritten = self.request.timestamp is not None and not self.request.pushes
        return is_rewritten or not (self.address.is_docker or self.request.pushes)

    def _export(self, name: str) -> Export:
        request = self.request
        attributes = {"name": full_reference(name)}
        if request.timestamp is not None:
            attributes |= {"source-date-epoch": str(request.timestamp), "rewrite-timestamp": "true"}
        if self._is_archive:
            kind = "docker"
        elif request.pushes:
            kind = "image"
            attributes["push"] = "true"
        else:
            kind = "moby"
        provenance = {"attest:provenance": f"mode={request.provenance}"} if request.provenance else {}
        return Export(
            kind=kind,
            attributes=attributes,
            cache_from=request.cache_from,
            cache_to=request.cache_to,
            frontend_attributes=provenance,
        )

    def _load(self, archive: BinaryIO) -> None:
        words = ("docker", "load", "--quiet")
        self.reporter.program(words)
        try:
            done = subprocess.run(words, stdin=archive, capture_output=True, check=False)
        except FileNotFoundError as error:
            hint = "--push sends the image to a registry instead"
            raise EngineFailure(
                report("COG620", "there is no docker program to load the image with", hint=hint)
            ) from error
        if done.returncode:
            raise BuildkitError(done.stderr.decode("utf-8", "replace"))

    def _tell(self, document: dict[str, Any]) -> None:
        with self.lock:
            for change in self.progress.take(document):
                self.show(change)

    # -- graphs --------------------------------------------------------------------------------------

    def _image(self, bridge: Bridge) -> Result:
        """The image: its graph is solved while the labels are found out."""
        options, platform = self._options(bridge)
        whole = self._graph(self.resolved, options)
        self.titles.lines = whole.lowered.steps
        solving = bridge.start_solve(whole.definition)
        image = whole.lowered.image
        labels = [*self._schema_label(bridge, whole, options), *self._packages_label(bridge, whole, options)]
        image = image.with_labels((*labels, *self.request.labels))
        solved = bridge.solved(solving)
        return Result(((platform, solved, image_document(image, platform)),))

    def _graph(self, resolved: ResolvedBuild, options: LlbOptions) -> LlbBuild:
        built, found = llb_build(self.model.compilation, self.source, options, resolved)
        if built is None or has_errors(found):
            raise EngineFailure(*found)
        return built

    def _options(self, bridge: Bridge) -> tuple[LlbOptions, Platform]:
        platform = self.platform
        capabilities = bridge.capabilities()
        mode = "local" if self.address.is_docker else "default"
        images = []
        for reference, wanted in _base_images(self.resolved):
            _, document = bridge.image_config(reference, Platform.parse(wanted) if wanted else platform, mode)
            images.append((reference, read_image(document)))
        options = LlbOptions(
            platform=str(platform),
            images=tuple(images),
            merges=capabilities.get("mergeop", False),
            prefers_local=self.address.is_docker,
            ignores_cache=not self.request.uses_cache,
        )
        return options, platform

    def _weights(self, connection: Connection) -> WeightsState | None:
        """The weights image, where the model takes its weights from one; the daemon's cache knows what is unchanged."""
        weights = weights_build(self.resolved)
        is_separate = any(stage.name == "weights" and not stage.steps for stage in self.resolved.stages)
        if weights is None or not is_separate:
            return None
        name = f"{self.request.name}-weights"

        def frontend(bridge: Bridge) -> Result:
            platform = self.platform
            graph = self._graph(weights, LlbOptions(platform=str(platform), ignores_cache=not self.request.uses_cache))
            self.titles.lines = graph.lowered.steps
            return Result(((platform, bridge.solve(graph.definition), image_document(graph.lowered.image, platform)),))

        self._build(connection, name, frontend)
        return WeightsState(name, True)

    # -- labels --------------------------------------------------------------------------------------

    def _packages_label(self, bridge: Bridge, whole: LlbBuild, options: LlbOptions) -> list[tuple[str, str]]:
        frozen = self._file(bridge, freeze_build(self.resolved), whole, options, FREEZE_FILE)
        if frozen is None or frozen.startswith("#"):
            self.found.append(report("COG635", "the image has no pip, so the label with its packages is left out"))
            return []
        return [(FREEZE_LABEL, "\n".join(without_credentials(line) for line in frozen.splitlines() if line.strip()))]

    def _schema_label(self, bridge: Bridge, whole: LlbBuild, options: LlbOptions) -> list[tuple[str, str]]:
        wanted = schema_build(self.resolved)
        document = self._file(bridge, wanted, whole, options, SCHEMA_FILE) if wanted is not None else None
        if wanted is not None and document is None:
            message = "the model cannot be imported while the image is built, so the image has no schema"
            hint = "the server makes it when it starts; say in the source what inputs and outputs are"
            self.found.append(report("COG636", message, hint=hint, notes=self._printed()))
        if document is None:
            return []
        compact = json.dumps(json.loads(document), ensure_ascii=False, separators=(",", ":"))
        return [(SCHEMA_LABEL, compact)] if len(compact.encode()) <= MOST_LABEL_BYTES else []

    def _printed(self) -> list[Note]:
        steps = self.progress.instructions.items()
        printed = [line for (stage, _), step in steps if stage == "schema" for line in step.output]
        return [Note(message="\n".join(["what it printed:", *printed[-12:]]))] if printed else []

    def _file(
        self, bridge: Bridge, wanted: ResolvedBuild, whole: LlbBuild, options: LlbOptions, name: str
    ) -> str | None:
        """The file that a build of ir/outputs.py gives; None when there is none."""
        graph = self._graph(wanted, options)
        definition = graph.definition.named_like(whole.definition, "[internal] what the labels say")
        solved = bridge.solve(definition, evaluates=True)
        try:
            return bridge.read_file(solved, f"/{name}").decode()
        except CallFailed as error:
            if "no such file" in error.message or "not found" in error.message:
                return None
            raise


def _of_daemon(connection: Connection) -> Platform:
    """What the daemon builds for when nobody says."""
    for record in workers(connection):
        for platform in record.get("platforms", ()):
            return Platform(platform.get("os", "linux"), platform.get("architecture", "amd64"))
    return Platform("linux", "amd64")


def _base_images(build: ResolvedBuild) -> list[tuple[str, str | None]]:
    """The base images and their platforms, each once."""
    bases = [stage.base for stage in build.stages if isinstance(stage.base, ImageBase)]
    return list(dict.fromkeys((base.reference, base.platform) for base in bases))


def _reader(file: Path | None, variable: str | None) -> Callable[[], bytes]:
    if file is not None:
        return file.read_bytes
    return lambda: os.environb[os.fsencode(variable or "")]


def _shared_key(root: Path) -> str:
    """The same for every build of a project by a user: the daemon keeps what it was sent under it."""
    return hashlib.sha256(f"{os.getuid()}\0{root}".encode("utf-8", "surrogateescape")).hexdigest()
