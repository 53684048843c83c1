"""What exporters send: an archive, or the files of a directory. A daemon is not trusted with where they go.

Archives come as pieces of bytes. Directories come as a list of their entries, parents first; we ask for the content of
every file in it, a few at a time. All of it is written below a new directory, in which a link is never followed.

Source: https://github.com/tonistiigi/fsutil (receive.go, diskwriter.go, validator.go)
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .errors import CallFailed
from .grpc import UNKNOWN, Call
from .messages import SERVICES

__all__ = ["ReceivedArchive", "ReceivedDirectory", "Receiver", "UnsafePath"]

_STAT, _REQUEST, _DATA, _FIN, _ERROR = range(5)
_MOST_REQUESTED = 64
_DIRECTORY, _LINK, _DEVICE, _PIPE, _SOCKET, _CHARACTERS = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24, 1 << 21
_TYPES = _DIRECTORY | _LINK | _DEVICE | _PIPE | _SOCKET | _CHARACTERS | 1 << 19
_BITS = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}


class UnsafePath(Exception):
    """An entry that would be written outside its directory, or that is no path at all."""


class Receiver(Protocol):
    """Takes what one exporter sends. `error` is why it could not be taken: OSError or UnsafePath."""

    error: Exception | None

    def receive(self, call: Call) -> None:
        """Serve the transfer. Errors: CallFailed, ConnectionLost."""
        ...


@dataclass(slots=True)
class ReceivedArchive:
    """Bytes, which `write` takes; `flush` is called at their end."""

    write: Callable[[bytes], Any]
    flush: Callable[[], Any]
    error: Exception | None = None

    def receive(self, call: Call) -> None:
        """See Receiver."""
        try:
            while (message := call.receive()) is not None:
                self.write(SERVICES.decode("BytesMessage", message).get("data", b""))
            self.flush()
        except OSError as error:
            self.error = error
            raise CallFailed(UNKNOWN, f"the result cannot be written: {error.strerror or error}") from error


@dataclass(slots=True)
class _Entry:
    path: str
    mode: int
    seconds_ns: int


@dataclass(slots=True)
class ReceivedDirectory:
    """A tree of files, written below `root`, which is empty. Owners are whoever runs this."""

    root: Path
    error: Exception | None = None
    _kinds: dict[str, str] = field(default_factory=dict)
    _directories: list[_Entry] = field(default_factory=list)
    _files: dict[int, _Entry] = field(default_factory=dict)
    _waiting: deque[int] = field(default_factory=deque)
    _requested: set[int] = field(default_factory=set)
    _open: dict[int, int] = field(default_factory=dict)
    _count: int = 0
    _is_listed: bool = False

    def receive(self, call: Call) -> None:
        """See Receiver."""
        try:
            self._take(call)
        except (OSError, UnsafePath) as error:
            self.error = error
            text = str(error) if isinstance(error, UnsafePath) else f"cannot be written: {error.strerror or error}"
            call.send(SERVICES.encode("Packet", {"type": _ERROR, "data": text.encode("utf-8", "replace")}))
            raise CallFailed(UNKNOWN, text) from error
        finally:
            for file in self._open.values():
                os.close(file)

    def _take(self, call: Call) -> None:
        while (message := call.receive()) is not None:
            packet = SERVICES.decode("Packet", message)
            match packet.get("type", _STAT):
                case 0:
                    self._listed(packet.get("stat"))
                case 2:
                    self._data(packet.get("id", 0), packet.get("data", b""))
                case 3:
                    return
                case 4:
                    raise CallFailed(UNKNOWN, packet.get("data", b"").decode("utf-8", "replace"))
                case _:
                    pass
            while self._waiting and len(self._requested) < _MOST_REQUESTED:
                number = self._waiting.popleft()
                self._requested.add(number)
                call.send(SERVICES.encode("Packet", {"type": _REQUEST, "id": number}))
            if self._is_listed and not self._requested:
                self._is_listed = False
                self._finish_directories()
                call.send(SERVICES.encode("Packet", {"type": _FIN}))

    # -- the list --------------------------------------------------------------------------------------

    def _listed(self, status: dict[str, Any] | None) -> None:
        if not status:
            self._is_listed = True
            return
        number, self._count = self._count, self._count + 1
        path, mode = status.get("path", ""), status.get("mode", 0)
        self._check(path)
        entry = _Entry(path, _permissions(mode), status.get("mod_time", 0))
        link = status.get("linkname", "")
        place = self.root / path
        if mode & _DIRECTORY:
            self._kinds[path] = "directory"
            place.mkdir(mode=0o700)
            self._directories.append(entry)
        elif mode & _LINK:
            self._kinds[path] = "link"
            place.symlink_to(link)
            os.utime(place, ns=(entry.seconds_ns, entry.seconds_ns), follow_symlinks=False)
        elif mode & _TYPES:
            self._kinds[path] = "special"
            self._make_special(place, entry, mode, status)
        elif link:
            if self._kinds.get(link) != "file":
                raise UnsafePath(f"{path!r} is a link to {link!r}, which is not a file before it")
            self._kinds[path] = "file"
            os.link(self.root / link, place, follow_symlinks=False)
        else:
            self._kinds[path] = "file"
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._files[number] = entry
            self._waiting.append(number)

    def _check(self, path: str) -> None:
        """Error: UnsafePath for what is not a new name in a directory that was listed before."""
        parts = path.split("/")
        above = "/".join(parts[:-1])
        if "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise UnsafePath(f"{path!r} is no path within a directory")
        if above and self._kinds.get(above) != "directory":
            raise UnsafePath(f"{path!r} is in no directory that was listed before it")
        if path in self._kinds:
            raise UnsafePath(f"{path!r} is listed twice")

    def _make_special(self, place: Path, entry: _Entry, mode: int, status: dict[str, Any]) -> None:
        if mode & _PIPE:
            os.mkfifo(place)
        elif mode & _DEVICE:
            kind = stat.S_IFCHR if mode & _CHARACTERS else stat.S_IFBLK
            os.mknod(place, kind | 0o600, os.makedev(status.get("devmajor", 0), status.get("devminor", 0)))
        else:
            return  # a socket is nothing without its program
        place.chmod(entry.mode)
        os.utime(place, ns=(entry.seconds_ns, entry.seconds_ns))

    # -- contents --------------------------------------------------------------------------------------

    def _data(self, number: int, data: bytes) -> None:
        if number not in self._requested:
            raise UnsafePath(f"content of file {number}, which was not asked for")
        entry = self._files[number]
        if number not in self._open:
            self._open[number] = os.open(self.root / entry.path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        file = self._open[number]
        if data:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            return
        os.fchmod(file, entry.mode)
        os.utime(file, ns=(entry.seconds_ns, entry.seconds_ns))
        os.close(self._open.pop(number))
        self._requested.discard(number)

    def _finish_directories(self) -> None:
        """Modes and times last: files are written into them before, and may not be after."""
        for entry in reversed(self._directories):
            place = self.root / entry.path
            os.utime(place, ns=(entry.seconds_ns, entry.seconds_ns))
            place.chmod(entry.mode)


def _permissions(mode: int) -> int:
    """The permissions of a mode as Go has it."""
    return mode & 0o777 | sum(ours for theirs, ours in _BITS.items() if mode & theirs)
