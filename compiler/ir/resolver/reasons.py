"""Why something was decided as it was, and what would come of another wish. Pure, like the resolver itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ...diagnostics import Diagnostic, Severity, has_errors
from ...record import record
from ...source import Span
from ..matrix import Matrix, Release
from ..nodes import Request, Resolution
from ..requirement import Requirement
from .candidates import Candidate
from .decide import Decision, decide, pythons
from .demands import KNOWN
from .problem import Problem, reading_of
from .resolve import resolve
from .search import Search
from .wording import asked_here, demanded, listed, row_note, words_for

__all__ = ["BROUGHT_BY", "SUBJECTS", "Answer", "Fact", "Outcome", "Wish", "outcome_of", "parse_wish", "why"]

SUBJECTS = ("python", "cuda", "base")
BROUGHT_BY = {
    "none": "nobody, or it needs none",
    "wheel": "inside the wheel",
    "pip": "packages that it pins",
    "extra": "the packages of its extra",
    "system": "the image",
    "torch": "the torch that it demands",
    "source": "the image, whose compiler builds it",
}


@record
class Fact:
    """One reason: what it is about, what it says, and where it stands."""

    label: str
    text: str
    span: Span | None = None


@record
class Answer:
    """What was decided, and why."""

    decision: str
    facts: tuple[Fact, ...]


@record
class Wish:
    """Something that the request does not ask for: `cuda=11.8`, `python=3.13`, `torch==2.9.0`."""

    subject: str
    value: str

    def __str__(self) -> str:
        return (
            f"{self.subject}{self.value}"
            if self.subject not in (*SUBJECTS, "cudnn")
            else f"{self.subject}={self.value}"
        )


@record
class Outcome:
    """What comes of a wish: whether it can be, what changes, and what there is to say that was not said before."""

    is_possible: bool
    changes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


# -- why -----------------------------------------------------------------------------------------


def why(request: Request, matrix: Matrix, subject: str) -> Answer | None:
    """Why `python`, `cuda`, `base` or a package is as it is; None for what takes no part in the request.

    The request must resolve.
    """
    decision = decide(request, matrix)
    resolution, _ = resolve(request, matrix)
    if decision is None or resolution is None:
        return None
    match subject:
        case "python":
            return _why_python(decision, resolution)
        case "cuda":
            return _why_cuda(decision, resolution)
        case "base":
            return _why_base(resolution)
        case _:
            return _why_package(decision, canonicalize_name(subject))


def _why_python(decision: Decision, resolution: Resolution) -> Answer:
    facts = [
        Fact(label="because", text=c.text, span=c.span) for c in resolution.because if c.text.startswith("python ")
    ]
    problem = decision.problem
    if problem.request.python_version is None:
        facts = [Fact(label="because", text="nothing asks for another: it is the first for which everything fits")]
        for python in pythons(problem.request, problem.matrix):
            if python == decision.python:
                break
            facts.append(Fact(label=f"not {python}", text=_against_python(problem.request, problem.matrix, python)))
    for candidate in decision.solution.candidates:
        if candidate.release is not None and candidate.demands:
            text = f"{candidate} has wheels for Python {listed(candidate.release.python)}"
            facts.append(Fact(label="wheels", text=text, span=candidate.origin))
    row = next((row for row in problem.matrix.pythons if row.version == problem.minor), None)
    if row is not None:
        facts.append(Fact(label="supported", text=f"until {row.end_of_life} (matrix {problem.matrix.version})"))
    return Answer(decision=f"Python {decision.python}", facts=tuple(facts))


def _against_python(request: Request, matrix: Matrix, python: str) -> str:
    """The first thing that speaks against a Python."""
    problem = Problem(reading_of(request, matrix), matrix, python)
    search = Search(problem, is_strict=True)
    newest = [problem.first_candidate(name) for name in sorted(problem.packages)]
    clash = next(iter(search.clashes(tuple(each for each in newest if each is not None))), None)
    return words_for(clash, problem).message if clash is not None else "the packages do not fit together there"


def _why_cuda(decision: Decision, resolution: Resolution) -> Answer:
    matrix = decision.problem.matrix
    if resolution.cuda is None:
        text = (
            "the model does not ask for a GPU" if not decision.problem.request.is_gpu else "nothing brings or needs it"
        )
        return Answer(decision="no CUDA", facts=(Fact(label="because", text=text),))
    brought = {"packages": "Python packages bring it", "image": "the base image has it", "none": "nobody brings it"}
    facts = [Fact(label="who", text=brought[resolution.cuda_from])]
    for candidate in decision.solution.candidates:
        build = candidate.build
        if build is None or build.cuda is None:
            continue
        text = f"{candidate}, build {build.id}, is for CUDA {build.cuda}: {BROUGHT_BY[build.cuda_from]}"
        facts.append(Fact(label="package", text=text, span=candidate.origin))
    facts += _causes(resolution)
    if resolution.min_driver is not None:
        facts.append(Fact(label="driver", text=f"{resolution.min_driver} or later (matrix {matrix.version})"))
    cudnn = f" and cuDNN {resolution.cudnn}" if resolution.cudnn else ""
    return Answer(decision=f"CUDA {resolution.cuda}{cudnn}", facts=tuple(facts))


def _why_base(resolution: Resolution) -> Answer:
    return Answer(decision=resolution.base_image, facts=tuple(_causes(resolution)))


def _causes(resolution: Resolution) -> Iterator[Fact]:
    """The causes of the base image, which come after those of Python."""
    for cause in resolution.because:
        if not cause.text.startswith("python ") and " has wheels for Python " not in cause.text:
            yield Fact(label="because", text=cause.text, span=cause.span)


def _why_package(decision: Decision, name: str) -> Answer | None:
    chosen = {candidate.package: candidate for candidate in decision.solution.candidates}
    candidate = chosen.get(name)
    if candidate is None:
        return None
    problem = decision.problem
    facts = [Fact(label="line", text=asked_here(d).message, span=d.requirement.origin) for d in candidate.demands]
    facts += _demanded_by(candidate, decision)
    facts += _not_newer(candidate, decision)
    if candidate.build is not None:
        facts += _about_build(candidate, problem)
    if candidate.release is not None:
        wheels = f"for Python {listed(candidate.release.python)}"
        facts.append(Fact(label="wheels", text=wheels))
    facts.append(Fact(label="row", text=row_note(candidate, problem.matrix, problem.request.architecture).message))
    shown = str(candidate) if candidate.version is not None else f"{name}, of a version that is not known"
    build = f", build {candidate.build.id}" if candidate.build is not None else ""
    return Answer(decision=f"{shown}{build}", facts=tuple(facts))


def _demanded_by(candidate: Candidate, decision: Decision) -> Iterator[Fact]:
    for other in decision.solution.candidates:
        specifier = dict(other.release.requires).get(candidate.package) if other.release is not None else None
        if specifier is not None:
            text = f"{other} needs {demanded(candidate.package, specifier)}"
            yield Fact(label="demanded", text=text, span=other.origin)


def _not_newer(candidate: Candidate, decision: Decision) -> Iterator[Fact]:
    """For the newer releases why they were not taken; neighbours with the same reason together."""
    problem = decision.problem
    if candidate.version is None:
        return
    search = Search(problem, is_strict=True)
    others = tuple(other for other in decision.solution.candidates if other.package != candidate.package)
    reasons: list[tuple[str, str]] = []
    for release in reversed(problem.matrix.releases(candidate.package, problem.request.architecture)):
        if release.version <= candidate.version:
            break
        reasons.append((str(release.version), _against(release, candidate, others, search, problem)))
    for reason, grouped in groupby(reasons, key=lambda pair: pair[1]):
        versions = [version for version, _ in grouped]
        shown = versions[0] if len(versions) == 1 else f"{versions[-1]} to {versions[0]}"
        yield Fact(label=f"not {shown}", text=reason)


def _against(
    release: Release, candidate: Candidate, others: tuple[Candidate, ...], search: Search, problem: Problem
) -> str:
    """The first thing that speaks against a newer release."""
    refusing = next((d for d in candidate.demands if not d.admits(release.version)), None)
    if refusing is not None:
        return f"`{refusing.written}` does not admit it"
    if release.is_yanked:
        return "it was withdrawn"
    newer = problem.build(release, candidate.demands)
    clash = next((c for c in search.clashes((newer, *others)) if newer in (c.first, c.second)), None)
    if clash is None:
        return "another package is only possible with an older one"
    if clash.kind in ("demand", "third", "pins") and clash.second is not None:
        other = clash.second if clash.first is newer else clash.first
        specifier = next((about[1] for about in clash.about if about[0] == candidate.package), None)
        if specifier is not None and other is clash.first:
            return f"{other} needs {demanded(candidate.package, specifier)}"
        return f"it does not fit {other}"
    return re.sub(
        rf"{re.escape(candidate.package)} {re.escape(str(release.version))}\b", "it", words_for(clash, problem).message
    )


def _about_build(candidate: Candidate, problem: Problem) -> Iterator[Fact]:
    build = candidate.build
    assert build is not None
    cuda = f"CUDA {build.cuda}" if build.cuda else "no CUDA of its own"
    cudnn = f", cuDNN {build.cudnn}" if build.cudnn else ""
    yield Fact(label="build", text=f"{build.id}: {cuda}{cudnn}; libraries: {BROUGHT_BY[build.cuda_from]}")
    if build.kernels:
        yield Fact(label="GPUs", text=f"code for {', '.join(build.kernels)}")
    driver = problem.matrix.minimum_driver(build.cuda) if build.cuda else None
    if driver is not None:
        yield Fact(label="driver", text=f"{driver} or later")


# -- why not -------------------------------------------------------------------------------------


def parse_wish(text: str) -> Wish | None:
    """`cuda=11.8`, `python=3.13`, `cudnn=9`, `torch==2.9.0`, `torch=2.9.0`, `torch>=2.9`; None for anything else."""
    found = re.fullmatch(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*([=<>!~].*?)\s*", text)
    if found is None:
        return None
    name, rest = canonicalize_name(found[1]), found[2].strip()
    value = re.sub(r"^={1,2}\s*", "", rest)
    if name in ("cuda", "python", "cudnn"):
        parts = r"\d{1,3}(\.\d{1,4}){0,3}" if name == "cudnn" else r"\d{1,3}\.\d{1,4}(\.\d{1,4})?"
        return Wish(subject=name, value=value) if rest.startswith("=") and re.fullmatch(parts, value) else None
    specifier = f"=={value}" if rest.startswith("=") else rest
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier:
        return None
    return Wish(subject=name, value=specifier) if name in KNOWN else None


def outcome_of(request: Request, matrix: Matrix, wish: Wish) -> Outcome:
    """Resolve the request as if the wish were in it, and compare."""
    before, said = resolve(request, matrix)
    after, found = resolve(_with(request, wish), matrix)
    known = {(diagnostic.code, diagnostic.message) for diagnostic in said}
    new = tuple(
        diagnostic
        for diagnostic in found
        if diagnostic.severity is not Severity.INFO and (diagnostic.code, diagnostic.message) not in known
    )
    if after is None:
        return Outcome(is_possible=False, diagnostics=tuple(d for d in found if has_errors((d,))))
    changes = tuple(_changes(before, after)) if before is not None else ()
    return Outcome(is_possible=True, changes=changes, diagnostics=new)


def _with(request: Request, wish: Wish) -> Request:
    match wish.subject:
        case "python":
            return replace(request, python_version=wish.value)
        case "cuda":
            return replace(request, is_gpu=True, cuda=wish.value)
        case "cudnn":
            return replace(request, is_gpu=True, cudnn=wish.value)
    line = Requirement(text=str(wish), kind="package", name=wish.subject, specifier=wish.value)
    same = [each for each in request.requirements if each.name == wish.subject and each.kind == "package"]
    if not same:
        return replace(request, requirements=(*request.requirements, line))
    # The wish holds wherever the line stands: one that a marker keeps out would leave the package to the others.
    changed = replace(same[0], text=str(wish), specifier=wish.value, marker=None)
    kept = (changed if each is same[0] else each for each in request.requirements if each not in same[1:])
    return replace(request, requirements=tuple(kept))


def _changes(before: Resolution, after: Resolution) -> Iterator[str]:
    for label, name in (
        ("Python", "python"),
        ("base image", "base_image"),
        ("CUDA", "cuda"),
        ("driver at least", "min_driver"),
    ):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{label}: {old or 'none'} → {new or 'none'}"
    olds = {name: (version, build) for name, version, build in (*before.packages, *before.brought_along)}
    news = {name: (version, build) for name, version, build in (*after.packages, *after.brought_along)}
    for name in sorted(olds.keys() | news.keys()):
        if olds.get(name) != news.get(name):
            yield f"{name}: {_shown(olds.get(name))} → {_shown(news.get(name))}"


def _shown(release: tuple[str, str] | None) -> str:
    if release is None:
        return "none"
    version, build = release
    return version if build == "default" else f"{version} (build {build})"
