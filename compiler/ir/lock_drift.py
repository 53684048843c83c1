"""Lock × request → the decisions of the lock, or what has changed since it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..diagnostics import Diagnostic, Note, report
from ..source import Span
from .decisions import decision_changes
from .lock import Lock, LockedPlatform
from .lock_inputs import input_changes, inputs_of, spelled
from .matrix import Matrix
from .nodes import Request, Run
from .resolver import resolve

__all__ = ["locked_decisions", "platform_of"]

_MOST_NOTES = 20


def platform_of(request: Request) -> str:
    """The name of the platform in locks.

    >>> platform_of(Request(architecture="arm64"))
    'linux/arm64'
    """
    return f"linux/{request.architecture}"


def locked_decisions(
    lock: Lock, request: Request, matrix: Matrix, lock_name: str
) -> tuple[LockedPlatform | None, tuple[Diagnostic, ...]]:
    """The decisions of a lock for a request that is the one it was made from. Errors: COG262, COG263.

    The matrix only helps to say what a change means; the decisions do not depend on it.
    """
    span = Span.of_file(lock_name)
    entry = lock.platform(platform_of(request))
    if entry is None:
        has = ", ".join(known.platform for known in lock.platforms) or "no platform"
        message = f"{lock_name} was not made for {platform_of(request)}: it has {has}"
        hint = f"cogc lock --platform {','.join([*(known.platform for known in lock.platforms), platform_of(request)])}"
        return None, (report("COG263", message, span, hint=hint),)
    inputs = inputs_of(request)
    if inputs == lock.inputs:
        return entry, ()
    if replace(inputs, commands=lock.inputs.commands) == lock.inputs and _same_without(lock, request, matrix):
        return entry, ()
    changes = tuple(input_changes(lock.inputs, inputs))
    notes = (*_changed(changes), *_decided(entry, request, matrix))
    message = f"{lock_name} was made for something else: {changes[0]}" + (
        f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    )
    where = _place(lock, request) or span
    return None, (report("COG262", message, where, notes=notes, hint="`cogc lock` brings it up to date"),)


def _same_without(lock: Lock, request: Request, matrix: Matrix) -> bool:
    """Whether the commands, which alone have changed, decide nothing: most of them do not."""
    old = replace(request, commands=tuple(Run(command=command) for command in lock.inputs.commands))
    before, after = resolve(old, matrix)[0], resolve(request, matrix)[0]
    return before is not None and before == after


def _changed(changes: tuple[str, ...]) -> Iterator[Note]:
    yield from (Note(message=f"changed: {change}") for change in changes[:_MOST_NOTES])
    if len(changes) > _MOST_NOTES:
        yield Note(message=f"changed: {len(changes) - _MOST_NOTES} more")


def _decided(entry: LockedPlatform, request: Request, matrix: Matrix) -> Iterator[Note]:
    """What the change would decide, as far as that is known without a package index."""
    resolution, problems = resolve(request, matrix)
    if resolution is None:
        yield from (Note(message=f"it cannot be built: {problem.message}") for problem in problems[-1:])
        return
    changes = decision_changes(entry.resolution, resolution)
    yield from (Note(message=f"decides: {change}") for change in changes[:_MOST_NOTES])


def _place(lock: Lock, request: Request) -> Span | None:
    """Where the first requirement that the lock does not know is written."""
    known = set(lock.inputs.requirements)
    return next((line.origin for line in request.requirements if line.origin and spelled(line) not in known), None)
