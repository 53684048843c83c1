"""cogc as a frontend of BuildKit: a project that is read through the daemon → its image, returned to the daemon.

The options of the build are in the environment. No network is needed.

Source: https://github.com/moby/buildkit/blob/master/docs/reference/llb.md and frontend/gateway
"""

from __future__ import annotations

import json
import posixpath
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...backends.llb.definition import marshal
from ...backends.llb.image import image_document, read_image
from ...backends.llb.lower import CONTEXT, LlbOptions
from ...backends.llb.ops import LocalSource, Note, Output, Platform
from ...diagnostics import Diagnostic, Severity, has_errors, report
from ...driver import Compilation, Source, bundled_matrix, compile_project, llb_build
from ...frontend.dockerignore import Dockerignore
from ...frontend.files import FileProblem
from ...frontend.lower import BuildOptions
from ...ir.nodes import ImageBase, ResolvedBuild
from ...render import render
from ...source import Span
from .bridge_files import BridgeFiles
from .caches import Cache
from .client import Bridge, Result, Solved, source_detail
from .docker_config import PROXIES
from .errors import BuildkitError, CallFailed
from .grpc import Connection

__all__ = ["serve", "solve_project"]

# What buildx sees to, or the daemon.
_OTHER_ARGUMENTS = ("buildkit_syntax", "source_date_epoch", "buildkit_inline_cache")
# What a step would run without, and not a word about it.
_REFUSED = {
    "add-hosts": "--add-host",
    "cgroup-parent": "--cgroup-parent",
    "force-network-mode": "--network",
    "shm-size": "--shm-size",
    "ulimit": "--ulimit",
}
_PLATFORMS = ("linux/amd64", "linux/arm64")


class Refused(Exception):
    """The build ends here. `diagnostics` say why; `files` are the texts that they point into."""

    def __init__(self, diagnostics: Sequence[Diagnostic], files: Mapping[str, str]) -> None:
        super().__init__(render([d for d in diagnostics if d.severity is Severity.ERROR], files, "text").strip())
        self.diagnostics = tuple(diagnostics)
        self.files = files


def serve(connection: Connection, environment: Mapping[str, str]) -> int:
    """Serve the one build of a connection, and give the exit code."""
    options: dict[str, str] = {}
    for name, value in environment.items():
        if name.startswith("BUILDKIT_FRONTEND_OPT_"):
            key, _, text = value.partition("=")
            options[key] = text
    bridge = Bridge(connection, None, _cache_imports(options))
    try:
        bridge.finish(solve_project(bridge, options, _worker_platform(environment)))
    except Refused as refused:
        bridge.give_up(str(refused), _place_of_error(refused))
        return 1
    except BuildkitError as error:
        bridge.give_up(str(error), error.details if isinstance(error, CallFailed) else ())
        return 1
    return 0


def solve_project(bridge: Bridge, options: Mapping[str, str], platform: str) -> Result:
    """The image of the project that a build's options name. Errors: Refused, BuildkitError."""
    name = posixpath.basename(options.get("filename", "cog.yaml"))
    _check_options(options)
    own = _read_local(bridge, "dockerfile", (name, f"{name}.dockerignore"), name)
    config = own.read(name) if own.kind(name) == "file" else None
    if config is None:
        raise Refused([report("COG100", f"{name} not found in the build context")], {})
    ignored = _ignored(bridge, own, name)
    context = _context(bridge, ignored.lines)
    solved = bridge.solve(marshal(context, Platform.parse(platform)))
    lines = "\n".join(ignored.lines).encode("utf-8", "surrogateescape")
    files = BridgeFiles(bridge, solved, {".dockerignore": lines})  # which holds although it may be left out
    _check_place(files, ignored, name, config)
    wanted = options.get("platform", "").split(",") if options.get("platform") else [platform]
    parts = []
    for text in wanted:
        source = Source(config=config, name=name, directory="project", files=files)
        parts.append(_part(bridge, source, options, text))
    return Result(tuple(parts))


def _part(
    bridge: Bridge, source: Source, options: Mapping[str, str], platform: str
) -> tuple[Platform, Solved, Mapping[str, object]]:
    texts = {source.name: source.config.decode("utf-8", "replace")}
    chosen = BuildOptions(platform=platform if options.get("platform") else None)
    compilation = compile_project(source, chosen, bundled_matrix())
    _stop_on_errors(compilation.diagnostics, texts, source)
    resolved = _target(compilation, options.get("target", ""))
    wanted = Platform.parse(platform)
    mode = options.get("image-resolve-mode", "default")
    images = []
    for stage in resolved.stages:
        if isinstance(stage.base, ImageBase):
            of = Platform.parse(stage.base.platform) if stage.base.platform else wanted
            images.append((stage.base.reference, read_image(bridge.image_config(stage.base.reference, of, mode)[1])))
    lowering = LlbOptions(
        platform=platform,
        images=tuple(images),
        merges=bridge.capabilities().get("mergeop", False),
        prefers_local=mode == "local",
        ignores_cache="no-cache" in options,
        splits_context=False,
        proxies=_proxies(options),
        build_id=bridge.build_id,
    )
    built, found = llb_build(compilation, source, lowering, resolved)
    _stop_on_errors(found, texts, source)
    assert built is not None
    _warn(bridge, compilation, built.definition.ops[0].digest)
    solved = bridge.solve(built.definition, evaluates=True)
    labels = tuple((key.removeprefix("label:"), value) for key, value in options.items() if key.startswith("label:"))
    return wanted, solved, image_document(built.lowered.image.with_labels(labels), wanted)


