"""The requirement lines of the build: index URLs for the chosen builds, options lifted to the top."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Literal

from packaging.version import Version

from ...diagnostics import Diagnostic, Edit, Fix, report
from ...record import record
from ..matrix import BuildVariant, Matrix
from ..node import Cause
from ..nodes import Request
from .candidates import Candidate
from .demands import TORCH_FAMILY, Demand
from .indexes import TORCH_INDEX

__all__ = ["Lines", "rewrite_requirements"]

_INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index")
# Options of a requirements file that uv takes on its command line, and pip inside the file.
_UV_OPTIONS = {"--pre": ("--prerelease", "allow"), "--trusted-host": ("--allow-insecure-host",), "--prefer-binary": ()}
_UV_FILE_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--no-binary", "--only-binary")
# A user alone is one where the URL is not that of ssh, which has its keys elsewhere.
_PASSWORD = re.compile(r"(?<!ssh)://(?!git@)[^/@\s${]+@|ssh://[^/@:\s]*:[^/@\s${]+@")

_Known = tuple[Candidate, Demand]


@record
class Lines:
    """The lines of requirements.txt and constraints.txt, and how they are to be installed."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    installer: Literal["uv", "pip"]
    installer_options: tuple[str, ...]
    causes: tuple[Cause, ...]
    diagnostics: tuple[Diagnostic, ...]


def rewrite_requirements(
    request: Request, python: str, chosen: Sequence[Candidate], matrix: Matrix, constraints: Sequence[str] = ()
) -> Lines:
    """Options first (the user's order, then ours sorted), then the packages in the user's order.

    `constraints` are lines for the constraints file besides those of the user. Info: COG227; warning: COG211.
    """
    options: list[tuple[str, str]] = []
    packages: list[tuple[str, _Known | None]] = []
    found: list[Diagnostic] = []
    causes: list[Cause] = []
    by_line = {id(demand.requirement): (each, demand) for each in chosen for demand in each.demands}
    for requirement in request.requirements:
        if requirement.kind == "constraint":
            continue
        lifted = [option for option in requirement.options if option[0] in _INDEX_OPTIONS]
        if requirement.kind == "option":
            options += requirement.options
            continue
        if lifted:
            # An index on a package's own line is not a replacement for the usual one: it comes in addition.
            options += [("--extra-index-url" if name == "--index-url" else name, value) for name, value in lifted]
        text = requirement.text
        if (known := by_line.get(id(requirement))) is not None:
            text, remark = _expand_minor_pin(*known, text, matrix, request.architecture)
            found += [remark] if remark else []
            causes += _cause(*known)
        packages.append((text, known))
    found += _credentials(request)
    ours = _torch_options(request, chosen, options)
    torch = next((each.build for each in chosen if each.package == "torch" and each.demands), None)
    names_builds = torch is not None and any(name == "--find-links" for name, _ in ours)
    texts = [
        _with_suffix(*known, text, torch) if known and torch and names_builds else text for text, known in packages
    ]
    installer, arguments = _installer(request, python, options)
    written = [*dict.fromkeys(options), *sorted(set(ours) - set(options))]
    if installer == "uv":
        written = [option for option in written if option[0] not in _UV_OPTIONS]
    lines = [" ".join((name, *([shlex.quote(value)] if value else []))) for name, value in written]
    theirs = tuple(r.text for r in request.requirements if r.kind == "constraint")
    return Lines(
        requirements=(*lines, *texts) if texts else (),
        constraints=(*theirs, *constraints) if texts else theirs,
        installer=installer,
        installer_options=arguments,
        causes=tuple(causes),
        diagnostics=tuple(found),
    )


def _credentials(request: Request) -> Iterator[Diagnostic]:
    """COG211 for each line with a password in a URL; a variable such as ${TOKEN} is none, nor is a user of ssh."""
    for requirement in request.requirements:
        texts = (requirement.text, *(value for _, value in requirement.options))
        if any(map(_PASSWORD.search, texts)):
            message = "the requirement has a password in its URL, which is stored in the project and the build's files"
            hint = "mount a pip.conf or .netrc as a secret in `build.run` instead"
            yield report("COG211", message, requirement.origin, hint=hint)


