"""What `build` and `push` share: their options, the compilation, the build itself, and what is said afterwards."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic, has_errors, report
from ..disk import describe
from ..engines.outputs import STANDARD_OUTPUT
from ..ir.ssh import KNOWN_HOSTS, fetches_over_ssh
from ..record import record
from ._buildkit import buildkit_request
from ._outputs import Destinations, destinations
from ._project import (
    Project,
    Refused,
    add_build_arguments,
    add_project_arguments,
    build_options,
    fail,
    load_project,
    show,
    source_of,
)
from ._reporter import StandardErrorReporter
from ._revision import revision_labels
from ._secrets import Secret, check_secrets, parse_secret
from ._sizes import size_text
from ._ssh import Mounted, check_agents, known_hosts, parse_agents

if TYPE_CHECKING:
    from ..driver import Compilation, Source
    from ..engines.docker.cli import DockerCli
    from ..engines.docker.image_layers import Layer
    from ..engines.docker.model_image import BuiltImage, ImageRequest
    from ..ir.nodes import ResolvedBuild

__all__ = ["Built", "Refused", "add_image_arguments", "build_project", "document_of", "tell"]

_LAST_SECOND = 253_402_300_799  # of the year 9999: images have no later one
PROGRESS = ("auto", "tty", "plain", "quiet")


@record
class Built:
    """A project whose image is there."""

    project: Project
    image: BuiltImage
    layers: tuple[Layer, ...]
    found: tuple[Diagnostic, ...]
    docker: DockerCli
    destinations: Destinations


def add_image_arguments(parser: argparse.ArgumentParser, *, positional: bool = True) -> None:
    """The options of a build with an engine; without `positional` the project is named by --file alone."""
    if positional:
        add_project_arguments(parser)
    else:
        parser.set_defaults(path=None)
        parser.add_argument(
            "-f", "--file", default="cog.yaml", metavar="NAME", help="name of the configuration to search for"
        )
    group = parser.add_argument_group("the build")
    group.add_argument("--progress", choices=PROGRESS, default="auto", help="how the build is shown (default: auto)")
    group.add_argument("--no-cache", action="store_true", help="make every step anew")
    group.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="id=NAME,src=FILE",
        help="a secret for commands that mount it, from a file, or with env=VARIABLE from a variable; repeat",
    )
    group.add_argument(
        "--ssh",
        action="append",
        default=[],
        metavar="default|ID=SOCKET|ID=KEY",
        help="an ssh agent for steps that use one: that of SSH_AUTH_SOCK, the one at a socket, or private keys; repeat",
    )
    group.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME=VALUE", help="a build argument; repeat"
    )
    group.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help="a label of the image; repeat"
    )
    group.add_argument(
        "--engine",
        choices=("docker", "buildkit"),
        default="docker",
        help="what builds: docker's program, or cogc itself with a BuildKit daemon, without a Dockerfile",
    )
    group.add_argument("--builder", metavar="NAME", help="the buildx builder to use (default: the current one)")
    group.add_argument("--cache-from", action="append", default=[], metavar="CACHE", help="a cache to read; repeat")
    group.add_argument("--cache-to", action="append", default=[], metavar="CACHE", help="a cache to write; repeat")
    group.add_argument(
        "--sbom", nargs="?", const="true", metavar="true|false", help="add a list of what is in the image"
    )
    group.add_argument(
        "--provenance", nargs="?", const="true", metavar="true|false", help="add a record of how the image was built"
    )
    group.add_argument("--load", action="store_true", help="put the image into the engine, also with --push")
    group.add_argument("--legacy-labels", action="store_true", help="add the labels of Cog before 0.6 (org.cogmodel.*)")
    group.add_argument(
        "--timestamp", type=int, default=-1, metavar="SECONDS", help="give files and image this time, since 1970"
    )
    group.add_argument("--dockerfile", metavar="PATH", help="build this Dockerfile, and add the labels only")
    group.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: the result and all diagnostics as one document",
    )
    add_build_arguments(parser)


def build_project(arguments: argparse.Namespace, name: str | None, *, needs_name: bool = False) -> Built:
    """Compile and build; `name` is that of the image where the command line has one. Raises Refused.

    With `needs_name` a name made from the folder's will not do: it would be pushed somewhere by accident.
    """
    from ..engines import EngineFailure
    from ..engines.docker.build_display import progress_mode
    from ..engines.docker.cli import DockerCli
    from ..engines.docker.image_layers import image_layers
    from ..engines.docker.model_image import ModelSource, build_image

    arguments.image_name = name or arguments.image_name
    goes_to, problems = destinations(arguments)
    if problems:
        raise Refused(fail(problems, None, arguments.format))
    _check_values(arguments)
    further = _further_platforms(arguments)
    project, origin, compilation, found = _compiled(arguments)
    config = compilation.config
    if needs_name and not arguments.image_name and config is not None and config.image is None:
        if config.model is None:
            hint = "set `image` in cog.yaml, or name it: cogc push registry.example.com/user/model"
            nowhere = report("COG645", "there is no name to push to", hint=hint)
            raise Refused(fail((*found, nowhere), project, arguments.format))
        arguments.image_name = config.model.value
        project, origin, compilation, found = _compiled(arguments)
    assert compilation.resolved is not None
    mode = progress_mode(arguments.progress)
    reporter = StandardErrorReporter(debug=arguments.debug)
    reporter.project = project
    docker = DockerCli(reporter)
    mounted, problems = _mounted(arguments, project, compilation)
    found += problems
    text, problems = _own_dockerfile(arguments)
    found += problems
    if has_errors(found):
        raise Refused(fail(found, project, arguments.format))
    if arguments.format == "text":
        show(found, project)
    image = compilation.resolved.summary.image
    request = _request(arguments, project, compilation, mounted, text, goes_to)
    direct, problems = (None, ())
    if arguments.engine == "buildkit":
        direct, problems = buildkit_request(arguments, image, request.build.labels, mounted, goes_to, text)
        if direct is not None and further:
            direct = replace(direct, others=_compiled_for(arguments, further))
    if has_errors(problems):
        raise Refused(fail((*found, *problems), project, arguments.format))
    found += problems
    if arguments.format == "text":
        show(problems, project)
    if mode != "quiet":
        reporter.notice(f"Building Docker image from environment in {project.name} as {image}...")
    source = ModelSource(root=project.root, config_file=project.name, compilation=compilation)
    try:
        if direct is not None:
            from ..engines.buildkit.model_image import build_with_buildkit

            built = build_with_buildkit(reporter, source, origin, direct, mode)
        else:
            built = build_image(docker, source, request, mode)
        has_docker = direct is None or shutil.which(docker.program) is not None
        is_told = mode != "quiet" or arguments.format == "json"
        layers: tuple[Layer, ...] = ()
        if has_docker and is_told and goes_to.is_in_engine:
            layers = image_layers(docker, built.name, compilation.resolved, built.lines, built.progress)
    except EngineFailure as failure:
        before = found if arguments.format == "json" else ()
        raise Refused(fail([*before, *failure.diagnostics], project, arguments.format)) from failure
    if arguments.format == "text":
        show(built.found, project)
    return Built(
        project=project, image=built, layers=layers, found=(*found, *built.found), docker=docker, destinations=goes_to
    )


def _check_values(arguments: argparse.Namespace) -> None:
    """Raises Refused with COG503 for values of options that no engine can use."""
    found = [
        report("COG503", f"--{option} {text}: it has no name", hint="write NAME=VALUE")
        for option, texts in (("label", arguments.label), ("build-arg", arguments.build_arg))
        for text in texts
        if not text.partition("=")[0].strip()
    ]
    if arguments.timestamp > _LAST_SECOND:
        found.append(report("COG503", f"--timestamp {arguments.timestamp}: the last second is {_LAST_SECOND}"))
    if found:
        raise Refused(fail(found, None, arguments.format))


def _further_platforms(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The platforms after the first, which `arguments` keeps. Raises Refused with COG503."""
    if arguments.platform is None:
        return ()
    first, *others = dict.fromkeys(arguments.platform.split(","))
    if others and arguments.engine != "buildkit":
        message = f"--platform {arguments.platform}: one Dockerfile is for one platform"
        problem = report("COG503", message, hint="--engine buildkit makes one image for several")
        raise Refused(fail([problem], None, arguments.format))
    arguments.platform = first
    return tuple(others)


