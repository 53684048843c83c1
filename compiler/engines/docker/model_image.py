"""A compiled project → an image of it in a container engine: staging, the weights image, the build, its labels."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ... import __version__
from ...backends.context import STAGING, excluded_weights
from ...backends.filters import DockerfileOptions
from ...backends.source_map import SourceMap, without_marks
from ...diagnostics import Diagnostic, Note, has_errors, report
from ...disk import ProjectFiles, cache_directory, describe, stage_files
from ...driver import Compilation, dockerfile_text, weights_build
from ...frontend.dockerignore import Dockerignore
from ...frontend.lower import SCHEMA_FILE
from ...ir.credentials import without_credentials
from ...ir.nodes import ResolvedBuild
from ...ir.outputs import FREEZE_FILE, freeze_build, schema_build
from ...record import record
from .. import EngineFailure
from ..outputs import STANDARD_OUTPUT, Output, placed
from .build import BuildFailed, BuildRequest, BuildResult, build
from .build_display import Mode, display_for
from .build_failures import explain_failure
from .build_progress import BuildProgress, Change
from .cli import DockerCli
from .frozen_packages import Frozen, frozen_inputs, read_frozen, write_frozen
from .objects import find_image
from .podman import DIALECT, build_with_podman, is_podman
from .project_lock import project_lock
from .push import push
from .step_titles import StepTitles
from .weights_manifest import make_manifest, read_manifest, write_manifest

__all__ = ["BuiltImage", "ImageRequest", "ModelSource", "WeightsState", "build_image"]

FREEZE_LABEL = "run.cog.pip_freeze"
SCHEMA_LABEL = "run.cog.openapi_schema"
# Linux takes no word of 128 KiB or more; what is longer is in the image as a file.
MOST_LABEL_BYTES = 120_000


@record
class ModelSource:
    """A project on disk and its compilation, which is free of errors. `config_file` is the name of its cog.yaml."""

    root: Path
    config_file: str
    compilation: Compilation


@record
class ImageRequest:
    """What image is wanted. `build` has what buildx is told besides; its context and Dockerfile are filled in here.

    `freezes`: whether labels are made of what is installed. `shows_cached`: whether steps from the cache are shown.
    `dockerfile` is the text of a Dockerfile of the user, which is built in place of ours.
    """

    name: str
    build: BuildRequest
    outputs: tuple[Output, ...] = ()
    freezes: bool = True
    shows_cached: bool = True
    dockerfile: str | None = None


@record(kw_only=False)
class WeightsState:
    """The separate weights image, and whether it had to be built."""

    name: str
    is_built: bool


@record
class BuiltImage:
    """What came out. `seconds` is the time of everything, `engine_seconds` that of the docker program."""

    name: str
    digest: str | None
    seconds: float
    engine_seconds: float
    progress: BuildProgress
    titles: StepTitles
    lines: SourceMap
    weights: WeightsState | None = None
    found: tuple[Diagnostic, ...] = ()


def build_image(docker: DockerCli, source: ModelSource, request: ImageRequest, mode: Mode) -> BuiltImage:
    """Build the image of the project. Errors: EngineFailure with COG308, COG309, COG501, COG62x, COG63x, COG64x."""
    progress, titles = BuildProgress(), StepTitles(shows_cached=request.shows_cached)
    display = display_for(mode, progress, titles, f"Building {request.name}")

    def tell() -> None:
        docker.reporter.notice("another build of this project is running; waiting for it")

    try:
        with project_lock(source.root, tell), display as shown:
            return _Job(docker, source, request, progress, titles, shown.show).run()
    except OSError as error:
        path = error.filename or source.root
        raise EngineFailure(report("COG501", f"{path} {describe(error).replace('accessed', 'written')}")) from error


@dataclass(slots=True)
class _Job:
    docker: DockerCli
    source: ModelSource
    request: ImageRequest
    progress: BuildProgress
    titles: StepTitles
    show: Callable[[Change], None]
    engine_seconds: float = 0.0
    found: list[Diagnostic] = field(default_factory=list)
    last: BuildRequest = field(init=False)

    def run(self) -> BuiltImage:
        started = time.monotonic()
        if not self._is_inline:
            stage_files(self.source.root, STAGING, self.source.compilation.staged)
        weights = self._weights()
        text, lines = self._dockerfile(self.resolved, inline=self._is_inline)
        request = self._request(text)
        if self.request.dockerfile is not None:
            request, lines = replace(request, dockerfile=self.request.dockerfile), SourceMap()
        with placed(self.request.outputs) as outputs:
            texts = tuple(self._output(output, path) for output, path in outputs)
            prints = any(output.place == STANDARD_OUTPUT for output, _ in outputs)
            result = self._labelled(replace(self._with_schema(request), outputs=texts, prints=prints), lines)
        if request.pushes and (request.timestamp is not None or self._is_podman):
            push(self.docker, self.request.name, shows=False)  # what was loaded, with its times
        elif request.pushes and request.loads and not self._holds(result):
            # Both at once is a race for the name; the second build takes everything from the cache.
            self._build(replace(self.last, pushes=False, outputs=(), prints=False), lines)
        return BuiltImage(
            name=self.request.name,
            digest=result.digest,
            seconds=time.monotonic() - started,
            engine_seconds=self.engine_seconds,
            progress=self.progress,
            titles=self.titles,
            lines=lines,
            weights=weights,
            found=tuple(self.found),
        )

    @property
    def resolved(self) -> ResolvedBuild:
        assert self.source.compilation.resolved is not None
        return self.source.compilation.resolved

    @property
    def _is_podman(self) -> bool:
        return is_podman(self.docker.program)

    @property
    def _is_inline(self) -> bool:
        return self.source.compilation.is_staging_hidden

    # -- the parts of a build ----------------------------------------------------------------------

    def _labelled(self, request: BuildRequest, lines: SourceMap) -> BuildResult:
        """The build with the label of the installed packages, which are known only when they are installed."""
        if not self.request.freezes or self.request.dockerfile is not None:
            return self._build(request, lines)
        text, freeze_lines = self._dockerfile(freeze_build(self.resolved), inline=self._is_inline)
        inputs = frozen_inputs(text, self.source.compilation.staged, request.build_args)
        is_plain = not (request.pushes or request.outputs) and request.timestamp is None
        if request.uses_cache and request.loads and is_plain:
            known = read_frozen(self.source.root)
            if known is not None and known.inputs == inputs:
                # Most builds follow an edit of the code. Whether the list still holds is seen by the layers.
                result = self._build(_with_freeze(request, known.packages), lines)
                if known.layers == self._package_layers(lines):
                    return result
        if not request.uses_cache:
            # Everything is made anew once; the list and the label then take it from the cache.
            nowhere = replace(request, pushes=False, loads=False, outputs=("type=cacheonly",), prints=False)
            self._build(replace(nowhere, cache_to=(), timestamp=None), lines)
            request = replace(request, uses_cache=True)
        packages = self._packages(request, text, freeze_lines)
        if packages is None:
            self.found.append(report("COG635", "the image has no pip, so the label with its packages is left out"))
            return self._build(request, lines)
        result = self._build(_with_freeze(request, packages), lines)
        layers = self._package_layers(lines) if request.loads else ()
        if layers:
            write_frozen(self.source.root, Frozen(inputs, layers, packages))
        return result

    def _package_layers(self, lines: SourceMap) -> tuple[str, ...]:
        """The layers up to that of the last command, or a few more: the copies at the end are left out."""
        image = find_image(self.docker, self.request.name)
        layers = (image.root_fs.layers or []) if image is not None else []
        names = [stage.name for stage in self.resolved.stages]
        of_model = names[names.index("model") :]
        copies = sum(item.stage in of_model and item.keyword == "COPY" for item in lines.instructions)
        return tuple(layers[: max(len(layers) - copies, 0)])

    def _packages(self, request: BuildRequest, text: str, lines: SourceMap) -> str | None:
        """What `pip freeze` prints in the image; None where it has no pip."""
        frozen = self._file(request, text, lines, FREEZE_FILE)
        if frozen is None or frozen.startswith("#"):
            return None
        return "\n".join(without_credentials(line) for line in frozen.splitlines() if line.strip())

    def _with_schema(self, request: BuildRequest) -> BuildRequest:
        """With the label of the schema, where only a build can tell it."""
        build = schema_build(self.resolved) if self.request.freezes and self.request.dockerfile is None else None
        if build is None or not request.uses_cache:
            return request
        text, lines = self._dockerfile(build, inline=self._is_inline)
        document = self._file(request, text, lines, SCHEMA_FILE)
        if document is None:
            self.found.append(self._not_imported())
            return request
        compact = json.dumps(json.loads(document), ensure_ascii=False, separators=(",", ":"))
        if len(compact.encode()) > MOST_LABEL_BYTES:
            return request
        return replace(request, labels=(*request.labels, (SCHEMA_LABEL, compact)))

    def _not_imported(self) -> Diagnostic:
        """COG636, with what the import printed; nothing where that came from the cache."""
        stages = [stage for stage in self.resolved.stages if stage.name == "schema"]
        causes = [cause for stage in stages for step in stage.steps for cause in step.because if cause.span]
        steps = self.progress.instructions.items()
        printed = [line for (stage, _), step in steps if stage == "schema" for line in step.output]
        notes = [Note(message="\n".join(["what it printed:", *printed[-12:]]))] if printed else []
        message = "the model cannot be imported while the image is built, so the image has no schema"
        hint = "the server makes it when it starts; say in the source what inputs and outputs are"
        return report("COG636", message, causes[0].span if causes else None, notes=notes, hint=hint)

    def _file(self, request: BuildRequest, text: str, lines: SourceMap, name: str) -> str | None:
        """The file that a build of ir/outputs.py gives; None when there is none."""
        with tempfile.TemporaryDirectory(prefix="cogc-output-") as place:
            output = replace(
                request,
                dockerfile=text,
                tags=(),
                labels=(),
                cache_to=(),
                sbom=None,
                provenance="false",
                outputs=(f"type=local,dest={place}",),
                prints=False,
                loads=False,
                pushes=False,
                timestamp=None,
            )
            self._build(output, lines)
            path = Path(place, name)
            return path.read_text("utf-8") if path.exists() else None

    def _weights(self) -> WeightsState | None:
        weights = weights_build(self.resolved)
        if weights is None or not self._is_separate:
            return None
        name = f"{self.request.name}-weights"
        ignored, _ = Dockerignore.parse(self._ignore())
        known = read_manifest(self.source.root)
        manifest = make_manifest(self.source.root, self.resolved.weight_layers, ignored, known)
        is_same = self.request.build.uses_cache and known.holds(manifest) and known.name == name
        if is_same and self._has(name, known.image):
            self.docker.reporter.notice("Weights unchanged, skip rebuilding and use cached image...")
            write_manifest(self.source.root, replace(manifest, name=name, image=known.image))
            return WeightsState(name, False)
        text, lines = self._dockerfile(weights, inline=False, with_staged=False)
        request = replace(
            self._request(text),
            ignore=None,
            tags=(name,),
            labels=(),
            secrets=(),
            agents=(),
            build_args=(),
            loads=True,
            cache_to=(),
            sbom=None,
        )
        self._build(request, lines)
        write_manifest(self.source.root, replace(manifest, name=name, image=self._id(name)))
        return WeightsState(name, True)

    @property
    def _is_separate(self) -> bool:
        """Whether the model's Dockerfile takes its weights from an image of their own."""
        return any(stage.name == "weights" and not stage.steps for stage in self.resolved.stages)

    def _has(self, name: str, image: str) -> bool:
        return bool(image) and self._id(name) == image

    def _holds(self, result: BuildResult) -> bool:
        """Whether the engine has the image that was pushed."""
        image = find_image(self.docker, self.request.name)
        known = [digest.partition("@")[2] for digest in image.repo_digests or ()] if image is not None else []
        return result.digest in known

    def _id(self, name: str) -> str:
        image = find_image(self.docker, name)
        return image.id if image is not None else ""

    # -- one build -----------------------------------------------------------------------------------

    def _build(self, request: BuildRequest, lines: SourceMap) -> BuildResult:
        self.titles.lines = lines
        build_with = build_with_podman if self._is_podman else build
        try:
            result = build_with(self.docker, request, self.progress, self.show)
        except BuildFailed as failure:
            raise EngineFailure(explain_failure(failure, lines, self.source.compilation.config)) from failure
        self.engine_seconds += result.seconds
        self.last = request
        return result

    def _request(self, text: str) -> BuildRequest:
        tags = (self.request.name, *(tag for tag in self.request.build.tags if tag != self.request.name))
        ignore = self._ignore_with_weights() if self._is_separate else None
        return replace(self.request.build, context=self.source.root, dockerfile=text, tags=tags, ignore=ignore)

    def _output(self, output: Output, path: Path | None) -> str:
        """An output in the notation of buildx. Where times are rewritten the image has no tag but here."""
        fields = {"type": output.kind, **output.attributes}
        is_image = output.kind in ("image", "oci", "docker")
        if is_image and self.request.build.timestamp is not None:
            fields = {"name": self.request.name, "rewrite-timestamp": "true", **fields}
        place = path or output.place
        fields |= {"dest": str(place)} if place is not None else {}
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow([f"{name}={value}" for name, value in fields.items()])
        return text.getvalue()

    def _dockerfile(self, resolved: ResolvedBuild, *, inline: bool, with_staged: bool = True) -> tuple[str, SourceMap]:
        options = DockerfileOptions(
            version=__version__,
            config_file=self.source.config_file,
            inline=inline,
            marks=True,
            bytecode_directory=cache_directory(),
        )
        options = replace(options, frontend=DIALECT) if self._is_podman else options
        files = ProjectFiles(self.source.root)
        text, found = dockerfile_text(self.source.compilation, files, options, resolved, with_staged=with_staged)
        if text is None or has_errors(found):
            raise EngineFailure(*found)
        return without_marks(text, resolved)

    def _ignore(self) -> str:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self.source.root / ".dockerignore").read_text("utf-8")
        return ""

    def _ignore_with_weights(self) -> str:
        """The user's .dockerignore, and the weights, which the model's image takes from their own."""
        return "\n".join([self._ignore().rstrip("\n"), *excluded_weights(self.resolved)]) + "\n"


def _with_freeze(request: BuildRequest, packages: str) -> BuildRequest:
    return replace(request, labels=(*request.labels, (FREEZE_LABEL, packages)))
