"""Print the version of cogc, of the compatibility matrix and of Python."""

from __future__ import annotations

import argparse
import json
import platform

from .. import __version__

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc version`."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")


def run(arguments: argparse.Namespace) -> int:
    """Print and give the exit code."""
    from .._data import matrix_version

    facts = {"cogc": __version__, "matrix": matrix_version(), "python": platform.python_version()}
    if arguments.format == "json":
        print(json.dumps(facts, indent=2))
    else:
        print(f"cogc version {facts['cogc']} (matrix {facts['matrix']}, Python {facts['python']})")
    return 0
