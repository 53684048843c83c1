"""`python -m cog.command.openapi_schema`: print the OpenAPI document of the model, by importing it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import Any, Iterator

from ..openapi import openapi_document
from ..predictor import load_target, read_targets

__all__ = ["document", "main", "output_kept_apart"]


@contextmanager
def output_kept_apart() -> Iterator[Any]:
    """An open file for the result, while what the model prints at its import goes to standard error."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield kept
    finally:
        sys.stdout.flush()
        kept.flush()
        os.dup2(kept.fileno(), 1)
        kept.close()


def document() -> dict[str, Any]:
    """The document for the targets that the environment or cog.yaml names. Errors: `LoadError`, and the model's own."""
    signatures = {mode: load_target(reference, mode).signature for mode, reference in read_targets().items()}
    return openapi_document(signatures.get("predict"), signatures.get("train"))


def main() -> int:
    """Print the document; the exit status."""
    with output_kept_apart() as out:
        json.dump(document(), out, indent=2)
        out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
