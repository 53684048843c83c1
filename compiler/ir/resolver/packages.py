"""What the request says about packages that the matrix knows: which release, and how it was asked for."""

from __future__ import annotations

import re
from typing import Literal

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from ...diagnostics import Diagnostic, report
from ...record import record
from ..matrix import Matrix, Release
from ..nodes import DEFAULT_PYTHON, Request
from ..pins import local_build, pinned_version
from ..requirement import Requirement

__all__ = ["KNOWN", "TORCH_FAMILY", "KnownPackage", "applies", "known_packages"]

TORCH_FAMILY = ("torch", "torchvision", "torchaudio")
TENSORFLOW_FAMILY = ("tensorflow", "tensorflow-gpu", "tensorflow-cpu")
KNOWN = (*TORCH_FAMILY, *TENSORFLOW_FAMILY, "onnxruntime-gpu", "vllm", "xformers", "flash-attn", "jax")


@record
class KnownPackage:
    """A requirement on a package of the matrix.

    `asked` says how: a pinned version, a two-part pin (`==2.3`, read as 2.3.*), a range, or nothing.
    `releases` are those that satisfy it, newest first; empty for versions that the matrix does not have.
    `local` is the build that the version names, such as `cu121`.
    """

    requirement: Requirement
    name: str
    asked: Literal["pin", "minor", "range", "any"]
    releases: tuple[Release, ...]
    local: str | None = None

    @property
    def release(self) -> Release | None:
        """The newest release that satisfies the requirement."""
        return self.releases[0] if self.releases else None

    def narrowed(self, python: str) -> KnownPackage:
        """The same with only the releases that have wheels for that minor version, if there are any."""
        suiting = tuple(release for release in self.releases if python in release.python)
        return KnownPackage(
            requirement=self.requirement,
            name=self.name,
            asked=self.asked,
            releases=suiting or self.releases,
            local=self.local,
        )


def known_packages(request: Request, matrix: Matrix) -> tuple[tuple[KnownPackage, ...], tuple[Diagnostic, ...]]:
    """The requirements on packages of the matrix, in the order of the request. Warnings: COG224, COG225."""
    found: list[Diagnostic] = []
    known: list[KnownPackage] = []
    for requirement in request.requirements:
        if requirement.kind == "package" and requirement.name in KNOWN and applies(requirement, request):
            package = _classify(requirement, request, matrix)
            if package is not None:
                known.append(package)
                found.extend(_remarks(package, request, matrix))
    return tuple(known), tuple(found)


def applies(requirement: Requirement, request: Request) -> bool:
    """Whether the environment marker of a line holds on the target. An open Python counts as the default."""
    if not requirement.marker:
        return True
    version = request.python_version or DEFAULT_PYTHON
    minor = ".".join(version.split(".")[:2])
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{minor}.0",
        "os_name": "posix",
        "platform_machine": "aarch64" if request.architecture == "arm64" else "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": version if version.count(".") == 2 else f"{minor}.0",
        "python_version": minor,
        "sys_platform": "linux",
        "extra": "",
    }
    try:
        return Marker(requirement.marker).evaluate(environment)
    except (InvalidMarker, UndefinedEnvironmentName, InvalidVersion):
        return True


def _classify(requirement: Requirement, request: Request, matrix: Matrix) -> KnownPackage | None:
    assert requirement.name is not None
    every = [r for r in reversed(matrix.releases(requirement.name, request.architecture)) if not r.is_yanked]
    pin = pinned_version(requirement) or _constrained(requirement, request)
    if pin is None:
        return _classify_range(requirement, every)
    try:
        version = Version(pin)
    except InvalidVersion:
        return None
    public = Version(version.public)
    exact = tuple(r for r in matrix.releases(requirement.name, request.architecture) if r.version == public)
    local = local_build(pin)
    if re.fullmatch(r"\d+\.\d+", pin) and pinned_version(requirement) is not None:
        minor = tuple(r for r in every if r.version.release[:2] == public.release[:2] and not r.version.is_prerelease)
        return KnownPackage(requirement=requirement, name=requirement.name, asked="minor", releases=minor)
    return KnownPackage(requirement=requirement, name=requirement.name, asked="pin", releases=exact, local=local)


def _constrained(requirement: Requirement, request: Request) -> str | None:
    """The version that a constraints file pins the package to."""
    pins = (
        pinned_version(line)
        for line in request.requirements
        if line.kind == "constraint" and line.name == requirement.name and applies(line, request)
    )
    return next((pin for pin in pins if pin is not None), None)


def _classify_range(requirement: Requirement, every: list[Release]) -> KnownPackage | None:
    assert requirement.name is not None
    try:
        wanted = SpecifierSet(requirement.specifier)
    except InvalidSpecifier:
        return None
    releases = tuple(release for release in every if release.version in wanted)
    asked: Literal["range", "any"] = "range" if requirement.specifier else "any"
    return KnownPackage(requirement=requirement, name=requirement.name, asked=asked, releases=releases)


def _remarks(package: KnownPackage, request: Request, matrix: Matrix) -> tuple[Diagnostic, ...]:
    span = package.requirement.origin
    if package.release is None:
        written = package.requirement.text.split(";")[0].strip()
        message = f"`{written}` is not in compatibility matrix {matrix.version}; nothing is known about its CUDA"
        hint = "it is installed as written; set `cuda` if it needs a CUDA base image"
        return (report("COG225", message, span, hint=hint if request.is_gpu else None),)
    if package.asked in ("any", "range") and request.is_gpu and package.name in ("torch", *TENSORFLOW_FAMILY):
        newest = package.release.version
        how = "has no version" if package.asked == "any" else "is a range"
        message = f"`{package.requirement.text}` {how}: each build takes the newest release that fits, now {newest}"
        return (
            report("COG224", message, span, hint=f"pin it to build the same image again: {package.name}=={newest}"),
        )
    return ()
