"""Run a prediction on the model of this project, or of an image.

Inputs are checked before anything is built or started. Text and JSON go to standard output, files to files.
"""

from __future__ import annotations

import argparse

from ..diagnostics import report
from ._prediction import add_prediction_arguments, run_prediction
from ._reporter import StandardErrorReporter
from ._running import Problem, refuse

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc predict -i image=@input.jpg                   writes output.jpg, or what the model gives
  cogc predict -i prompt="a cat" -i steps=20
  cogc predict -i paths=@1.txt -i paths=@2.txt       a list of files
  cogc predict --json '{"prompt": "a cat"}'          the whole prediction as JSON
  cogc predict --engine local -i text=world          without containers
  cogc predict my-model -i text=world                an image
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc predict`."""
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image of a model (default: this project)")
    add_prediction_arguments(parser, "predict")
    parser.add_argument(
        "--use-replicate-token", action="store_true", help="pass $REPLICATE_API_TOKEN to the model as context"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the prediction and give the exit code."""
    return run_on_image_or_project(arguments, "predict")


def run_on_image_or_project(arguments: argparse.Namespace, mode: str) -> int:
    """The same for trainings."""
    image = arguments.image
    if image is not None and "=" in image:
        message = f"Invalid image name '{image}'. Did you forget '-i'?"
        return refuse(Problem([report("COG503", message)], 2), StandardErrorReporter(), arguments.format)
    return run_prediction(arguments, "train" if mode == "train" else "predict", image=image)
