"""Lines of concurrent predictions, on their way to the server.

A line goes at once, unless one has only just gone: then it waits for some milliseconds, and goes together with those
that follow. Of a flood of lines, that makes a message in each pause and not one for each line. What waits is in memory
that the server shares, so that it has the last lines of a process that dies.

The memory: number of the batch, little-endian; `{"id": …, "source": …}`; a line feed; text, and zeros where none is.
"""

from __future__ import annotations

import io
import mmap
import sys
import threading
import time
from functools import partial
from struct import Struct
from typing import Callable

from .frames import to_json

__all__ = ["MEMORY_BYTES", "NUMBER", "Lines", "Origin", "Output"]

NUMBER = Struct("<Q")
MEMORY_BYTES = 128 * 1024
PAUSE_SECONDS = 0.01


class Origin:
    """A stream of a prediction. `plain` writes a text to that stream for nobody in particular."""

    def __init__(self, json_id: str, source: str, plain: Callable[[str], int]) -> None:
        self.json_id = json_id
        self.source = source
        self.plain = plain


class Output:
    """What one prediction writes to one stream.

    The text stream that finds the lines and encodes them is made when something is written: most predictions say
    nothing. It is the interpreter's, which does in one call what takes several here.
    """

    def __init__(self, lines: Lines, origin: Origin) -> None:
        self._lines, self._origin = lines, origin
        self._stream: io.TextIOWrapper | None = None

    def write(self, text: str) -> int:
        """Take a text; its lines go soon, the rest when it is a line or more than some kilobytes."""
        sink = _Sink()
        sink.write = partial(self._lines.add, self._origin)  # type: ignore[method-assign, assignment]
        self._stream = io.TextIOWrapper(
            sink, encoding="utf-8", errors="surrogatepass", newline="\n", line_buffering=True  # type: ignore[arg-type]
        )
        self.write = self._stream.write  # type: ignore[method-assign]
        return self._stream.write(text)

    def push(self) -> None:
        """Take what is no line yet as well."""
        if self._stream is not None:
            self._stream.flush()

    def close(self) -> None:
        """The prediction has ended: what is still written is plain."""
        self.push()
        self.write = self._origin.plain  # type: ignore[method-assign]


class _Sink(io.RawIOBase):
    """Where a text stream puts its lines: as a rule one for each call."""

    def writable(self) -> bool:
        return True


class Lines:
    """What is gathered: lines of one source of one prediction; those of another send it away.

    Who sends anything else calls `flush` before. `send` is given the JSON of a message. No signal handler may raise
    in the midst of the methods: lines would be lost or come twice.
    """

    def __init__(self, descriptor: int, send: Callable[[str], None]) -> None:
        self._memory = mmap.mmap(descriptor, MEMORY_BYTES)
        self._write = self._memory.write
        self._send = send
        self._lock = threading.Lock()
        self._origin: Origin | None = None  # whose lines these are
        self._start = 0
        self._number = 0
        self._is_pausing = False
        self._wake = threading.Event()
        self._has_thread = False

    def add(self, origin: Origin, data: bytes) -> int:
        """Take lines, and send them now or soon. What a finalizer or a signal handler writes in the midst is plain."""
        # A flood of lines goes through here, so that each step counts.
        lock = self._lock
        if not lock.acquire(False) and not self._acquire():
            return origin.plain(data.decode("utf-8", "surrogatepass"))
        try:
            if self._origin is not origin:
                self._begin(origin)
            try:
                self._write(data)
            except ValueError:
                self._write_after_flush(origin, data)
            if not self._is_pausing:
                self._flush()
                self._pause()
        finally:
            lock.release()
        return len(data)

    def flush(self) -> None:
        """Send what is there, so that what is sent next comes after it."""
        lock = self._lock
        if self._origin is None or (not lock.acquire(False) and not self._acquire()):
            return
        try:
            self._flush()
        finally:
            lock.release()

    def _acquire(self) -> bool:
        """Wait for the lock; False if this thread has it, and was interrupted by what wants it now."""
        frame = sys._getframe(1).f_back
        while frame is not None:
            if frame.f_code in _HOLDERS:
                return False
            frame = frame.f_back
        return self._lock.acquire()

    def _begin(self, origin: Origin) -> None:
        self._flush()
        self._origin = origin
        self._number += 1
        self._memory.seek(0)
        about = '{"id":%s,"source":"%s"}\n' % (origin.json_id, origin.source)
        self._write(NUMBER.pack(self._number) + about.encode())
        self._start = self._memory.tell()

    def _write_after_flush(self, origin: Origin, data: bytes) -> None:
        """What the memory has no room for."""
        self._begin(origin)
        try:
            self._write(data)
        except ValueError:
            self._flush()
            self._send(_message(origin, 0, data))

    def _flush(self) -> None:
        if self._origin is None:
            return
        end = self._memory.tell()
        if end > self._start:
            self._send(_message(self._origin, self._number, self._memory[self._start : end]))
            self._memory[self._start : end] = bytes(end - self._start)
        self._origin = None

    def _pause(self) -> None:
        """Let lines gather from now on, for a while."""
        if not self._has_thread:
            try:
                threading.Thread(target=self._run, name="cog-lines", daemon=True).start()
            except RuntimeError:
                return  # the model has used up all threads: no pause
            self._has_thread = True
        self._is_pausing = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._is_pausing:
                time.sleep(PAUSE_SECONDS)
                self._is_pausing = self._origin is not None
                try:
                    self.flush()
                except OSError:
                    return  # the server is gone


_HOLDERS = (Lines.add.__code__, Lines.flush.__code__)


def _message(origin: Origin, number: int, data: bytes) -> str:
    # By hand: the encoder takes longer for a dictionary than for all that is in it.
    text = to_json(data.decode("utf-8", "surrogatepass"))
    return '{"type":"log","id":%s,"source":"%s","batch":%d,"data":%s}' % (origin.json_id, origin.source, number, text)
