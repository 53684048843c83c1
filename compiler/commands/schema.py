"""Print the OpenAPI schema of the model, compare two of them, or print a JSON Schema that cogc publishes.

The model's source is read as text and never run, unless --import is given. For editors, point their YAML support at
`cogc schema cog`.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic, report
from ._project import Project, add_config_name, add_schema_argument, fail, load_project, show, source_of
from ._schema_diff import run_diff

if TYPE_CHECKING:
    from ..driver import Source

__all__ = ["EXAMPLES", "add_arguments", "run", "schema_of"]

TIME_LIMIT_SECONDS = 300.0

EXAMPLES = """\
examples:
  cogc schema                           the OpenAPI document of the model in this project
  cogc schema model --import            the same, by importing the model in the current Python environment
  cogc schema diff main:cog.yaml .      what changed for callers since the branch main
  cogc schema diff old.json new.json
  cogc schema cog > cog.schema.json     the JSON Schema of cog.yaml, for editors
  cogc schema ir                        the JSON Schema of `cogc ir --format json`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc schema`."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="model|diff|cog|ir|lock|openapi|FILE",
        help="the schema of the model (with FILE, its configuration); `diff A B` compares two documents, projects or "
        "REV:path of git; or a published schema (default: model)",
    )
    add_config_name(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="how to print changes and what is wrong; schemas are always JSON",
    )
    add_schema_argument(parser)
    group = parser.add_argument_group("importing the model")
    group.add_argument(
        "--import",
        dest="imports",
        action="store_true",
        help="import the model to see its schema, where the source does not tell all of it",
    )
    group.add_argument(
        "--python", metavar="PATH", help="interpreter with the model's packages (default: that of the environment)"
    )
    group.add_argument(
        "--time-limit",
        type=float,
        default=TIME_LIMIT_SECONDS,
        metavar="SECONDS",
        help="most time for the import (default: 300)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for and give the exit code."""
    from .._data import load_schema, schema_names

    first, *others = arguments.words or ["model"]
    if first in schema_names() and not others:
        print(json.dumps(load_schema(first), indent=2, ensure_ascii=False))
        return 0
    if first == "diff":
        if len(others) == 2:
            return run_diff(others, arguments, schema_of)
        fail([report("COG503", "diff needs two documents: `cogc schema diff A B`")], None, arguments.format)
        return 2
    files = others if first == "model" else arguments.words
    if len(files) > 1:
        fail([report("COG503", f"{files[1]} is one word too many: name one configuration")], None, arguments.format)
        return 2
    arguments.path = files[0] if files else None
    project, problems = load_project(arguments)
    if project is None:
        return fail(problems, None, arguments.format)
    return _print_model(project, arguments)


def _print_model(project: Project, arguments: argparse.Namespace) -> int:
    source, found = source_of(project, arguments.openapi_schema)
    if source is None:
        return fail(found, project, arguments.format)
    document, problems = schema_of(project, source, arguments)
    found += problems
    if document is None:
        fail(found, project, arguments.format)
        return 2 if any(diagnostic.message.startswith("--") for diagnostic in problems) else 1
    print(json.dumps(json.loads(document), indent=2, ensure_ascii=False))
    show(found, project)
    return 0


def schema_of(
    project: Project, source: Source, arguments: argparse.Namespace
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """Compact JSON of the model's document: as the source tells it, or by an import if that is asked for."""
    return _imported(project, source, arguments) if arguments.imports else _told(project, source)


def _told(project: Project, source: Source) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The document that the source tells. Error: COG441 where it leaves something open."""
    from ..diagnostics import has_errors
    from ..driver import read_schema

    document, config, found = read_schema(source)
    if document is None and config is not None and not has_errors(found):
        if not config.targets:
            return None, (*found, _no_target(project))
        hint = "`cogc schema --import` imports the model to see it; a build does so in the image"
        found += (report("COG441", "the source does not tell the whole schema", hint=hint),)
    return document, found


def _imported(
    project: Project, source: Source, arguments: argparse.Namespace
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The document that importing the model gives. Errors: COG440, COG503."""
    from ..driver import read_targets
    from ..introspection import current_python, import_schema

    if not 0 < arguments.time_limit < float("inf"):
        return None, (report("COG503", f"--time-limit {arguments.time_limit:g}: write a number of seconds"),)
    config, found = read_targets(source)
    if config is None:
        return None, found
    if not config.targets:
        return None, (*found, _no_target(project))
    python = arguments.python or current_python()
    document, problems = import_schema(project.root, config, python, arguments.time_limit)
    return document, found + problems


def _no_target(project: Project) -> Diagnostic:
    return report("COG503", f"no predict or train reference found in {project.name}")
