"""Rows of the matrix as text for people, or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..ir.resolver.reasons import BROUGHT_BY

if TYPE_CHECKING:
    from ..ir.matrix import BuildVariant, Matrix, Release

__all__ = ["is_shown", "package_of", "show_package"]

_ARCHITECTURES = ("amd64", "arm64")
_WANTED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*([=<>!~].*)?")


def is_shown(table: Mapping[str, Any]) -> bool:
    """Whether the table can be shown: it is about a package."""
    return "package" in table


def package_of(wanted: str) -> str | None:
    """The package in `torch==2.8.0`, whether or not there are such releases; None for what names none."""
    found = _WANTED.fullmatch(wanted)
    return canonicalize_name(found[1]) if found is not None else None


def show_package(matrix: Matrix, wanted: str, format: str) -> str | None:
    """What the matrix says about `torch`, `torch==2.8.0` or `torch>=2.6`; None for what it does not have."""
    found = _WANTED.fullmatch(wanted)
    if found is None:
        return None
    name, text = canonicalize_name(found[1]), re.sub(r"^=(?!=)", "==", (found[2] or "").strip())
    try:
        specifier = SpecifierSet(text)
        table = matrix.table(name)
    except (InvalidSpecifier, KeyError):
        return None
    if not is_shown(table):
        return None
    rows = [row for row in table["rows"] if Version(row["version"]) in specifier]
    if not rows:
        return None
    if format == "json":
        document = {"matrix": matrix.version, "package": name, "sources": table["sources"], "rows": rows}
        return json.dumps(document, indent=2, ensure_ascii=False)
    versions = sorted({Version(row["version"]) for row in rows}, reverse=True)
    lines = _release(matrix, name, versions[0]) if len(versions) == 1 else _list(matrix, name, versions)
    return "\n".join(lines)


# -- many releases -------------------------------------------------------------------------------


def _list(matrix: Matrix, name: str, versions: list[Version]) -> Iterator[str]:
    yield f"{name}: {len(versions)} releases (matrix {matrix.version}), the newest first"
    for version in versions:
        for architecture in _ARCHITECTURES:
            release = matrix.release(name, architecture, version)
            if release is not None:
                yield f"  {version!s:<12} {architecture}  {_short(release)}"


def _short(release: Release) -> str:
    pythons = release.python
    python = pythons[0] if len(pythons) == 1 else f"{pythons[0]}-{pythons[-1]}"
    cuda = f"CUDA {release.default.cuda}" if release.default.cuda else "no CUDA"
    more = " ".join(build.id for build in release.builds[1:])
    withdrawn = "  (withdrawn)" if release.is_yanked else ""
    return f"Python {python:<9} {cuda:<10} {more}{withdrawn}".rstrip()


# -- one release ---------------------------------------------------------------------------------


def _release(matrix: Matrix, name: str, version: Version) -> Iterator[str]:
    yield f"{name} {version} (matrix {matrix.version})"
    for architecture in _ARCHITECTURES:
        release = matrix.release(name, architecture, version)
        if release is not None:
            yield ""
            yield f"linux/{architecture}"
            yield from (f"  {label:<12} {text}" for label, text in _facts(matrix, release))


def _facts(matrix: Matrix, release: Release) -> Iterator[tuple[str, str]]:
    if release.released:
        yield "released", release.released + (", and withdrawn" if release.is_yanked else "")
    yield "Python", ", ".join(release.python)
    if release.glibc:
        yield "glibc", f"{release.glibc} or later"
    for build in release.builds:
        yield f"build {build.id}" if build.id != "default" else "default", _build(matrix, build)
        if build.kernels:
            yield "", f"code for {', '.join(build.kernels)}"
        if build.pins:
            yield "", ", ".join(f"{package}{specifier}" for package, specifier in build.pins)
        if build.src != release.src:
            yield "", _evidence(matrix, release.package, build.src)
    for package, specifier in release.companions:
        yield "fits", f"{package}{specifier}"
    for package, specifier in release.requires:
        yield "needs", f"{package}{specifier}"
    yield "known", _evidence(matrix, release.package, release.src)


def _build(matrix: Matrix, build: BuildVariant) -> str:
    parts = [f"CUDA {build.cuda}" if build.cuda else "no CUDA of its own"]
    if build.cudnn:
        parts.append(f"cuDNN {build.cudnn}")
    if build.cuda_from not in ("none", "source"):
        parts.append(f"libraries: {BROUGHT_BY[build.cuda_from]}")
    driver = matrix.minimum_driver(build.cuda) if build.cuda else None
    if driver:
        parts.append(f"driver {driver} or later")
    if build.size_mib:
        parts.append(f"{build.size_mib} MiB")
    return ", ".join(parts)


def _evidence(matrix: Matrix, table: str, src: str) -> str:
    evidence = matrix.evidence(table, src)
    return f"{evidence}: {evidence.what}" if evidence is not None else "source not stated"
