"""The image of a project for one platform: its graph, and the labels that only a build can tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...backends.llb.image import image_document, read_image
from ...backends.llb.lower import LlbOptions
from ...backends.llb.ops import Platform
from ...backends.source_map import SourceMap
from ...diagnostics import Diagnostic, Note, has_errors, report
from ...driver import Compilation, LlbBuild, Source, llb_build
from ...frontend.lower import SCHEMA_FILE
from ...ir.credentials import without_credentials
from ...ir.nodes import ImageBase, ResolvedBuild
from ...ir.outputs import FREEZE_FILE, freeze_build, schema_build
from .. import EngineFailure
from ..docker.build_progress import BuildProgress
from ..docker.model_image import FREEZE_LABEL, MOST_LABEL_BYTES, SCHEMA_LABEL
from .client import Bridge, Solved
from .errors import CallFailed
from .grpc import Call

__all__ = ["Part", "PlatformImage"]

Part = tuple[Platform, Solved, Mapping[str, Any]]
"""A platform, its graph, and the document of its configuration."""


@dataclass(slots=True)
class PlatformImage:
    """One platform of an image. `labels` are those of the user; `found` is what its build has to be said about.

    `proxies` are (variable in small letters, value). `prefers_local`: images of the daemon's own store come first.
    """

    compilation: Compilation
    source: Source
    platform: Platform
    progress: BuildProgress
    labels: Sequence[tuple[str, str]] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    prefers_local: bool = False
    ignores_cache: bool = False
    found: list[Diagnostic] = field(default_factory=list)
    _options: LlbOptions = field(init=False)
    _whole: LlbBuild = field(init=False)
    _solving: Call = field(init=False)

    @property
    def resolved(self) -> ResolvedBuild:
        """The build."""
        assert self.compilation.resolved is not None
        return self.compilation.resolved

    def start(self, bridge: Bridge) -> SourceMap:
        """Begin to solve the graph, and say which steps it has. Errors: EngineFailure, CallFailed, ConnectionLost."""
        capabilities = bridge.capabilities()
        mode = "local" if self.prefers_local else "default"
        images = []
        for reference, wanted in _base_images(self.resolved):
            platform = Platform.parse(wanted) if wanted else self.platform
            images.append((reference, read_image(bridge.image_config(reference, platform, mode)[1])))
        self._options = LlbOptions(
            platform=str(self.platform),
            images=tuple(images),
            merges=capabilities.get("mergeop", False),
            prefers_local=self.prefers_local,
            ignores_cache=self.ignores_cache,
            proxies=self.proxies,
            build_id=bridge.build_id,
        )
        self._whole = self._graph(self.resolved, self._options)
        self._solving = bridge.start_solve(self._whole.definition)
        return self._whole.lowered.steps

    def finish(self, bridge: Bridge) -> Part:
        """Find out the labels meanwhile, and wait for the end. Errors: those of `start`."""
        labels = [*self._schema_label(bridge), *self._packages_label(bridge)]
        image = self._whole.lowered.image.with_labels((*labels, *self.labels))
        return self.platform, bridge.solved(self._solving), image_document(image, self.platform)

    def weights(self, bridge: Bridge, build: ResolvedBuild) -> tuple[Part, SourceMap]:
        """The image with the weights alone, and its steps. Errors: those of `start`."""
        options = LlbOptions(platform=str(self.platform), ignores_cache=self.ignores_cache, build_id=bridge.build_id)
        graph = self._graph(build, options)
        document = image_document(graph.lowered.image, self.platform)
        return (self.platform, bridge.solve(graph.definition), document), graph.lowered.steps

    def _graph(self, resolved: ResolvedBuild, options: LlbOptions) -> LlbBuild:
        built, found = llb_build(self.compilation, self.source, options, resolved)
        if built is None or has_errors(found):
            raise EngineFailure(*found)
        return built

    # -- labels --------------------------------------------------------------------------------------

    def _packages_label(self, bridge: Bridge) -> list[tuple[str, str]]:
        frozen = self._file(bridge, freeze_build(self.resolved), FREEZE_FILE)
        if frozen is None or frozen.startswith("#"):
            self.found.append(report("COG635", "the image has no pip, so the label with its packages is left out"))
            return []
        return [(FREEZE_LABEL, "\n".join(without_credentials(line) for line in frozen.splitlines() if line.strip()))]

    def _schema_label(self, bridge: Bridge) -> list[tuple[str, str]]:
        wanted = schema_build(self.resolved)
        document = self._file(bridge, wanted, SCHEMA_FILE) if wanted is not None else None
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

    def _file(self, bridge: Bridge, wanted: ResolvedBuild, name: str) -> str | None:
        """The file that a build of ir/outputs.py gives; None when there is none."""
        graph = self._graph(wanted, self._options)
        definition = graph.definition.named_like(self._whole.definition, "[internal] what the labels say")
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
