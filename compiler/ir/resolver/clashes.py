"""What speaks against a choice: facts of the matrix that one candidate, or two together, run into.

A clash is *certain* when the build or the model cannot work with it. All others are worth a warning: a package may
come from an index that nobody looked into, or be compiled from source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ...record import record
from ..matrix import BuildVariant, cuda_tuple
from .builds import pinned_apart
from .candidates import Candidate
from .demands import TENSORFLOW_FAMILY, TO_COME, TORCH_FAMILY, Demand
from .environment import MACHINES
from .problem import Problem
from .specifiers import public_specifier, specifiers_meet
from .targets import Coverage, Target, coverage, has_driver

__all__ = ["Clash", "ClashKind", "clashes_between", "clashes_of"]

ClashKind: TypeAlias = Literal[
    "ceiling",
    "cuda",
    "cudnn",
    "demand",
    "driver",
    "files",
    "gpu",
    "index",
    "library",
    "pins",
    "platform",
    "python",
    "system-cuda",
    "system-cudnn",
    "target",
    "third",
    "unlisted",
    "wheel-platform",
    "wheel-python",
]


@record
class Clash:
    """One reason against a candidate, or against two of them together.

    `about` says more, by kind: the target, the pinned libraries as (package, specifier, specifier), or the
    (package, specifier) that one demands of the other.
    """

    kind: ClashKind
    first: Candidate
    second: Candidate | None = None
    is_certain: bool = True
    about: tuple[tuple[str, ...], ...] = ()
    target: Target | None = None
    line: Demand | None = None


# -- one candidate -------------------------------------------------------------------------------


def clashes_of(candidate: Candidate, problem: Problem) -> tuple[Clash, ...]:
    """What speaks against a candidate by itself."""
    found = [*_of_wheel(candidate, problem), *_of_line(candidate, problem)]
    release, build = candidate.release, candidate.build
    if release is None and candidate.version is not None and not candidate.is_from_file:
        found += _of_platform(candidate, problem)
    if release is not None and not candidate.is_from_file:
        if problem.minor not in release.python:
            found.append(Clash(kind="python", first=candidate, is_certain=_needs_wheel(candidate, problem)))
        if any(demand.build and release.build(demand.build) is None for demand in candidate.demands):
            found.append(Clash(kind="unlisted", first=candidate, is_certain=False))
    if build is not None and problem.request.is_gpu:
        found += _of_gpu(candidate, build, problem)
    return tuple(found)


def _of_wheel(candidate: Candidate, problem: Problem) -> Iterator[Clash]:
    for demand in candidate.demands:
        wheel = demand.wheel
        if wheel is None:
            continue
        request = problem.request
        knows_python = request.base_image is None or request.python_version is not None
        if not wheel.runs_on(problem.minor):
            yield Clash(kind="wheel-python", first=candidate, is_certain=knows_python, line=demand)
        if request.architecture not in wheel.architectures:
            is_certain = request.platform is not None or not wheel.architectures
            yield Clash(kind="wheel-platform", first=candidate, is_certain=is_certain, line=demand)


def _of_platform(candidate: Candidate, problem: Problem) -> Iterator[Clash]:
    """A release that has wheels, but none for the platform."""
    assert candidate.version is not None
    request, matrix = problem.request, problem.matrix
    others = [name for name in MACHINES if name != request.architecture]
    if any(matrix.release(candidate.package, other, candidate.version) for other in others):
        is_usual = problem.indexes.is_usual and request.base_image is None
        is_certain = is_usual and request.platform is not None and candidate.package not in matrix.rules.has_source
        yield Clash(kind="platform", first=candidate, is_certain=is_certain)


def _of_line(candidate: Candidate, problem: Problem) -> Iterator[Clash]:
    """A build that the line names, and an index of another build beside it."""
    indexes = problem.indexes
    if candidate.package not in TORCH_FAMILY or indexes.others or indexes.all_builds or not indexes.builds:
        return
    for demand in candidate.demands:
        named = demand.build if demand.asked == "pin" else None
        if named and all(identity != named for identity, _ in indexes.builds):
            yield Clash(kind="index", first=candidate, line=demand, about=((indexes.builds[0][0],),))


def _needs_wheel(candidate: Candidate, problem: Problem) -> bool:
    """Whether the build fails where the table has no wheel for the Python."""
    release, rules = candidate.release, problem.matrix.rules
    assert release is not None
    if problem.request.base_image is not None or problem.indexes.others or candidate.package in rules.has_source:
        return False
    row = next((row for row in problem.matrix.pythons if row.version == problem.minor), None)
    if row is None:
        return False  # newer than the matrix
    if release.released is not None and row.released > release.released:
        return True  # nobody makes wheels for a Python that is not there yet
    if candidate.package not in TORCH_FAMILY:
        return True
    # PyTorch's own index was not read: it may have wheels that the package index lacks.
    # For models without a GPU its CPU index is used as well.
    is_default = candidate.build is None or candidate.build.id == "default"
    return problem.indexes.is_usual and is_default and problem.request.is_gpu


def _of_gpu(candidate: Candidate, build: BuildVariant, problem: Problem) -> Iterator[Clash]:
    request, matrix = problem.request, problem.matrix
    is_usual = problem.indexes.is_usual and request.base_image is None and not candidate.is_from_file
    if build.cuda is None and candidate.package in ("torch", "tensorflow"):
        names_build = any(demand.build for demand in candidate.demands)
        is_certain = is_usual and not names_build and candidate.package == "torch"
        yield Clash(kind="gpu", first=candidate, is_certain=is_certain)
        return
    if build.cuda is None:
        return
    for target in problem.targets:
        if coverage(build, (target,), matrix) is Coverage.NO:
            yield Clash(kind="target", first=candidate, is_certain=is_usual, target=target)
    if request.driver is not None and not has_driver(build, request.driver, matrix):
        yield Clash(kind="driver", first=candidate)
    if build.cuda_from == "system" and request.base_image is None and request.use_cuda_base != "false":
        yield from _of_cuda(candidate, build, problem)
    if not problem.indexes.others:
        for demand, pinned in pinned_apart(build, problem.libraries):
            yield Clash(kind="library", first=candidate, line=demand, about=((demand.package, pinned),))


def _of_cuda(candidate: Candidate, build: BuildVariant, problem: Problem) -> Iterator[Clash]:
    """`cuda` and `cudnn` of the configuration, which decide the image that the package looks into."""
    request = problem.request
    assert build.cuda is not None
    is_certain = candidate.package in TENSORFLOW_FAMILY or not _may_find_elsewhere(build.cuda, problem)
    if request.cuda is not None and cuda_tuple(request.cuda)[0] != cuda_tuple(build.cuda)[0]:
        yield Clash(kind="cuda", first=candidate, is_certain=is_certain)
    elif request.cudnn is not None and build.cudnn and _major(request.cudnn) != _major(build.cudnn):
        yield Clash(kind="cudnn", first=candidate, is_certain=is_certain)


def _may_find_elsewhere(cuda: str, problem: Problem) -> bool:
    """Whether another package may have loaded the same libraries before: then they need not be in the image."""
    if problem.libraries:
        return True
    newest = (
        problem.first_candidate(package) for package in ("torch", "jax", "tensorflow") if package in problem.packages
    )
    return any(
        candidate.build.cuda_from in ("pip", "wheel", "extra")
        and candidate.build.cuda is not None
        and cuda_tuple(candidate.build.cuda)[0] == cuda_tuple(cuda)[0]
        for candidate in newest
        if candidate is not None and candidate.build is not None
    )


# -- two candidates ------------------------------------------------------------------------------


def clashes_between(first: Candidate, second: Candidate, problem: Problem) -> tuple[Clash, ...]:
    """What speaks against two candidates together."""
    found = [*_demanded(first, second, problem), *_demanded(second, first, problem)]
    found += _third(first, second, problem)
    found += _built_for_older_numpy(first, second, problem)
    if first.build is not None and second.build is not None and problem.request.is_gpu:
        found += _between_builds(first, first.build, second, second.build, problem)
    return tuple(found)


def _demanded(first: Candidate, second: Candidate, problem: Problem) -> Iterator[Clash]:
    """A release demands another one of a package than the one that is chosen."""
    if first.release is None or first.is_from_file or (second.is_from_file and second.version is None):
        return
    specifier = dict(first.release.requires).get(second.package)
    if specifier is None:
        return
    certain = not problem.indexes.others
    admits = public_specifier(specifier).contains(second.version or TO_COME, prereleases=second.is_from_file or None)
    if not admits or _is_of_no_index(specifier, second, problem):
        yield Clash(kind="demand", first=first, second=second, is_certain=certain, about=((second.package, specifier),))


def _is_of_no_index(specifier: str, candidate: Candidate, problem: Problem) -> bool:
    """Whether a build is demanded, as in `==2.0.0+cu117`, that the package index does not have."""
    if "+" not in specifier or not problem.indexes.is_usual or not problem.request.is_gpu:
        return False
    return candidate.build is not None and candidate.build.id == "default"


def _third(first: Candidate, second: Candidate, problem: Problem) -> Iterator[Clash]:
    """Two releases demand different releases of a package that nobody asked for by name."""
    if first.release is None or second.release is None or first.is_from_file or second.is_from_file:
        return
    theirs = dict(second.release.requires)
    for name, specifier in first.release.requires:
        if name in problem.packages or name == "torch" or name not in theirs:
            continue
        both = SpecifierSet(f"{public_specifier(specifier)},{public_specifier(theirs[name])}")
        rows = problem.matrix.releases(name, problem.request.architecture)
        if rows and not any(row.version in both for row in rows) and not specifiers_meet(specifier, theirs[name]):
            certain = not problem.indexes.others
            about = ((name, specifier, theirs[name]),)
            yield Clash(kind="third", first=first, second=second, is_certain=certain, about=about)


def _built_for_older_numpy(first: Candidate, second: Candidate, problem: Problem) -> Iterator[Clash]:
    """The metadata of the first admits the numpy, but it was built for an older one."""
    if second.package != "numpy" or second.version is None or first.version is None:
        return
    for ceiling in problem.matrix.rules.numpy_ceilings:
        if ceiling.package != first.package or not _is_in(first.version, ceiling.versions):
            continue
        if not _is_in(second.version, ceiling.numpy):
            yield Clash(kind="ceiling", first=first, second=second, is_certain=False, about=(("numpy", ceiling.numpy),))


def _is_in(version: Version, specifier: str) -> bool:
    return version in public_specifier(specifier)


def _between_builds(
    first: Candidate, ours: BuildVariant, second: Candidate, theirs: BuildVariant, problem: Problem
) -> Iterator[Clash]:
    pins, others = dict(ours.pins), dict(theirs.pins)
    differing = tuple(
        (name, pins[name], others[name])
        for name in sorted(pins.keys() & others.keys())
        if not specifiers_meet(pins[name], others[name])
    )
    certain = not problem.indexes.others
    if differing:
        yield Clash(kind="pins", first=first, second=second, is_certain=certain, about=differing)
    shared = tuple(_same_files(pins, others, problem))
    if shared and ours.cuda and theirs.cuda:
        yield Clash(kind="files", first=first, second=second, is_certain=False, about=shared)
    if ours.cuda_from == theirs.cuda_from == "system" and ours.cuda and theirs.cuda:
        yield from _two_in_the_image(first, ours, second, theirs, problem)


def _two_in_the_image(
    first: Candidate, ours: BuildVariant, second: Candidate, theirs: BuildVariant, problem: Problem
) -> Iterator[Clash]:
    request = problem.request
    if request.base_image is not None or request.use_cuda_base == "false":
        return
    assert ours.cuda is not None
    assert theirs.cuda is not None
    if cuda_tuple(ours.cuda)[0] != cuda_tuple(theirs.cuda)[0]:
        yield Clash(kind="system-cuda", first=first, second=second)
    elif ours.cudnn and theirs.cudnn and _major(ours.cudnn) != _major(theirs.cudnn):
        yield Clash(kind="system-cudnn", first=first, second=second)


def _same_files(pins: dict[str, str], others: dict[str, str], problem: Problem) -> Iterator[tuple[str, str]]:
    """Packages of two CUDA versions that write the same files: the one that is installed last wins."""
    for group in problem.matrix.rules.shared_files:
        for mine in group:
            for theirs in group:
                if mine == theirs or mine not in pins or theirs not in others:
                    continue
                # Libraries of another major version have another name.
                if _first_number(pins[mine]) == _first_number(others[theirs]):
                    yield mine, theirs


# -- specifiers ----------------------------------------------------------------------------------


def _major(version: str) -> str:
    return version.split(".")[0]


def _first_number(specifier: str) -> str:
    """`9` of `<10.0,>=9.3.0.75`."""
    floors = [clause.version for clause in SpecifierSet(specifier) if clause.operator in ("==", ">=", "~=")]
    return _major(floors[0]) if floors else ""
