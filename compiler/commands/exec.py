"""Run a program in the model's environment: the newer name of `cogc run`."""

from __future__ import annotations

from .run import EXAMPLES as _EXAMPLES
from .run import add_arguments, run

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = _EXAMPLES.replace("cogc run", "cogc exec")
