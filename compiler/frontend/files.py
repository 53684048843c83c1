"""How the front end sees the project's files: a small protocol that the outer ring satisfies.

Paths are relative to the project root, with forward slashes and no leading `./`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from ..record import record

__all__ = ["FileEntry", "FileProblem", "Files"]


class FileProblem(Exception):
    """A file that cannot be read. `reason` is a phrase such as `does not exist` or `is a directory`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason


@record(kw_only=False)
class FileEntry:
    """One thing found by `Files.walk`.

    `size_bytes` is 0 for everything but regular files; `link_target` is what a symbolic link says.
    """

    path: str
    kind: Literal["file", "directory", "symlink", "other", "unreadable"]
    size_bytes: int = 0
    link_target: str = ""


class Files(Protocol):
    """The project's files."""

    def read(self, path: str) -> bytes:
        """The content of a regular file. Errors: `FileProblem`."""
        ...

    def digest(self, path: str) -> str:
        """The SHA-256 of a regular file of any size, as hexadecimal digits. Errors: `FileProblem`."""
        ...

    def kind(self, path: str) -> Literal["file", "directory", "missing", "outside", "other"]:
        """What `path` is once symbolic links are followed; `outside` when it leaves the project root."""
        ...

    def walk(self) -> Iterator[FileEntry]:
        """Every entry below the root in sorted order, parents first. Symbolic links are not followed."""
        ...
