"""The projects that `cogc diff` compares: a folder, a configuration, or one of these as it was in a git revision."""

from __future__ import annotations

import argparse
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..diagnostics import Diagnostic, report
from ..disk import ProjectFiles
from ..frontend.files import FileEntry
from ..record import record
from ._at_revision import RevisionProblem, at_revision, split_revision
from ._project import Project, load_project

__all__ = ["Compared", "ComparedFiles", "compared_project"]


class ComparedFiles:
    """The files of a project (`cogc.frontend.files.Files`), some of which may be elsewhere.

    What git ignores, such as weights, is in no revision; those files are taken from `beside`, for `ignored` paths.
    """

    def __init__(self, root: Path, beside: Path | None = None, ignored: Sequence[str] = ()) -> None:
        self._own = ProjectFiles(root)
        self._beside = ProjectFiles(beside if beside is not None else root)
        self._ignored = frozenset(path for path in ignored if not os.path.lexists(root / path))
        self._folders = {str(parent) for path in self._ignored for parent in Path(path).parents}

    def locate(self, path: str) -> Path:
        """Where the file is."""
        return self._holder(path).root / path

    def mode(self, path: str) -> int:
        """The permissions of a file; 0 where it cannot be looked at."""
        try:
            return stat.S_IMODE(self.locate(path).stat(follow_symlinks=False).st_mode)
        except OSError:
            return 0

    def read(self, path: str) -> bytes:
        """The content of a regular file. Errors: `FileProblem`."""
        return self._holder(path).read(path)

    def digest(self, path: str) -> str:
        """The SHA-256 of a regular file. Errors: `FileProblem`."""
        return self._holder(path).digest(path)

    def kind(self, path: str) -> Literal["file", "directory", "missing", "outside", "other"]:
        """What `path` is behind symbolic links."""
        own = self._own.kind(path)
        is_beside = own == "missing" and (path in self._ignored or path in self._folders)
        return self._beside.kind(path) if is_beside else own

    def walk(self) -> Iterator[FileEntry]:
        """Every entry in sorted order, parents first."""
        found = {entry.path: entry for entry in self._own.walk()}
        if self._ignored:
            for entry in self._beside.walk():
                if entry.path in self._ignored or (entry.kind == "directory" and entry.path in self._folders):
                    found.setdefault(entry.path, entry)
        yield from (found[path] for path in sorted(found, key=lambda path: path.split("/")))

    def _holder(self, path: str) -> ProjectFiles:
        return self._beside if path in self._ignored else self._own


@record(kw_only=False)
class Compared:
    """One of the two. `directory` is the name of the project's folder, also where it was unpacked elsewhere.

    `has_modes`: the permissions of its files are those that are built. A git revision knows who may execute a file, and
    no more.
    """

    project: Project
    files: ComparedFiles
    directory: str
    has_modes: bool = True


def compared_project(
    text: str | None, arguments: argparse.Namespace, stack: ExitStack
) -> tuple[Compared | None, tuple[Diagnostic, ...]]:
    """The project that a word of the command line names, which is the current one without a word.

    `stack` removes what was unpacked. Errors: COG100, COG500.
    """
    parts = split_revision(text) if text is not None else None
    if text is None or (parts is None and Path(text).exists()):
        project, found = _load(arguments, text)
        if project is None:
            return None, found
        return Compared(project, ComparedFiles(project.root), project.root.name), found
    if parts is not None:
        revision, path = parts
    else:
        here, found = _load(arguments, None)
        if here is None:
            return None, found
        revision, path = text, os.path.relpath(here.root / here.name)
    try:
        return _at(revision, path, text, arguments, stack)
    except RevisionProblem as problem:
        what = text if parts is not None else f"{text} is no file, and no revision either"
        if text == "HEAD" and arguments.a is None:
            what = "there is no commit to compare with"
        return None, (report("COG500", f"{what}: {problem}", hint="`cogc diff A B` compares two projects"),)


def _load(arguments: argparse.Namespace, path: str | None) -> tuple[Project | None, tuple[Diagnostic, ...]]:
    return load_project(argparse.Namespace(**{**vars(arguments), "path": path}))


def _at(
    revision: str, path: str, text: str, arguments: argparse.Namespace, stack: ExitStack
) -> tuple[Compared | None, tuple[Diagnostic, ...]]:
    unpacked = stack.enter_context(at_revision(revision, path.replace(os.sep, "/")))
    project, found = _load(arguments, str(unpacked))
    if project is None:
        # The place where it was unpacked says nothing to anybody.
        shown = tuple(replace(each, message=each.message.replace(str(unpacked), text)) for each in found)
        return None, shown
    folder = Path(path) if unpacked.is_dir() else Path(path).parent
    files = ComparedFiles(project.root, folder, _ignored(folder))
    labelled = replace(project, label=f"{revision}:{'' if str(folder) == '.' else f'{folder.as_posix()}/'}")
    return Compared(labelled, files, folder.resolve().name, has_modes=False), found


def _ignored(folder: Path) -> list[str]:
    """The files in a folder that git ignores."""
    if not folder.is_dir():
        return []
    words = ["git", "-C", str(folder), "ls-files", "--others", "--ignored", "--exclude-standard", "-z"]
    done = subprocess.run(words, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name] if done.returncode == 0 else []
