"""Build the image of the project and push it to its registry.

The registry is part of the name: IMAGE, else `image` of cog.yaml. A name without one is on Docker Hub.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from ._building import Refused, add_image_arguments, build_project, document_of, tell
from ._project import fail
from ._running import ending_signals

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc push                                        with `image` in cog.yaml
  cogc push registry.example.com/team/model:v1
  cogc push --separate-weights registry.example.com/team/model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc push`."""
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="name to push to (default: `image` of cog.yaml)")
    add_image_arguments(parser, positional=False)


def run(arguments: argparse.Namespace) -> int:
    """Build, push, and give the exit code."""
    from ..engines import EngineFailure
    from ..engines.docker.push import push

    try:
        with ending_signals():
            built = build_project(arguments, arguments.image, needs_name=True)
    except Refused as refused:
        return refused.status
    shows = arguments.format == "text" and arguments.progress != "quiet"
    name = built.image.name
    if shows:
        tell(built)
        print(f"\nPushing to {name}...", file=sys.stderr)
    try:
        with ending_signals():
            digest = push(built.docker, name, shows=shows) or built.image.digest
    except EngineFailure as failure:
        before = built.found if arguments.format == "json" else ()
        return fail([*before, *failure.diagnostics], built.project, arguments.format)
    if arguments.format == "json":
        pushed = replace(built, image=replace(built.image, digest=digest))
        print(json.dumps(document_of(pushed), indent=2, ensure_ascii=False))
    else:
        print(f"{name}@{digest}")
    return 0
