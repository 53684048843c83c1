"""How diagnostics are shown: one renderer per format, imported when it is chosen.

Comes in: diagnostics and the texts that they point into. Goes out: text to print as it is. It neither
prints nor decides whether the terminal has colours, and it does not sort: see `diagnostics.in_order`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..diagnostics import Diagnostic

__all__ = ["FORMATS", "render"]

FORMATS = ("text", "concise", "json", "sarif", "github")


def render(
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str],
    format: str,
    *,
    colour: bool = False,
    width: int = 100,
    wraps: bool = False,
) -> str:
    """Show `diagnostics`, in their order, in one of `FORMATS`.

    Shapes: `sources` maps the file names of the spans to the text of the file; a file may be missing.
    Without diagnostics `json` and `sarif` are documents with empty lists, and the others are empty;
    all other output ends with a line break. Only `text` looks at `sources` and what follows `format`;
    `wraps` breaks its messages at `width`, between words.
    Units: `width` in terminal columns.
    Errors: ValueError when `format` is none of `FORMATS`.
    """
    match format:
        case "text":
            from .text import render_text

            return render_text(diagnostics, sources, colour=colour, width=width, wraps=wraps)
        case "concise":
            from .concise import render_concise

            return render_concise(diagnostics)
        case "json":
            from .json_ import render_json

            return render_json(diagnostics)
        case "sarif":
            from .sarif import render_sarif

            return render_sarif(diagnostics)
        case "github":
            from .github import render_github

            return render_github(diagnostics)
    raise ValueError(f"unknown format {format!r}: not one of {', '.join(FORMATS)}")