def _compiled_for(arguments: argparse.Namespace, platforms: tuple[str, ...]) -> tuple[tuple[str, Compilation], ...]:
    """The project compiled for each platform. Raises Refused."""
    found = []
    for platform in platforms:
        _, _, compilation, _ = _compiled(argparse.Namespace(**{**vars(arguments), "platform": platform}))
        found.append((platform, compilation))
    return tuple(found)


def _compiled(arguments: argparse.Namespace) -> tuple[Project, Source, Compilation, tuple[Diagnostic, ...]]:
    from ..driver import compile_project, matrix_of

    options, found = build_options(arguments)
    if arguments.dockerfile is not None and (arguments.base_image or arguments.use_cuda_base_image != "auto"):
        other = "--base-image" if arguments.base_image else "--use-cuda-base-image"
        message = f"The flags --dockerfile and {other} are mutually exclusive: you can only set one of them."
        found += (report("COG503", message),)
    if options is None or has_errors(found):
        fail(found, None, arguments.format)
        raise Refused(2)
    project, problems = load_project(arguments)
    if project is None:
        raise Refused(fail(problems, None, arguments.format))
    source, problems = source_of(project, arguments.openapi_schema, is_locked=arguments.locked)
    found += problems
    if source is None:
        raise Refused(fail(found, project, arguments.format))
    compilation = compile_project(source, options, matrix_of(source))
    found += compilation.diagnostics
    config = compilation.config
    if config is not None and config.predict is None and config.train is None:
        hint = 'add `predict: "predict.py:Predictor"`; `cogc run COMMAND` works without'
        found = tuple(finding for finding in found if finding.code != "COG149")  # the remark on the same
        found += (report("COG634", "neither `predict` nor `train` is set: the image would serve nothing", hint=hint),)
    if has_errors(found) or compilation.resolved is None:
        raise Refused(fail(found, project, arguments.format))
    return project, source, compilation, found


