"""The bytes of cog.lock → `Lock`, and whether the project's files are those that it names.

Comes in: bytes, and the project's files. Goes out: frozen values and diagnostics. Whether the lock is for this
configuration is the business of `cogc.ir.lock_drift`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from .._data import load_schema
from ..diagnostics import Diagnostic, Note, report
from ..ir.lock import Lock, LockedFile, LockedPlatform
from ..ir.lock_document import FORMAT, InvalidLock, lock_of
from ..source import Span
from .dockerignore import Dockerignore
from .files import FileEntry, FileProblem, Files
from .shape import fits
from .weights import Weights

__all__ = ["check_files", "lock_name", "read_lock", "weight_files"]

_HINT = "`cogc lock --upgrade` writes it anew"


def lock_name(config: str) -> str:
    """The name of the lock beside a configuration.

    >>> lock_name("cog.yaml"), lock_name("models/large.yaml")
    ('cog.lock', 'models/large.lock')
    """
    stem, suffix = posixpath.splitext(config)
    return f"{stem if suffix in ('.yaml', '.yml') else config}.lock"


def read_lock(raw: bytes, name: str) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """The lock, or what is wrong with its file. Error: COG261."""
    span = Span.of_file(name)
    try:
        document: Any = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return None, (report("COG261", f"{name} is not UTF-8 text", span, hint=_HINT),)
    except json.JSONDecodeError as error:
        where = Span(name, error.lineno, error.colno, error.lineno, error.colno + 1)
        return None, (report("COG261", f"{name} is not JSON: {error.msg}", where, hint=_HINT),)
    except (RecursionError, ValueError):
        return None, (report("COG261", f"{name} is nested too deep, or has a number that is too long", span),)
    number = document.get("format") if isinstance(document, dict) else None
    if number != FORMAT or isinstance(number, bool):
        is_newer = isinstance(number, int) and number > FORMAT
        message = f"{name} has format {number!r}, and this cogc reads {FORMAT}" if number else f"{name} has no format"
        hint = "a newer cogc wrote it: update cogc" if is_newer else _HINT
        return None, (report("COG261", message, span, hint=hint),)
    schema = load_schema("lock")
    if not fits(document, schema, schema) and (problem := _violation(document, schema)):
        return None, (report("COG261", f"{name} does not have the form of a lock: {problem}", span, hint=_HINT),)
    try:
        return lock_of(document), ()
    except InvalidLock as error:
        return None, (report("COG261", f"{name} was changed by hand: {error}", span, hint=_HINT),)


def _violation(document: Any, schema: dict[str, Any]) -> str | None:
    """What the full validator says first; None where it finds nothing."""
    from jsonschema import Draft202012Validator

    error = next(Draft202012Validator(schema).iter_errors(document), None)
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


def weight_files(weights: Weights, entries: Iterable[FileEntry], ignored: Dockerignore) -> tuple[FileEntry, ...]:
    """The files that the layers of the weights have, sorted by path."""
    directories = tuple(f"{directory}/" for directory in weights.directories)
    root_files = set(weights.root_files)
    found = (
        entry
        for entry in entries
        if entry.kind == "file"
        and (entry.path in root_files or entry.path.startswith(directories))
        and not ignored.excludes(entry.path)
    )
    return tuple(sorted(found, key=lambda entry: entry.path))


def check_files(
    lock: Lock, entry: LockedPlatform, weights: Iterable[FileEntry], files: Files, name: str
) -> tuple[Diagnostic, ...]:
    """COG264 when weights or packages of the project are not the files that the lock was made with."""
    changes = [*_weight_changes(lock.weights, weights, files), *_package_changes(entry, files)]
    if not changes:
        return ()
    message = f"files are not those of {name}: {changes[0]}" + (
        f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    )
    notes = [Note(message=change) for change in changes[:20]]
    return (report("COG264", message, Span.of_file(name), notes=notes, hint="`cogc lock` takes the files as they are"),)


def _weight_changes(locked: Iterable[LockedFile], found: Iterable[FileEntry], files: Files) -> Iterator[str]:
    before, after = {file.path: file for file in locked}, {entry.path: entry for entry in found}
    yield from (f"{path} is gone" for path in before if path not in after)
    yield from (f"{path} is new" for path in after if path not in before)
    for path, file in before.items():
        if path in after and (file.size_bytes != after[path].size_bytes or _digest(files, path) != file.sha256):
            yield f"{path} has changed"


def _package_changes(entry: LockedPlatform, files: Files) -> Iterator[str]:
    for package in entry.packages:
        path = package.location
        if package.source == "project" and path is not None and _digest(files, path) != package.sha256:
            yield f"{path} has changed"


def _digest(files: Files, path: str) -> str | None:
    try:
        return files.digest(path)
    except FileProblem:
        return None
