"""Which build of a release is installed: what a line, an index or an extra names, else what suits the request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from packaging.version import Version

from ...record import record
from ..matrix import BuildVariant, CudaFrom, Matrix, Release, cuda_tuple
from ..nodes import Request
from .demands import TORCH_FAMILY, Demand
from .indexes import Indexes
from .specifiers import specifiers_meet
from .targets import Coverage, Target, capability_of, coverage, has_driver

__all__ = ["Wishes", "build_of", "pinned_apart", "unlisted_build"]


@record
class Wishes:
    """What bears on the choice of builds besides the lines of a package.

    `takes_default` says that the torch of the package index is needed, because packages compiled for it are there.
    `libraries` are lines on NVIDIA's own packages.
    """

    request: Request
    indexes: Indexes
    targets: tuple[Target, ...]
    takes_default: bool = False
    libraries: tuple[Demand, ...] = ()


def build_of(release: Release, demands: Sequence[Demand], wishes: Wishes, matrix: Matrix) -> BuildVariant | None:
    """The build of that release; None where nothing is known about it."""
    named = next((demand.build for demand in demands if demand.build), None)
    if named is not None:
        return release.build(named) or unlisted_build(release.version, named)
    if any(demand.asked == "wheel" for demand in demands):
        return release.default
    if release.package == "torch":
        return _of_index(release, demands, wishes) or _torch_build(release, demands, wishes, matrix)
    if release.package in TORCH_FAMILY:
        return release.default
    extras = {extra for demand in demands for extra in demand.extras}
    return next((build for build in release.builds if _is_switched_on(build, extras)), release.default)


def unlisted_build(version: Version, identity: str) -> BuildVariant | None:
    """A build that no table lists, with the CUDA that its name says; None for names that say nothing."""
    if identity == "cpu":
        return BuildVariant(id=identity, cuda=None, cudnn=None, cuda_from="none", extra=None)
    digits = re.fullmatch(r"cu(\d{1,2})(\d)", identity)
    if digits is None:
        return None
    brought: CudaFrom = "pip" if version >= Version("2.2") else "wheel"
    return BuildVariant(id=identity, cuda=f"{digits[1]}.{digits[2]}", cudnn=None, cuda_from=brought, extra=None)


def _is_switched_on(build: BuildVariant, extras: set[str]) -> bool:
    if build.extra is None:
        return False
    return set(build.extra.split(",")) <= extras or bool(extras & set(build.also))


def _of_index(release: Release, demands: Sequence[Demand], wishes: Wishes) -> BuildVariant | None:
    """The build of a sub-index that the user names: a version with a local part is newer than one without.

    Where no builds of a release are listed, the sub-index is believed to have one only if the release is pinned, or
    if there is no other index.
    """
    named = sorted({identity for identity, _ in wishes.indexes.builds}, reverse=True)
    for identity in named:
        if (listed := release.build(identity)) is not None:
            return listed
    has_list = len(release.builds) > 1
    is_pinned = any(demand.version is not None for demand in demands)
    if named and (wishes.indexes.is_replaced or (is_pinned and not has_list)):
        return unlisted_build(release.version, named[0])
    return None


def _torch_build(release: Release, demands: Sequence[Demand], wishes: Wishes, matrix: Matrix) -> BuildVariant:
    request = wishes.request
    if wishes.takes_default and not demands:
        return release.default
    if not request.is_gpu:
        return release.build("cpu") or release.default
    ordered = _in_order(release, request, wishes.targets)
    if request.driver is not None:
        driver = request.driver
        ordered = [build for build in ordered if has_driver(build, driver, matrix)] or ordered
    if ordered[0].cuda is not None and any(pinned_apart(ordered[0], wishes.libraries)):
        # A wheel with its libraries inside pins none; PyTorch's own index had such ones before 2.2.
        inside = [each for each in ordered if each.cuda_from == "wheel" and each.cuda == ordered[0].cuda]
        ordered = [*inside, *(build for build in ordered if build not in inside)]
    ranked = [(coverage(build, wishes.targets, matrix), build) for build in ordered]
    for wanted in (Coverage.YES, Coverage.UNKNOWN):
        for covers, build in ranked:
            if covers is wanted:
                return build
    return ordered[0]


def pinned_apart(build: BuildVariant, libraries: Iterable[Demand]) -> Iterator[tuple[Demand, str]]:
    """The lines on NVIDIA's packages that the build contradicts, each with what the build pins."""
    pins = dict(build.pins)
    for demand in libraries:
        pinned = pins.get(demand.package)
        if pinned is not None and not specifiers_meet(pinned, demand.requirement.specifier):
            yield demand, pinned


def _in_order(release: Release, request: Request, targets: Sequence[Target]) -> list[BuildVariant]:
    """The builds with CUDA, the wanted one first. Without any, the default.

    For GPUs that are older than those of the default build the oldest CUDA comes next, else the newest: each CUDA
    version drops the oldest GPUs and adds the newest.
    """
    with_cuda = [build for build in release.builds if build.cuda is not None]
    newest_first = sorted(with_cuda, key=_cuda, reverse=True)
    default = release.default
    if not with_cuda:
        return [default]
    if request.cuda is not None:
        return _for_cuda(release, newest_first, cuda_tuple(request.cuda))
    # CUDA 10 builds have no code for any GPU newer than Turing; PyTorch's own index has better ones.
    if default.cuda is None or (_cuda(default)[0] < 11 and not targets):
        return newest_first
    ordered = newest_first[::-1] if _has_older(targets, default) else newest_first
    return [default, *(build for build in ordered if build is not default)]


def _has_older(targets: Sequence[Target], build: BuildVariant) -> bool:
    """Whether a GPU is older than all that the build has code for."""
    oldest = min((capability_of(kernel) for kernel in build.kernels), default=(0, 0))
    return any(target.capability < oldest for target in targets)


def _for_cuda(release: Release, newest_first: list[BuildVariant], wanted: tuple[int, int]) -> list[BuildVariant]:
    """The highest CUDA not above the wanted one, of the same major version if there is one; else the default."""
    fitting = [build for build in newest_first if _cuda(build) <= wanted]
    same_major = [build for build in fitting if _cuda(build)[0] == wanted[0]]
    first = next(iter(same_major or fitting), release.default)
    if same_major and first.cuda == release.default.cuda:
        first = release.default
    return [first, *(build for build in newest_first if build is not first)]


def _cuda(build: BuildVariant) -> tuple[int, int]:
    return cuda_tuple(build.cuda or "0.0")
