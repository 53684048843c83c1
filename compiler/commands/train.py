"""Run a training with the model of this project, or of an image.

The result is written to the file `weights` unless --output names another place.
"""

from __future__ import annotations

import argparse

from ._prediction import add_prediction_arguments
from .predict import run_on_image_or_project

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc train -i train_data=@data.zip -i epochs=3     writes weights
  cogc train -i param=train -o out.bin
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc train`."""
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image of a model (default: this project)")
    add_prediction_arguments(parser, "train")


def run(arguments: argparse.Namespace) -> int:
    """Run the training and give the exit code."""
    return run_on_image_or_project(arguments, "train")
