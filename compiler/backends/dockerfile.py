"""Resolved IR → Dockerfile text, through the template dockerfile.j2.

What is decided here is only spelling: quoting, flags of the dialect, where staged files come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, assert_never

from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemBytecodeCache,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateRuntimeError,
    nodes,
)

from ..diagnostics import Diagnostic, report
from ..ir.node import Cause
from ..ir.nodes import (
    Base,
    ImageBase,
    ResolvedBuild,
    ScratchBase,
    SecretMount,
    Stage,
    StageBase,
    Step,
)
from ..source import Span
from ..suggest import closest
from .commands import COPIED_PYTHON, LINKER_CACHE
from .context import STAGING
from .filters import FILTERS, DockerfileOptions
from .source_map import mark

if TYPE_CHECKING:
    from .bounded_template import BoundedEnvironment

E = TypeVar("E", bound=Environment)

__all__ = ["TEMPLATE_NAME", "DockerfileOptions", "emit_dockerfile"]

TEMPLATE_NAME = "cogc/dockerfile.j2"
SECRET_ENV_SINCE = (1, 10)


def emit_dockerfile(
    build: ResolvedBuild, files: Sequence[tuple[str, bytes]], options: DockerfileOptions
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The Dockerfile; None with the errors when it cannot be written. Errors: COG308, COG309.

    `files` are the staged files, as (path below the staging directory, content).
    """
    uv_digest = dict(build.digests).get(options.uv_image)
    if uv_digest is not None:
        options = replace(options, uv_image=f"{options.uv_image}@{uv_digest}")
    problems = tuple(_dialect_problems(build, options))
    if problems:
        return None, problems
    page = {
        "build": build,
        "stages": [_stage_view(number, stage, options) for number, stage in enumerate(build.stages)],
        "files": [_file_view(path, content) for path, content in files] if options.inline else [],
        "is_staged": bool(files) and not options.inline,
        "options": options,
        "has_platform": any(isinstance(stage.base, ImageBase) and stage.base.platform for stage in build.stages),
        "config_file": _one_line(options.config_file),
        "staging": STAGING,
        "linker_cache": LINKER_CACHE,
        "copied_python": COPIED_PYTHON,
    }
    if options.template is None:
        return _environment(options.bytecode_directory).get_template(TEMPLATE_NAME).render(page), ()
    return _render_custom(_sandbox(options.bytecode_directory), options.template, page)


def _render_custom(
    environment: BoundedEnvironment, template: tuple[str, str, Span | None], page: dict[str, Any]
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    path, text, span = template
    try:
        problems = tuple(_template_problems(environment, template))
        if problems:
            return None, problems
        compiled: Template = environment.from_string(text)
        environment.start()
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
        MemoryError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        message = f"the template {path} cannot be rendered: {type(error).__name__}: {error}"
        return None, (report("COG309", message, span),)


def _template_problems(environment: Environment, template: tuple[str, str, Span | None]) -> Iterator[Diagnostic]:
    """COG309 for a template that does not extend ours, or overrides a block that ours does not have."""
    path, text, span = template
    tree = environment.parse(text)
    if not any(True for _ in tree.find_all(nodes.Extends)):
        hint = f'start it with {{% extends "{TEMPLATE_NAME}" %}}, or write a Dockerfile instead'
        yield report("COG309", f"the template {path} does not extend {TEMPLATE_NAME}", span, hint=hint)
        return
    known = environment.get_template(TEMPLATE_NAME).blocks
    for block in tree.find_all(nodes.Block):
        if block.name not in known:
            near = closest(block.name, known)
            hint = f"did you mean `{near}`?" if near else f"the blocks are {', '.join(sorted(known))}"
            message = f"the template {path} overrides the block `{block.name}`, which does not exist"
            yield report("COG309", message, Span.at_line(path, block.lineno), hint=hint)


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


def _stage_view(number: int, stage: Stage, options: DockerfileOptions) -> dict[str, Any]:
    told = [str(cause) for cause in stage.because]
    return {
        "name": stage.name,
        "base": _base(stage.base),
        "heading": _one_line(f"{stage.name} · {'; '.join(told)}") if told and not options.annotate else stage.name,
        "causes": [_cause(cause) for cause in stage.because] if options.annotate else [],
        "steps": [
            {"kind": type(step).__name__, "node": step, "comments": _comments(step, options, (number, place))}
            for place, step in enumerate(stage.steps)
        ],
    }


def _comments(step: Step, options: DockerfileOptions, place: tuple[int, int]) -> list[str]:
    """The short comment above a step: what the user wrote or the matrix decided. Annotated: every cause."""
    marks = [mark(*place)] if options.marks else []
    if options.annotate:
        return marks + [_cause(cause) for cause in step.because]
    told = [str(cause) for cause in step.because if cause.kind != "default"]
    return marks + ([_one_line("; ".join(dict.fromkeys(told)))] if told else [])


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


def _raise(message: object) -> NoReturn:
    """`{{ raise("…") }}` in a template: stop with a message."""
    raise TemplateRuntimeError(str(message))


@cache
def _environment(bytecode_directory: str | None) -> Environment:
    """For our template alone, which may call what it likes."""
    return _equipped(Environment, bytecode_directory, "own")


@cache
def _sandbox(bytecode_directory: str | None) -> BoundedEnvironment:
    """For the template of a project, and ours below it."""
    from .bounded_template import BoundedEnvironment

    return _equipped(BoundedEnvironment, bytecode_directory, "bounded")


def _equipped(kind: type[E], bytecode_directory: str | None, name: str) -> E:
    """An environment with our filters. `name` keeps bytecode apart, which is not the same in a sandbox."""
    environment = kind(
        loader=_OneTemplate(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        bytecode_cache=FileSystemBytecodeCache(bytecode_directory, f"{name}_%s.cache") if bytecode_directory else None,
    )
    environment.filters.update(FILTERS)
    environment.globals["raise"] = _raise
    return environment
