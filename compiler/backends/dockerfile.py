"""Resolved IR → Dockerfile text, through the template dockerfile.j2.

What is decided here is only spelling: quoting, flags of the dialect, where staged files come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, assert_never

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..diagnostics import Diagnostic, report
from ..ir.node import Cause
from ..ir.nodes import (
    Base,
    BindMount,
    CacheMount,
    Copy,
    ImageBase,
    Mount,
    Precompile,
    PythonPackages,
    ResolvedBuild,
    ScratchBase,
    SecretMount,
    SourceCode,
    Stage,
    StageBase,
    Step,
    Variable,
    WeightLayer,
)
from ..source import Span
from .context import STAGING
from .quoting import copy_arguments, env_value, exec_form, flag_value, shell_word

__all__ = ["TEMPLATE_NAME", "DockerfileOptions", "emit_dockerfile"]

TEMPLATE_NAME = "cogc/dockerfile.j2"
# The static binary is mounted where it is needed and is in no layer. A minor version: patches are taken.
UV_IMAGE = "ghcr.io/astral-sh/uv:0.13"
EXCLUDE_SINCE = (1, 19)
SECRET_ENV_SINCE = (1, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileOptions:
    """How the Dockerfile is written.

    `frontend` is the dialect, as (major, minor) of docker/dockerfile; `syntax` a frontend image to name in the
    first line. With `inline` the file carries what is otherwise staged. `annotate` writes every cause.
    `template` is the user's own template: its text and where it is named in cog.yaml.
    """

    version: str
    config_file: str = "cog.yaml"
    frontend: tuple[int, int] = EXCLUDE_SINCE
    syntax: str | None = None
    inline: bool = False
    annotate: bool = False
    uv_image: str = UV_IMAGE
    template: tuple[str, str, Span | None] | None = None


def emit_dockerfile(
    build: ResolvedBuild, files: Sequence[tuple[str, bytes]], options: DockerfileOptions
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The Dockerfile; None with the errors when it cannot be written. Errors: COG308, COG309.

    `files` are the staged files, as (path below the staging directory, content).
    """
    problems = tuple(_dialect_problems(build, options))
    if problems:
        return None, problems
    environment = _environment(options)
    page = {
        "build": build,
        "stages": [_stage_view(stage, options) for stage in build.stages],
        "files": [_file_view(path, content) for path, content in files],
        "inline": options.inline,
        "staging": STAGING,
        "staged": lambda path: f"from=files,source=/{path}" if options.inline else f"source={STAGING}/{path}",
        "syntax": options.syntax,
        "uv_image": options.uv_image,
        "version": options.version,
        "config_file": options.config_file,
    }
    if options.template is None:
        return environment.get_template(TEMPLATE_NAME).render(page), ()
    return _render_custom(environment, options.template, page)


