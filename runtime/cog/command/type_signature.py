"""`python -m cog.command.type_signature`: print the signature of a model in the interface of 2021."""

from __future__ import annotations

import json
import sys
from typing import Any

from ..errors import ConfigDoesNotExist
from ..legacy import type_signature
from ..predictor import load_target, read_targets
from .openapi_schema import output_kept_apart

__all__ = ["main", "signature"]


def signature() -> dict[str, Any]:
    """`{"inputs": […]}` of the prediction target; empty without one."""
    try:
        targets = read_targets()
    except ConfigDoesNotExist:
        return {}
    if "predict" not in targets:
        return {}
    return type_signature(getattr(load_target(targets["predict"]).function, "__cog_inputs__", []))


def main() -> int:
    """Print the signature; the exit status."""
    with output_kept_apart() as out:
        json.dump(signature(), out)
        out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
