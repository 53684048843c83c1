"""Words for clashes: what cannot be, where each side stands, and which rows of the matrix say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ...diagnostics import Note
from ...record import record
from ...source import Span
from ..matrix import BuildVariant, Matrix, cuda_tuple
from ..nodes import Request
from .candidates import Candidate
from .clashes import Clash, ClashKind
from .demands import TENSORFLOW_FAMILY, Demand
from .environment import MACHINES
from .problem import Problem
from .specifiers import specifiers_meet

__all__ = ["Words", "asked", "asked_here", "demanded", "listed", "numpy_note", "row_note", "words_for"]


@record
class Words:
    """The message of a diagnostic, its place and its notes."""

    message: str
    span: Span | None
    notes: tuple[Note, ...] = ()


def words_for(clash: Clash, problem: Problem) -> Words:
    """What a clash says."""
    return _WORDS[clash.kind](clash, problem)


# -- pieces --------------------------------------------------------------------------------------


def listed(items: Sequence[str]) -> str:
    """Items as in a sentence.

    >>> listed(["3.9"]), listed(["3.9", "3.10", "3.11"])
    ('3.9', '3.9, 3.10 and 3.11')
    """
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def row_note(candidate: Candidate, matrix: Matrix, architecture: str = "amd64", *, of_build: bool = False) -> Note:
    """Which row of the matrix says it, and where the row comes from; `of_build` asks for the build's own source."""
    release, build = candidate.release, candidate.build
    if release is None:
        return Note(message=f"matrix {matrix.version} has no row for {candidate}")
    src = build.src if of_build and build is not None and build.src else release.src
    evidence = matrix.evidence(candidate.package, src)
    where = " arm64" if architecture == "arm64" else ""
    return Note(message=f"matrix {matrix.version}, {candidate}{where}: {evidence or 'source not stated'}")


def asked_here(demand: Demand) -> Note:
    """Where a line stands that asks for something."""
    what = "limited" if demand.is_constraint else "asked for"
    return Note(message=f"`{demand.written}` is {what} here", span=demand.requirement.origin)


def demanded(package: str, specifier: str) -> str:
    """`==2.7.0` of torch as `torch 2.7.0`, other specifiers as they are."""
    exact = SpecifierSet(specifier)
    if len(exact) == 1 and next(iter(exact)).operator == "==" and "*" not in specifier:
        return f"{package} {specifier.removeprefix('==')}"
    return f"{package}{specifier}"


def asked(candidate: Candidate) -> str:
    """The candidate as it is asked for: a version, or the range that the newest release of is meant."""
    line = candidate.line
    if line is None or line.is_exact or line.asked == "minor":
        return str(candidate)
    return f"`{line.written}`"


def _others(candidate: Candidate) -> tuple[Note, ...]:
    """The further lines that ask for the same package."""
    return tuple(asked_here(demand) for demand in candidate.demands if demand is not candidate.line)


def _setting(request: Request, name: str, value: str | None) -> tuple[Note, ...]:
    span = dict(request.spans).get(name)
    if value is None:
        return ()
    return (Note(message=f"`{name}` is {value} here", span=span),) if span else (Note(message=f"`{name}` is {value}"),)


def _platform(problem: Problem) -> str:
    return f"linux/{problem.request.architecture}"


# -- Python and platforms ------------------------------------------------------------------------


def _no_wheel(clash: Clash, problem: Problem) -> Words:
    candidate = clash.first
    release = candidate.release
    assert release is not None
    python = problem.minor
    line = candidate.line
    is_range = line is not None and not line.is_exact and line.asked != "minor"
    head = f"{candidate} has no wheel for Python {python} ({_platform(problem)})"
    if is_range and line is not None:
        head = f"no release that `{line.written}` admits has a wheel for Python {python} ({_platform(problem)})"
    notes = [
        *_setting(problem.request, "python_version", problem.request.python_version),
        *_others(candidate),
        Note(message=f"{candidate} has wheels for Python {listed(release.python)}"),
        row_note(candidate, problem.matrix, problem.request.architecture),
    ]
    return Words(message=head, span=candidate.origin, notes=tuple(notes))


