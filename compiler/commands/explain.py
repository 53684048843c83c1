"""Explain a diagnostic code; without a code, print the Dockerfile with the causes of every line."""

from __future__ import annotations

import argparse
import json
import re
import sys

from ..catalogue import CATALOGUE
from ..suggest import closest
from ._project import add_build_arguments, add_project_arguments

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc explain COG124                  what the code means, with an example and its fix
  cogc explain --list                  all codes
  cogc explain                         why each line of the Dockerfile is there
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc explain`."""
    add_project_arguments(parser, "CODE", "a code such as COG124, or ")
    parser.add_argument("--list", action="store_true", help="list all codes")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the page, the list or the annotated Dockerfile, and give the exit code."""
    if arguments.list:
        return _list(arguments.format)
    if arguments.path is not None and re.fullmatch(r"[Cc][Oo][Gg]\d+", arguments.path):
        return _page(arguments.path.upper(), arguments.format)
    return _annotated(arguments)


def _page(code: str, format: str) -> int:
    from .._data import diagnostic_page

    entry = CATALOGUE.get(code)
    page = diagnostic_page(code)
    if entry is None:
        near = closest(code, CATALOGUE)
        suggestion = f"; did you mean {near}?" if near else ""
        print(f"cogc explain: error: there is no code {code}{suggestion} (see `cogc explain --list`)", file=sys.stderr)
        return 2
    if page is None:
        page = f"# {code}: {entry.name}\n\n{entry.severity.capitalize()}: {entry.summary}\n"
    if format == "json":
        print(json.dumps({"code": code, **entry._asdict(), "page": page}, indent=2))
    else:
        print(page, end="")
    return 0


def _list(format: str) -> int:
    if format == "json":
        print(json.dumps({code: entry._asdict() for code, entry in CATALOGUE.items()}, indent=2))
        return 0
    for code, entry in CATALOGUE.items():
        print(f"{code} {entry.severity:<8} {entry.name:<28} {entry.summary}")
    return 0


def _annotated(arguments: argparse.Namespace) -> int:
    """What `cogc compile --annotate` prints, with nothing staged."""
    from . import compile as compiling

    parser = argparse.ArgumentParser()
    compiling.add_arguments(parser)
    whole = argparse.Namespace(**{**vars(parser.parse_args([])), **vars(arguments), "annotate": True})
    return compiling.run(whole, stages=False)
