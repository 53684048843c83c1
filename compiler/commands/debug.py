"""Print the Dockerfile that `cogc build` would use; with --separate-weights also that of the weights image.

Nothing is staged or built. `cogc compile` prints the same Dockerfile and stages the files that it needs.
"""

from __future__ import annotations

import argparse

from ..diagnostics import has_errors
from ._project import (
    add_build_arguments,
    add_project_arguments,
    build_options,
    fail,
    load_project,
    show,
    source_of,
)

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc debug
  cogc debug --separate-weights --image-name my-model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc debug`."""
    add_project_arguments(parser)
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print, and give the exit code."""
    from ..backends.context import excluded_weights
    from ..driver import compile_project, matrix_of, weights_build
    from ._dockerfile import dockerfile_of

    options, found = build_options(arguments)
    if options is None:
        fail(found, None)
        return 2
    project, problems = load_project(arguments)
    if project is None:
        return fail((*found, *problems), None)
    source, problems = source_of(project, arguments.openapi_schema, is_locked=arguments.locked)
    found += problems
    if source is None:
        return fail(found, project)
    compilation = compile_project(source, options, matrix_of(source))
    found += compilation.diagnostics
    if has_errors(found) or compilation.resolved is None:
        return fail(found, project)
    text, problems = dockerfile_of(compilation, project, inline=compilation.is_staging_hidden)
    found += problems
    weights = weights_build(compilation.resolved) if arguments.separate_weights else None
    weights_text, problems = dockerfile_of(compilation, project, build=weights) if weights is not None else ("", ())
    found += problems
    if text is None or weights_text is None or has_errors(found):
        return fail(found, project)
    show(found, project)
    if arguments.separate_weights:
        excluded = "".join(f"{line}\n" for line in excluded_weights(compilation.resolved))
        _section("Weights Dockerfile contents", weights_text)
        _section("Runner Dockerfile contents", text)
        _section("Weights exclude patterns", excluded)
    else:
        print(text, end="")
    return 0


def _section(title: str, text: str) -> None:
    print(f"=== {title}:\n{text}===")