def _no_wheel_for_platform(clash: Clash, problem: Problem) -> Words:
    candidate, matrix = clash.first, problem.matrix
    assert candidate.version is not None
    architecture = problem.request.architecture
    message = f"{candidate} has no wheel for {_platform(problem)}"
    notes: list[Note] = []
    versions = matrix.versions(candidate.package, architecture)
    if versions:
        notes.append(Note(message=f"releases with one go from {versions[0]} to {versions[-1]}"))
    other = next(name for name in MACHINES if name != architecture)
    release = matrix.release(candidate.package, other, candidate.version)
    evidence = matrix.evidence(candidate.package, release.src) if release else None
    notes.append(Note(message=f"matrix {matrix.version}, {candidate}: {evidence or 'source not stated'}"))
    return Words(message=message, span=candidate.origin, notes=tuple(notes))


def _wheel_for_other_python(clash: Clash, problem: Problem) -> Words:
    line = clash.line
    assert line is not None
    assert line.wheel is not None
    wheel = line.wheel
    pythons = (
        listed(wheel.exact) if wheel.exact else f"{wheel.since[0]}.{wheel.since[1]} or later" if wheel.since else ""
    )
    message = f"the wheel {wheel.file} is for Python {pythons}, not for {problem.minor}"
    notes = _setting(problem.request, "python_version", problem.request.python_version)
    return Words(message=message, span=line.requirement.origin, notes=notes)


def _wheel_for_other_platform(clash: Clash, problem: Problem) -> Words:
    line = clash.line
    assert line is not None
    assert line.wheel is not None
    platforms = listed([f"linux/{name}" for name in line.wheel.architectures] or ["another system"])
    message = f"the wheel {line.wheel.file} is for {platforms}, not for {_platform(problem)}"
    return Words(message=message, span=line.requirement.origin)


# -- packages that demand others -----------------------------------------------------------------


def _other_version_demanded(clash: Clash, problem: Problem) -> Words:
    first, second = clash.first, clash.second
    assert second is not None
    ((package, specifier),) = clash.about
    matrix, architecture = problem.matrix, problem.request.architecture
    demand = demanded(package, specifier)
    if "+" in specifier and second.version is not None and second.version in SpecifierSet(specifier.split("+")[0]):
        message = f"{asked(first)} on the package index needs {demand}, which is not there"
    elif not second.demands:
        return _demanded_by_another(clash, problem)
    else:
        message = f"{first} needs {demand}, but {asked(second)} is asked for"
    notes = [*_lines_of(second), *_others(first), row_note(first, matrix, architecture)]
    return Words(message=message, span=first.origin or second.origin, notes=tuple(notes))


def _lines_of(candidate: Candidate) -> tuple[Note, ...]:
    return tuple(asked_here(demand) for demand in candidate.demands)


def _demanded_by_another(clash: Clash, problem: Problem) -> Words:
    """Two packages of the request demand different releases of one that nobody asked for by name."""
    first, second = clash.first, clash.second
    assert second is not None
    ((package, specifier),) = clash.about
    for name in sorted(problem.packages - {first.package}):
        other = problem.first_candidate(name)
        theirs = dict(other.release.requires).get(package) if other is not None and other.release else None
        if other is not None and theirs is not None and not specifiers_meet(specifier, theirs):
            return _both_demand(first, specifier, other, theirs, package, problem)
    message = f"{first} needs {demanded(package, specifier)}, which does not fit with the rest"
    if "+" in specifier:
        message = f"{first} on the package index needs {demanded(package, specifier)}, which is not there"
    notes = (row_note(first, problem.matrix, problem.request.architecture),)
    return Words(message=message, span=first.origin, notes=notes)


