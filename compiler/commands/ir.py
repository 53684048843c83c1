"""Show the intermediate representation: the configuration, the unresolved IR, or the resolved one."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..diagnostics import has_errors
from ._project import Refused, add_build_arguments, add_project_arguments, begin, fail, show, source_of

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc ir                                the resolved IR as text
  cogc ir --stage ir                     before anything is resolved
  cogc ir --format json | jq .resolution.base_image
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc ir`."""
    add_project_arguments(parser)
    parser.add_argument(
        "--stage", choices=("config", "ir", "resolved"), default="resolved", help="which form (default: resolved)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the chosen stage and give the exit code."""
    import yaml

    from ..driver import compile_project, matrix_of
    from ..ir.document import to_document
    from ..ir.text import render_ir

    try:
        options, project, found = begin(arguments)
    except Refused as refused:
        return refused.status
    source, problems = source_of(project, arguments.openapi_schema, is_locked=arguments.locked)
    found += problems
    if source is None:
        return fail(found, project, arguments.format)
    compilation = compile_project(source, options, matrix_of(source))
    found += compilation.diagnostics
    if has_errors(found):
        return fail(found, project, arguments.format)
    if arguments.stage == "config":
        plain = _plain(compilation.config)
        if arguments.format == "json":
            print(json.dumps(plain, indent=2, ensure_ascii=False))
        else:
            print(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100), end="")
    else:
        build = compilation.build if arguments.stage == "ir" else compilation.resolved
        assert build is not None
        if arguments.format == "json":
            print(json.dumps(to_document(build), indent=2, ensure_ascii=False))
        else:
            print(render_ir(build), end="")
    show(found, project)
    return 0


def _plain(value: Any) -> Any:
    """A configuration as plain lists and mappings: positions as `file:line:column`, keys that are not set left out."""
    from dataclasses import fields

    from ..source import Span

    if isinstance(value, Span):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {name: inner for name, inner in plain.items() if inner not in (None, [])}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
