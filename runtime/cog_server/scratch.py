"""Temporary files of the server and of what passes between it and the worker: one folder, which ends with the server.

<tmp>/cog-…/worker-<mark>/   what a worker writes for the server; gone when the worker is
<tmp>/cog-…/input-…/         the files of one prediction's input
<tmp>/cog-…/held/            output files on their way, out of the model's reach
<tmp>/cog-…/webhooks/        large final states that wait for their receivers
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import List, Optional

from .messages import File

__all__ = ["Scratch", "delete_file"]


class Scratch:
    """Folders are made when they are needed, and again if somebody has cleaned the temporary directory."""

    def __init__(self) -> None:
        self._root: Optional[str] = None

    def path(self, name: str) -> str:
        """The path of a folder, which need not exist."""
        if self._root is None:
            self._root = tempfile.mkdtemp(prefix="cog-")
        return os.path.join(self._root, name)

    def new_folder(self, prefix: str) -> str:
        """A new, empty folder. Errors: OSError."""
        return tempfile.mkdtemp(prefix=prefix, dir=_made(self.path("")))

    def new_file(self, folder: str, content: bytes) -> str:
        """The path of a new file in a folder. Errors: OSError."""
        handle, path = tempfile.mkstemp(dir=_made(self.path(folder)))
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except OSError:
            delete_file(path)
            raise
        return path

    def hold(self, files: List[File]) -> bool:
        """Move temporary files where the model does not find them; whether all files are out of its reach."""
        held = {}
        for file in files:
            if not file.delete:
                continue
            if file.path not in held:
                try:
                    place = os.path.join(_made(self.path("held")), os.urandom(8).hex())
                    shutil.move(file.path, place)
                except OSError:
                    continue
                held[file.path] = place
            file.path = held[file.path]
        return all(file.delete for file in files)

    def remove(self, name: str) -> None:
        """Remove a folder and all that is in it."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)


def _made(folder: str) -> str:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def delete_file(path: str) -> None:
    """Delete a file if it is there."""
    try:
        os.unlink(path)
    except OSError:
        pass
