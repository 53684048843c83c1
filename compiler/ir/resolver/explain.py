"""Conflicts and doubts as diagnostics: what cannot be, why, and the ways out that were seen to work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from packaging.version import Version

from ...diagnostics import Diagnostic, Note, report
from ..matrix import Matrix, Release, cuda_tuple
from ..nodes import Request
from .candidates import Candidate
from .clashes import Clash, ClashKind
from .conflict import Conflict, conflicts
from .decide import Decision, pythons
from .demands import rank
from .problem import Problem, reading_of
from .remedies import Remedy, Resolves, remedies
from .search import Search
from .specifiers import public_specifier, specifiers_meet
from .wording import Words, asked, asked_here, listed, row_note, words_for

__all__ = ["explain_conflicts", "explain_doubts"]

_CODES: dict[ClashKind, str] = {
    "cuda": "COG222",
    "cudnn": "COG222",
    "demand": "COG226",
    "driver": "COG244",
    "gpu": "COG236",
    "index": "COG239",
    "library": "COG238",
    "pins": "COG238",
    "platform": "COG235",
    "python": "COG235",
    "system-cuda": "COG222",
    "system-cudnn": "COG222",
    "target": "COG242",
    "third": "COG226",
    "wheel-platform": "COG235",
    "wheel-python": "COG235",
}
_DOUBTS: dict[ClashKind, str] = {"ceiling": "COG240", "gpu": "COG230", "python": "COG220", "unlisted": "COG229"}
# Which kind of clash says most about a conflict, where there are several.
_TELLING: tuple[ClashKind, ...] = (
    "index",
    "platform",
    "wheel-platform",
    "demand",
    "third",
    "pins",
    "library",
    "system-cuda",
    "system-cudnn",
    "cuda",
    "cudnn",
    "gpu",
    "target",
    "driver",
    "wheel-python",
    "python",
)
_MOST_PAIRS = 2_000


def explain_conflicts(request: Request, matrix: Matrix, resolves: Resolves) -> tuple[Diagnostic, ...]:
    """An error for each conflict of an impossible request: COG221, COG222, COG226, COG235–COG239, COG242, COG244."""
    return tuple(_explained(conflict, matrix, resolves) for conflict in conflicts(request, matrix))


def explain_doubts(decision: Decision) -> tuple[Diagnostic, ...]:
    """A warning for each thing that speaks against the choice, but not for certain.

    Codes: COG220, COG229, COG230, COG240, COG247.
    """
    problem, solution = decision.problem, decision.solution
    found: list[Diagnostic] = []
    for clash in solution.doubts:
        words = words_for(clash, problem)
        hint = _hint(clash, problem)
        code = _DOUBTS.get(clash.kind, "COG247")
        found.append(report(code, words.message, words.span, notes=words.notes, hint=hint))
    if solution.was_cut_short:
        message = "there are too many combinations of versions to try them all; the packages are installed as written"
        found.append(report("COG247", message, dict(problem.request.spans).get("gpu"), hint="pin more of them"))
    found += (
        _nothing_fits(candidate, decision) for candidate in solution.candidates if _is_to_come(candidate, problem)
    )
    return tuple(found)


def _is_to_come(candidate: Candidate, problem: Problem) -> bool:
    """Whether a release was assumed that no table has, although tables have releases that the lines admit."""
    first = problem.first_candidate(candidate.package)
    return candidate.version is None and first is not None and first.version is not None


def _nothing_fits(candidate: Candidate, decision: Decision) -> Diagnostic:
    """COG247: every release that is known clashes; the newest one says how."""
    problem = decision.problem
    newest = problem.first_candidate(candidate.package)
    assert newest is not None
    search = Search(problem, is_strict=True)
    others = tuple(c for c in decision.solution.candidates if c.package != candidate.package)
    clash = next((clash for clash in search.clashes((newest, *others)) if newest in (clash.first, clash.second)), None)
    message = (
        f"no release of {candidate.package} in matrix {problem.matrix.version} fits; what is installed is not known"
    )
    notes = (Note(message=words_for(clash, problem).message),) if clash is not None else ()
    return report("COG247", message, newest.origin, notes=(*notes, row_note(newest, problem.matrix)))


def _hint(clash: Clash, problem: Problem) -> str | None:
    if clash.kind == "python":
        return _python_hint(clash, problem)
    if clash.kind == "ceiling":
        return f"numpy{clash.about[0][1]}"
    return None


def _python_hint(clash: Clash, problem: Problem) -> str | None:
    """The nearest Python that the release has wheels for."""
    release = clash.first.release
    assert release is not None
    known = [row.version for row in problem.matrix.pythons]
    usable = [python for python in release.python if python in known and Version(python) >= Version("3.8")]
    wanted = Version(problem.minor).minor
    best = min(usable, key=lambda python: (abs(Version(python).minor - wanted), python), default=None)
    return f'python_version: "{best}"' if best else None


# -- errors --------------------------------------------------------------------------------------


def _explained(conflict: Conflict, matrix: Matrix, resolves: Resolves) -> Diagnostic:
    problem, clash = _witness(conflict, matrix)
    found = remedies(conflict, matrix, resolves, clash)
    if clash is None:
        words, code = _excluding_lines(conflict, problem), "COG237"
    elif clash.kind in ("python", "wheel-python") and conflict.part("python_version") is None:
        words, code = _no_common_python(conflict, matrix), "COG221"
    else:
        words, code = words_for(clash, problem), _CODES[clash.kind]
    ways = tuple(_way(remedy, conflict, clash, problem) for remedy in found)
    words = _with_every_side(words, conflict)
    return report(code, words.message, words.span, notes=words.notes, ways=ways)


def _with_every_side(words: Words, conflict: Conflict) -> Words:
    """The same, with the lines of the conflict that it does not name: they bring along what clashes."""
    lines = [part.line for part in conflict.parts if part.line is not None and part.line.origin is not None]
    span = words.span or next((line.origin for line in lines), None)
    named = {span, *(note.span for note in words.notes)}
    missing = [line for line in lines if line.origin not in named or (words.span is None and line.origin == span)]
    notes = [
        Note(message=f"`{line.text}` is asked for here, and brings it along", span=line.origin) for line in missing
    ]
    return Words(message=words.message, span=span, notes=(*notes, *words.notes))


def _witness(conflict: Conflict, matrix: Matrix) -> tuple[Problem, Clash | None]:
    """The clash that says most, and the problem that it stands in; no clash where lines exclude each other."""
    order = _preferred(conflict)
    best: tuple[int, Problem, Clash] | None = None
    first: Problem | None = None
    reading = reading_of(conflict.request, matrix)
    for python in pythons(conflict.request, matrix):
        problem = Problem(reading, matrix, python)
        first = first or problem
        if any(not problem.candidates(package, with_unknown=True) for package in problem.packages):
            return problem, None
        for clash in _certain_clashes(problem):
            place = order.index(clash.kind)
            if best is None or place < best[0]:
                best = place, problem, clash
    assert first is not None
    return (best[1], best[2]) if best is not None else (first, None)


def _preferred(conflict: Conflict) -> list[ClashKind]:
    """The kinds of clashes, those first in which the settings take part that are part of the conflict."""
    kinds = {part.kind for part in conflict.parts}
    first: list[ClashKind] = []
    if "driver" in kinds:
        first.append("driver")
    if "target" in kinds:
        first.append("target")
    if "cuda" in kinds:
        first.append("cuda")
    if "cudnn" in kinds:
        first.append("cudnn")
    if "python_version" in kinds:
        first.extend(("wheel-python", "python"))
    return [*first, *(kind for kind in _TELLING if kind not in first)]


def _certain_clashes(problem: Problem) -> Iterator[Clash]:
    search = Search(problem, is_strict=False)
    names = sorted(problem.packages, key=lambda name: (rank(name), name))
    every = {name: problem.candidates(name, with_unknown=False) for name in names}
    demanded = [
        public_specifier(specifier)
        for candidates in every.values()
        for c in candidates
        if c.release
        for name, specifier in c.release.requires
        if name == "torch"
    ]
    if demanded and "torch" not in every:
        known = problem.candidates("torch", with_unknown=False)
        fitting = tuple(c for c in known if c.version is not None and any(c.version in each for each in demanded))
        every["torch"] = fitting or known
    for candidates in every.values():
        for candidate in candidates:
            yield from (clash for clash in search.clashes((candidate,)) if clash.is_certain)
    packages = list(every)
    for position, package in enumerate(packages):
        for other in packages[position + 1 :]:
            pairs = [(first, second) for first in every[package] for second in every[other]]
            for first, second in pairs[:_MOST_PAIRS]:
                own = (*search.clashes((first,)), *search.clashes((second,)))
                found = search.clashes((first, second))
                yield from (clash for clash in found if clash.is_certain and clash not in own)


def _excluding_lines(conflict: Conflict, problem: Problem) -> Words:
    """Lines on one package that no version satisfies together."""
    package = next(
        (name for name in sorted(problem.packages) if not problem.candidates(name, with_unknown=True)),
        next(iter(sorted(problem.packages)), ""),
    )
    demands = problem.demands.get(package, ())
    written = listed([f"`{demand.written}`" for demand in demands]) if demands else "the lines"
    message = f"{written} exclude each other: no release of {package} satisfies them"
    notes = [asked_here(demand) for demand in demands[1:]]
    notes.append(Note(message=f"matrix {problem.matrix.version}, {package}: {_span_of_rows(package, problem)}"))
    span = demands[0].requirement.origin if demands else None
    return Words(message=message, span=span, notes=tuple(notes))


def _span_of_rows(package: str, problem: Problem) -> str:
    releases = problem.matrix.releases(package, problem.request.architecture)
    if not releases:
        return "no rows"
    evidence = problem.matrix.evidence(package, releases[-1].src)
    return f"{len(releases)} releases from {releases[0].version} to {releases[-1].version}, {evidence}"


def _no_common_python(conflict: Conflict, matrix: Matrix) -> Words:
    """No Python that images can have suits all lines of the conflict."""
    problem = Problem(reading_of(conflict.request, matrix), matrix, next(iter(pythons(conflict.request, matrix))))
    every = (problem.first_candidate(name) for name in sorted(problem.packages))
    newest = sorted((each for each in every if each is not None), key=_place)
    names = " and ".join(_file_or_version(candidate) for candidate in newest)
    notes = [_pythons_of(candidate) for candidate in newest]
    notes += [row_note(each, matrix) for each in newest if each.release is not None and not each.is_from_file]
    supported = list(pythons(conflict.request, matrix))
    lowest, highest = min(supported, key=Version), max(supported, key=Version)
    if len(newest) == 1:
        message = f"no Python version from {lowest} to {highest} has wheels of {names}"
    else:
        message = f"no Python version has wheels of {names}"
    span = newest[0].origin if newest else None
    return Words(message=message, span=span, notes=tuple(notes))


def _place(candidate: Candidate) -> tuple[int, int]:
    origin = candidate.origin
    return (origin.line, origin.column) if origin else (0, 0)


def _file_or_version(candidate: Candidate) -> str:
    wheel = next((demand.wheel for demand in candidate.demands if demand.wheel), None)
    return wheel.file if wheel is not None else str(candidate)


def _pythons_of(candidate: Candidate) -> Note:
    wheel = next((demand.wheel for demand in candidate.demands if demand.wheel), None)
    if wheel is not None:
        exact = (
            listed(wheel.exact)
            if wheel.exact
            else f"{wheel.since[0]}.{wheel.since[1]} or later"
            if wheel.since
            else "any"
        )
        return Note(message=f"{wheel.file} is for Python {exact}", span=candidate.origin)
    pythons_of = candidate.release.python if candidate.release else ()
    text = f"has wheels for Python {listed(pythons_of)}" if pythons_of else "is not in the matrix"
    return Note(message=f"{candidate} {text}", span=candidate.origin)


# -- ways out ------------------------------------------------------------------------------------


def _way(remedy: Remedy, conflict: Conflict, clash: Clash | None, problem: Problem) -> str:
    """What to write, and in brackets what makes it right."""
    if remedy.part.kind == "cuda" and remedy.text.startswith("remove"):
        return f"{remedy.text}, and the base image is {remedy.resolution.base_image}"
    if remedy.release is None or clash is None:
        return _with_warning(remedy, problem)
    comment = _comment(remedy, remedy.release, conflict, clash, problem)
    return f"{remedy.text}{comment}"


def _with_warning(remedy: Remedy, problem: Problem) -> str:
    if "+cu" in remedy.text and problem.request.architecture == "arm64":
        return f"{remedy.text} (from PyTorch's own index; not verified for arm64)"
    return remedy.text


def _comment(remedy: Remedy, release: Release, conflict: Conflict, clash: Clash, problem: Problem) -> str:
    match clash.kind:
        case "python" if _is_first_with_python(release, clash, problem):
            return f" or later, the first release with Python {problem.minor}"
        case "demand" | "third":
            return _made_for(remedy, clash)
        case "pins":
            return _agreement(remedy, release, clash, problem)
        case "cuda" if release.default.cuda is not None:
            return f" (for CUDA {release.default.cuda.split('.')[0]})"
        case "target" if clash.target is not None:
            return f" (with code for {clash.target})"
        case "driver" if release.default.cuda is not None:
            return f" (CUDA {_cuda_in(remedy, release)})"
        case _:
            pass
    if release.package == "tensorflow-cpu":
        return " (if TensorFlow needs no GPU)"
    return ""


def _cuda_in(remedy: Remedy, release: Release) -> str:
    return remedy.resolution.cuda or release.default.cuda or ""


def _is_first_with_python(release: Release, clash: Clash, problem: Problem) -> bool:
    """Whether the release is the first after the clashing one that has wheels for the Python."""
    if clash.first.version is None or release.version < clash.first.version:
        return False
    every = problem.matrix.releases(release.package, problem.request.architecture)
    with_python = [other.version for other in every if problem.minor in other.python and not other.is_yanked]
    return bool(with_python) and min(with_python) == release.version


def _made_for(remedy: Remedy, clash: Clash) -> str:
    changed = remedy.release.package if remedy.release else ""
    other = next((c for c in (clash.first, clash.second) if c is not None and c.package != changed), None)
    return f" (fits {asked(other)})" if other is not None and other.demands else ""


def _agreement(remedy: Remedy, release: Release, clash: Clash, problem: Problem) -> str:
    """The releases of the other package whose libraries agree with those of the remedy."""
    changed = remedy.part.line.name if remedy.part.line else release.package
    other = next((c for c in (clash.first, clash.second) if c is not None and c.package != changed), None)
    if release.package == "tensorflow-cpu" and other is not None:
        return f" (if only {other.package} uses the GPU)"
    if other is None or other.build is None:
        return ""
    request = replace(problem.request, requirements=remedy.request.requirements)
    there = Problem(reading_of(request, problem.matrix), problem.matrix, problem.python)
    mine = there.first_candidate(release.package)
    if mine is None or mine.build is None:
        return ""
    pins = dict(mine.build.pins)
    agreeing = [
        str(row.version)
        for row in problem.matrix.releases(other.package, problem.request.architecture)
        if row.default.pins
        and row.default.cuda is not None
        and mine.build.cuda is not None
        and cuda_tuple(row.default.cuda)[0] == cuda_tuple(mine.build.cuda)[0]
        and all(specifiers_meet(pins[name], text) for name, text in row.default.pins if name in pins)
    ]
    if not agreeing:
        return ""
    span = agreeing[0] if len(agreeing) == 1 else f"{agreeing[0]} to {agreeing[-1]}"
    return f" (agrees with {other.package} {span})"
