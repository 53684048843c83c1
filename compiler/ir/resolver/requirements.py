"""The requirement lines of the build: index URLs for the chosen builds, options lifted to the top."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Literal

from packaging.version import Version

from ...diagnostics import Diagnostic, Edit, Fix, report
from ...record import record
from ..matrix import BuildVariant
from ..node import Cause
from ..nodes import Request
from .cuda import ChosenBuild
from .packages import TORCH_FAMILY

__all__ = ["TORCH_INDEX", "Lines", "rewrite_requirements"]

# PyTorch's own index: one sub-index per build, as in https://pytorch.org/get-started/previous-versions/
TORCH_INDEX = "https://download.pytorch.org/whl"
_INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index")
# Options of a requirements file that uv takes on its command line, and pip inside the file.
_UV_OPTIONS = {"--pre": ("--prerelease", "allow"), "--trusted-host": ("--allow-insecure-host",), "--prefer-binary": ()}
_UV_FILE_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--no-binary", "--only-binary")


@record
class Lines:
    """The lines of requirements.txt and constraints.txt, and how they are to be installed."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    installer: Literal["uv", "pip"]
    installer_options: tuple[str, ...]
    causes: tuple[Cause, ...]
    diagnostics: tuple[Diagnostic, ...]


def rewrite_requirements(request: Request, python: str, builds: Sequence[ChosenBuild]) -> Lines:
    """Options first (the user's order, then ours sorted), then the packages in the user's order.

    Info: COG227; warning: COG211.
    """
    options: list[tuple[str, str]] = []
    packages: list[tuple[str, ChosenBuild | None]] = []
    found: list[Diagnostic] = []
    causes: list[Cause] = []
    chosen = {id(c.package.requirement): c for c in builds}
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
        if (known := chosen.get(id(requirement))) is not None:
            text, remark = _expand_minor_pin(known, text)
            found += [remark] if remark else []
            causes += _cause(known)
        packages.append((text, known))
    found += _credentials(request)
    ours = _torch_options(request, builds, options)
    torch = next((c.build for c in builds if c.package.name == "torch"), None)
    names_builds = torch is not None and any(name == "--find-links" for name, _ in ours)
    texts = [_with_suffix(c, text, torch) if c and torch and names_builds else text for text, c in packages]
    installer, arguments = _installer(request, python, options)
    written = [*dict.fromkeys(options), *sorted(set(ours) - set(options))]
    if installer == "uv":
        written = [option for option in written if option[0] not in _UV_OPTIONS]
    lines = [" ".join((name, *([shlex.quote(value)] if value else []))) for name, value in written]
    return Lines(
        requirements=(*lines, *texts) if texts else (),
        constraints=tuple(r.text for r in request.requirements if r.kind == "constraint"),
        installer=installer,
        installer_options=arguments,
        causes=tuple(causes),
        diagnostics=tuple(found),
    )


def _credentials(request: Request) -> Iterator[Diagnostic]:
    """COG211 for each line with a password in a URL; a variable such as ${TOKEN} is none."""
    for requirement in request.requirements:
        texts = (requirement.text, *(value for _, value in requirement.options))
        if any(re.search(r"://(?!git@)[^/@\s${]+@", text) for text in texts):
            message = "the requirement has a password in its URL, which is stored in the project and the build's files"
            hint = "mount a pip.conf or .netrc as a secret in `build.run` instead"
            yield report("COG211", message, requirement.origin, hint=hint)


def _expand_minor_pin(chosen: ChosenBuild, text: str) -> tuple[str, Diagnostic | None]:
    package = chosen.package
    if package.asked != "minor" or package.release is None:
        return text, None
    written = package.requirement.specifier
    version = f"=={package.release.version}"
    if written == version:
        return text, None
    new = _with_version(text, written, str(package.release.version))
    span = package.requirement.origin
    fix = Fix(title=f"pin {new}", edits=(Edit(span=span, replacement=new),)) if span else None
    message = f"`{text}` is read as {new}, the newest patch release"
    return new, report("COG227", message, span, hint="write all three parts to say which one", fix=fix)


def _with_version(text: str, specifier: str, version: str) -> str:
    """The line with another version behind its `==`, however the line is spaced."""
    old = re.escape(specifier.lstrip("="))
    return re.sub(rf"(={{2,3}})\s*{old}(?![\w.+])", rf"\g<1>{version}", text, count=1)


def _cause(chosen: ChosenBuild) -> list[Cause]:
    package, build = chosen.package, chosen.build
    if package.release is None or build is None or package.name not in TORCH_FAMILY:
        return []
    version = package.release.version
    if package.asked == "minor":
        text = f"{package.name}{package.requirement.specifier} is {version}"
        if build.id == "default":
            return [Cause(kind="matrix", text=text)]
    elif build.id == "default":
        return []
    else:
        text = f"{package.name} {version}"
    return [Cause(kind="matrix", text=f"{text}, build {build.id}")]


def _torch_options(
    request: Request, builds: Sequence[ChosenBuild], theirs: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The index that has the chosen build of torch; none when the user names an index of PyTorch."""
    if any(TORCH_INDEX in value for _, value in theirs):
        return []
    torch = next((c for c in builds if c.package.name == "torch"), None)
    if torch is not None:
        if any(name in (*_INDEX_OPTIONS, "--hash") for name, _ in torch.package.requirement.options):
            return []  # an index of their own, or a file that only one index has
        if not request.is_gpu and torch.package.asked in ("any", "range"):
            return [("--extra-index-url", f"{TORCH_INDEX}/cpu/")]
        if torch.build is None and torch.package.local is not None and torch.package.release is not None:
            return [("--extra-index-url", f"{TORCH_INDEX}/{torch.package.local}/")]
        if torch.build is None or torch.build.id == "default" or torch.package.release is None:
            return []
        return [_index(torch.package.release.version, torch.build.id)]
    family = [c for c in builds if c.package.name in TORCH_FAMILY[1:]]
    if family and not request.is_gpu:  # they bring torch along: the CPU build of it
        return [("--extra-index-url", f"{TORCH_INDEX}/cpu/")]
    return []


def _index(version: Version, tag: str) -> tuple[str, str]:
    if version >= Version("1.11"):
        return "--extra-index-url", f"{TORCH_INDEX}/{tag}/"
    if version >= Version("1.10.1"):
        return "--find-links", f"{TORCH_INDEX}/{tag}/torch_stable.html"
    return "--find-links", f"{TORCH_INDEX}/torch_stable.html"


def _with_suffix(chosen: ChosenBuild, text: str, torch: BuildVariant) -> str:
    """Before torch 1.11 one page lists all builds, so the requirement must name the build."""
    package = chosen.package
    if package.name not in ("torch", "torchvision") or package.release is None or package.local is not None:
        return text
    if package.asked not in ("pin", "minor"):
        return text
    exact = str(package.release.version)
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
