"""Files of outputs, made ready for the server: each gets a place of its own, and the fields of `frames`.

The model goes on while the server reads a file: it may yield the next picture under the same name, leave its
temporary directory, or begin the next prediction. So what is in the temporary directory is moved away, or copied
where the model may still want it, and other files are copied unless they are large.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from typing import Any, Iterable

from .files import copy_to, mime_type, own_name
from .frames import scratch_folder
from .values import FoundFile

__all__ = ["Stage"]

MAX_COPY_BYTES = 64 * 1024 * 1024


class Stage:
    """The files of one prediction. `yielded` are temporary files that the model may still be using."""

    def __init__(self) -> None:
        self._yielded: set[str] = set()

    def place(self, files: Iterable[FoundFile], *, is_last: bool) -> list[dict[str, Any]]:
        """The `files` of a frame; `is_last` when the model has returned.

        Errors: `OSError`, and whatever reading from an object of the model raises.
        """
        placed: list[dict[str, Any]] = []
        moved: dict[str, str] = {}
        try:
            for found in files:
                placed.append(self._place(found, is_last, moved))
        except BaseException:
            remove(entry["path"] for entry in placed if entry["delete"])
            raise
        return placed

    def clean(self) -> None:
        """Delete the temporary files that were yielded."""
        if self._yielded:
            remove(self._yielded)

    def _place(self, found: FoundFile, is_last: bool, moved: dict[str, str]) -> dict[str, Any]:
        if isinstance(found.source, io.IOBase):
            name = own_name(found.source)  # empty: the server knows what it is called where it goes
            path = _new_file(name)
            try:
                copy_to(found.source, path)
            except BaseException:
                remove([path])
                raise
            return _entry(found, path, name, True)
        given = os.fspath(found.source)
        name = os.path.basename(given)
        if given in moved:
            return _entry(found, _linked(moved[given], name), name, True)
        if not stat.S_ISREG(os.stat(given).st_mode):
            raise OSError("%r is not a regular file" % given)
        own = self._own_copy(given, name, is_last)
        if own is None:
            return _entry(found, os.path.abspath(given), name, False)
        moved[given] = own
        return _entry(found, own, name, True)

    def _own_copy(self, given: str, name: str, is_last: bool) -> str | None:
        is_temporary = _is_temporary(given)
        if not is_temporary and is_last and os.path.getsize(given) > MAX_COPY_BYTES:
            return None
        path = _new_file(name)
        if is_temporary and is_last and not os.path.islink(given):
            shutil.move(given, path)
            return path
        shutil.copyfile(given, path)
        if is_temporary:
            self._yielded.add(given)
        return path


def _entry(found: FoundFile, path: str, name: str, is_own: bool) -> dict[str, Any]:
    return {"pointer": list(found.pointer), "path": path, "name": name, "mime": mime_type(name), "delete": is_own}


def _new_file(name: str) -> str:
    handle, path = tempfile.mkstemp(
        prefix="cog-output-", suffix=os.path.splitext(name)[1][:50], dir=scratch_folder()
    )
    os.close(handle)
    return path


def _linked(path: str, name: str) -> str:
    """A file of ours under a second name, so that each of the two can be deleted when it was read."""
    other = _new_file(name)
    try:
        os.unlink(other)
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
    return other


def _is_temporary(path: str) -> bool:
    """Whether a file lies in the temporary directory, and not in the project even so."""
    real = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
    roots = {os.path.realpath(tempfile.gettempdir()), os.path.realpath("/tmp")}
    project = os.path.realpath(os.getcwd())
    is_in_project = (
        project not in roots and _is_below(real, project) and not any(_is_below(root, project) for root in roots)
    )
    return any(_is_below(real, root) for root in roots) and not is_in_project


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def remove(paths: Iterable[str]) -> None:
    """Delete files; those that are gone already are fine."""
    for path in list(paths):
        try:
            os.unlink(path)
        except OSError:
            continue