def _mounted(
    arguments: argparse.Namespace, project: Project, compilation: Compilation
) -> tuple[Mounted, tuple[Diagnostic, ...]]:
    secrets, found = _secrets(arguments, project, compilation)
    agents, problems = parse_agents(arguments.ssh, project.root)
    is_own = arguments.dockerfile is not None
    found += (*problems, *check_agents(agents, None if is_own else compilation.resolved))
    assert compilation.config is not None
    if compilation.config.build.dockerfile_template is not None:  # which may mount what cog.yaml does not name
        found = tuple(problem for problem in found if problem.code != "COG633")
    return Mounted(secrets=secrets, agents=agents), found


def _secrets(
    arguments: argparse.Namespace, project: Project, compilation: Compilation
) -> tuple[tuple[Secret, ...], tuple[Diagnostic, ...]]:
    secrets: list[Secret] = []
    found: tuple[Diagnostic, ...] = ()
    for text in arguments.secret:
        secret, problems = parse_secret(text, project.root)
        found += problems
        secrets += [secret] if secret is not None else []
    assert compilation.config is not None
    if found or arguments.dockerfile is not None:
        return tuple(secrets), found
    assert compilation.resolved is not None
    hosts, problems = known_hosts(secrets, compilation.resolved)
    secrets += [hosts] if hosts is not None else []
    further = frozenset([KNOWN_HOSTS] if fetches_over_ssh(compilation.resolved) else [])
    problems += tuple(check_secrets(secrets, compilation.config, further))
    return tuple(secrets), problems


def _own_dockerfile(arguments: argparse.Namespace) -> tuple[str | None, tuple[Diagnostic, ...]]:
    if arguments.dockerfile is None:
        return None, ()
    try:
        return Path(arguments.dockerfile).read_text("utf-8"), ()
    except OSError as error:
        return None, (report("COG500", f"{arguments.dockerfile} {describe(error)}"),)
    except UnicodeDecodeError:
        return None, (report("COG500", f"{arguments.dockerfile} is not UTF-8 text"),)