def _both_demand(first: Candidate, ours: str, second: Candidate, theirs: str, package: str, problem: Problem) -> Words:
    matrix, architecture = problem.matrix, problem.request.architecture
    message = f"{first} needs {demanded(package, ours)}, but {second} needs {demanded(package, theirs)}"
    notes = [*_lines_of(second), row_note(first, matrix, architecture), row_note(second, matrix, architecture)]
    return Words(message=message, span=first.origin, notes=tuple(notes))


def _third_package(clash: Clash, problem: Problem) -> Words:
    assert clash.second is not None
    ((package, ours, theirs),) = clash.about
    return _both_demand(clash.first, ours, clash.second, theirs, package, problem)


def _built_for_older_numpy(clash: Clash, problem: Problem) -> Words:
    first, second = clash.first, clash.second
    assert second is not None
    message = f"{asked(second)} is asked for, but {first} was built for NumPy 1: arrays and tensors will not convert"
    if second.line is None or not second.line.is_exact:
        message = f"{second} is chosen, but {first} was built for NumPy 1: arrays and tensors will not convert"
    notes = (*_lines_of(first), numpy_note(problem.matrix))
    return Words(message=message, span=second.origin or first.origin, notes=notes)


def numpy_note(matrix: Matrix) -> Note:
    """Where it is known from which packages were built for an older NumPy."""
    evidence = matrix.evidence("rules", "numpy")
    return Note(message=f"matrix {matrix.version}, rules about numpy: {evidence or 'source not stated'}")


# -- CUDA libraries ------------------------------------------------------------------------------


def _named(candidate: Candidate) -> str:
    """A candidate with the extra that makes it bring CUDA."""
    build = candidate.build
    extra = f" with [{build.extra}]" if build is not None and build.extra else ""
    return f"{candidate}{extra}"


def _pins(clash: Clash, problem: Problem) -> Words:
    first, second = clash.first, clash.second
    assert second is not None
    matrix, architecture = problem.matrix, problem.request.architecture
    best = max(clash.about, key=lambda entry: ("cudnn" in entry[0], entry[0].startswith("nvidia-nccl")))
    if clash.kind == "files":
        message = f"{_named(first)} and {_named(second)} bring libraries of different CUDA versions in the same place"
        facts = [Note(message=f"{best[0]} and {best[1]} write the same files: one takes the place of the other")]
    else:
        message = f"{_named(first)} and {_named(second)} pin different CUDA libraries"
        facts = [
            Note(message=f"{first} pins {best[0]}{best[1]}", span=first.origin),
            Note(message=f"{second} pins {best[0]}{best[2]}", span=second.origin),
        ]
        if len(clash.about) > 1:
            more = len(clash.about) - 1
            facts.append(Note(message=f"and {more} more package{'s are' if more > 1 else ' is'} pinned differently"))
        facts += _no_agreement(first, second, problem)
    if clash.kind == "files":
        facts = [*_lines_of(second), *facts]
    notes = [
        *facts,
        row_note(first, matrix, architecture, of_build=True),
        row_note(second, matrix, architecture, of_build=True),
    ]
    return Words(message=message, span=first.origin, notes=tuple(notes))


def _no_agreement(first: Candidate, second: Candidate, problem: Problem) -> Iterator[Note]:
    """Says so where no release of the second has libraries that the first takes, at the same CUDA major version."""
    if first.build is None or second.build is None or first.build.cuda is None:
        return
    pins = dict(first.build.pins)
    major = cuda_tuple(first.build.cuda)[0]
    for release in problem.matrix.releases(second.package, problem.request.architecture):
        build = problem.build(release, second.demands).build
        if build is None or build.cuda is None or cuda_tuple(build.cuda)[0] != major or not build.pins:
            continue
        others = dict(build.pins)
        if all(specifiers_meet(pins[name], others[name]) for name in pins.keys() & others.keys()):
            return
    yield Note(message=f"no {second.package} built for CUDA {major} agrees with {_named(first)} here")


