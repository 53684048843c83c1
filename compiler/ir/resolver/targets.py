"""The GPUs that an image is for: from names of products to architectures, and which builds have code for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from ...diagnostics import Diagnostic, report
from ...record import record
from ...suggest import closest
from ..matrix import BuildVariant, Gpu, Matrix, cuda_tuple
from ..nodes import Request, WantedGpu

__all__ = ["Coverage", "Target", "capability_of", "coverage", "has_driver", "targets_of"]

# Words of the vendor before the name of the model, and of the form of the card after it.
_VENDOR = {"nvidia", "geforce", "tesla", "quadro"}
_CAPABILITY = re.compile(r"(?:(?:sm|compute)[ _-]?)?(\d{1,2})\.?(\d)[af]?", re.IGNORECASE)


@record
class Target:
    """A GPU that the image must run on. `capability` is its compute capability: (8, 6) for sm_86."""

    wanted: WantedGpu
    sm: str
    capability: tuple[int, int]

    def __str__(self) -> str:
        return self.wanted.name if self.wanted.name.lower() == self.sm else f"{self.wanted.name} ({self.sm})"


class Coverage(IntEnum):
    """Whether a build has code for a GPU."""

    NO = 0
    UNKNOWN = 1
    YES = 2


def targets_of(request: Request, matrix: Matrix) -> tuple[tuple[Target, ...], tuple[Diagnostic, ...]]:
    """The GPUs of a request. Warning: COG245 for names that the matrix does not have."""
    found: list[Diagnostic] = []
    targets: list[Target] = []
    for wanted in request.gpu_models if request.is_gpu else ():
        target = _target(wanted, matrix.gpus)
        if target is not None:
            targets.append(target)
            continue
        near = closest(wanted.name, [name for gpu in matrix.gpus for name in (*gpu.models, gpu.sm)])
        hint = f"did you mean {near}?" if near else 'write its architecture, such as "sm_86" or "8.6"'
        message = f"matrix {matrix.version} has no GPU `{wanted.name}`; it is not taken into account"
        found.append(report("COG245", message, wanted.origin, hint=hint))
    return tuple(targets), tuple(found)


def _target(wanted: WantedGpu, gpus: Sequence[Gpu]) -> Target | None:
    capability = _CAPABILITY.fullmatch(wanted.name.strip())
    if capability is not None:
        numbers = int(capability[1]), int(capability[2])
        return Target(wanted=wanted, sm=f"sm_{numbers[0]}{numbers[1]}", capability=numbers)
    words = _words(wanted.name)
    best: tuple[int, Gpu] | None = None
    for gpu in gpus:
        for model in gpu.models:
            name = _words(model)
            # The longest name wins: `RTX 6000 Ada` is no `RTX 6000`.
            if words[: len(name)] == name and (best is None or len(name) > best[0]):
                best = len(name), gpu
    return Target(wanted=wanted, sm=best[1].sm, capability=best[1].capability) if best else None


def _words(name: str) -> list[str]:
    """`NVIDIA A100-SXM4-80GB` → `a100`, `sxm4`, `80gb`."""
    return [word for word in re.split(r"[\s_-]+", name.strip().lower()) if word and word not in _VENDOR]


def coverage(build: BuildVariant, targets: Iterable[Target], matrix: Matrix) -> Coverage:
    """Whether the build has code for all targets.

    Code for `sm_80` runs on all later GPUs of the same major number; `compute_80` is compiled on any later one. Where
    nobody looked into the build, the CUDA version at least says what cannot be in it.
    """
    return min((_covers(build, target, matrix) for target in targets), default=Coverage.YES)


def _covers(build: BuildVariant, target: Target, matrix: Matrix) -> Coverage:
    if build.kernels:
        return Coverage.YES if any(_runs(kernel, target.capability) for kernel in build.kernels) else Coverage.NO
    if build.cuda is None:
        return Coverage.NO
    cuda = cuda_tuple(build.cuda)
    for row in matrix.cuda_ranges:
        if row.first <= cuda and (row.last is None or cuda <= row.last):
            can_be = row.oldest <= target.capability and target.capability[0] <= row.newest[0]
            return Coverage.UNKNOWN if can_be else Coverage.NO
    return Coverage.UNKNOWN


def _runs(kernel: str, capability: tuple[int, int]) -> bool:
    compiled = capability_of(kernel)
    if kernel[-1] in "af":  # for one architecture, or one family of them, alone
        return compiled == capability
    if kernel.startswith("compute"):
        return capability >= compiled
    return capability[0] == compiled[0] and capability[1] >= compiled[1]


@lru_cache(maxsize=256)
def capability_of(kernel: str) -> tuple[int, int]:
    """The compute capability that a kernel is compiled for.

    >>> capability_of("sm_90a"), capability_of("compute_120")
    ((9, 0), (12, 0))
    """
    digits = kernel.partition("_")[2].rstrip("af")
    return int(digits[:-1]), int(digits[-1])


def has_driver(build: BuildVariant, driver: str, matrix: Matrix) -> bool:
    """Whether the driver is new enough for the CUDA of a build; true where that is not known."""
    minimum = matrix.minimum_driver(build.cuda) if build.cuda else None
    if minimum is None:
        return True
    try:
        return Version(driver) >= Version(minimum) or _same_branch(driver, minimum)
    except InvalidVersion:
        return True


def _same_branch(driver: str, minimum: str) -> bool:
    """`525` stands for any driver of its branch, so it is not older than 525.60.13."""
    return "." not in driver and driver == minimum.split(".")[0]
