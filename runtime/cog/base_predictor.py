"""`BasePredictor` under the module name of older releases."""

from __future__ import annotations

from .predictor import BasePredictor

__all__ = ["BasePredictor"]
