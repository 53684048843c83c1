"""What is worth saying about a choice that works: guesses, builds that were not wanted, and what they need beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ...diagnostics import Diagnostic, Edit, Fix, Note, report
from ...record import record
from ..matrix import cuda_tuple
from ..node import Cause
from .builds import pinned_apart
from .candidates import Candidate
from .decide import Decision, decide
from .demands import TENSORFLOW_FAMILY, Demand
from .environment import MACHINES
from .problem import Problem
from .targets import Coverage, coverage
from .wording import listed, numpy_note, row_note

__all__ = ["Additions", "additions", "remarks"]

_NUMPY_2 = Version("2.0.0")
_DECIDING_CUDA = ("torch", *TENSORFLOW_FAMILY, "vllm", "onnxruntime-gpu", "jax")


@record
class Additions:
    """Lines for the constraints file that nobody wrote, each with a warning that says so, and causes."""

    constraints: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def remarks(decision: Decision) -> tuple[Diagnostic, ...]:
    """Warnings: COG224, COG225, COG229, COG243, COG247, COG248; info: COG246."""
    problem = decision.problem
    found: list[Diagnostic] = []
    for candidate in decision.solution.candidates:
        if not candidate.demands:
            continue
        found += _version_remarks(candidate, problem)
        if candidate.release is not None and not candidate.is_from_file:
            found += _build_remarks(candidate, problem)
    found += _preloading(decision)
    found += _other_indexes(problem)
    return tuple(found)


# -- versions ------------------------------------------------------------------------------------


def _version_remarks(candidate: Candidate, problem: Problem) -> Iterator[Diagnostic]:
    matrix, request = problem.matrix, problem.request
    line = candidate.line
    if line is None or candidate.is_from_file:
        return
    if candidate.release is None:
        yield from _unknown_version(candidate, line, problem)
    elif line.asked in ("any", "range") and request.is_gpu and candidate.package in _DECIDING_CUDA:
        how = "has no version" if line.asked == "any" else "is a range"
        message = (
            f"`{line.requirement.text}` {how}: each build takes the newest release that fits, now {candidate.version}"
        )
        hint = f"pin it to build the same image again: {_pin(candidate)}"
        notes = (row_note(candidate, matrix, request.architecture),)
        yield report("COG224", message, line.requirement.origin, notes=notes, hint=hint)


def _pin(candidate: Candidate) -> str:
    """The line that asks for this release alone; extras decide who brings CUDA, so that they stay."""
    extras = f"[{','.join(sorted(candidate.extras))}]" if candidate.extras else ""
    return f"{candidate.package}{extras}=={candidate.version}"


def _unknown_version(candidate: Candidate, line: Demand, problem: Problem) -> Iterator[Diagnostic]:
    """COG225: a version that no row has: newer than the matrix, or never released."""
    matrix, request = problem.matrix, problem.request
    if line.package in ("numpy", "triton"):
        return  # nothing about CUDA depends on them
    releases = matrix.releases(line.package, request.architecture)
    if any(line.admits(release.version) for release in releases):
        return  # what is unknown is why nothing fits, which is said elsewhere
    if line.version is not None and any(matrix.release(line.package, name, line.version) for name in MACHINES):
        return  # it is there for another platform, which is said elsewhere
    message = f"`{line.written}` is not in compatibility matrix {matrix.version}; nothing is known about its CUDA"
    notes: list[Note] = []
    hint = "it is installed as written; set `cuda` if it needs a CUDA base image" if request.is_gpu else None
    if releases and line.version is not None and line.version < releases[-1].version:
        near = min(releases, key=lambda release: abs(_number(release.version) - _number(line.version or _NUMPY_2)))
        notes.append(Note(message=f"the matrix has releases from {releases[0].version} to {releases[-1].version}"))
        hint = f"is {line.package}=={near.version} meant?"
    elif not releases:
        notes.append(Note(message=f"it has no rows of {line.package} for linux/{request.architecture}"))
    yield report("COG225", message, line.requirement.origin, notes=notes, hint=hint)


def _number(version: Version) -> float:
    """A version as one number, to say which of two others is nearer."""
    major, minor, patch, *_ = (*version.release, 0, 0, 0)
    return major * 1e6 + minor * 1e3 + patch


# -- builds --------------------------------------------------------------------------------------


def _build_remarks(candidate: Candidate, problem: Problem) -> Iterator[Diagnostic]:
    if candidate.package == "torch":
        yield from _torch_remarks(candidate, problem)
        yield from _libraries_inside(candidate, problem)
    if candidate.package in TENSORFLOW_FAMILY:
        yield from _tensorflow_remarks(candidate, problem)
    yield from _unmeasured(candidate, problem)


def _torch_remarks(candidate: Candidate, problem: Problem) -> Iterator[Diagnostic]:
    """COG229: no CPU build, or none for the CUDA that is set."""
    request, matrix, build, release = problem.request, problem.matrix, candidate.build, candidate.release
    assert release is not None
    line = candidate.line
    if build is None or line is None or line.build is not None or problem.indexes.builds:
        return
    if not request.is_gpu:
        if build.cuda is not None and line.asked not in ("any", "range"):
            message = f"no CPU build of {candidate} is known; the build for CUDA {build.cuda} is installed"
            hint = f"it is about 3 GB larger (matrix {matrix.version})"
            yield report("COG229", message, line.requirement.origin, hint=hint)
        return
    if request.cuda is None or build.cuda is None or cuda_tuple(build.cuda) == cuda_tuple(request.cuda):
        return
    known = sorted({each.cuda for each in release.builds if each.cuda}, key=cuda_tuple)
    message = f"{candidate} has no build for CUDA {request.cuda}; the build for CUDA {build.cuda} is used"
    notes = [
        Note(message=f"{candidate} is built for CUDA {', '.join(known)}", span=line.requirement.origin),
        row_note(candidate, matrix, request.architecture),
    ]
    span = dict(request.spans).get("cuda") or line.requirement.origin
    hint = f'cuda: "{build.cuda}", or no `cuda` at all: torch brings its own'
    yield report("COG229", message, span, notes=notes, hint=hint)


def _libraries_inside(candidate: Candidate, problem: Problem) -> Iterator[Diagnostic]:
    """COG247: a build with its libraries inside, taken because the usual one pins others than lines ask for."""
    build, release = candidate.build, candidate.release
    assert release is not None
    if build is None or build.cuda_from != "wheel" or build is release.default or not problem.request.is_gpu:
        return
    for demand, pinned in pinned_apart(release.default, problem.libraries):
        message = f"{candidate} of the package index pins {demand.package}{pinned}, but `{demand.written}` is asked for"
        notes = [
            Note(message=f"{candidate} is asked for here", span=candidate.origin),
            Note(message=f"build {build.id} of PyTorch's index is taken, which probably has its libraries inside"),
            row_note(candidate, problem.matrix, problem.request.architecture),
        ]
        hint = f"remove `{demand.written}` if nothing else needs it: torch does not load it"
        yield report("COG247", message, demand.requirement.origin, notes=notes, hint=hint)


def _tensorflow_remarks(candidate: Candidate, problem: Problem) -> Iterator[Diagnostic]:
    """COG229: another minor version of CUDA than the tested one."""
    request, build = problem.request, candidate.build
    if build is None or build.cuda is None or build.cuda_from != "system" or not request.is_gpu or request.cuda is None:
        return
    wanted, needed = cuda_tuple(request.cuda), cuda_tuple(build.cuda)
    if wanted[0] != needed[0] or wanted == needed:
        return
    message = f"TensorFlow {candidate.version} is tested with CUDA {build.cuda}, but cuda is {request.cuda}"
    notes = [
        Note(message=f"TensorFlow {candidate.version} is asked for here", span=candidate.origin),
        row_note(candidate, problem.matrix, request.architecture, of_build=True),
    ]
    span = dict(request.spans).get("cuda")
    yield report("COG229", message, span, notes=notes, hint=f'cuda: "{build.cuda}", or remove `cuda`')


def _unmeasured(candidate: Candidate, problem: Problem) -> Iterator[Diagnostic]:
    """COG243: a build into which nobody looked, taken because the usual one has no code for a GPU."""
    build, release = candidate.build, candidate.release
    if build is None or release is None or not problem.targets or not problem.request.is_gpu:
        return
    if candidate.package not in ("torch", *TENSORFLOW_FAMILY):
        return
    if coverage(build, problem.targets, problem.matrix) is not Coverage.UNKNOWN:
        return
    missing = [
        target for target in problem.targets if coverage(release.default, (target,), problem.matrix) is Coverage.NO
    ]
    if missing:
        lacking = listed([str(target) for target in missing])
        head = f"{candidate} has no code for {lacking}; its build {build.id} for CUDA {build.cuda} is taken instead"
    else:  # the driver, or CUDA as it is set, decided for this build
        head = f"nobody has looked which GPUs build {build.id} of {candidate} has code for"
    notes = [
        *(Note(message=f"`gpu_model` names {t.wanted.name} here", span=t.wanted.origin) for t in problem.targets),
        *(
            (Note(message=f"the usual build has code for {', '.join(release.default.kernels)}"),)
            if release.default.kernels
            else ()
        ),
        Note(message=f"what GPUs build {build.id} has code for was not measured"),
        row_note(candidate, problem.matrix, problem.request.architecture),
    ]
    yield report("COG243", head, candidate.origin, notes=notes, hint="try it on that GPU before you rely on it")


def _preloading(decision: Decision) -> Iterator[Diagnostic]:
    """COG248: onnxruntime-gpu does not find the packages of its extras by itself."""
    chosen = {candidate.package: candidate for candidate in decision.solution.candidates}
    candidate = chosen.get("onnxruntime-gpu")
    if candidate is None or candidate.build is None or candidate.build.cuda_from != "extra":
        return
    if not decision.problem.request.is_gpu:
        return
    message = f"{candidate} does not load the CUDA packages of its extras by itself, and then runs on the CPU"
    hint = "call onnxruntime.preload_dlls() before the first session, or import torch first"
    yield report("COG248", message, candidate.origin, hint=hint)


def _other_indexes(problem: Problem) -> Iterator[Diagnostic]:
    """COG246: an index of which nothing is known, where packages of the matrix are asked for."""
    if not problem.packages & {*_DECIDING_CUDA, "xformers"}:
        return
    for line in problem.indexes.others:
        url = next(
            value for name, value in line.options if name in ("--index-url", "--extra-index-url", "--find-links")
        )
        shown = url.rpartition("@")[2] if "@" in url else url
        message = f"nothing is known about what {shown} has; what the matrix says of packages from there is a guess"
        yield report("COG246", message, line.origin)


# -- constraints ---------------------------------------------------------------------------------


def additions(decision: Decision) -> Additions:
    """What the constraints file gets so that the packages fit. Warnings: COG240, COG249."""
    problem = decision.problem
    request = problem.request
    if request.base_image is not None or any(
        name in ("--hash", "--require-hashes") for line in request.requirements for name, _ in line.options
    ):
        return Additions()
    parts = [*_numpy_ceiling(decision), *_held_back(decision)]
    return Additions(
        constraints=tuple(line for line, _ in parts if line),
        causes=tuple(Cause(kind="matrix", text=d.message, span=d.span) for line, d in parts if line),
        diagnostics=tuple(diagnostic for _, diagnostic in parts),
    )


def _numpy_ceiling(decision: Decision) -> Iterator[tuple[str, Diagnostic]]:
    """COG240: packages that were built for NumPy 1 and do not say so, where the installer would take NumPy 2."""
    problem = decision.problem
    chosen = {candidate.package: candidate for candidate in decision.solution.candidates}
    numpy = chosen.get("numpy")
    if numpy is not None and (numpy.version is None or numpy.version >= _NUMPY_2):
        return  # it is said elsewhere
    demands = problem.demands.get("numpy", ())
    if any(not _admits_numpy_2(demand) for demand in demands):
        return
    for ceiling in problem.matrix.rules.numpy_ceilings:
        candidate = chosen.get(ceiling.package)
        if candidate is None or candidate.version is None or candidate.version not in SpecifierSet(ceiling.versions):
            continue
        own = dict(candidate.release.requires).get("numpy", "") if candidate.release else ""
        if _NUMPY_2 in SpecifierSet(own) and _is_numpy_open(problem):
            yield f"numpy{ceiling.numpy}", _about_numpy(candidate, ceiling.numpy, demands, problem)
            return


def _admits_numpy_2(demand: Demand) -> bool:
    if demand.version is not None:
        return demand.version >= _NUMPY_2
    return demand.asked == "opaque" or any(Version(text) in demand.specifier for text in ("2.0.0", "2.4.0", "99999"))


def _is_numpy_open(problem: Problem) -> bool:
    """Whether there are wheels of NumPy 1 and of NumPy 2 for the Python: else there is nothing to choose."""
    rows = problem.matrix.releases("numpy", problem.request.architecture)
    with_wheels = [row.version < _NUMPY_2 for row in rows if problem.minor in row.python]
    return not rows or (any(with_wheels) and not all(with_wheels))


def _about_numpy(candidate: Candidate, ceiling: str, demands: tuple[Demand, ...], problem: Problem) -> Diagnostic:
    demand = next((demand for demand in demands if not demand.is_constraint), None)
    message = f"numpy{ceiling} is added to the constraints, because {candidate} was built for NumPy 1"
    built = Note(message=f"the metadata of {candidate} does not say so", span=candidate.origin if demand else None)
    span = demand.requirement.origin if demand else candidate.origin
    fix = None
    if demand is not None and span is not None and demand.requirement.text == "numpy":
        edits = (Edit(span=span, replacement=f"numpy{ceiling}"),)
        fix = Fix(title=f"write numpy{ceiling}", edits=edits)
    hint = f"write numpy{ceiling} yourself to have it in the project"
    return report("COG240", message, span, notes=(built, numpy_note(problem.matrix)), hint=hint, fix=fix)


def _held_back(decision: Decision) -> Iterator[tuple[str, Diagnostic]]:
    """COG249: an older release than the installer would take, because of GPUs or the driver."""
    problem = decision.problem
    request = problem.request
    if not request.is_gpu or not (problem.targets or request.driver):
        return
    free = decide(replace(request, gpu_models=(), driver=None), problem.matrix)
    usual = {candidate.package: candidate.version for candidate in free.solution.candidates} if free else {}
    for candidate in decision.solution.candidates:
        line = candidate.line
        if candidate.version is None or usual.get(candidate.package) in (None, candidate.version):
            continue
        if line is not None and line.is_exact:
            continue
        reasons = [str(target) for target in problem.targets]
        reasons += [f"with driver {request.driver}"] if request.driver else []
        newest = usual[candidate.package]
        message = f"{candidate.package} is held at {candidate.version}: {newest} does not run on {listed(reasons)}"
        if not problem.targets:
            message = f"{candidate.package} is held at {candidate.version}: {newest} does not run {listed(reasons)}"
        span = line.requirement.origin if line else dict(request.spans).get("gpu")
        hint = f"pin it: {_pin(candidate)}"
        yield f"{candidate.package}=={candidate.version}", report("COG249", message, span, hint=hint)
