"""Folders that are made once and then used by many: each under a key of what it is made from, complete or not at all.

    <store>/<key>/          the folder
    <store>/<key>.json      what it was made from; written last, so that a folder without it is the rest of a failure
    <store>/<key>.lock      held while it is made (alone) and while it is used (shared)

A virtual environment knows its own path, so it cannot be made elsewhere and moved: the small file beside it is what is
renamed into place. Folders that nobody used for longest are swept when a new one is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...disk import write_atomically

__all__ = ["Lease", "Store", "key_of"]

_FORMAT = 1
_KEY_CHARACTERS = 16


def key_of(recipe: Mapping[str, Any]) -> str:
    """A digest of everything that something is made from.

    >>> key_of({"python": "3.12"})
    '2931f3f11aafc298'
    """
    text = json.dumps({"format": _FORMAT, **recipe}, sort_keys=True)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_CHARACTERS]


@dataclass(slots=True)
class Lease:
    """The right to use a folder, until it is closed or the process ends. `facts` are what its making has told."""

    folder: Path
    facts: Mapping[str, Any]
    _lock: int

    def close(self) -> None:
        """Give it back. Again is harmless."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Store:
    """The folders below one directory. `kept` is how many are left when others are swept."""

    def __init__(self, directory: Path, *, kept: int = 3) -> None:
        self._directory = directory
        self._kept = kept

    def lease(
        self,
        recipe: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, Any]],
        *,
        is_usable: Callable[[Path, Mapping[str, Any]], bool],
        on_wait: Callable[[], None],
        remakes: bool = False,
    ) -> Lease:
        """The folder for `recipe`; when it is not there or not usable, `make(folder)` makes it and gives its facts.

        `on_wait` is called when another process is making it. What `make` raises is passed on, and nothing is left.
        Errors: OSError.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        key = key_of(recipe)
        folder, marker = self._directory / key, self._directory / f"{key}.json"
        while True:
            lock = self._lock(key, fcntl.LOCK_SH, on_wait)
            facts = None if remakes else _facts(marker)
            if facts is not None and is_usable(folder, facts):
                with contextlib.suppress(OSError):
                    os.utime(marker)  # used now
                return Lease(folder, facts, lock)
            os.close(lock)
            self._make(key, recipe, make, is_usable, on_wait, remakes=remakes)
            remakes = False

    def _make(
        self,
        key: str,
        recipe: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, Any]],
        is_usable: Callable[[Path, Mapping[str, Any]], bool],
        on_wait: Callable[[], None],
        *,
        remakes: bool,
    ) -> None:
        folder, marker = self._directory / key, self._directory / f"{key}.json"
        lock = self._lock(key, fcntl.LOCK_EX, on_wait)
        try:
            facts = _facts(marker)
            if facts is not None and not remakes and is_usable(folder, facts):
                return  # somebody else has made it meanwhile
            _remove(marker)
            _remove(folder)
            try:
                made = make(folder)
                document = {"format": _FORMAT, "recipe": recipe, "facts": made}
                write_atomically(marker, json.dumps(document, indent=1).encode("utf-8", "backslashreplace"))
            except BaseException:
                _remove(folder)
                raise
        finally:
            os.close(lock)
        self._sweep(key)

    def _lock(self, key: str, kind: int, on_wait: Callable[[], None]) -> int:
        """A descriptor that holds the lock; closing it gives the lock up."""
        path = self._directory / f"{key}.lock"
        has_waited = False
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                try:
                    fcntl.flock(lock, kind | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not has_waited:
                        on_wait()
                        has_waited = True
                    fcntl.flock(lock, kind)
                except OSError:
                    return lock  # a file system without locks
                if _is_same(lock, path):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # swept away while we waited: there is a new file of that name, or none

    def _sweep(self, current: str) -> None:
        """Remove what was not used lately and is not used now."""
        others = [key for key in self._keys() if key != current]
        others.sort(key=lambda key: _used_at(self._directory / f"{key}.json"), reverse=True)
        for key in others[max(self._kept - 1, 0) :]:
            path = self._directory / f"{key}.lock"
            with contextlib.suppress(OSError):
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(self._directory / f"{key}.json")
                    _remove(self._directory / key)
                    _remove(path)
                finally:
                    os.close(lock)

    def _keys(self) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            names = {entry.name.partition(".")[0] for entry in entries}
            yield from sorted(
                name for name in names if len(name) == _KEY_CHARACTERS and not name.strip("0123456789abcdef")
            )


def _facts(marker: Path) -> Mapping[str, Any] | None:
    try:
        document = json.loads(marker.read_bytes())
        facts = document["facts"] if document["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return facts if isinstance(facts, dict) else None


def _used_at(marker: Path) -> float:
    try:
        return marker.stat().st_mtime
    except OSError:
        return 0.0


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder; what cannot be removed is left."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
