"""Which Python: the one that is written, or the newest usual one that all pinned packages have wheels for."""

from __future__ import annotations

from collections.abc import Sequence

from ...diagnostics import Diagnostic, Note, report
from ...source import Span
from ..matrix import Matrix, PythonRelease
from ..node import Cause
from ..nodes import DEFAULT_PYTHON, Request
from .packages import KnownPackage

__all__ = ["choose_python", "minor_of"]

OLDEST = (3, 8)


def minor_of(version: str) -> str:
    """`3.12` of `3.12.4`."""
    return ".".join(version.split(".")[:2])


def choose_python(
    request: Request, packages: Sequence[KnownPackage], matrix: Matrix
) -> tuple[str | None, tuple[Cause, ...], tuple[Diagnostic, ...]]:
    """The version, why, and what to say about it. Error: COG221; warnings: COG131, COG132, COG220."""
    pinned = [package for package in packages if package.asked in ("pin", "minor") and package.release is not None]
    if request.python_version is not None:
        return _given(request.python_version, dict(request.spans).get("python_version"), pinned, matrix)
    candidates = [p for p in matrix.pythons if _key(p.version) >= OLDEST]
    causes: list[Cause] = []
    for package in pinned:
        supported = _supported(package)
        remaining = [python for python in candidates if python.version in supported]
        if not remaining:
            return None, (), (_no_common_python(pinned, matrix),)
        if DEFAULT_PYTHON in {p.version for p in candidates} and DEFAULT_PYTHON not in {p.version for p in remaining}:
            assert package.release is not None
            text = f"{package.name} {package.release.version} has wheels for Python {_list(supported)}"
            causes.append(Cause(kind="matrix", text=text, span=package.requirement.origin))
        candidates = remaining
    version = _prefer(candidates)
    reason = (
        Cause(kind="matrix", text=f"python {version}") if causes else Cause(kind="default", text=f"python {version}")
    )
    chosen = next(python for python in matrix.pythons if python.version == version)
    because = causes[0].span if causes else None
    return version, (reason, *causes), _end_of_life(chosen, because, matrix)


def _given(
    version: str, span: Span | None, pinned: Sequence[KnownPackage], matrix: Matrix
) -> tuple[str, tuple[Cause, ...], tuple[Diagnostic, ...]]:
    minor = minor_of(version)
    found: list[Diagnostic] = []
    known = {python.version: python for python in matrix.pythons}
    if minor not in known:
        newest = matrix.pythons[-1].version
        message = f"Python {minor} is newer than compatibility matrix {matrix.version}, which ends at {newest}"
        found.append(report("COG132", message, span))
    else:
        found += _end_of_life(known[minor], span, matrix)
    found += [_no_wheel(package, minor, span, matrix) for package in pinned if minor not in _supported(package)]
    return version, (Cause(kind="config", text=f"python {version}", span=span),), tuple(found)


def _end_of_life(python: PythonRelease, span: Span | None, matrix: Matrix) -> tuple[Diagnostic, ...]:
    if not python.is_over(_date_of(matrix)):
        return ()
    message = f"Python {python.version} reached its end of life on {python.end_of_life}: no more security fixes"
    return (report("COG131", message, span),)


def _no_wheel(package: KnownPackage, minor: str, span: Span | None, matrix: Matrix) -> Diagnostic:
    assert package.release is not None
    supported = _supported(package)
    message = f"{package.name} {package.release.version} has no wheel for Python {minor}"
    notes = [Note(message=f"python_version is {minor} here", span=span)] if span else []
    wheels = f"{package.name} {package.release.version} has wheels for Python {_list(supported)}"
    notes.append(Note(message=f"{wheels} (matrix {matrix.version})"))
    best = _prefer(
        [python for python in matrix.pythons if python.version in supported and _key(python.version) >= OLDEST]
    )
    hint = f'python_version: "{best}"' if best else None
    return report("COG220", message, package.requirement.origin, notes=notes, hint=hint)


def _no_common_python(pinned: Sequence[KnownPackage], matrix: Matrix) -> Diagnostic:
    notes = [
        Note(
            message=f"{package.name} {package.release.version} has wheels for Python {_list(_supported(package))}",
            span=package.requirement.origin,
        )
        for package in pinned
        if package.release is not None
    ]
    names = " and ".join(f"{p.name} {p.release.version}" for p in pinned if p.release is not None)
    message = f"no Python version has wheels of {names}"
    hint = f"change one of the versions (matrix {matrix.version})"
    return report("COG221", message, pinned[0].requirement.origin, notes=notes, hint=hint)


def _supported(package: KnownPackage) -> tuple[str, ...]:
    """The Pythons with a wheel of any release that satisfies the requirement."""
    versions = {python for release in package.releases for python in release.python}
    return tuple(sorted(versions, key=_key))


def _prefer(candidates: Sequence[PythonRelease]) -> str:
    """The default if it is there, else the nearest below it, else the lowest above."""
    versions = sorted((python.version for python in candidates), key=_key)
    at_most = [version for version in versions if _key(version) <= _key(DEFAULT_PYTHON)]
    return at_most[-1] if at_most else versions[0] if versions else ""


def _list(versions: Sequence[str]) -> str:
    *most, last = versions
    return f"{', '.join(most)} and {last}" if most else last


def _key(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _date_of(matrix: Matrix) -> str:
    """The matrix's own date: what has ended is a fact of the tables, not of the day of the build."""
    year, month = matrix.version.split(".")[:2]
    return f"{year}-{month}-01"
