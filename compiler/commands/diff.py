"""Compare two builds before they are built: what changes, which steps lose their cache, and what that costs.

A and B are projects, or their cog.yaml, or one of these in a git revision: `REV:path`, or `REV` alone for the project
around the current directory. Without B it is that project as it is now, without both its last commit is A.

Nothing is built. Exit code 0 when the two could be compared, whatever came out; with --exit-code 1 when a step of B
would be built again. 1 when one of the two cannot be compiled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ._project import add_build_arguments, add_config_name, build_options, fail

if TYPE_CHECKING:
    from ..ir.cache import KeyedStep, LostStep
    from ._comparison import Comparison, Side

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc diff                              since the last commit
  cogc diff HEAD~1                       since the one before
  cogc diff main:cog.yaml cog.yaml
  cogc diff ../model-a ../model-b --format json
  cogc diff main --exit-code             1 when something would be built again
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc diff`."""
    parser.add_argument("a", nargs="?", metavar="A", help="the build before (default: HEAD)")
    parser.add_argument("b", nargs="?", metavar="B", help="the build after (default: the project as it is)")
    add_config_name(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit 1 when a step would be built again")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and give the exit code."""
    from ._comparison import compare, compile_side

    options, found = build_options(arguments)
    if options is None:
        fail(found, None, arguments.format)
        return 2
    with ExitStack() as stack:
        sides: list[Side] = []
        for text in (arguments.a or "HEAD", arguments.b):
            side, found, project = compile_side(text, arguments, options, stack)
            if side is None:
                return fail(found, project, arguments.format)
            sides.append(side)
        comparison = compare(*sides)
    print(_as_json(comparison) if arguments.format == "json" else "\n".join(_as_text(comparison)))
    return 1 if arguments.exit_code and comparison.lost else 0


# -- printing ------------------------------------------------------------------------------------


def _as_text(comparison: Comparison) -> Iterator[str]:
    from ._sizes import size_text

    if not comparison.changes and not comparison.lost:
        yield "no differences"
        return
    yield from comparison.changes
    if comparison.changes:
        yield ""
    if not comparison.lost:
        yield f"every step stays in the cache ({_count(comparison)})"
        return
    yield "built again:"
    width = max(len(step.place[0]) for step in comparison.lost)
    for step in comparison.lost:
        size, is_known = _bytes(comparison, [step])
        shown = f"{'~' if is_known else '>'}{size_text(size)}" if size else "" if is_known else "?"
        why = "" if step.is_changed else "   (after a change)"
        yield f"{shown:>10}  {step.place[0]:<{width}}  {step.title}{why}"
    size, is_known = _bytes(comparison, comparison.lost)
    more = "" if is_known else ", and what is not known"
    yield f"{len(comparison.lost)} of {_count(comparison)}, about {size_text(size)} of the image{more}"


def _count(comparison: Comparison) -> str:
    return f"{len(comparison.steps)} steps"


def _bytes(comparison: Comparison, steps: Sequence[LostStep]) -> tuple[int, bool]:
    """What is known of the layers' sizes, and whether that is everything."""
    parts = [part for step in steps for part in comparison.parts.get(step.place, ())]
    return sum(part.size_bytes or 0 for part in parts), all(part.size_bytes is not None for part in parts)


def _as_json(comparison: Comparison) -> str:
    lost = {step.place: step for step in comparison.lost}
    size, is_known = _bytes(comparison, comparison.lost)
    document: dict[str, Any] = {
        "version": 1,
        "changes": list(comparison.changes),
        "steps": [_step(comparison, step, lost.get(step.place)) for step in comparison.steps],
        "rebuilt_bytes": size,
        "is_complete": is_known,
        "summary": {"steps": len(comparison.steps), "rebuilt": len(lost)},
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _step(comparison: Comparison, step: KeyedStep, lost: LostStep | None) -> dict[str, Any]:
    parts = comparison.parts.get(step.place, ())
    is_known = bool(parts) and all(part.size_bytes is not None for part in parts)
    return {
        "stage": step.place[0],
        "step": step.place[1],
        "title": step.title,
        "state": "cached" if lost is None else "changed" if lost.is_changed else "follows",
        "size_bytes": sum(part.size_bytes or 0 for part in parts) if is_known else None,
    }
