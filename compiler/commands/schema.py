"""Print the OpenAPI schema of the model, or one of the JSON Schemas that cogc publishes.

The model's source is read as text and never run. For editors, point their YAML support at `cogc schema cog`.
"""

from __future__ import annotations

import argparse
import json

from ..diagnostics import report
from ._project import Project, add_project_arguments, fail, load_project, show, source_of

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc schema                           the OpenAPI document of the model in this project
  cogc schema cog > cog.schema.json     the JSON Schema of cog.yaml, for editors
  cogc schema ir                        the JSON Schema of `cogc ir --format json`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc schema`."""
    add_project_arguments(parser, "cog|ir", "a published schema, or ")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="how to print what is wrong; the schema is always JSON",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the document and give the exit code."""
    from .._data import load_schema, schema_names

    if arguments.path in schema_names():
        print(json.dumps(load_schema(arguments.path), indent=2, ensure_ascii=False))
        return 0
    project, problems = load_project(arguments)
    if project is None:
        return fail(problems, None, arguments.format)
    return _of_model(project, arguments.format)


def _of_model(project: Project, format: str) -> int:
    from ..driver import read_schema

    source, found = source_of(project)
    if source is None:
        return fail(found, project, format)
    document, config, problems = read_schema(source)
    found += problems
    if document is None:
        if config is not None and not config.targets:
            found += (report("COG503", f"no predict or train reference found in {project.name}"),)
        return fail(found, project, format)
    print(json.dumps(json.loads(document), indent=2, ensure_ascii=False))
    show(found, project)
    return 0