def _check_options(options: Mapping[str, str]) -> None:
    """Errors: Refused with COG503 for what a build cannot be told here."""
    found = [
        report("COG503", f"--platform {text}: the platforms are {' and '.join(_PLATFORMS)}")
        for text in filter(None, options.get("platform", "").split(","))
        if text not in _PLATFORMS
    ]
    if "requestid" in options:
        found.append(report("COG503", "--call and --check are for Dockerfiles; `cogc check` is for cog.yaml"))
    if "context" in options:
        hint = "check out the repository, or unpack the archive, and build the folder"
        found.append(report("COG503", "the build context is not a folder of the client", hint=hint))
    found += [
        report("COG503", f"{flag} {options[key]}: cogc cannot give that to the steps of a build")
        for key, flag in _REFUSED.items()
        if options.get(key, "") not in ("", "default", "sandbox")
    ]
    for key in options:
        name = key.removeprefix("build-arg:")
        if name != key and name.lower() not in (*PROXIES, *_OTHER_ARGUMENTS):
            found.append(report("COG503", f"--build-arg {name}: a cog.yaml has no arguments"))
    if found:
        raise Refused(found, {})


def _check_place(files: BridgeFiles, ignored: Dockerignore, name: str, config: bytes) -> None:
    """Error: Refused with COG100 where the configuration is not at the top of the context, which holds the project."""
    there = files.read(name) if files.kind(name) == "file" else None
    if there == config or (there is None and ignored.excludes(name)):
        return
    hint = f"build the folder that it is in: docker build -f FOLDER/{name} FOLDER"
    raise Refused([report("COG100", f"{name} is not the one at the top of the build context", hint=hint)], {})


def _proxies(options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What commands are told of proxies, as (variable in small letters, value)."""
    given = {
        key.removeprefix("build-arg:").lower(): value for key, value in options.items() if key.startswith("build-arg:")
    }
    return tuple((name, given[name]) for name in PROXIES if name in given)


def _cache_imports(options: Mapping[str, str]) -> list[Cache]:
    """The caches of --cache-from, which the daemon reads when a frontend tells it to."""
    listed = json.loads(options.get("cache-imports") or "[]")
    return [(entry.get("Type", ""), entry.get("Attrs") or {}) for entry in listed]


def _target(compilation: Compilation, name: str) -> ResolvedBuild:
    """The build up to the stage that is asked for. Error: Refused with COG503."""
    resolved = compilation.resolved
    assert resolved is not None
    names = [stage.name for stage in resolved.stages]
    if not name:
        return resolved
    if name not in names:
        raise Refused([report("COG503", f"--target {name}: the stages are {', '.join(names)}")], {})
    return replace(resolved, stages=resolved.stages[: names.index(name) + 1])


def _stop_on_errors(found: Sequence[Diagnostic], texts: Mapping[str, str], source: Source) -> None:
    if has_errors(found):
        more = dict(texts)
        for name in {diagnostic.span.file for diagnostic in found if diagnostic.span} - more.keys():
            try:
                more[name] = source.files.read(name).decode("utf-8", "replace")
            except FileProblem:
                continue
        raise Refused(found, more)


def _warn(bridge: Bridge, compilation: Compilation, digest: str) -> None:
    for diagnostic in compilation.diagnostics:
        if diagnostic.severity is Severity.WARNING:
            where = f" ({diagnostic.span.file}:{diagnostic.span.line})" if diagnostic.span else ""
            bridge.warn(digest, f"{diagnostic.code}: {diagnostic.message}{where}", diagnostic.hint)


# -- what comes from the client ------------------------------------------------------------------------


def _context(bridge: Bridge, ignored: Sequence[str]) -> Output:
    """The same selection as in the graph of the image, so that it is sent once."""
    note = Note("[internal] load build context")
    source = LocalSource(name=CONTEXT, part=CONTEXT, excludes=tuple(ignored), build_id=bridge.build_id, note=note)
    return Output(source)


def _read_local(bridge: Bridge, local: str, names: Sequence[str], what: str) -> BridgeFiles:
    note = Note(f"[internal] load {what}")
    source = LocalSource(name=local, part=what, follows=tuple(names), build_id=bridge.build_id, note=note)
    return BridgeFiles(bridge, bridge.solve(marshal(Output(source), Platform("linux", "amd64"))))


def _ignored(bridge: Bridge, own: BridgeFiles, name: str) -> Dockerignore:
    """The patterns of NAME.dockerignore beside the configuration, else of .dockerignore."""
    special = f"{name}.dockerignore"
    if own.kind(special) == "file":
        return Dockerignore.parse(own.read(special).decode("utf-8", "surrogateescape"))[0]
    found = _read_local(bridge, CONTEXT, (".dockerignore",), ".dockerignore")
    if found.kind(".dockerignore") != "file":
        return Dockerignore()
    return Dockerignore.parse(found.read(".dockerignore").decode("utf-8", "surrogateescape"))[0]


def _worker_platform(environment: Mapping[str, str]) -> str:
    """What the daemon builds for when nobody says."""
    try:
        for worker in json.loads(environment.get("BUILDKIT_WORKERS", "[]")):
            for platform in worker.get("platforms") or ():
                return f"{platform['os']}/{platform['architecture']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return "linux/amd64"


def _place_of_error(refused: Refused) -> list[dict[str, object]]:
    """Where the first error stands, for clients that show the lines around it."""
    spans: list[Span] = [d.span for d in refused.diagnostics if d.severity is Severity.ERROR and d.span is not None]
    if not spans or spans[0].file not in refused.files:
        return []
    span = spans[0]
    info = {"filename": span.file, "data": b64encode(refused.files[span.file].encode()).decode()}
    ranges = [{"start": {"line": span.line}, "end": {"line": span.end_line}}]
    return [source_detail({"info": info, "ranges": ranges})]
