"""What the weights image of a project was made from, so that it is not made again while nothing has changed.

The manifest has the SHA-256, size and time of change of every file, and the image. A file whose size and time are
those of the manifest is not read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...disk import ProjectFiles, write_atomically
from ...frontend.dockerignore import Dockerignore
from ...frontend.files import FileEntry
from ...ir.nodes import WeightLayer
from ...record import record

__all__ = ["MANIFEST", "Manifest", "make_manifest", "read_manifest", "write_manifest"]

MANIFEST = ".cog/cache/weights_manifest.json"
_FORMAT = 1
_BLOCK_BYTES = 1024 * 1024


@record(kw_only=False)
class Manifest:
    """`files` are (path, SHA-256, mode, size in bytes, time of change in ns), sorted; `image` is the image's id.

    The contents of a symbolic link are where it points.
    """

    files: tuple[tuple[str, str, int, int, int], ...] = ()
    name: str = ""
    image: str = ""

    def holds(self, other: Manifest) -> bool:
        """Whether both have the same contents under the same paths; times do not count."""
        return [file[:4] for file in self.files] == [file[:4] for file in other.files]


def make_manifest(root: Path, layers: Iterable[WeightLayer], ignored: Dockerignore, known: Manifest) -> Manifest:
    """The manifest of the weights as they are on disk. Errors: OSError."""
    old = {file[0]: file for file in known.files}
    return Manifest(tuple(_file(root, entry, old.get(entry.path)) for entry in _entries(root, layers, ignored)))


def _entries(root: Path, layers: Iterable[WeightLayer], ignored: Dockerignore) -> list[FileEntry]:
    sources = [layer.source for layer in layers]
    prefixes = tuple(f"{source}/" for source in sources)
    return sorted(
        (
            entry
            for entry in ProjectFiles(root).walk()
            if entry.kind in ("file", "symlink")
            and (entry.path in sources or entry.path.startswith(prefixes))
            and not ignored.excludes(entry.path)
        ),
        key=lambda entry: entry.path,
    )


def _file(root: Path, entry: FileEntry, old: tuple[str, str, int, int, int] | None) -> tuple[str, str, int, int, int]:
    path = root / entry.path
    state = path.lstat()
    if old is not None and old[2:] == (state.st_mode, state.st_size, state.st_mtime_ns):
        return old
    if entry.kind == "symlink":
        digest = hashlib.sha256((entry.link_target or "").encode("utf-8", "surrogateescape")).hexdigest()
    else:
        digest = _digest(path)
    return entry.path, digest, state.st_mode, state.st_size, state.st_mtime_ns


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(root: Path) -> Manifest:
    """The manifest of the last build; an empty one where there is none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads((root / MANIFEST).read_bytes())
        if document["format"] == _FORMAT:
            files = tuple((path, *_entry(entry)) for path, entry in sorted(document["files"].items()))
            return Manifest(files, str(document["name"]), str(document["image"]))
    return Manifest()


def _entry(entry: dict[str, Any]) -> tuple[str, int, int, int]:
    return str(entry["sha256"]), int(entry["mode"]), int(entry["size"]), int(entry["mtime_ns"])


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Keep the manifest for the next build. Errors: OSError."""
    document = {
        "format": _FORMAT,
        "name": manifest.name,
        "image": manifest.image,
        "files": {
            path: {"sha256": digest, "mode": mode, "size": size, "mtime_ns": time_ns}
            for path, digest, mode, size, time_ns in manifest.files
        },
    }
    path = root / MANIFEST
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())
