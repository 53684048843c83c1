"""A request that cannot be: the smallest part of it that already cannot be, found by leaving out what is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from ...record import record
from ...source import Span
from ..matrix import Matrix
from ..nodes import Request, WantedGpu
from ..requirement import Requirement
from .decide import is_possible
from .demands import KNOWN, rank
from .wheels import wheel_of

__all__ = ["Conflict", "Part", "conflicts", "without"]

_MOST_CONFLICTS = 5


@record
class Part:
    """Something the user wrote that takes part in a conflict."""

    kind: Literal["line", "python_version", "cuda", "cudnn", "gpu", "target", "driver"]
    line: Requirement | None = None
    target: WantedGpu | None = None
    span: Span | None = None


@record
class Conflict:
    """Parts that cannot be together, each of them needed for it. `request` asks for these parts only.

    `whole` is the request in which a way out must work: without the lines of other conflicts.
    """

    parts: tuple[Part, ...]
    request: Request
    whole: Request

    def part(self, kind: str) -> Part | None:
        """The part of that kind, if it takes part."""
        return next((part for part in self.parts if part.kind == kind), None)


def conflicts(request: Request, matrix: Matrix) -> tuple[Conflict, ...]:
    """The conflicts of an impossible request, none of which shares a line with another; at most five."""
    found: list[Conflict] = []
    rest = _relevant(request)
    while len(found) < _MOST_CONFLICTS and not is_possible(rest, matrix):
        smallest = rest
        for part in sorted(_parts(rest), key=_order):
            smaller = without(smallest, part)
            if not is_possible(smaller, matrix):
                smallest = smaller
        parts = tuple(_parts(smallest))
        found.append(Conflict(parts=parts, request=smallest, whole=request))
        lines = [part for part in parts if part.kind == "line"]
        for part in lines or parts:
            rest = without(rest, part)
    if len(found) == 1:
        return tuple(found)
    return tuple(replace(each, whole=_without_others(request, each, found)) for each in found)


def without(request: Request, part: Part) -> Request:
    """The request as if the part had not been written."""
    match part.kind:
        case "line":
            kept = (_options_of(line) if line is part.line else line for line in request.requirements)
            return replace(request, requirements=tuple(line for line in kept if line is not None))
        case "python_version":
            return replace(request, python_version=None)
        case "cuda":
            return replace(request, cuda=None)
        case "cudnn":
            return replace(request, cudnn=None)
        case "gpu":
            return replace(request, is_gpu=False)
        case "target":
            models = tuple(model for model in request.gpu_models if model is not part.target)
            return replace(request, gpu_models=models)
        case "driver":
            return replace(request, driver=None)


def _options_of(line: Requirement) -> Requirement | None:
    """What stays of a line that is left out: the index that it names is there for the others as well."""
    indexes = tuple(
        ("--extra-index-url" if name == "--index-url" else name, value)
        for name, value in line.options
        if name in ("--index-url", "--extra-index-url", "--find-links", "--no-index")
    )
    if not indexes:
        return None
    return Requirement(text=" ".join(word for pair in indexes for word in pair), kind="option", options=indexes)


def _without_others(request: Request, conflict: Conflict, every: list[Conflict]) -> Request:
    for other in every:
        if other is not conflict:
            for part in other.parts:
                if part.kind == "line":
                    request = without(request, part)
    return request


def _relevant(request: Request) -> Request:
    """The request with only those lines that can take part in a conflict, and options."""
    lines = tuple(
        line
        for line in request.requirements
        if line.kind == "option"
        or line.name in KNOWN
        or (line.name or "").startswith("nvidia-")
        or any(name in ("--index-url", "--extra-index-url", "--find-links", "--no-index") for name, _ in line.options)
        or wheel_of(line) is not None
    )
    return replace(request, requirements=lines)


def _parts(request: Request) -> Iterator[Part]:
    """What can be left out, in the order in which it is shown: the configuration, then lines as they stand."""
    spans = dict(request.spans)
    settings: dict[Literal["python_version", "gpu", "cuda", "cudnn", "driver"], object] = {
        "python_version": request.python_version,
        "gpu": request.is_gpu,
        "cuda": request.cuda,
        "cudnn": request.cudnn,
        "driver": request.driver,
    }
    for kind, value in settings.items():
        if value:
            yield Part(kind=kind, span=spans.get(kind))
    for model in request.gpu_models:
        yield Part(kind="target", target=model, span=model.origin)
    for line in request.requirements:
        if line.kind != "option":
            yield Part(kind="line", line=line, span=line.origin)


def _order(part: Part) -> tuple[int, int, str]:
    """What is left out first: settings, then the packages that depend on others, torch last, then Python.

    It does not depend on the order of lines.
    """
    if part.line is not None:
        return 1, -rank(part.line.name or ""), part.line.text
    first = {"gpu": 0, "driver": 0, "cudnn": 0, "cuda": 0, "target": 0}
    name = part.target.name if part.target else part.kind
    return first.get(part.kind, 2), 0, name
