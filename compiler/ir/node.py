"""What every node of the IR has: where it came from, and why it is there."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from ..record import record
from ..source import Span

__all__ = ["Cause", "CauseKind", "Node"]

CauseKind: TypeAlias = Literal["config", "matrix", "rule", "flag", "default"]


@record
class Cause:
    """One reason for a node.

    `kind` says what sort of reason: a key of the configuration, a row of the compatibility matrix, a rule
    of the compiler, a command-line flag, or a default. `text` is a phrase for people; `span` is set where
    the reason stands in a file of the user.
    """

    kind: CauseKind
    text: str
    span: Span | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.span.file}:{self.span.line})" if self.span else self.text


@record
class Node:
    """Base of all nodes. Equality ignores provenance: two nodes are equal when they do the same."""

    origin: Span | None = field(default=None, compare=False, repr=False)
    because: tuple[Cause, ...] = field(default=(), compare=False, repr=False)
