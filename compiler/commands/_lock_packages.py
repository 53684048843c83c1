"""A resolved build → every Python package that it installs, as uv finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..engines import Reporter
from ..engines.uv_resolver import PackageRequest, resolve_packages
from ..frontend.pylock import TargetSystem
from ..frontend.requirement_options import option_text, parse_options, split_options
from ..ir.lock import LockedPackage
from ..ir.matrix import Matrix
from ..ir.nodes import Request, Resolution

__all__ = ["locked_packages"]

# What a requirements file may say to uv; other options of pip are about how packages are built and installed.
_FILE_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--no-binary", "--only-binary")
_UNKNOWN_GLIBC_MINOR = 28  # a base image of the user's own: what every distribution with support has


def locked_packages(
    request: Request,
    resolution: Resolution,
    root: Path,
    reporter: Reporter,
    matrix: Matrix,
    *,
    kept: Sequence[tuple[str, str]] = (),
    upgrades: Collection[str] = (),
    allows_builds: bool = False,
) -> tuple[LockedPackage, ...]:
    """All packages of a build. Errors: COG265, COG266 as `EngineFailure`."""
    artifacts = {line.text: line.path for line in request.requirements if line.kind == "artifact" and line.path}
    lines = tuple(_lines(resolution.requirements, artifacts, root))
    if all(line.startswith("-") for line in lines):
        return ()
    target = TargetSystem(
        python=resolution.python,
        architecture=request.architecture,
        glibc_minor=_glibc_minor(resolution.distribution, matrix),
    )
    return resolve_packages(
        PackageRequest(
            lines=lines,
            constraints=tuple(resolution.constraints),
            target=target,
            options=tuple(_arguments(request)),
            kept=tuple(kept),
            upgrades=tuple(sorted(upgrades)),
            hashes=tuple(_hashes(request)),
            root=root,
            artifacts=tuple(artifacts.values()),
            allows_builds=allows_builds,
        ),
        reporter,
    )


def _glibc_minor(distribution: str | None, matrix: Matrix) -> int:
    """The 36 of glibc 2.36."""
    known = dict(matrix.rules.glibc).get(distribution or "")
    return int(known.split(".")[1]) if known else _UNKNOWN_GLIBC_MINOR


def _lines(requirements: Sequence[str], artifacts: dict[str, str], root: Path) -> Iterator[str]:
    """The lines as uv takes them on this machine."""
    for line in requirements:
        if line in artifacts:
            yield (root / artifacts[line]).absolute().as_uri()
            continue
        body, start = split_options(line)
        if start == len(line):
            yield line
            continue
        try:
            options = parse_options(line[start:])
        except ValueError:  # a line that nobody understands: uv says so
            yield line
            continue
        wanted = ("--hash", "--editable") if body else (*_FILE_OPTIONS, "--editable")
        given = option_text((option.name, option.value) for option in options if option.name in wanted)
        if body or given:
            yield f"{body} {given}".strip()


def _arguments(request: Request) -> Iterator[str]:
    """Options of the list that uv takes on its command line."""
    for requirement in request.requirements:
        for name, value in requirement.options:
            if name == "--pre":
                yield from ("--prerelease", "allow")
            elif name == "--trusted-host":
                yield from ("--allow-insecure-host", value)


def _hashes(request: Request) -> Iterator[tuple[str, frozenset[str]]]:
    for requirement in request.requirements:
        given = [value for name, value in requirement.options if name == "--hash"]
        if requirement.name is not None and given:
            digests = (value.partition(":") for value in given)
            yield requirement.name, frozenset(digest for kind, _, digest in digests if kind == "sha256")
