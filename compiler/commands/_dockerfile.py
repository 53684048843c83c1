"""A compilation → the text of its Dockerfile, with the project's own template where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic, report
from ..disk import cache_directory
from ..source import Span
from ._project import Project

if TYPE_CHECKING:
    from ..driver import Compilation
    from ..ir.nodes import ResolvedBuild

__all__ = ["dockerfile_of"]


def dockerfile_of(
    compilation: Compilation,
    project: Project,
    *,
    build: ResolvedBuild | None = None,
    frontend: tuple[int, int] = (1, 19),
    syntax: str | None = None,
    inline: bool = False,
    annotate: bool = False,
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The Dockerfile of the whole build, or of `build`, or None with the errors. Errors: COG308, COG309."""
    from .. import __version__
    from ..backends.dockerfile import DockerfileOptions, emit_dockerfile

    resolved = build or compilation.resolved
    assert resolved is not None
    template, found = _template(compilation, project)
    options = DockerfileOptions(
        version=__version__,
        config_file=project.name,
        frontend=frontend,
        syntax=syntax,
        inline=inline,
        annotate=annotate,
        template=template,
        bytecode_directory=cache_directory(),
    )
    text, problems = emit_dockerfile(resolved, () if build else compilation.staged, options)
    return text, found + problems


def _template(
    compilation: Compilation, project: Project
) -> tuple[tuple[str, str, Span | None] | None, tuple[Diagnostic, ...]]:
    """The user's own template as text. Error: COG309."""
    from ..frontend.files import FileProblem

    config = compilation.config
    assert config is not None
    located = config.build.dockerfile_template
    if located is None:
        return None, ()
    try:
        return (located.value, project.files.read(located.value).decode("utf-8"), located.span), ()
    except FileProblem as problem:
        return None, (report("COG309", f"the template {problem.path} {problem.reason}", located.span),)
    except UnicodeDecodeError:
        return None, (report("COG309", f"the template {located.value} is not UTF-8 text", located.span),)
