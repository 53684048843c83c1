"""Say why a version was chosen: of Python, CUDA, the base image, or a package."""

from __future__ import annotations

import argparse
import json

from ..diagnostics import report
from ._project import add_build_arguments, add_project_arguments, fail
from ._reasons import asked, fact_lines, span_document

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc why torch                         who asks for it, why no newer one, which build
  cogc why python
  cogc why cuda
  cogc why base --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc why`."""
    parser.add_argument("subject", metavar="PACKAGE|python|cuda|base", help="what to explain")
    add_project_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the decision and its reasons, and give the exit code."""
    from ..ir.resolver import resolve
    from ..ir.resolver.reasons import why

    what, project, found, status = asked(arguments)
    if what is None:
        fail(found, project, arguments.format)
        return status
    request, matrix = what.request, what.matrix
    resolution, problems = resolve(request, matrix)
    if resolution is None:
        return fail((*found, *problems), project, arguments.format)
    answer = why(request, matrix, arguments.subject)
    if answer is None:
        message = f"{arguments.subject} takes no part: no line asks for it, or the matrix has no rows of it"
        return fail([report("COG503", message)], project, arguments.format)
    if arguments.format == "json":
        facts = [{"label": f.label, "text": f.text, "span": span_document(f.span)} for f in answer.facts]
        document = {"subject": arguments.subject, "decision": answer.decision, "matrix": matrix.version, "facts": facts}
        print(json.dumps(document, indent=2))
    else:
        print("\n".join((answer.decision, *fact_lines(answer.facts))))
    return 0
