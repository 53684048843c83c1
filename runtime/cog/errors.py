"""Errors of older releases, kept for code that imports their names."""

from __future__ import annotations

__all__ = ["CogError", "ConfigDoesNotExist", "PredictorNotSet"]


class CogError(Exception):
    """Base class of the errors in this module."""


class ConfigDoesNotExist(CogError):
    """There is no cog.yaml, and no environment variable that says what to load."""


class PredictorNotSet(CogError):
    """cog.yaml names no target of the kind that was asked for."""