def _library(clash: Clash, problem: Problem) -> Words:
    assert clash.line is not None
    ((package, pinned),) = clash.about
    message = f"{clash.first} pins {package}{pinned}, but `{clash.line.written}` is asked for"
    notes = [
        *_lines_of(clash.first),
        row_note(clash.first, problem.matrix, problem.request.architecture, of_build=True),
    ]
    return Words(message=message, span=clash.line.requirement.origin, notes=tuple(notes))


def _two_in_the_image(clash: Clash, problem: Problem) -> Words:
    first, second = clash.first, clash.second
    assert second is not None
    assert first.build is not None
    assert second.build is not None
    library = "CUDA" if clash.kind == "system-cuda" else "cuDNN"
    versions = [c.build.cuda if library == "CUDA" else c.build.cudnn for c in (first, second) if c.build]
    wanted = listed(sorted({version for version in versions if version}, key=Version))
    message = f"packages look for different {library} versions in the image: {wanted}"
    notes = [
        Note(message=f"{candidate} looks for {library} {version} in the image", span=candidate.origin)
        for candidate, version in zip((first, second), versions, strict=True)
    ]
    matrix, architecture = problem.matrix, problem.request.architecture
    notes += [
        row_note(first, matrix, architecture, of_build=True),
        row_note(second, matrix, architecture, of_build=True),
    ]
    return Words(message=message, span=first.origin, notes=tuple(notes))


def _needs_of(build: BuildVariant) -> str:
    cuda = f"CUDA {build.cuda.split('.')[0]}" if build.cuda else "CUDA"
    return f"{cuda} and cuDNN {build.cudnn.split('.')[0]}" if build.cudnn else cuda


def _other_cuda(clash: Clash, problem: Problem) -> Words:
    candidate, request = clash.first, problem.request
    build = candidate.build
    assert build is not None
    notes: list[Note] = list(_lines_of(candidate))
    if candidate.package in TENSORFLOW_FAMILY:
        name = f"TensorFlow {candidate.version}"
        message = f"{name} is incompatible with CUDA {request.cuda}: {name} requires CUDA {build.cuda}"
    else:
        message = f"{candidate} needs {_needs_of(build)}, but cuda is set to {request.cuda}"
        notes.append(Note(message=f"with CUDA {request.cuda} it would start and run on the CPU"))
    notes.append(row_note(candidate, problem.matrix, request.architecture, of_build=True))
    return Words(message=message, span=dict(request.spans).get("cuda") or candidate.origin, notes=tuple(notes))


def _other_cudnn(clash: Clash, problem: Problem) -> Words:
    candidate, request = clash.first, problem.request
    build = candidate.build
    assert build is not None
    assert build.cudnn is not None
    needed = build.cudnn.split(".")[0]
    pin = f"{candidate.package}=={candidate.version}"
    message = f"cuDNN {request.cudnn} is not compatible with {pin}, which needs cuDNN {needed}"
    notes = [*_lines_of(candidate), row_note(candidate, problem.matrix, request.architecture, of_build=True)]
    return Words(message=message, span=dict(request.spans).get("cudnn") or candidate.origin, notes=tuple(notes))


# -- GPUs ----------------------------------------------------------------------------------------


def _no_gpu_build(clash: Clash, problem: Problem) -> Words:
    candidate, request = clash.first, problem.request
    named = next((demand.build for demand in candidate.demands if demand.build), None)
    if named is not None:
        message = f"{candidate}+{named} is a build without CUDA, but `gpu` is true"
    else:
        message = f"{candidate} from the package index has no GPU build for {_platform(problem)}"
    notes = [*_setting(request, "gpu", "true")]
    releases = problem.matrix.releases(candidate.package, request.architecture)
    first = next((release for release in releases if release.default.cuda is not None), None)
    if first is not None and named is None and first.default.cuda is not None:
        driver = problem.matrix.minimum_driver(first.default.cuda)
        needs = f" and needs driver {driver} or later" if driver else ""
        text = f"from {first.version} on the {request.architecture} wheel has CUDA {first.default.cuda}{needs}"
        notes.append(Note(message=f"the {request.architecture} wheel of {candidate} is for the CPU only; {text}"))
    notes.append(row_note(candidate, problem.matrix, request.architecture, of_build=True))
    return Words(message=message, span=candidate.origin, notes=tuple(notes))