def _request(
    arguments: argparse.Namespace,
    project: Project,
    compilation: Compilation,
    mounted: Mounted,
    dockerfile: str | None,
    goes_to: Destinations,
) -> ImageRequest:
    from ..engines.docker.build import BuildRequest
    from ..engines.docker.model_image import ImageRequest

    resolved = compilation.resolved
    assert resolved is not None
    labels = [*revision_labels(project.root), *(_pair(label) for label in arguments.label)]
    if dockerfile is not None or arguments.legacy_labels:
        labels = [*_image_labels(resolved, is_legacy=arguments.legacy_labels, is_own=dockerfile is not None), *labels]
    build = BuildRequest(
        context=project.root,
        dockerfile="",
        labels=tuple(labels),
        build_args=tuple(arguments.build_arg),
        secrets=tuple(secret.words for secret in mounted.secrets),
        agents=tuple(agent.words for agent in mounted.agents),
        platform=arguments.platform,
        builder=arguments.builder,
        cache_from=tuple(arguments.cache_from),
        cache_to=tuple(arguments.cache_to),
        uses_cache=not arguments.no_cache,
        sbom=arguments.sbom,
        provenance=arguments.provenance,
        loads=goes_to.loads,
        pushes=goes_to.pushes,
        timestamp=arguments.timestamp if arguments.timestamp >= 0 else None,
    )
    return ImageRequest(name=resolved.summary.image, build=build, outputs=goes_to.outputs, dockerfile=dockerfile)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _image_labels(resolved: ResolvedBuild, *, is_legacy: bool, is_own: bool) -> list[tuple[str, str]]:
    """The labels of our Dockerfile for one that is not ours, and those of old versions of Cog."""
    from ..ir.nodes import Label

    labels = {
        name: value for step in resolved.stages[-1].steps if isinstance(step, Label) for name, value in step.labels
    }
    found = list(labels.items()) if is_own else []
    if is_legacy:
        old = {"version": "cog_version", "config": "config", "openapi_schema": "openapi_schema"}
        found += [
            (f"org.cogmodel.{was}", labels[f"run.cog.{name}"])
            for name, was in old.items()
            if f"run.cog.{name}" in labels
        ]
        found.append(
            ("org.cogmodel.deprecated", "These labels are deprecated: those that start with run.cog are newer.")
        )
    return found


# -- what is said afterwards -------------------------------------------------------------------------


def tell(built: Built) -> None:
    """The image's name, its layers with sizes, what came from the cache, and the time; on standard error."""
    image = built.image
    print(f"\nImage built as {image.name}", file=sys.stderr)
    if image.weights is not None:
        print(
            f"Weights image {'built as' if image.weights.is_built else 'unchanged:'} {image.weights.name}",
            file=sys.stderr,
        )
    for output in built.destinations.outputs:
        if output.place not in (None, STANDARD_OUTPUT):
            print(f"Written to {output.place}", file=sys.stderr)
    rows = [(size_text(layer.size_bytes), layer.title, _time_of(layer)) for layer in built.layers]
    width = min(max((len(title) for _, title, _ in rows), default=0), 60)
    for size, title, time in rows:
        shown = title if len(title) <= width else title[: width - 1] + "…"
        print(f"  {size:>9}  {shown:<{width}}  {time}".rstrip(), file=sys.stderr)
    total = sum(layer.size_bytes for layer in built.layers)
    parts = [f"{size_text(total)} in all"] if built.layers else []
    done, cached = _counts(built)
    parts += [f"{cached} of {done} steps from the cache", f"{image.seconds:.1f} s"]
    print(f"  {', '.join(parts)}", file=sys.stderr)
    if _used_no_secret(built):
        print(
            "No secret was used: the commands that mount one came from the cache, which knows no secret's content."
            " --no-cache runs them again.",
            file=sys.stderr,
        )


def _used_no_secret(built: Built) -> bool:
    """Whether there are commands with secrets, and none of them ran."""
    steps = built.image.progress.instructions.items()
    mounting = [step for (_, text), step in steps if "--mount=type=secret" in text]
    return bool(mounting) and all(step.is_cached for step in mounting)


def _time_of(layer: Layer) -> str:
    if layer.is_cached or layer.seconds is None:
        return "" if layer.stage is None else "cached"
    return f"{layer.seconds:.1f} s"


def _counts(built: Built) -> tuple[int, int]:
    """How many steps there were, and how many of them came from the cache."""
    from ..ir.outputs import OUTPUT_STAGE

    steps = [step for (stage, _), step in built.image.progress.instructions.items() if stage != OUTPUT_STAGE]
    return len(steps), sum(step.is_cached for step in steps)


def document_of(built: Built) -> dict[str, Any]:
    """The result as a value for `--format json`, with all diagnostics."""
    from ..render.json_ import as_document

    image = built.image
    done, cached = _counts(built)
    weights = image.weights
    return {
        "image": image.name,
        "digest": image.digest,
        "weights_image": {"name": weights.name, "built": weights.is_built} if weights is not None else None,
        "outputs": [{"type": output.kind, "dest": output.place} for output in built.destinations.outputs],
        "seconds": round(image.seconds, 3),
        "engine_seconds": round(image.engine_seconds, 3),
        "steps": done,
        "cached_steps": cached,
        "layers": [
            {
                "stage": layer.stage,
                "title": layer.title,
                "size_bytes": layer.size_bytes,
                "cached": layer.is_cached,
                "seconds": round(layer.seconds, 3) if layer.seconds is not None else None,
            }
            for layer in built.layers
        ],
        **as_document(built.found),
    }
