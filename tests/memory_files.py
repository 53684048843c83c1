"""The project's files in memory: the `Files` protocol without a disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Literal

from cogc.frontend.files import FileEntry, FileProblem

__all__ = ["MemoryFiles"]


class MemoryFiles:
    """Files given as path → content; every directory above them exists.

    `sizes` are path → bytes for files whose size differs from that of their content, or that have none at
    hand. `outside` are symbolic links that leave the root, `others` things such as pipes.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | str] | None = None,
        *,
        sizes: Mapping[str, int] | None = None,
        outside: tuple[str, ...] = (),
        others: tuple[str, ...] = (),
    ) -> None:
        given = files or {}
        self._files = {path: body.encode() if isinstance(body, str) else body for path, body in given.items()}
        self._sizes = dict(sizes or {})
        self._outside = frozenset(outside)
        self._others = frozenset(others)
        paths = {*self._files, *self._sizes, *self._outside, *self._others}
        self._directories = {above for path in paths for above in _above(path)}

    def read(self, path: str) -> bytes:
        """The content of a regular file. Errors: `FileProblem`."""
        kind = self.kind(path)
        if kind != "file":
            reasons = {"directory": "is a directory", "missing": "does not exist", "outside": "is outside the project"}
            raise FileProblem(path, reasons.get(kind, "is not a regular file"))
        return self._files.get(path, b"")

    def digest(self, path: str) -> str:
        """The SHA-256 of a file. Errors: `FileProblem`."""
        return hashlib.sha256(self.read(path)).hexdigest()

    def kind(self, path: str) -> Literal["file", "directory", "missing", "outside", "other"]:
        """What `path` is."""
        if path in self._outside or path.startswith(("/", "../")) or path == "..":
            return "outside"
        if path in self._others:
            return "other"
        if path in self._files or path in self._sizes:
            return "file"
        return "directory" if path in self._directories or path in ("", ".") else "missing"

    def walk(self) -> Iterator[FileEntry]:
        """Every entry below the root in sorted order, parents first."""
        kinds: dict[str, Literal["file", "directory", "symlink", "other"]] = {
            **dict.fromkeys(self._directories, "directory"),
            **dict.fromkeys(self._files, "file"),
            **dict.fromkeys(self._sizes, "file"),
            **dict.fromkeys(self._outside, "symlink"),
            **dict.fromkeys(self._others, "other"),
        }
        for path, kind in sorted(kinds.items(), key=lambda pair: pair[0].split("/")):
            size = self._sizes.get(path, len(self._files.get(path, b""))) if kind == "file" else 0
            yield FileEntry(path, kind, size)


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
