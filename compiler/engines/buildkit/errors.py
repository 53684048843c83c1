"""What goes wrong between us and a daemon.

BuildkitError
├── Unreachable        nobody answers, or not in the right language
├── ConnectionLost     the connection ended while it was needed
└── CallFailed         the daemon answered a call with an error
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["BuildkitError", "CallFailed", "ConnectionLost", "Unreachable"]


class BuildkitError(Exception):
    """The base of all of them; the text is a phrase for people."""


class Unreachable(BuildkitError):
    """No connection could be made."""


class ConnectionLost(BuildkitError):
    """The connection ended."""


class CallFailed(BuildkitError):
    """A call ended with a gRPC status other than OK. `details` are messages of the daemon, as they came."""

    def __init__(self, code: int, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)
