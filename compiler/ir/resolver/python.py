"""What is said about the Python that is chosen: why this one, and whether it is still supported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...diagnostics import Diagnostic, report
from ...source import Span
from ..matrix import Matrix, PythonRelease
from ..node import Cause
from ..nodes import DEFAULT_PYTHON, Request
from .candidates import Candidate

__all__ = ["minor_of", "python_causes", "python_remarks"]


def minor_of(version: str) -> str:
    """`3.12` of `3.12.4`."""
    return ".".join(version.split(".")[:2])


def python_causes(request: Request, python: str, chosen: Sequence[Candidate]) -> tuple[Cause, ...]:
    """Why it is this Python: it is written, or packages rule out the default, or it is the default."""
    if request.python_version is not None:
        return (Cause(kind="config", text=f"python {python}", span=dict(request.spans).get("python_version")),)
    if request.base_image is not None:
        return (Cause(kind="default", text=f"python {python} is assumed, which the base image should have"),)
    rulers = tuple(_rulers_out(chosen))
    kind = "matrix" if rulers and python != DEFAULT_PYTHON else "default"
    first = Cause(kind="matrix" if kind == "matrix" else "default", text=f"python {python}")
    return (first, *rulers) if kind == "matrix" else (first,)


def _rulers_out(chosen: Sequence[Candidate]) -> Iterator[Cause]:
    """The packages that have no wheel for the default Python."""
    for candidate in chosen:
        wheel = next((demand.wheel for demand in candidate.demands if demand.wheel), None)
        if wheel is not None and not wheel.runs_on(DEFAULT_PYTHON):
            text = f"the wheel {wheel.file} is for Python {_list(wheel.exact)}"
            yield Cause(kind="config", text=text, span=candidate.origin)
        elif candidate.release is not None and DEFAULT_PYTHON not in candidate.release.python:
            text = f"{candidate} has wheels for Python {_list(candidate.release.python)}"
            yield Cause(kind="matrix", text=text, span=candidate.origin)


def python_remarks(request: Request, python: str, causes: Sequence[Cause], matrix: Matrix) -> tuple[Diagnostic, ...]:
    """Warnings: COG131 (its support has ended), COG132 (newer than the matrix)."""
    minor = minor_of(python)
    known = {row.version: row for row in matrix.pythons}
    span = dict(request.spans).get("python_version")
    if request.python_version is None:
        span = next((cause.span for cause in causes if cause.span), None)
    if minor not in known:
        newest = matrix.pythons[-1].version
        message = f"Python {minor} is newer than compatibility matrix {matrix.version}, which ends at {newest}"
        return (report("COG132", message, span),)
    return _end_of_life(known[minor], span, matrix)


def _end_of_life(python: PythonRelease, span: Span | None, matrix: Matrix) -> tuple[Diagnostic, ...]:
    # The matrix's own date: what has ended is a fact of the tables, not of the day of the build.
    if not python.is_over(matrix.month):
        return ()
    message = f"Python {python.version} reached its end of life on {python.end_of_life}: no more security fixes"
    return (report("COG131", message, span),)


def _list(versions: Sequence[str]) -> str:
    *most, last = versions
    return f"{', '.join(most)} and {last}" if most else last
