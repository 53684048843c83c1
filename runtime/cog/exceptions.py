"""Exceptions that model code may catch.

BaseException
└── CancelationException
Exception
├── FatalWorkerException
└── InvalidStateException
"""

from __future__ import annotations

__all__ = ["CancelationException", "FatalWorkerException", "InvalidStateException"]


class CancelationException(BaseException):
    """Raised in a running prediction that is cancelled.

    Catch it to clean up, then raise it again. It is a `BaseException`, so that `except Exception` does not
    swallow it.
    """


class FatalWorkerException(Exception):
    """The worker cannot go on. Kept for models that import the name; never raised here."""


class InvalidStateException(Exception):
    """The worker was asked for something at the wrong time. Kept for models that import the name."""
