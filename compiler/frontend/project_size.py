"""The sizes of a project's image before it is built, and what there is to say about them."""

from __future__ import annotations

from collections.abc import Sequence

from ..diagnostics import Diagnostic, Note, report
from ..ir.lock import LockedPackage
from ..ir.matrix import Matrix
from ..ir.nodes import Request, ResolvedBuild, SourceCode
from ..ir.quantities import readable_size
from ..ir.size import FileSizes, SizePart, cuda_twice, estimate_size, total_bytes
from ..source import Span
from .context_files import code_files, files_below
from .dockerignore import Dockerignore
from .files import FileEntry

__all__ = ["check_budget", "check_cuda", "measure_project"]

_BIGGEST = 3


def measure_project(
    build: ResolvedBuild,
    request: Request,
    matrix: Matrix,
    entries: Sequence[FileEntry],
    ignored: Dockerignore,
    staged: Sequence[tuple[str, bytes]],
    packages: Sequence[LockedPackage] | None,
) -> tuple[SizePart, ...]:
    """Everything in the image. `entries` are all files of the project; `packages` those of the lock, if it has one."""
    files = FileSizes(
        code=_code_bytes(build, entries, ignored),
        weights=tuple(
            (layer.source, sum(entry.size_bytes for entry in files_below(layer.source, entries, ignored)))
            for layer in build.weight_layers
        ),
        staged=tuple((path, len(content)) for path, content in staged),
    )
    return estimate_size(build, files, matrix, request.architecture, packages)


def _code_bytes(build: ResolvedBuild, entries: Sequence[FileEntry], ignored: Dockerignore) -> int:
    """The files that the copy of the code takes; nothing where the image has no code."""
    steps = (step for stage in build.stages for step in stage.steps if isinstance(step, SourceCode))
    return sum(entry.size_bytes for step in steps for entry in code_files(step, entries, ignored))


def check_budget(parts: Sequence[SizePart], budget_bytes: int, span: Span | None) -> tuple[Diagnostic, ...]:
    """COG270 when what is known is more than the budget, which `span` is the place of."""
    total = total_bytes(parts)
    if total <= budget_bytes:
        return ()
    more = " or more" if any(part.size_bytes is None for part in parts) else ""
    size = f"about {readable_size(total)}{more}"
    budget = readable_size(budget_bytes)
    message = f"the image will have {size}, and its budget is {budget}"
    if readable_size(total) == budget:
        message = f"the image will have {size}, {readable_size(total - budget_bytes)} over its budget of {budget}"
    biggest = sorted(parts, key=lambda part: part.size_bytes or 0, reverse=True)[:_BIGGEST]
    notes = [_note(part, part.size_bytes) for part in biggest if part.size_bytes]
    return (report("COG270", message, span, notes=notes, hint="`cogc size` lists everything"),)


def _note(part: SizePart, size_bytes: int) -> Note:
    guess = " (guessed)" if part.certainty == "guessed" else ""
    return Note(message=f"{readable_size(size_bytes)}: {part.what}{guess}")


def check_cuda(
    build: ResolvedBuild, request: Request, matrix: Matrix, packages: Sequence[LockedPackage] | None
) -> tuple[Diagnostic, ...]:
    """COG271 when packages bring the CUDA that the base image has already."""
    twice = cuda_twice(build, matrix, request.architecture, packages)
    if twice is None:
        return ()
    size = f", {readable_size(twice.size_bytes)} of it" if twice.size_bytes else ""
    message = f"CUDA is in the image twice: {twice.image} has it, and so has {' and '.join(twice.packages)}{size}"
    spans = dict(request.spans)
    asked = next((name for name in ("cuda", "cudnn") if getattr(request, name) is not None), None)
    hint = None
    if asked is not None:
        hint = f"without `{asked}` the image starts from the slim Python image, unless something else needs CUDA there"
    elif request.use_cuda_base == "true":
        hint = "--use-cuda-base-image=auto takes the slim Python image, unless something needs CUDA there"
    return (report("COG271", message, spans.get(asked or "gpu"), hint=hint),)
