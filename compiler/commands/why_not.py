"""Say what would come of another version: what speaks against it, or what would change."""

from __future__ import annotations

import argparse
import json
import sys

from ._project import add_build_arguments, add_project_arguments, fail, show
from ._reasons import asked

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc why-not cuda=11.8
  cogc why-not python=3.13
  cogc why-not 'torch>=2.9'              quoted: for the shell, > and < are redirections
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc why-not`."""
    parser.add_argument("wish", metavar="NAME=VERSION", help="cuda, cudnn, python or a package, and a version of it")
    add_project_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what speaks against the wish, and give the exit code: 1 where it cannot be."""
    from ..ir.resolver.reasons import outcome_of, parse_wish
    from ..render.json_ import as_document

    wish = parse_wish(arguments.wish)
    if wish is None:
        message = f"`{arguments.wish}`: write cuda=11.8, python=3.13, or a package of the matrix such as torch==2.9.0"
        print(f"cogc why-not: error: {message}", file=sys.stderr)
        return 2
    what, project, found, status = asked(arguments)
    if what is None:
        fail(found, project, arguments.format)
        return status
    request, matrix = what.request, what.matrix
    outcome = outcome_of(request, matrix, wish)
    if arguments.format == "json":
        head = {"wish": str(wish), "is_possible": outcome.is_possible, "matrix": matrix.version}
        document = {**head, "changes": list(outcome.changes), **as_document(outcome.diagnostics)}
        print(json.dumps(document, indent=2))
        return 0 if outcome.is_possible else 1
    print(f"{wish}: {'possible' if outcome.is_possible else 'not possible'}")
    for change in outcome.changes:
        print(f"  {change}")
    if outcome.is_possible and not outcome.changes:
        print("  nothing would change")
    if outcome.diagnostics:
        print()
        sys.stdout.flush()
        show(outcome.diagnostics, project, to_stdout=True)
    return 0 if outcome.is_possible else 1