def _render_custom(
    environment: ImmutableSandboxedEnvironment, template: tuple[str, str, Span | None], page: dict[str, Any]
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    path, text, span = template
    try:
        compiled: Template = environment.from_string(text)
        return compiled.render(page), ()
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = Span.at_line(path, line) if isinstance(line, int) else span
        missing = f"there is no template `{error.name}`" if isinstance(error, TemplateNotFound) else str(error)
        hint = f'start it with {{% extends "{TEMPLATE_NAME}" %}} and override blocks'
        return None, (report("COG309", f"the template {path} cannot be used: {missing}", where, hint=hint),)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        message = f"the template {path} cannot be rendered: {type(error).__name__}: {error}"
        return None, (report("COG309", message, span),)


def _dialect_problems(build: ResolvedBuild, options: DockerfileOptions) -> Iterator[Diagnostic]:
    if options.frontend >= SECRET_ENV_SINCE:
        return
    for stage in build.stages:
        for step in stage.steps:
            for mount in getattr(step, "mounts", ()):
                if isinstance(mount, SecretMount) and mount.env is not None:
                    dialect = ".".join(str(part) for part in options.frontend)
                    message = f"a secret as an environment variable needs the Dockerfile dialect 1.10, not {dialect}"
                    yield report("COG308", message, mount.origin, hint="mount it as a file, with `target`")


# -- what the template sees ----------------------------------------------------------------------


def _stage_view(stage: Stage, options: DockerfileOptions) -> dict[str, Any]:
    told = [str(cause) for cause in stage.because]
    return {
        "name": stage.name,
        "base": _base(stage.base),
        "heading": f"{stage.name} · {'. '.join(told)}" if told and not options.annotate else stage.name,
        "causes": [_cause(cause) for cause in stage.because] if options.annotate else [],
        "steps": [
            {"kind": type(step).__name__, "node": step, "comments": list(_comments(step, options.annotate))}
            for step in stage.steps
        ],
    }


def _comments(step: Step, annotate: bool) -> Iterator[str]:
    """The short comment above a step: what the user wrote or the matrix decided. Annotated: every cause."""
    if annotate:
        yield from (_cause(cause) for cause in step.because)
        return
    told = [str(cause) for cause in step.because if cause.kind != "default"]
    if told:
        yield _one_line("; ".join(dict.fromkeys(told)))


def _cause(cause: Cause) -> str:
    return _one_line(f"{cause.kind}: {cause}")


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", " ", text)


def _base(base: Base) -> str:
    match base:
        case ImageBase():
            return f"--platform={base.platform} {base.reference}" if base.platform else base.reference
        case StageBase():
            return base.stage
        case ScratchBase():
            return "scratch"
        case _:
            assert_never(base)


def _file_view(path: str, content: bytes) -> dict[str, str]:
    text = content.decode()
    if text and not text.endswith("\n"):
        text += "\n"
    delimiter = "EOF"
    while delimiter in text.split("\n"):
        delimiter += "_"
    return {"path": path, "content": text, "delimiter": delimiter}


# -- the environment -----------------------------------------------------------------------------


class _OneTemplate(BaseLoader):
    """Loads our template and nothing else: a user's template cannot read files."""

    def get_source(self, environment: Any, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        if template != TEMPLATE_NAME:
            raise TemplateNotFound(template)
        path = Path(__file__).with_name("dockerfile.j2")
        return path.read_text("utf-8"), str(path), lambda: True


def _environment(options: DockerfileOptions) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=_OneTemplate(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(
        assignment=_assignment,
        copy_flags=lambda step: _copy_flags(step, options),
        copy_from=lambda step: _copy_from(step, options),
        dirname=lambda path: path.rpartition("/")[0],
        env=env_value,
        exec_form=exec_form,
        interpreter=_interpreter,
        json=exec_form,
        minor=lambda version: ".".join(version.split(".")[:2]),
        mounts=lambda mounts: "".join(f"{_mount(mount)} \\\n    " for mount in mounts),
        requirement_files=_requirement_files,
        requirement_mounts=lambda step: _requirement_mounts(step, options),
        run_command=_run_command,
        shell=shell_word,
        source_copies=lambda step: list(_source_copies(step, options)),
        strip=_strip,
        weight_copy=_weight_copy,
        words=lambda words: "".join(f" {shell_word(word)}" for word in words),
    )
    environment.globals["raise"] = _raise
    return environment


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _assignment(variable: Variable) -> str:
    match variable.mode:
        case "set":
            return f"{variable.name}={env_value(variable.value)}"
        case "prepend":
            return f"{variable.name}={variable.value}:${variable.name}"
        case "append":
            return f"{variable.name}=${variable.name}:{variable.value}"
        case _:
            assert_never(variable.mode)


def _mount(mount: Mount) -> str:
    match mount:
        case SecretMount():
            parts = ["type=secret", f"id={mount.id}"]
            parts += [f"target={mount.target}"] if mount.target else []
            parts += [f"env={mount.env}"] if mount.env else []
            parts += ["required=true"] if mount.is_required else []
        case CacheMount():
            parts = ["type=cache"]
            parts += [f"id={mount.id}"] if mount.id != mount.target else []
            parts += [f"target={mount.target}"]
            parts += [f"sharing={mount.sharing}"] if mount.sharing != "shared" else []
        case BindMount():
            parts = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
        case _:
            assert_never(mount)
    return f"--mount={','.join(parts)}"


def _run_command(command: str) -> str:
    """The user's command. A single backslash at the end would join the next line of the Dockerfile to it."""
    return re.sub(r"(^|[^\\])\\$", r"\1", command).rstrip()


def _requirement_mounts(step: PythonPackages, options: DockerfileOptions) -> str:
    names = [step.requirements_file, *([step.constraints_file] if step.constraints_file else [])]
    origin = "from=files,source=/" if options.inline else f"source={STAGING}/"
    mounts = [f"--mount=type=bind,{origin}{name},target=/tmp/{name}" for name in names]
    for path in step.artifacts:
        mounts.append(f"--mount=type=bind,source={path},target=/tmp/local_package_artifacts/{path}")
    return " \\\n    ".join(mounts)


def _requirement_files(step: PythonPackages) -> str:
    constraints = f" -c /tmp/{step.constraints_file}" if step.constraints_file else ""
    return f"-r /tmp/{step.requirements_file}{constraints}"


def _strip(step: PythonPackages) -> str:
    if not step.strips:
        return ""
    return " \\\n && find / -xdev -type f -name '*python*.so' -not -name '*cpython*.so' -exec strip -S {} +"


def _interpreter(step: PythonPackages | Precompile) -> str:
    return step.interpreter or "python"


def _copy_flags(step: Copy, options: DockerfileOptions) -> str:
    stage = step.from_stage or ("files" if options.inline and _is_staged(step) else None)
    flags = ["--link"] if step.is_linked else []
    flags += [f"--from={stage}"] if stage else []
    return "".join(f"{flag} " for flag in flags)


def _copy_from(step: Copy, options: DockerfileOptions) -> str:
    sources = step.sources
    if options.inline and _is_staged(step):
        sources = tuple("/" + source.removeprefix(f"{STAGING}/") for source in sources)
    return copy_arguments(sources, step.destination)


def _is_staged(step: Copy) -> bool:
    return step.from_stage is None and step.sources[0].startswith(f"{STAGING}/")


def _weight_copy(step: WeightLayer) -> str:
    return copy_arguments([step.source], step.destination)


def _source_copies(step: SourceCode, options: DockerfileOptions) -> Iterator[str]:
    """The arguments of the COPY lines: one with --exclude, or one per entry in older dialects."""
    owner = f"--chown={step.owner} " if step.owner else ""
    if not step.excludes or options.frontend >= EXCLUDE_SINCE:
        excludes = "".join(f"--exclude={flag_value(path)} " for path in step.excludes)
        yield f"{owner}{excludes}. {step.destination}"
        return
    files = [path for path, is_directory in step.entries if not is_directory]
    at_root = [path for path in files if "/" not in path]
    if at_root:
        yield owner + copy_arguments(at_root, f"{step.destination}/")
    for path, is_directory in step.entries:
        if is_directory or "/" in path:
            yield owner + copy_arguments([path], f"{step.destination}/{path}")
