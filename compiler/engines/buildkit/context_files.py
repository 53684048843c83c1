"""A directory of this machine → the daemon: what .dockerignore leaves of it, and of that only what has changed.

The daemon asks with patterns; we list every entry that they leave, in order, and it asks for the files whose size, time
or mode is not what it has from the last build. Entries belong to root there, as Docker sends them.

Source: https://github.com/tonistiigi/fsutil (send.go, filter.go, stat.go)
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from ...disk import describe
from ...frontend.dockerignore import Dockerignore
from ...record import record
from .errors import BuildkitError
from .grpc import Call
from .messages import SERVICES

__all__ = ["ContextDirectory", "Entry", "list_entries"]

_STAT, _REQUEST, _DATA, _FIN, _ERROR = range(5)
_CHUNK_BYTES = 256 * 1024
_LISTED_AT_ONCE = 200  # entries
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


@record(kw_only=False)
class Entry:
    """Something that is sent: `message` describes it, `status` is what it was when it was listed.

    `attributes` are its extended ones, such as capabilities.
    """

    path: str
    status: os.stat_result
    link: str = ""
    attributes: tuple[tuple[str, bytes], ...] = ()

    @property
    def message(self) -> dict[str, Any]:
        """Its description; a later name of a file with several names refers to the first, and has its size.

        What the daemon has differs otherwise, and where it makes a name anew that is there it leaves another behind.
        """
        mode = self.status.st_mode
        found: dict[str, Any] = {"path": self.path, "mode": _go_mode(mode), "mod_time": self.status.st_mtime_ns}
        if self.attributes:
            found["xattrs"] = dict(self.attributes)
        if self.link:
            found["linkname"] = self.link
        if not stat.S_ISDIR(mode):
            found["size"] = self.status.st_size
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            found |= {"devmajor": os.major(self.status.st_rdev), "devminor": os.minor(self.status.st_rdev)}
        return found


def list_entries(root: Path, excludes: Sequence[str] = (), includes: Sequence[str] = ()) -> Iterator[Entry]:
    """What the patterns leave: directories before what is in them, names in the order of their bytes.

    Directories that are themselves left out come with the first thing in them that is not. Sockets are passed over.
    Errors: OSError, with the name of what cannot be read.
    """
    filters = [Dockerignore.of_lines(excludes)]
    if includes:
        filters.append(Dockerignore.of_lines(["*", *(f"!{pattern}" for pattern in includes)]))
    return _Walk(root, filters).run()


@dataclass(slots=True)
class _Walk:
    """`above` are the directories that the walk is in; None for those that were sent."""

    root: Path
    filters: list[Dockerignore]
    above: list[Entry | None] = field(default_factory=list)
    names: dict[tuple[int, int], str] = field(default_factory=dict)

    def run(self) -> Iterator[Entry]:
        waiting = [self._children("")]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                if self.above:
                    self.above.pop()
                continue
            is_out = any(ignored.excludes(entry.path) for ignored in self.filters)
            is_entered = stat.S_ISDIR(entry.status.st_mode) and self._may_hold(entry.path)
            if not is_out:
                yield from filter(None, self.above)
                self.above = [None] * len(self.above)
                yield self._linked(entry)
            if is_entered:
                waiting.append(self._children(entry.path))
                self.above.append(entry if is_out else None)

    def _may_hold(self, path: str) -> bool:
        """Whether something in the directory may be sent."""
        return all(not ignored.excludes(path) or ignored.may_reinclude_below(path) for ignored in self.filters)

    def _children(self, directory: str) -> Iterator[Entry]:
        with os.scandir(self.root / directory) as found:
            children = sorted(found, key=lambda child: os.fsencode(child.name))
        for child in children:
            path = f"{directory}/{child.name}" if directory else child.name
            status = child.stat(follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode):
                continue
            link = os.readlink(child.path) if stat.S_ISLNK(status.st_mode) else ""
            yield Entry(path, status, link, _attributes(child.path))

    def _linked(self, entry: Entry) -> Entry:
        status = entry.status
        if status.st_nlink < 2 or not stat.S_ISREG(status.st_mode):
            return entry
        first = self.names.setdefault((status.st_dev, status.st_ino), entry.path)
        return entry if first == entry.path else Entry(entry.path, status, first, entry.attributes)


def _attributes(path: str) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes; none where the system or the file system has none."""
    if not hasattr(os, "listxattr"):
        return ()
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names if _is_text(name))
    except OSError:
        return ()


