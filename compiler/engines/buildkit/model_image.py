"""A compiled project → an image of it, by a daemon that we speak with ourselves; nothing is staged on disk.

One build does everything: it solves the graph of the image, and at the same time those of the labels that only a build
can tell, the installed packages and the schema of a model that has to be imported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from ...backends.llb.lower import CONTEXT
from ...backends.llb.ops import Platform
from ...diagnostics import report
from ...disk import describe
from ...driver import Compilation, Source, weights_build
from ...frontend.dockerignore import Dockerignore
from ...ir.nodes import ResolvedBuild
from ...record import record
from .. import EngineFailure, Reporter
from ..docker.build_display import Mode, display_for
from ..docker.build_progress import BuildProgress
from ..docker.cli import DockerCli
from ..docker.model_image import BuiltImage, ModelSource, WeightsState
from ..docker.project_lock import project_lock
from ..docker.push import push
from ..docker.step_titles import StepTitles
from ..docker.weights_manifest import Manifest, make_manifest, read_manifest, write_manifest
from ..outputs import Output, placed
from ..ssh_agents import SshAgent
from .address import Address, find_address
from .caches import Cache, Caches
from .client import Bridge, Export, FrontendResult, Result, build, workers
from .context_files import ContextDirectory
from .credentials import credentials_of
from .docker_config import configured_proxies
from .errors import BuildkitError, Unreachable
from .exports import Exports
from .grpc import Connection
from .image_store import refused_by_plain_store
from .key_agent import key_agent
from .own_dockerfile import solve_dockerfile
from .platform_image import PlatformImage
from .problems import explain
from .session import Offers
from .transport import connect, session_opener

__all__ = ["BuildkitRequest", "build_with_buildkit"]

_STORE_LABEL = "org.mobyproject.buildkit.worker.containerd.namespace"


@record
class BuildkitRequest:
    """What image is wanted, and where it goes.

    `secrets` are (id, file, variable), one of the two set. `platform` None takes that of the daemon; `others` are
    further platforms with the project compiled for each. `builder` names a builder of buildx. `attestations` are what
    is wanted of provenance and sbom, as (name, attributes). `timestamp` is in seconds since 1970. `outputs` are besides
    the engine (`loads`) and the registry (`pushes`). `dockerfile` is the text of a Dockerfile that is built
    instead; without one `build_args` are those for proxies.
    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, Path | None, str | None], ...] = ()
    agents: tuple[SshAgent, ...] = ()
    build_args: tuple[tuple[str, str], ...] = ()
    platform: str | None = None
    others: tuple[tuple[str, Compilation], ...] = ()
    builder: str | None = None
    cache_from: tuple[Cache, ...] = ()
    cache_to: tuple[Cache, ...] = ()
    uses_cache: bool = True
    attestations: tuple[tuple[str, str], ...] = ()
    outputs: tuple[Output, ...] = ()
    loads: bool = True
    pushes: bool = False
    timestamp: int | None = None
    dockerfile: str | None = None


