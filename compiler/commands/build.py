"""Build the image of the project with Docker.

The project is compiled as by `cogc compile`; docker buildx builds what comes out.
"""

from __future__ import annotations

import argparse
import json

from ._building import Refused, add_image_arguments, build_project, document_of, tell
from ._outputs import add_output_arguments
from ._running import ending_signals

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc build                                   the name is `image` of cog.yaml, or made from the folder's
  cogc build -t my-model:v1
  cogc build --secret id=pip,src=pip.conf      for a command of build.run that mounts it
  cogc build --ssh default                     for packages from git+ssh://… and commands that mount an agent
  cogc build --separate-weights -t my-model    weights in an image of their own, my-model-weights
  cogc build -t registry.example.com/team/model --push
  cogc build -o type=oci,dest=image.tar        an archive; -o FOLDER writes the files of the image
  cogc build --format json --progress quiet    for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc build`."""
    parser.add_argument("-t", "--tag", metavar="NAME[:TAG]", help="name of the image (default: from cog.yaml)")
    add_image_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Build, and give the exit code."""
    try:
        with ending_signals():
            built = build_project(arguments, arguments.tag)
    except Refused as refused:
        return refused.status
    if arguments.format == "json":
        print(json.dumps(document_of(built), indent=2, ensure_ascii=False))
    elif arguments.progress == "quiet":
        if not built.destinations.prints:
            print(built.image.name)
    else:
        tell(built)
    return 0
