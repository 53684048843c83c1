"""What looks for CUDA in the image, outside Python packages: then only an nvidia/cuda image will do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from ...record import record
from ..matrix import Matrix
from ..node import Cause
from ..nodes import Request
from ..requirement import Requirement
from .candidates import Candidate
from .demands import TENSORFLOW_FAMILY
from .environment import applies
from .wheels import wheel_of

__all__ = ["Need", "packaged_cuda", "system_needs"]

_PACKAGED = ("wheel", "pip", "extra")


@record
class Need:
    """Something that looks for CUDA outside Python packages. `cuda` and `cudnn` are what it must at least be.

    `takes_newer` says that any later minor version does as well, because only the major one is linked.
    """

    cuda: str | None
    cudnn: str | None
    flavour: Literal["runtime", "devel"]
    cause: Cause
    takes_newer: bool = False


def packaged_cuda(chosen: Sequence[Candidate]) -> str | None:
    """The CUDA that Python packages bring themselves, torch first; None when none does."""
    bringing = [(c.package, c.build.cuda) for c in chosen if c.build and c.build.cuda_from in _PACKAGED]
    torch = [cuda for package, cuda in bringing if package == "torch" and cuda]
    return next(iter((*torch, *(cuda for _, cuda in bringing if cuda))), None)


def system_needs(request: Request, python: str, chosen: Sequence[Candidate], matrix: Matrix) -> Iterator[Need]:
    """Packages first, then what is compiled, NVIDIA's system packages, and commands, each as they stand."""
    yield from _of_packages(chosen)
    compiled_for = packaged_cuda(chosen)
    for cause in _why_devel(request, python, matrix):
        yield Need(cuda=compiled_for, cudnn=None, flavour="devel", cause=cause)


def _of_packages(chosen: Sequence[Candidate]) -> Iterator[Need]:
    for candidate in chosen:
        build = candidate.build
        if build is None or build.cuda_from != "system":
            continue
        # XLA compiles with ptxas and libdevice, which only devel images have.
        is_tensorflow = candidate.package in TENSORFLOW_FAMILY
        text = f"{candidate} looks for CUDA {build.cuda} in the image"
        yield Need(
            cuda=build.cuda,
            cudnn=build.cudnn,
            flavour="devel" if is_tensorflow else "runtime",
            cause=Cause(kind="matrix", text=text, span=candidate.origin),
            takes_newer=not is_tensorflow,
        )


def _why_devel(request: Request, python: str, matrix: Matrix) -> Iterator[Cause]:
    rules = matrix.rules
    for line in request.requirements:
        name = next((name for name, only_from_vcs in rules.compiles_cuda if _compiles(line, name, only_from_vcs)), None)
        if name is not None and applies(line, python, request.architecture):
            yield Cause(kind="rule", text=f"{name} is compiled for CUDA during the build", span=line.origin)
    for package in request.system_packages:
        if package.name.startswith(rules.system_packages_of_nvidia):
            yield Cause(kind="rule", text=f"the system package {package.name} comes from NVIDIA", span=package.origin)
    for command in request.commands:
        text = next((text for text in rules.commands_that_need_cuda if text in command.command), None)
        if text is not None:
            yield Cause(kind="rule", text=f"a command of build.run mentions `{text}`", span=command.origin)


def _compiles(line: Requirement, name: str, only_from_vcs: bool) -> bool:
    """Whether installing the line compiles CUDA code of that package; a wheel is compiled already."""
    if line.kind in ("constraint", "option") or wheel_of(line) is not None:
        return False
    is_vcs = line.kind in ("vcs", "editable")
    if line.name == name:
        return is_vcs or not only_from_vcs
    return is_vcs and f"/{name}" in (line.url or "").lower()
