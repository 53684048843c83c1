"""From `predict` and `Predictor` to the names of newer Cog, `run` and `Runner`: what changes, and the renamed file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..diagnostics import Edit
from ..frontend.config import Target
from ..source import Span
from ._project import Project

__all__ = ["new_file_name", "rename_target", "target_edit"]


def new_file_name(file: str) -> str:
    """`predict.py` becomes `run.py` in its folder; other names stay.

    >>> new_file_name("src/predict.py"), new_file_name("model.py")
    ('src/run.py', 'model.py')
    """
    path = PurePosixPath(file)
    return str(path.with_name("run.py")) if path.name == "predict.py" else file


def target_edit(target: Target, project: Project) -> tuple[Edit, ...]:
    """The edits of cog.yaml: the key, and the file and class that it names."""
    return tuple(_edits(target, project))


def _edits(target: Target, project: Project) -> Iterator[Edit]:
    lines = project.config.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
    line = lines[target.span.line - 1]
    key = line.find("predict")
    if key >= 0 and key < target.span.column:
        yield Edit(span=_place(target.span, key + 1, len("predict")), replacement="run")
    written = line[target.span.column - 1 :]
    start = written.find(target.reference)
    if start >= 0:
        new = f"{new_file_name(target.file)}:{'Runner' if target.name == 'Predictor' else target.name}"
        column = target.span.column + start
        yield Edit(span=_place(target.span, column, len(target.reference)), replacement=new)


def _place(span: Span, column: int, length: int) -> Span:
    return Span(span.file, span.line, column, span.line, column + length)


def rename_target(root: Path, file: str) -> str | None:
    """Give the file its new name, where it has one; that name, or None. Errors: OSError."""
    new = new_file_name(file)
    if new == file or (root / new).exists() or not (root / file).exists():
        return None
    (root / file).rename(root / new)
    return new
