"""Lines of concurrent predictions, on their way to the server.

A line goes at once, unless one has only just gone: then it waits for some milliseconds, and goes together with those
that follow. Of a flood of lines, that makes a message in each pause and not one for each line. What waits is in memory
that the server shares, so that it has the last lines of a process that dies.

The memory: number of the batch, little-endian; `{"id": …, "source": …}`; a line feed; text, and zeros where none is.
"""

from __future__ import annotations

import mmap
import threading
import time
from struct import Struct
from threading import get_ident
from typing import Any, Callable

from .frames import to_json

__all__ = ["MEMORY_BYTES", "NUMBER", "Lines"]

NUMBER = Struct("<Q")
MEMORY_BYTES = 128 * 1024
MAX_PENDING = 64 * 1024
PAUSE_SECONDS = 0.01


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
        self._owner = 0
        self._pieces: list[str] | None = None  # whose lines these are
        self._start = 0
        self._job: Any = None
        self._source = ""
        self._number = 0
        self._is_pausing = False
        self._wake = threading.Event()
        self._has_thread = False

    def add(self, job: Any, source: str, pieces: list[str], is_rest: bool = False) -> bool:
        """Take the complete lines in the pieces of a text, or all, and send them now or soon.

        False for what a finalizer or a signal handler writes in the midst of this.
        """
        # A flood of lines goes through here, so that each step counts.
        ident = get_ident()
        if self._owner == ident:
            return False
        with self._lock:
            self._owner = ident
            try:
                # Other threads of the prediction may add pieces meanwhile.
                count = len(pieces)
                text = "".join(pieces[:count])
                del pieces[:count]
                if text[-1:] != "\n" and not is_rest and len(text) <= MAX_PENDING:
                    end = text.rfind("\n") + 1
                    pieces.insert(0, text[end:])
                    text = text[:end]
                if self._pieces is not pieces:
                    self._begin(job, source, pieces)
                try:
                    self._write(text.encode("utf-8", "surrogatepass"))
                except ValueError:
                    self._write_after_flush(job, source, pieces, text)
                if not self._is_pausing:
                    self._flush()
                    self._pause()
            finally:
                self._owner = 0
        return True

    def flush(self) -> None:
        """Send what is there, so that what is sent next comes after it."""
        ident = get_ident()
        if self._pieces is None or self._owner == ident:
            return
        with self._lock:
            self._owner = ident
            try:
                self._flush()
            finally:
                self._owner = 0

    def _begin(self, job: Any, source: str, pieces: list[str]) -> None:
        self._flush()
        self._job, self._source, self._pieces = job, source, pieces
        self._number += 1
        self._memory.seek(0)
        self._write(NUMBER.pack(self._number) + ('{"id":%s,"source":"%s"}\n' % (job.json_id, source)).encode())
        self._start = self._memory.tell()

    def _write_after_flush(self, job: Any, source: str, pieces: list[str], text: str) -> None:
        """What the memory has no room for."""
        self._begin(job, source, pieces)
        try:
            self._write(text.encode("utf-8", "surrogatepass"))
        except ValueError:
            self._flush()
            self._send(_message(job, source, 0, text))

    def _flush(self) -> None:
        if self._pieces is None:
            return
        end = self._memory.tell()
        if end > self._start:
            text = self._memory[self._start : end].decode("utf-8", "surrogatepass")
            self._send(_message(self._job, self._source, self._number, text))
            self._memory[self._start : end] = bytes(end - self._start)
        self._job = self._pieces = None

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
                self._is_pausing = self._pieces is not None
                try:
                    self.flush()
                except OSError:
                    return  # the server is gone


def _message(job: Any, source: str, number: int, text: str) -> str:
    # By hand: the encoder takes longer for a dictionary than for all that is in it.
    return '{"type":"log","id":%s,"source":"%s","batch":%d,"data":%s}' % (job.json_id, source, number, to_json(text))
