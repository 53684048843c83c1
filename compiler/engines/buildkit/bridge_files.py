"""The files of a result that a daemon has, as the front end sees files (`cogc.frontend.files.Files`)."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from typing import Literal

from ...frontend.files import FileEntry, FileProblem
from .client import Bridge, Solved

__all__ = ["BridgeFiles"]

_MOST_READ_BYTES = 64 << 20
_CHUNK_BYTES = 2 << 20
_MOST_LINKS = 40
_TYPES = 0b1000_1111_0010_1000 << 16  # Go's bits for everything that is no regular file
_DIRECTORY, _LINK = 1 << 31, 1 << 27


class BridgeFiles:
    """The tree of a result, and `own` files by their path. It is listed once, for it never changes."""

    def __init__(self, bridge: Bridge, solved: Solved, own: Mapping[str, bytes] | None = None) -> None:
        self._bridge = bridge
        self._solved = solved
        self._own = dict(own or {})
        self._entries = {entry.path: entry for entry in self._list("")}

    def read(self, path: str) -> bytes:
        """The content of a regular file of at most 64 MiB. Errors: `FileProblem`."""
        if path in self._own:
            return self._own[path]
        real = self._file(path)
        if self._entries[real].size_bytes > _MOST_READ_BYTES:
            raise FileProblem(path, "is larger than 64 MiB")
        return b"".join(self._chunks(real))

    def digest(self, path: str) -> str:
        """The SHA-256 of a regular file of any size. Errors: `FileProblem`."""
        digest = hashlib.sha256()
        for chunk in self._chunks(self._file(path)):
            digest.update(chunk)
        return digest.hexdigest()

    def kind(self, path: str) -> Literal["file", "directory", "missing", "outside", "other"]:
        """What `path` is behind symbolic links."""
        if path in self._own:
            return "file"
        real = self._real(path)
        if real is None:
            return "outside"
        if real in ("", "."):
            return "directory"
        entry = self._entries.get(real)
        if entry is None:
            return "missing"
        return "file" if entry.kind == "file" else "directory" if entry.kind == "directory" else "other"

    def walk(self) -> Iterator[FileEntry]:
        """Everything, sorted within each directory; the insides of `.git` and `.cog` are skipped."""
        return (entry for entry in self._entries.values() if not _is_hidden(entry.path))

    def _file(self, path: str) -> str:
        kind = self.kind(path)
        reasons = {"directory": "is a directory", "missing": "does not exist", "outside": "is outside the project"}
        if kind != "file":
            raise FileProblem(path, reasons.get(kind, "is not a regular file"))
        return self._real(path) or ""

    def _real(self, path: str) -> str | None:
        """The path without links; None when it leaves the root. What does not exist keeps its name."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/"):
            return None
        done: list[str] = []
        links = 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            here = "/".join([*done, part])
            entry = self._entries.get(here)
            if entry is None or entry.kind != "symlink":
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS or entry.link_target.startswith("/"):
                return None
            parts = [step for step in entry.link_target.split("/") if step not in ("", ".")] + parts
        return "/".join(done)

    def _chunks(self, path: str) -> Iterator[bytes]:
        size = self._entries[path].size_bytes
        for offset in range(0, size, _CHUNK_BYTES):
            yield self._bridge.read_file(self._solved, f"/{path}", offset, min(_CHUNK_BYTES, size - offset))

    def _list(self, directory: str) -> Iterator[FileEntry]:
        """Parents before children, and each directory's own entries before what is deeper."""
        pending = [directory]
        while pending:
            current = pending.pop()
            below: list[str] = []
            for stat in sorted(self._bridge.read_directory(self._solved, f"/{current}"), key=lambda s: str(s["path"])):
                name = posixpath.basename(str(stat["path"]))
                entry = _entry(f"{current}/{name}" if current else name, stat)
                yield entry
                if entry.kind == "directory":
                    below.append(entry.path)
            pending.extend(reversed(below))


def _is_hidden(path: str) -> bool:
    return path.startswith(".cog/") or ".git" in path.split("/")[:-1]


def _entry(path: str, stat: dict[str, object]) -> FileEntry:
    mode, size = int(str(stat.get("mode", 0))), int(str(stat.get("size", 0)))
    if mode & _DIRECTORY:
        return FileEntry(path, "directory")
    if mode & _LINK:
        return FileEntry(path, "symlink", link_target=str(stat.get("linkname", "")))
    return FileEntry(path, "other") if mode & _TYPES else FileEntry(path, "file", size)
