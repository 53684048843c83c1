"""What an analysis has found so far: its diagnostics, whether the image has to finish the schema, and the
place that is being read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...diagnostics import Diagnostic, Fix, Note, Severity, report
from ...record import record
from ...source import Span
from .constants import NotConstant
from .modules import Module

__all__ = ["COMPLETED_IN_IMAGE", "Findings", "Place", "Where", "leaves_open"]

Place: TypeAlias = Literal["input", "output", "field"]

COMPLETED_IN_IMAGE = "the schema is completed when the image is built, by importing the model there"


def leaves_open(diagnostic: Diagnostic) -> bool:
    """Whether a finding is about something that only the image can tell."""
    return diagnostic.hint == COMPLETED_IN_IMAGE


@record(kw_only=False)
class Where:
    """The place of an annotation: in which module, as what, and the phrase that names it in messages.

    `text_node` is the string literal that holds the annotation, since nodes inside it have no place of their own.
    `owner` is the class around a method, whose own names an annotation may use.
    """

    module: Module
    place: Place
    subject: str
    depth: int = 0
    text_node: ast.AST | None = None
    in_container: bool = False
    owner: ast.ClassDef | None = None


@dataclass(slots=True, repr=False, eq=False)
class Findings:
    """Collects diagnostics. `is_complete` turns False with the first thing that only the image can tell."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    is_complete: bool = True

    @property
    def has_errors(self) -> bool:
        """Whether anything found stops the compilation."""
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.diagnostics)

    def add(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        hint: str | None = None,
        notes: Iterable[Note] = (),
        fix: Fix | None = None,
    ) -> None:
        """Record one diagnostic."""
        self.diagnostics.append(report(code, message, span, hint=hint, notes=notes, fix=fix))

    def defer(self, code: str, message: str, span: Span | None, *, notes: Iterable[Note] = ()) -> None:
        """Record something that cannot be known from the text."""
        self.is_complete = False
        self.add(code, message, span, notes=notes, hint=COMPLETED_IN_IMAGE)

    def defer_value(self, code: str, subject: str, problem: NotConstant, module: Module, node: ast.AST) -> None:
        """Record a value that cannot be folded, with a note at the part that is to blame."""
        culprit = f"`{problem.module.text(problem.node)}` {problem.reason}"
        notes = [Note(message=culprit, span=problem.module.span(problem.node))] if problem.node is not node else []
        text = f"{subject} `{module.text(node)}` cannot be read without running the model"
        self.defer(code, text, module.span(node), notes=notes)