def build_with_buildkit(
    reporter: Reporter, model: ModelSource, source: Source, request: BuildkitRequest, mode: Mode
) -> BuiltImage:
    """Build the image of the project. Errors: EngineFailure with COG316–COG318, COG501, COG62x, COG63x, COG64x."""
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
            found = explain(error, job.titles.lines, job.progress, config, problems, job.offers.agent_problems)
            raise EngineFailure(*found) from error
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
    offers: Offers = field(init=False)
    context: ContextDirectory = field(init=False)
    address: Address = field(init=False)
    images: list[PlatformImage] = field(default_factory=list)
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

    def run(self) -> BuiltImage:
        with ExitStack() as stack:
            self.offers.agents = {agent.id: _socket(agent, stack) for agent in self.request.agents}
            return self._run()

    def _run(self) -> BuiltImage:
        started = time.monotonic()
        self.address = find_address(self.request.builder)
        caches = Caches.of(self.request.cache_from, self.request.cache_to, self.reporter)
        connection = Connection(connect(self.address))
        try:
            self.worker = self._first_worker(connection)
            self._check_store()
            self.images = self._images()
            weights = self._weights(connection, caches.imports)
            answer = self._build(connection, self.request.name, self._image, caches)
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
            found=tuple(dict.fromkeys(diagnostic for image in self.images for diagnostic in image.found)),
        )

    def _first_worker(self, connection: Connection) -> dict[str, Any]:
        """What builds there. It is the first question: only now it is seen whether it is a daemon that answers."""
        try:
            return next(iter(workers(connection)), {})
        except Unreachable as error:
            raise Unreachable(f"{self.address}: {error}") from error

    def _check_store(self) -> None:
        """Error: EngineFailure with COG638."""
        request = self.request
        if not self._is_plain_docker:
            return
        found = refused_by_plain_store(
            outputs=request.outputs,
            cache_to=request.cache_to,
            attestations=request.attestations,
            platforms=1 + len(request.others),
            timestamp=request.timestamp,
        )
        if found:
            raise EngineFailure(*found)

    def _images(self) -> list[PlatformImage]:
        platform = Platform.parse(self.request.platform) if self.request.platform else self._daemon_platform
        wanted = [(platform, self.model.compilation)]
        wanted += [(Platform.parse(text), compilation) for text, compilation in self.request.others]
        return [
            PlatformImage(
                compilation=compilation,
                source=self.source,
                platform=platform,
                progress=self.progress,
                labels=self.request.labels,
                proxies=tuple((name.lower(), value) for name, value in self._build_args),
                prefers_local=self.address.is_docker,
                ignores_cache=not self.request.uses_cache,
            )
            for platform, compilation in wanted
        ]

    @property
    def _build_args(self) -> tuple[tuple[str, str], ...]:
        """Those of the request, and the proxies of docker's configuration that it does not set itself."""
        given = self.request.build_args
        own = {name.upper() for name, _ in given}
        return (*given, *(pair for pair in configured_proxies().items() if pair[0] not in own))

    @property
    def _daemon_platform(self) -> Platform:
        """What the daemon builds for when nobody says."""
        for platform in self.worker.get("platforms", ()):
            return Platform(platform.get("os", "linux"), platform.get("architecture", "amd64"))
        return Platform("linux", "amd64")

    # -- what is built -------------------------------------------------------------------------------

    def _image(self, bridge: Bridge) -> Result | FrontendResult:
        """The image: all its graphs are solved while the labels are found out."""
        if self.request.dockerfile is not None:
            return self._own_dockerfile(bridge, self.request.dockerfile)
        steps = [image.start(bridge) for image in self.images]
        self.titles.lines = steps[0]
        return Result(tuple(image.finish(bridge) for image in self.images))

    def _own_dockerfile(self, bridge: Bridge, text: str) -> FrontendResult:
        request = self.request
        epoch = [("SOURCE_DATE_EPOCH", str(request.timestamp))] if request.timestamp is not None else []
        return solve_dockerfile(
            bridge,
            text,
            self.model.root,
            [image.platform for image in self.images],
            labels=request.labels,
            build_args=(*self._build_args, *epoch),
            prefers_local=self.address.is_docker,
            uses_cache=request.uses_cache,
        )

    def _weights(self, connection: Connection, cache_from: Sequence[Cache]) -> WeightsState | None:
        """The weights image, where the model takes its weights from one; it is kept while they are the same."""
        resolved = self.images[0].resolved
        weights = weights_build(resolved)
        is_separate = any(stage.name == "weights" and not stage.steps for stage in resolved.stages)
        if weights is None or not is_separate:
            return None
        name = f"{self.request.name}-weights"
        manifest, known = self._manifest(resolved), read_manifest(self.model.root)
        is_same = self.request.uses_cache and not self.request.pushes and known.holds(manifest) and known.name == name
        if is_same and known.image and self._image_id(name) == known.image:
            self.reporter.notice("Weights unchanged, skip rebuilding and use cached image...")
            write_manifest(self.model.root, replace(manifest, name=name, image=known.image))
            return WeightsState(name, False)

        def frontend(bridge: Bridge) -> Result:
            parts = []
            for image in self.images:
                part, self.titles.lines = image.weights(bridge, weights)
                parts.append(part)
            return Result(tuple(parts))

        self._build(connection, name, frontend, Caches(imports=list(cache_from)), is_weights=True)
        write_manifest(self.model.root, replace(manifest, name=name, image=self._image_id(name)))
        return WeightsState(name, True)

    def _manifest(self, resolved: ResolvedBuild) -> Manifest:
        path = self.model.root / ".dockerignore"
        text = path.read_text("utf-8", "surrogateescape") if path.is_file() else ""
        known = read_manifest(self.model.root)
        return make_manifest(self.model.root, resolved.weight_layers, Dockerignore.parse(text)[0], known)

    def _image_id(self, name: str) -> str:
        """What the engine has under a name; nothing where it is not Docker's, or there is no program to ask it with."""
        if not self.address.is_docker or shutil.which("docker") is None:
            return ""
        words = ("docker", "image", "inspect", "--format", "{{.Id}}", name)
        self.reporter.program(words)
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    # -- one build -----------------------------------------------------------------------------------

    def _build(
        self,
        connection: Connection,
        name: str,
        frontend: Callable[[Bridge], Result | FrontendResult],
        caches: Caches,
        *,
        is_weights: bool = False,
    ) -> dict[str, str]:
        """One build; the image of the weights goes to where that of the model finds it."""
        request = self.request
        exports = Exports(name, request.timestamp)
        with ExitStack() as stack:
            for output, path in stack.enter_context(placed(() if is_weights else request.outputs)):
                exports.add_output(output, path, stack)
            archive = self._add_own(exports, stack, loads=request.loads or (is_weights and not request.pushes))
            self.offers.receivers = exports.receivers
            self.offers.stores = {**caches.stores, **exports.stores}
            attestations = () if is_weights else request.attestations
            export = Export(
                exporters=exports.exporters,
                cache_from=caches.imports,
                cache_to=caches.exports,
                frontend_attributes={f"attest:{kind}": value for kind, value in attestations},
            )
            try:
                opens = session_opener(self.address)
                answer = build(connection, self.offers, export, frontend, self._tell, opens)
            except BuildkitError:
                exports.raise_error()
                caches.raise_error()
                raise
            exports.finish(answer)
            caches.finish(answer)
            if archive is not None:
                archive.seek(0)
                self._docker("load", "--quiet", stdin=archive)
        if request.pushes and self._is_plain_docker:
            digest = push(DockerCli(self.reporter), name, shows=False)  # the engine's own id no registry knows
            answer["containerimage.digest"] = digest or answer.get("containerimage.digest", "")
        return answer

    def _add_own(self, exports: Exports, stack: ExitStack, *, loads: bool) -> BinaryIO | None:
        """The exporters into the engine and to the registry; an archive that is still to be loaded.

        Only of an archive can the times of files be rewritten, and a daemon that is not Docker's has no images.
        """
        request = self.request
        if self.address.is_docker and request.timestamp is None:
            if loads or request.pushes:
                exports.add("moby", {"push": "true"} if request.pushes and not self._is_plain_docker else {})
            return None
        if request.pushes and not self._is_plain_docker:
            exports.add("image", {"push": "true"})
        if not loads and not (request.pushes and self._is_plain_docker):
            return None
        archive = stack.enter_context(tempfile.TemporaryFile(prefix="cogc-image-"))  # noqa: SIM115 - the stack closes it
        exports.add_archive("docker" if len(self.images) == 1 else "oci", archive)
        return archive

    @property
    def _is_plain_docker(self) -> bool:
        """Whether it is a Docker engine without containerd's image store: the engine pushes, not its BuildKit."""
        return self.address.is_docker and _STORE_LABEL not in self.worker.get("labels", {})

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


def _reader(file: Path | None, variable: str | None) -> Callable[[], bytes]:
    if file is not None:
        return file.read_bytes
    return lambda: os.environb[os.fsencode(variable or "")]


def _socket(agent: SshAgent, stack: ExitStack) -> Path:
    """Where the agent is, or one that is made for its keys."""
    return agent.socket if agent.socket is not None else stack.enter_context(key_agent(agent.keys))


def _shared_key(root: Path) -> str:
    """The same for every build of a project by a user: the daemon keeps what it was sent under it."""
    return hashlib.sha256(f"{os.getuid()}\0{root}".encode("utf-8", "surrogateescape")).hexdigest()
