"""What `why` and `why-not` share: from a project to the request of the resolver, and reasons as text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic, has_errors
from ..record import record
from ._project import Project, build_options, load_project, source_of

if TYPE_CHECKING:
    from ..ir.matrix import Matrix
    from ..ir.nodes import Request
    from ..ir.resolver.reasons import Fact
    from ..source import Span

__all__ = ["Asked", "asked", "fact_lines", "span_document"]


@record(kw_only=False)
class Asked:
    """What a project asks for, and the matrix that answers."""

    project: Project
    request: Request
    matrix: Matrix


def asked(
    arguments: argparse.Namespace,
) -> tuple[Asked | None, Project | None, tuple[Diagnostic, ...], int]:
    """What the project asks for; or the project as far as there is one, what is wrong, and the exit code for that."""
    from ..driver import matrix_of, read_config
    from ..frontend.lower import ProjectFacts, lower
    from ..frontend.weights import Weights

    options, found = build_options(arguments)
    if options is None:
        return None, None, found, 2
    project, problems = load_project(arguments)
    if project is None:
        return None, None, (*found, *problems), 1
    source, problems = source_of(project)
    found += problems
    if source is None:
        return None, project, found, 1
    config, problems = read_config(source)
    found += problems
    if config is None or has_errors(found):
        return None, project, found, 1
    facts = ProjectFacts(directory=source.directory, weights=Weights())
    request = lower(config, facts, options).request
    return Asked(project=project, request=request, matrix=matrix_of(source)), project, found, 0


def fact_lines(facts: tuple[Fact, ...]) -> Iterator[str]:
    """A line for each fact, the labels in a column of their own."""
    width = max((len(fact.label) for fact in facts), default=0)
    for fact in facts:
        place = f"  ({fact.span})" if fact.span else ""
        yield f"  {fact.label:<{width}}  {fact.text}{place}"


def span_document(span: Span | None) -> dict[str, Any] | None:
    """A place as JSON, in the form of `cogc check --format json`."""
    if span is None:
        return None
    names = ("file", "line", "column", "end_line", "end_column")
    return {name: getattr(span, name) for name in names}
