"""The resolver's one entry: request × matrix → resolution, with everything it has to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...diagnostics import Diagnostic, Note, has_errors, report
from ..matrix import Matrix
from ..nodes import PythonSource, Request, Resolution
from .base import BaseChoice, choose_base, slim_image
from .candidates import Candidate
from .decide import Decision, decide
from .python import minor_of, python_causes, python_remarks
from .remarks import additions, remarks
from .requirements import rewrite_requirements
from .system import expected_tools, rename_system_packages
from .targets import targets_of

__all__ = ["resolve"]


def resolve(request: Request, matrix: Matrix) -> tuple[Resolution | None, tuple[Diagnostic, ...]]:
    """Decide everything that the request leaves open; None where that is impossible.

    Pure: the same request and matrix give the same answer, and the order of lines makes no difference to what is
    chosen. What is unknown to the matrix is a warning and is passed on; only what cannot work is an error.
    Codes: COG131, COG132, COG206, COG220–COG250, COG302, COG303.
    """
    _, found = targets_of(request, matrix)
    decision = decide(request, matrix)
    if decision is None:
        from .explain import explain_conflicts  # only where it is needed: it takes a while to load

        return None, (*found, *explain_conflicts(request, matrix, _resolves(matrix)))
    resolution, problems = _settled(decision, matrix)
    if resolution is None:
        problems = tuple(_with_ways(problem, request, matrix) for problem in problems)
    return resolution, (*found, *problems)


def _resolves(matrix: Matrix) -> _Resolver:
    return _Resolver(matrix)


class _Resolver:
    """Resolves changed requests, to see whether a change is a way out."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    def __call__(self, request: Request, is_strict: bool) -> Resolution | None:
        decision = decide(request, self._matrix, is_strict=is_strict)
        if decision is None or decision.solution.was_cut_short:
            return None
        if is_strict and not decision.solution.is_sure:
            return None
        return _settled(decision, self._matrix)[0]


def _with_ways(problem: Diagnostic, request: Request, matrix: Matrix) -> Diagnostic:
    """The same, with ways out where a setting of the image is what is wrong."""
    if problem.code not in ("COG222", "COG223"):
        return problem
    from .conflict import Conflict, Part
    from .remedies import remedies

    spans = dict(request.spans)
    parts = [Part(kind="cuda", span=spans.get("cuda"))] if request.cuda else []
    parts += [Part(kind="cudnn", span=spans.get("cudnn"))] if request.cudnn else []
    conflict = Conflict(parts=tuple(parts), request=request, whole=request)
    ways = tuple(remedy.text for remedy in remedies(conflict, matrix, _resolves(matrix)))
    return replace(problem, ways=ways)


def _settled(decision: Decision, matrix: Matrix) -> tuple[Resolution | None, tuple[Diagnostic, ...]]:
    """What follows from the choice of Python and packages: the base image and the lines of the build."""
    request, python = decision.problem.request, decision.python
    chosen = decision.solution.candidates
    causes = python_causes(request, python, chosen)
    found = (*python_remarks(request, python, causes, matrix), *_doubts(decision), *remarks(decision))
    base = choose_base(request, python, chosen, matrix)
    found += base.diagnostics
    if has_errors(found):
        return None, found
    added = additions(decision)
    lines = rewrite_requirements(request, python, chosen, matrix, added.constraints)
    names, renamed = rename_system_packages(request.system_packages, base.distribution, matrix)
    wanted_tools, tool_causes, missing = expected_tools(request)
    tools = tuple(tool for tool in wanted_tools if tool not in names)
    found += (*added.diagnostics, *lines.diagnostics, *renamed, *missing)
    found += (*_base_remarks(request, base), *_tools_remark(request, tools))
    source: PythonSource = request.cuda_python if base.cuda_from == "image" else "base"
    if source == "apt":
        found += _apt_has_python(request, python, base, matrix)
    resolution = Resolution(
        matrix=matrix.version,
        python=python,
        base_image=base.reference,
        tools_image=slim_image(minor_of(python), matrix)[0],
        distribution=base.distribution,
        cuda=base.cuda,
        cudnn=base.cudnn,
        cuda_from=base.cuda_from,
        min_driver=base.min_driver,
        packages=tuple(_versions(request, [candidate for candidate in chosen if candidate.demands])),
        brought_along=tuple(_versions(request, [candidate for candidate in chosen if not candidate.demands])),
        requirements=lines.requirements,
        constraints=lines.constraints,
        system_packages=names,
        tools=tools,
        installer=lines.installer,
        installer_options=lines.installer_options,
        python_source=source,
        requirements_because=(*lines.causes, *added.causes),
        tools_because=tool_causes,
        because=(*causes, *base.causes),
    )
    return resolution, found


def _doubts(decision: Decision) -> tuple[Diagnostic, ...]:
    if decision.solution.is_sure:
        return ()
    from .explain import explain_doubts

    return explain_doubts(decision)


def _versions(request: Request, chosen: Sequence[Candidate]) -> Iterator[tuple[str, str, str]]:
    """(name, version, build) of what is known, in the order of the lines."""
    positions = {id(line): position for position, line in enumerate(request.requirements)}
    ordered = sorted(chosen, key=lambda c: positions[id(c.line.requirement)] if c.line else len(positions))
    for candidate in ordered:
        if candidate.version is not None and candidate.release is not None:
            named = next((demand.build for demand in candidate.demands if demand.build), None)
            build = candidate.build.id if candidate.build else named or "unknown"
            yield candidate.package, str(candidate.version), build


def _base_remarks(request: Request, base: BaseChoice) -> tuple[Diagnostic, ...]:
    """COG228: why this image, where a GPU makes the choice worth a word."""
    if not request.is_gpu or request.base_image is not None or not base.causes:
        return ()
    why = "; ".join(cause.text for cause in base.causes)
    spans = dict(request.spans)
    hint = None if base.cuda_from == "image" else "--use-cuda-base-image=true takes an nvidia/cuda image instead"
    driver = f"the image needs an NVIDIA driver {base.min_driver} or later on the machine that it runs on"
    notes = [Note(message=driver)] if base.min_driver else []
    message = f"the base image is {base.reference}: {why}"
    return (report("COG228", message, spans.get("gpu"), notes=notes, hint=hint),)


def _tools_remark(request: Request, tools: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    """COG233: packages that nobody asked for by name."""
    if not tools:
        return ()
    names = ", ".join(tools)
    message = f"system packages are added that Cog's images have: {names}"
    return (report("COG233", message, dict(request.spans).get("gpu"), hint="--no-tools leaves them out"),)


def _apt_has_python(request: Request, python: str, base: BaseChoice, matrix: Matrix) -> tuple[Diagnostic, ...]:
    """COG232: `--cuda-python apt` with a Python that the Ubuntu release does not package."""
    row = next((row for row in matrix.pythons if row.version == minor_of(python)), None)
    if row is None or base.distribution == f"ubuntu{row.ubuntu_apt}":
        return ()
    message = f"{base.distribution} has no packages of Python {minor_of(python)}, which --cuda-python apt installs"
    spans = dict(request.spans)
    return (report("COG232", message, spans.get("python_version", spans.get("gpu")), hint="--cuda-python uv"),)