def _go_mode(mode: int) -> int:
    """A mode as Go has it: the permissions as usual, the rest with bits of its own."""
    found = stat.S_IMODE(mode) & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0)
    return found | sum(theirs for ours, theirs in _GO_BITS.items() if mode & ours)


# The descriptors of what this program prints.
_OUTPUTS = (1, 2)


class _Changed(Exception):
    """A file is not what it was when it was listed."""


@dataclass(slots=True)
class ContextDirectory:
    """A directory that the daemon may ask for. `problems` are phrases about files that could not be sent."""

    root: Path
    problems: list[str] = field(default_factory=list)
    sent_bytes: int = 0

    def send(self, call: Call) -> None:
        """Serve one transfer. Errors: OSError, BuildkitError."""
        excludes, includes = _patterns(call, "exclude-patterns"), _patterns(call, "include-patterns")
        entries: list[Entry] = []
        walker = threading.Thread(target=self._list, args=(call, entries, excludes, includes), daemon=True)
        walker.start()
        while (message := call.receive()) is not None:
            packet = SERVICES.decode("Packet", message)
            kind = packet.get("type", _STAT)
            if kind == _REQUEST:
                self._answer(call, packet.get("id", 0), entries)
            elif kind == _FIN:
                call.send(SERVICES.encode("Packet", {"type": _FIN}))
                break
            elif kind == _ERROR:
                break
        walker.join()

    def _list(self, call: Call, entries: list[Entry], excludes: list[str], includes: list[str]) -> None:
        waiting: list[bytes] = []
        try:
            for entry in list_entries(self.root, excludes, includes):
                if not _is_text(entry.path) or not _is_text(entry.link):
                    self._refuse(call, f"the name of {entry.path!r} is not UTF-8 text")
                    return
                entries.append(entry)
                waiting.append(SERVICES.encode("Packet", {"type": _STAT, "stat": entry.message}))
                if len(waiting) >= _LISTED_AT_ONCE:
                    call.send_all(waiting)
                    waiting.clear()
            call.send_all([*waiting, SERVICES.encode("Packet", {"type": _STAT})])
        except OSError as error:
            with contextlib.suppress(BuildkitError):  # the build has ended
                self._refuse(call, f"{self._relative(error.filename)} {describe(error)}")
        except BuildkitError:
            pass  # the build has ended

    def _answer(self, call: Call, number: int, entries: list[Entry]) -> None:
        entry = entries[number]
        try:
            with open(self.root / entry.path, "rb", opener=_open_plainly) as file:
                self._send_content(call, number, entry, file.fileno())
        except OSError as error:
            self._refuse(call, f"{entry.path} {describe(error)}")
        except _Changed:
            self._refuse(call, f"{entry.path} has changed while it was sent")

    def _send_content(self, call: Call, number: int, entry: Entry, file: int) -> None:
        sent, size = 0, entry.status.st_size
        # What this program prints there grows all the while: what there was when it was listed is sent.
        is_ours = _is_our_output(entry.status)
        last: list[bytes] = []
        while chunk := os.read(file, min(_CHUNK_BYTES, size - sent) if is_ours else _CHUNK_BYTES):
            if last:
                call.send_all(last)
            sent += len(chunk)
            last = [SERVICES.encode("Packet", {"type": _DATA, "id": number, "data": chunk})]
        now = os.fstat(file)
        self.sent_bytes += sent
        if sent != size or (now.st_mtime_ns != entry.status.st_mtime_ns and not is_ours):
            raise _Changed
        call.send_all([*last, SERVICES.encode("Packet", {"type": _DATA, "id": number})])

    def _refuse(self, call: Call, problem: str) -> None:
        self.problems.append(problem)
        call.send(SERVICES.encode("Packet", {"type": _ERROR, "data": problem.encode("utf-8", "replace")}))

    def _relative(self, path: Any) -> str:
        return os.path.relpath(path, self.root) if isinstance(path, (str, os.PathLike)) else str(self.root)


def _open_plainly(path: str, flags: int) -> int:
    """Not through a link, and without waiting for the other end of a pipe: the entry was a file when it was listed."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_our_output(status: os.stat_result) -> bool:
    """Whether it is the file that the standard output or the standard error of this program goes to."""
    for descriptor in _OUTPUTS:
        with contextlib.suppress(OSError):  # it is closed
            if os.path.samestat(os.fstat(descriptor), status):
                return True
    return False


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _patterns(call: Call, name: str) -> list[str]:
    """The patterns of a header; a second header says that they are written as in URLs."""
    values = call.header_list(name)
    return [unquote_plus(value) for value in values] if call.header(f"{name}-encoded") == "1" else values
