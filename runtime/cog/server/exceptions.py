"""Exceptions under the module name that models import them from."""

from __future__ import annotations

from ..exceptions import CancelationException, FatalWorkerException, InvalidStateException

__all__ = ["CancelationException", "FatalWorkerException", "InvalidStateException"]
