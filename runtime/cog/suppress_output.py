"""Silence for noisy code: what it writes to descriptors 1 and 2 is dropped."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import Iterator

__all__ = ["suppress_output"]


@contextmanager
def suppress_output() -> Iterator[None]:
    """Send standard output and standard error to /dev/null within the block, those of children included."""
    _flush()
    null = os.open(os.devnull, os.O_WRONLY)
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(null, 1)
        os.dup2(null, 2)
        yield
    finally:
        _flush()
        for descriptor, copy in zip((1, 2), saved):
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
