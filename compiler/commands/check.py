"""Check cog.yaml and everything it names: requirements, targets, weights, versions. Nothing is built or staged.

Prints all findings, remarks included. Exit code 1 when one of them is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..diagnostics import Diagnostic, has_errors, report
from ..disk import describe, write_atomically
from ._dockerfile import dockerfile_of
from ._project import (
    FORMATS,
    Project,
    add_build_arguments,
    add_project_arguments,
    build_options,
    load_project,
    show,
    source_of,
)

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc check
  cogc check --fix                      mend what does not change the meaning
  cogc check --format github            annotations in GitHub Actions
  cogc check --format sarif > cogc.sarif
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc check`."""
    add_project_arguments(parser)
    parser.add_argument("--fix", action="store_true", help="apply the fixes that do not change the meaning")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how to print the findings")
    parser.add_argument("--strict", action="store_true", help="exit 1 on warnings as well")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, print, and give the exit code."""
    options, found = build_options(arguments)
    if options is None:
        show(found, None, format=arguments.format, to_stdout=arguments.format != "text")
        return 2
    project, problems = load_project(arguments)
    if project is None:
        show(problems, None, format=arguments.format, to_stdout=arguments.format != "text")
        return 1
    found += _findings(arguments, project)
    if arguments.fix and arguments.path != "-":
        project, found = _fix(arguments, project, found)
    show(found, project, format=arguments.format, with_info=True, to_stdout=True)
    if not found and arguments.format == "text":
        print("no problems found")
    has_warnings = any(diagnostic.severity == "warning" for diagnostic in found)
    return 1 if has_errors(found) or (arguments.strict and has_warnings) else 0


def _findings(arguments: argparse.Namespace, project: Project) -> tuple[Diagnostic, ...]:
    from ..driver import compile_project, matrix_of

    options, _ = build_options(arguments)
    source, found = source_of(project, arguments.openapi_schema, is_locked=arguments.locked)
    if source is None or options is None:
        return found
    compilation = compile_project(source, options, matrix_of(source))
    found += compilation.diagnostics
    if compilation.resolved is not None and not has_errors(found):
        _, problems = dockerfile_of(compilation, project)  # for what only the template can be wrong about
        found += problems
    return found


def _fix(
    arguments: argparse.Namespace, project: Project, found: Sequence[Diagnostic]
) -> tuple[Project, tuple[Diagnostic, ...]]:
    """Apply fixes until none is left (one may uncover another), at most ten times. Error: COG501."""
    from ..fixes import apply_fixes
    from ..frontend.files import FileProblem

    applied = 0
    for _ in range(10):
        names = {edit.span.file for d in found if d.fix for edit in d.fix.edits}
        sources: dict[str, str] = {}
        for name in sorted(names):
            try:
                sources[name] = project.files.read(name).decode("utf-8")
            except (FileProblem, UnicodeDecodeError):
                continue
        changed, fixed = apply_fixes(sources, found)
        if not changed:
            break
        for name, text in changed.items():
            try:
                write_atomically(project.root / name, text.encode())
            except OSError as error:
                return project, (*found, report("COG501", f"{name} {describe(error).replace('accessed', 'written')}"))
        applied += len(fixed)
        reloaded, problems = load_project(arguments)
        if reloaded is None:
            return project, (*found, *problems)
        project = reloaded
        found = _findings(arguments, project)
    if applied:
        print(f"fixed {applied} problem{'s' if applied != 1 else ''}", file=sys.stderr)
    return project, tuple(found)
