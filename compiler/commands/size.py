"""Estimate the size of the image, part by part, before anything is built.

Files of the project are measured. Packages are known from cog.lock where it fits, else from the compatibility matrix as
far as that has them; base images and tools from the matrix. What is not known is listed, and not in the sum.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic, has_errors
from ._project import (
    Project,
    Refused,
    add_build_arguments,
    add_project_arguments,
    begin,
    fail,
    show,
    source_of,
)

if TYPE_CHECKING:
    from ..driver import Compilation
    from ..frontend.lower import BuildOptions
    from ..ir.size import SizePart

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc size
  cogc size --budget 6GB               exit 1 when the image will be larger
  cogc size --format json | jq .total_bytes
  cogc lock && cogc size               packages are known one by one
"""

_SHOWN = 6  # parts of one stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc size`."""
    add_project_arguments(parser)
    parser.add_argument("--all", action="store_true", help="list every part, small ones too")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the estimate and give the exit code."""
    try:
        options, project, found = begin(arguments)
    except Refused as refused:
        return refused.status
    compilation, problems = _compiled(arguments, project, options)
    found += problems
    if compilation is None or not compilation.sizes:
        return fail(found, project, arguments.format)
    if arguments.format == "json":
        print(json.dumps(_document(compilation, found), indent=2, ensure_ascii=False))
        return 1 if has_errors(found) else 0
    print("\n".join(_table(compilation.sizes, shows_all=arguments.all)))
    show(found, project)
    return 1 if has_errors(found) else 0


def _compiled(
    arguments: argparse.Namespace, project: Project, options: BuildOptions
) -> tuple[Compilation | None, tuple[Diagnostic, ...]]:
    """The compilation with sizes, from the lock where there is one that fits."""
    from ..driver import compile_project, matrix_of
    from ..frontend.lock import lock_name

    has_lock = arguments.locked or project.files.kind(lock_name(project.name)) == "file"
    source, found = source_of(project, arguments.openapi_schema, is_locked=has_lock)
    if source is None:
        return None, found
    compilation = compile_project(source, options, matrix_of(source), measures=True)
    if not compilation.sizes and has_lock and not arguments.locked:
        compilation = compile_project(replace(source, lock=None), options, matrix_of(source), measures=True)
    return compilation, (*found, *compilation.diagnostics)


def _table(parts: Sequence[SizePart], *, shows_all: bool) -> Iterator[str]:
    from ..ir.quantities import readable_size
    from ..ir.size import stage_totals, total_bytes

    width = max(len(part.stage) for part in parts)
    for stage, total in stage_totals(parts).items():
        own = sorted((part for part in parts if part.stage == stage), key=lambda part: -(part.size_bytes or 0))
        known = [part for part in own if part.size_bytes is not None]
        for part in known if shows_all else known[:_SHOWN]:
            yield _row(part, stage, width, readable_size(part.size_bytes or 0))
        rest = [] if shows_all else known[_SHOWN:]
        if rest:
            size = readable_size(total_bytes(rest))
            yield f"{'~' + size:>10}  {stage:<{width}}  {len(rest)} more"
        for part in own:
            if part.size_bytes is None:
                yield _row(part, stage, width, "?")
        if len(own) > 1 and total:
            yield f"{readable_size(total):>10}  {stage:<{width}}  in all"
    total = total_bytes(parts)
    unknown = sum(part.size_bytes is None for part in parts)
    more = f", without {unknown} that {'is' if unknown == 1 else 'are'} not known" if unknown else ""
    biggest = max(parts, key=lambda part: part.size_bytes or 0)
    yield f"{readable_size(total):>10}  {'image':<{width}}  in all{more}; the biggest: {biggest.what}"


def _row(part: SizePart, stage: str, width: int, size: str) -> str:
    shown = f"~{size}" if part.certainty in ("estimated", "guessed") else size
    guess = " (guessed)" if part.certainty == "guessed" else ""
    return f"{shown:>10}  {stage:<{width}}  {part.what}{guess}"


def _document(compilation: Compilation, found: tuple[Diagnostic, ...]) -> dict[str, Any]:
    from ..ir.size import stage_totals, total_bytes
    from ..render.json_ import as_document

    parts = compilation.sizes
    return {
        "total_bytes": total_bytes(parts),
        "is_complete": all(part.size_bytes is not None for part in parts),
        "biggest": max(parts, key=lambda part: part.size_bytes or 0).what,
        "stages": [{"stage": stage, "size_bytes": size} for stage, size in stage_totals(parts).items()],
        "parts": [
            {"stage": part.stage, "what": part.what, "size_bytes": part.size_bytes, "certainty": part.certainty}
            for part in parts
        ],
        **as_document(found),
    }
