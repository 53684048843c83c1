"""Diagnostics as one line each, for editors and for grep: `cog.yaml:4:9: error[COG204]: message`."""

from __future__ import annotations

from collections.abc import Iterable

from ..diagnostics import Diagnostic
from ._visible import one_line

__all__ = ["render_concise"]


def render_concise(diagnostics: Iterable[Diagnostic]) -> str:
    """One line each, without notes and hints."""
    return "".join(f"{_line(diagnostic)}\n" for diagnostic in diagnostics)


def _line(diagnostic: Diagnostic) -> str:
    place = f"{one_line(str(diagnostic.span))}: " if diagnostic.span else ""
    return f"{place}{diagnostic.severity}[{one_line(diagnostic.code)}]: {one_line(diagnostic.message)}"