def _expand_minor_pin(
    candidate: Candidate, demand: Demand, text: str, matrix: Matrix, architecture: str
) -> tuple[str, Diagnostic | None]:
    if demand.asked != "minor" or candidate.release is None:
        return text, None
    written = demand.requirement.specifier
    version = f"=={candidate.release.version}"
    if written == version:
        return text, None
    new = _with_version(text, written, str(candidate.release.version))
    span = demand.requirement.origin
    fix = Fix(title=f"pin {new}", edits=(Edit(span=span, replacement=new),)) if span else None
    admitted = [version for version in matrix.versions(candidate.package, architecture) if demand.admits(version)]
    suits = "" if candidate.release.version == admitted[-1] else " that fits"
    message = f"`{text}` is read as {new}, the newest patch release{suits}"
    return new, report("COG227", message, span, hint="write all three parts to say which one", fix=fix)


def _with_version(text: str, specifier: str, version: str) -> str:
    """The line with another version behind its `==`, however the line is spaced."""
    old = re.escape(specifier.lstrip("="))
    return re.sub(rf"(={{2,3}})\s*{old}(?![\w.+])", rf"\g<1>{version}", text, count=1)


def _cause(candidate: Candidate, demand: Demand) -> list[Cause]:
    release, build = candidate.release, candidate.build
    if release is None or build is None or candidate.package not in TORCH_FAMILY:
        return []
    if demand.asked == "minor":
        text = f"{candidate.package}{demand.requirement.specifier} is {release.version}"
        if build.id == "default":
            return [Cause(kind="matrix", text=text)]
    elif build.id == "default":
        return []
    else:
        text = f"{candidate.package} {release.version}"
    return [Cause(kind="matrix", text=f"{text}, build {build.id}")]


def _torch_options(
    request: Request, chosen: Sequence[Candidate], theirs: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The index that has the chosen build of torch; none when the user names an index of PyTorch."""
    if any(TORCH_INDEX in value for _, value in theirs):
        return []
    torch = next((each for each in chosen if each.package == "torch" and each.line is not None), None)
    if torch is not None and torch.line is not None:
        if torch.is_from_file or any(name in (*_INDEX_OPTIONS, "--hash") for name, _ in torch.line.requirement.options):
            return []  # an index of their own, or a file that only one index has
        if not request.is_gpu and torch.line.asked in ("any", "range"):
            return [("--extra-index-url", f"{TORCH_INDEX}/cpu/")]
        if torch.build is None or torch.build.id == "default" or torch.version is None:
            return []
        return [_index(torch.version, torch.build.id)]
    family = [each for each in chosen if each.package in TORCH_FAMILY[1:] and each.demands]
    if family and not request.is_gpu:  # they bring torch along: the CPU build of it
        return [("--extra-index-url", f"{TORCH_INDEX}/cpu/")]
    return []


def _index(version: Version, tag: str) -> tuple[str, str]:
    if version >= Version("1.11"):
        return "--extra-index-url", f"{TORCH_INDEX}/{tag}/"
    if version >= Version("1.10.1"):
        return "--find-links", f"{TORCH_INDEX}/{tag}/torch_stable.html"
    return "--find-links", f"{TORCH_INDEX}/torch_stable.html"


def _with_suffix(candidate: Candidate, demand: Demand, text: str, torch: BuildVariant) -> str:
    """Before torch 1.11 one page lists all builds, so the requirement must name the build."""
    if candidate.package not in ("torch", "torchvision") or candidate.release is None or demand.build is not None:
        return text
    if demand.asked not in ("pin", "minor"):
        return text
    exact = str(candidate.release.version)
    return _with_version(text, f"=={exact}", f"{exact}+{torch.id}")


def _installer(
    request: Request, python: str, options: Sequence[tuple[str, str]]
) -> tuple[Literal["uv", "pip"], tuple[str, ...]]:
    """uv, unless the user asks for pip or a line needs it; and its arguments for options it takes there."""
    unknown = [name for name, _ in options if name not in _UV_FILE_OPTIONS and name not in _UV_OPTIONS]
    if request.installer == "pip" or (request.installer == "auto" and unknown):
        return "pip", ()
    arguments: list[str] = []
    for name, value in options:
        if _UV_OPTIONS.get(name):
            arguments += [*_UV_OPTIONS[name], *([value] if name == "--trusted-host" else [])]
    return "uv", tuple(dict.fromkeys(arguments)) if "--trusted-host" not in dict(options) else tuple(arguments)
