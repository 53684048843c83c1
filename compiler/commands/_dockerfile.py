"""A compilation → the text of its Dockerfile, with the project's own template where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic
from ..disk import cache_directory
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
    from ..backends.filters import DockerfileOptions
    from ..driver import dockerfile_text

    options = DockerfileOptions(
        version=__version__,
        config_file=project.name,
        frontend=frontend,
        syntax=syntax,
        inline=inline,
        annotate=annotate,
        bytecode_directory=cache_directory(),
    )
    return dockerfile_text(compilation, project.files, options, build, with_staged=build is None)
