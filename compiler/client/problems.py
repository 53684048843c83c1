"""What ends a request to a model for a reason that people can do something about."""

from __future__ import annotations

from ..diagnostics import Diagnostic

__all__ = ["ClientProblem", "OutputProblem", "Refused", "Unreachable"]


class ClientProblem(Exception):
    """`diagnostic` says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Unreachable(ClientProblem):
    """Nobody answers, or the connection broke."""


class Refused(ClientProblem):
    """The server answered that it will not run this."""


class OutputProblem(ClientProblem):
    """The output cannot be written, or is none."""
