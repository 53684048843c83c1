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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...backends.llb.image import image_document, read_image
from ...backends.llb.lower import CONTEXT, LlbOptions
from ...backends.llb.ops import Platform
from ...diagnostics import Diagnostic, Note, has_errors, report
from ...disk import describe
from ...driver import LlbBuild, Source, llb_build, weights_build
from ...frontend.lower import SCHEMA_FILE
from ...ir.credentials import without_credentials
from ...ir.nodes import ImageBase, ResolvedBuild
from ...ir.outputs import FREEZE_FILE, freeze_build, schema_build
from ...record import record
from .. import EngineFailure, Reporter
from ..docker.build_display import Mode, display_for
from ..docker.build_progress import BuildProgress
from ..docker.model_image import FREEZE_LABEL, MOST_LABEL_BYTES, SCHEMA_LABEL, BuiltImage, ModelSource, WeightsState
from ..docker.project_lock import project_lock
from ..docker.step_titles import StepTitles
from ..outputs import Output, placed
from .address import Address, find_address
from .client import Bridge, Export, Result, build, workers
from .context_files import ContextDirectory
from .credentials import credentials_of
from .errors import BuildkitError, CallFailed
from .exports import Exports
from .grpc import Connection
from .problems import explain
from .session import Offers
from .transport import connect

__all__ = ["BuildkitRequest", "build_with_buildkit"]

_STORE_LABEL = "org.mobyproject.buildkit.worker.containerd.namespace"


@record
class BuildkitRequest:
    """What image is wanted, and where it goes.

    `secrets` are (id, file, variable), one of the two set. `platform` None takes that of the daemon. Caches are pairs
    of a type and its attributes. `builder` names a builder of buildx. `timestamp` is in seconds since 1970. `outputs`
    are besides the engine (`loads`) and the registry (`pushes`).
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
    outputs: tuple[Output, ...] = ()
    loads: bool = True
    pushes: bool = False
    timestamp: int | None = None


def build_with_buildkit(
    reporter: Reporter, model: ModelSource, source: Source, request: BuildkitRequest, mode: Mode
) -> BuiltImage:
    """Build the image of the project. Errors: EngineFailure with COG316, COG501, COG62x, COG63x, COG64x."""
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
        except BrokenPipeError:
            raise
        except OSError as error:
            path = error.filename or model.root
            raise EngineFailure(report("COG501", f"{path} {describe(error).replace('accessed', 'written')}")) from error


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
    worker: dict[str, Any] = field(default_factory=dict)
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

    @property
    def _daemon_platform(self) -> Platform:
        """What the daemon builds for when nobody says."""
        for platform in self.worker.get("platforms", ()):
            return Platform(platform.get("os", "linux"), platform.get("architecture", "amd64"))
        return Platform("linux", "amd64")

    def run(self) -> BuiltImage:
        started = time.monotonic()
        self.address = find_address(self.request.builder)
        connection = Connection(connect(self.address))
        try:
            self.worker = next(iter(workers(connection)), {})
            self.platform = Platform.parse(self.request.platform) if self.request.platform else self._daemon_platform
            weights = self._weights(connection)
            answer = self._build(connection, self.request.name, self._image, self.request.outputs)
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

    def _build(
        self, connection: Connection, name: str, frontend: Callable[[Bridge], Result], outputs: Sequence[Output] = ()
    ) -> dict[str, str]:
        request = self.request
        exports = Exports(name, request.timestamp)
        with ExitStack() as stack:
            for output, path in stack.enter_context(placed(outputs)):
                exports.add_output(output, path, stack)
            archive = self._add_own(exports, stack)
            self.offers.receivers = exports.receivers
            export = Export(
                exporters=exports.exporters,
                cache_from=request.cache_from,
                cache_to=request.cache_to,
                frontend_attributes={"attest:provenance": request.provenance} if request.provenance else {},
            )
            try:
                answer = build(connection, self.offers, export, frontend, self._tell)
            except BuildkitError:
                exports.raise_error()
                raise
            if archive is not None:
                archive.seek(0)
                self._load(archive)
        if request.pushes and self._is_plain_docker:
            self._docker("push", "--quiet", name)
        return answer

    def _add_own(self, exports: Exports, stack: ExitStack) -> BinaryIO | None:
        """The exporters into the engine and to the registry; an archive that is still to be loaded.

        Only of an archive can the times of files be rewritten, and a daemon that is not Docker's has no images.
        """
        request = self.request
        if self.address.is_docker and request.timestamp is None:
            if request.loads or request.pushes:
                exports.add("moby", {"push": "true"} if request.pushes and not self._is_plain_docker else {})
            return None
        if request.pushes and not self._is_plain_docker:
            exports.add("image", {"push": "true"})
        if not request.loads and not (request.pushes and self._is_plain_docker):
            return None
        archive = stack.enter_context(tempfile.TemporaryFile(prefix="cogc-image-"))  # noqa: SIM115 - the stack closes it
        exports.add_archive("docker", archive)
        return archive

    @property
    def _is_plain_docker(self) -> bool:
        """Whether it is a Docker engine without containerd's image store: the engine pushes, not its BuildKit."""
        return self.address.is_docker and _STORE_LABEL not in self.worker.get("labels", {})

    def _load(self, archive: BinaryIO) -> None:
        self._docker("load", "--quiet", stdin=archive)

    def _docker(self, *words: str, stdin: BinaryIO | None = None) -> None:
        self.reporter.program(("docker", *words))
        try:
            done = subprocess.run(["docker", *words], stdin=stdin, capture_output=True, check=False)
        except FileNotFoundError as error:
            hint = "--push sends the image to a registry instead, --output type=oci,dest=FILE writes it"
            message = f"there is no docker program to {words[0]} the image with"
            raise EngineFailure(report("COG620", message, hint=hint)) from error
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