def _no_code_for_gpu(clash: Clash, problem: Problem) -> Words:
    candidate, build, target = clash.first, clash.first.build, clash.target
    assert build is not None
    assert target is not None
    message = f"{asked(candidate)} has no code for {target}"
    facts = [Note(message=f"`gpu_model` names {target.wanted.name} here", span=target.wanted.origin)]
    if build.kernels:
        text = f"build {build.id} of {candidate} has code for {', '.join(build.kernels)}"
        facts.append(Note(message=text))
    else:
        text = f"build {build.id} of {candidate} is for CUDA {build.cuda}, which cannot make code for {target.sm}"
        facts.append(Note(message=text))
    notes = [*facts, row_note(candidate, problem.matrix, problem.request.architecture, of_build=True)]
    return Words(message=message, span=candidate.origin or target.wanted.origin, notes=tuple(notes))


def _driver_too_old(clash: Clash, problem: Problem) -> Words:
    candidate, build, request = clash.first, clash.first.build, problem.request
    assert build is not None
    assert build.cuda is not None
    minimum = problem.matrix.minimum_driver(build.cuda)
    message = f"{asked(candidate)} is made for CUDA {build.cuda}, which needs driver {minimum} or later"
    if candidate.line is not None and not candidate.line.is_exact:
        message = f"{candidate} is made for CUDA {build.cuda}, which needs driver {minimum} or later"
    notes = [
        *_setting(request, "driver", request.driver),
        row_note(candidate, problem.matrix, request.architecture, of_build=True),
    ]
    return Words(message=message, span=candidate.origin or dict(request.spans).get("driver"), notes=tuple(notes))


# -- indexes -------------------------------------------------------------------------------------


def _other_index(clash: Clash, problem: Problem) -> Words:
    assert clash.line is not None
    ((identity,),) = clash.about
    written = clash.line.written
    message = f"`{written}` names the build {clash.line.build}, but the index beside it is that of {identity}"
    return Words(message=message, span=clash.line.requirement.origin)


def _unlisted_build(clash: Clash, problem: Problem) -> Words:
    candidate = clash.first
    line = next(demand for demand in candidate.demands if demand.build)
    release = candidate.release
    assert release is not None
    known = [build.id for build in release.builds if build.id != "default"]
    message = f"no build {line.build} of {candidate} is known for {_platform(problem)}; it is asked for as written"
    facts = (Note(message=f"known builds are {listed(known)}"),) if known else ()
    notes = (*facts, row_note(candidate, problem.matrix, problem.request.architecture, of_build=True))
    return Words(message=message, span=line.requirement.origin, notes=notes)


_WORDS: dict[ClashKind, Callable[[Clash, Problem], Words]] = {
    "ceiling": _built_for_older_numpy,
    "cuda": _other_cuda,
    "cudnn": _other_cudnn,
    "demand": _other_version_demanded,
    "driver": _driver_too_old,
    "files": _pins,
    "gpu": _no_gpu_build,
    "index": _other_index,
    "library": _library,
    "pins": _pins,
    "platform": _no_wheel_for_platform,
    "python": _no_wheel,
    "system-cuda": _two_in_the_image,
    "system-cudnn": _two_in_the_image,
    "target": _no_code_for_gpu,
    "third": _third_package,
    "unlisted": _unlisted_build,
    "wheel-platform": _wheel_for_other_platform,
    "wheel-python": _wheel_for_other_python,
}
