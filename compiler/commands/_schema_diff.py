"""`cogc schema diff A B`: what B changes for those who call the model.

Each of the two is an OpenAPI document, a project or its cog.yaml, or one of these in a git revision, as `REV:path`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..diagnostics import Diagnostic, has_errors, report
from ..source import SourceFile
from ._at_revision import RevisionProblem, at_revision, split_revision
from ._project import Project, fail, load_project, source_of

if TYPE_CHECKING:
    from ..driver import Source
    from ..frontend.openapi.changes import Change, Kind

__all__ = ["run_diff"]

SchemaOf: TypeAlias = "Callable[[Project, Source, argparse.Namespace], tuple[str | None, tuple[Diagnostic, ...]]]"

_KINDS: tuple[Kind, ...] = ("breaking", "compatible", "docs")
_MOST_BYTES = 16 * 1024 * 1024


def run_diff(words: Sequence[str], arguments: argparse.Namespace, schema_of: SchemaOf) -> int:
    """Compare, print, and give the exit code: 1 when a change breaks callers, or a document cannot be had.

    `words` are two of the command line, and `schema_of` gives the document of a project.
    """
    from ..frontend.openapi.changes import compare

    documents = []
    with ExitStack() as stack:
        for text in words:
            document, found, project = _document(text, arguments, stack, schema_of)
            if document is None:
                return fail(found, project, arguments.format)
            documents.append(document)
    changes = sorted(compare(*documents), key=lambda change: _KINDS.index(change.kind))
    print(_as_json(changes) if arguments.format == "json" else _as_text(changes))
    return 1 if any(change.kind == "breaking" for change in changes) else 0


def _document(
    text: str, arguments: argparse.Namespace, stack: ExitStack, schema_of: SchemaOf
) -> tuple[dict[str, Any] | None, tuple[Diagnostic, ...], Project | None]:
    """The document that a word of the command line names. Errors: COG442, COG500, and those of the project."""
    path, parts = Path(text), split_revision(text)
    if parts is not None:
        try:
            # Weights and the like say nothing about a schema.
            path = stack.enter_context(at_revision(*parts, most_bytes=_MOST_BYTES))
        except RevisionProblem as problem:
            return None, (report("COG500", f"{text}: {problem}"),), None
    if path.suffix == ".json":
        return *_read_json(path, text), None
    located = argparse.Namespace(**{**vars(arguments), "path": str(path)})
    project, found = load_project(located)
    if project is None:
        return None, found, None
    source, found = source_of(project, "")  # the environment names a schema for one project, not for two
    if source is None:
        return None, found, project
    document, problems = schema_of(project, source, arguments)
    found += problems
    return (json.loads(document) if document and not has_errors(found) else None), found, project


def _read_json(path: Path, shown: str) -> tuple[dict[str, Any] | None, tuple[Diagnostic, ...]]:
    from ..disk import describe
    from ..frontend.openapi.read import read_document

    try:
        with open(path, "rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        return None, (report("COG500", f"{shown} {describe(error)}"),)
    except UnicodeDecodeError:
        return None, (report("COG500", f"{shown} is not UTF-8 text"),)
    return read_document(SourceFile(shown, text))


def _as_text(changes: Sequence[Change]) -> str:
    if not changes:
        return "no differences"
    counts = Counter(change.kind for change in changes)
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in _KINDS if counts[kind])
    return "\n".join([*(f"{change.kind:<10}  {change.path}: {change.message}" for change in changes), summary])


def _as_json(changes: Sequence[Change]) -> str:
    counts = Counter(change.kind for change in changes)
    shown = [
        {**asdict(change), "old": json.loads(change.old or "null"), "new": json.loads(change.new or "null")}
        for change in changes
    ]
    document = {"version": 1, "changes": shown, "summary": {kind: counts[kind] for kind in _KINDS}}
    return json.dumps(document, indent=2, ensure_ascii=False)
