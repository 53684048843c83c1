"""Requirement lines → demands on packages of the matrix: which versions, which build, which extras.

| line | demand |
| --- | --- |
| `torch==2.8.0` | that version, whatever build |
| `torch==2.8.0+cu126` | that version and that build |
| `torch==2.8` | the newest release of that line |
| `torch>=2.3,<2.6`, `torch~=2.4`, `torch==2.1.*` | any release in the range |
| `torch` | any release |
| `torch @ https://…/torch-2.8.0+cu126-cp312-….whl` | version, build and Python from the name of the file |
| `torch @ git+https://…` | nothing that is known |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ...record import record
from ..pins import local_build, pinned_version
from ..requirement import Requirement
from .wheels import Wheel, wheel_of

__all__ = ["KNOWN", "TENSORFLOW_FAMILY", "TORCH_FAMILY", "TO_COME", "Demand", "demands_of", "rank"]

TORCH_FAMILY = ("torch", "torchvision", "torchaudio")
TENSORFLOW_FAMILY = ("tensorflow", "tensorflow-gpu", "tensorflow-cpu")
# In the order in which they are decided: what demands others comes before them.
KNOWN = (
    "vllm",
    "xformers",
    *TENSORFLOW_FAMILY,
    *TORCH_FAMILY,
    "onnxruntime-gpu",
    "jax",
    "flash-attn",
    "triton",
    "numpy",
)
_RANKS = {package: position for position, package in enumerate(KNOWN)}
# `numpy==1.24` is 1.24.0 and nothing else: only for these a two-part pin means its newest patch release.
_READ_AS_LINE = frozenset(KNOWN) - {"triton", "numpy"}
_TWO_PARTS = re.compile(r"\d+\.\d+")
# Newer than anything that a table can hold: what a specifier says about it, it says about releases to come.
TO_COME = Version("99999")


@record
class Demand:
    """What one line asks of a package.

    `asked` says how: a pinned version, a two-part pin, a range, nothing at all, the file of a wheel, or a source
    that tells nothing (`opaque`). `version` is that of a pin or a wheel, without its local part; `build` is the
    local part, such as `cu121`. A constraint limits versions and installs nothing.
    """

    package: str
    asked: Literal["pin", "minor", "range", "any", "wheel", "opaque"]
    requirement: Requirement
    specifier: SpecifierSet = SpecifierSet()
    version: Version | None = None
    build: str | None = None
    extras: tuple[str, ...] = ()
    wheel: Wheel | None = None
    is_constraint: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it names one version."""
        return self.asked in ("pin", "wheel")

    @property
    def is_open(self) -> bool:
        """Whether it also admits releases that are newer than any table."""
        return self.asked == "opaque" or (self.version is None and TO_COME in self.specifier)

    def admits(self, version: Version) -> bool:
        """Whether a release may be the one; pre-releases only where they are named."""
        if self.asked == "opaque":
            return True
        if self.asked == "minor":
            assert self.version is not None
            return version.release[:2] == self.version.release[:2] and not version.is_prerelease
        if self.version is not None:
            others = (clause for clause in self.specifier if clause.operator not in ("==", "==="))
            return version == self.version and all(clause.contains(version, prereleases=True) for clause in others)
        return version in self.specifier

    @property
    def written(self) -> str:
        """The line without its marker."""
        return self.requirement.text.split(";")[0].split(" --")[0].strip()


def rank(package: str) -> int:
    """Where the package stands in the order of decisions; packages without a table come last."""
    return _RANKS.get(package, len(KNOWN))


def demands_of(requirements: Iterable[Requirement]) -> tuple[Demand, ...]:
    """The demands that bear on the choice, in the order of the lines.

    Those are lines on packages of the matrix, on NVIDIA's own packages, which builds of frameworks pin, and wheels
    of any package: they say which Python they are for.
    """
    return tuple(demand for line in requirements for demand in _demand(line))


def _demand(line: Requirement) -> Iterator[Demand]:
    wheel = wheel_of(line) if line.kind in ("url", "artifact") else None
    if wheel is None and (line.name is None or (line.name not in _RANKS and not line.name.startswith("nvidia-"))):
        return
    assert line.name is not None
    extras = tuple(sorted(canonicalize_name(extra) for extra in line.extras))
    is_constraint = line.kind == "constraint"
    if wheel is not None and wheel.name == line.name:
        yield Demand(
            package=line.name,
            asked="wheel",
            requirement=line,
            version=Version(wheel.version.public),
            build=wheel.version.local,
            extras=extras,
            wheel=wheel,
            is_constraint=is_constraint,
        )
        return
    if line.kind not in ("package", "constraint") or line.url is not None:
        yield Demand(package=line.name, asked="opaque", requirement=line, extras=extras, is_constraint=is_constraint)
        return
    try:
        specifier = SpecifierSet(line.specifier)
        pin = pinned_version(line)
        exact = Version(pin) if pin is not None else None
    except (InvalidSpecifier, InvalidVersion):  # `===` takes any text
        yield Demand(package=line.name, asked="opaque", requirement=line, extras=extras, is_constraint=is_constraint)
        return
    asked: Literal["pin", "minor", "range", "any"] = "range" if line.specifier else "any"
    if pin is not None:
        is_line = _TWO_PARTS.fullmatch(pin) and line.name in _READ_AS_LINE and not is_constraint
        asked = "minor" if is_line else "pin"
    yield Demand(
        package=line.name,
        asked=asked,
        requirement=line,
        specifier=specifier,
        version=Version(exact.public) if exact is not None else None,
        build=local_build(pin) if pin else None,
        extras=extras,
        is_constraint=is_constraint,
    )
