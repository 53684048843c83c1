"""What the model writes, copied to the container's own streams by a thread: a slow reader never stops the server."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Deque, Tuple

__all__ = ["StreamCopier"]

DESCRIPTORS = {"stdout": 1, "stderr": 2}


class StreamCopier:
    """Copies in the order of writing. What a reader is more than `limit_bytes` behind with is dropped, and counted."""

    def __init__(self, limit_bytes: int = 64 * 1024 * 1024) -> None:
        self._limit = limit_bytes
        self._waiting: Deque[Tuple[str, bytes]] = deque()
        self._bytes = 0
        self._condition = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
        self._has_started = False
        self.dropped_bytes = 0

    def write(self, source: str, data: bytes) -> None:
        """Copy `data`, soon."""
        with self._condition:
            if not self._has_started:
                self._thread.start()
                self._has_started = True
            if self._bytes + len(data) > self._limit:
                self.dropped_bytes += len(data)
                return
            self._waiting.append((source, data))
            self._bytes += len(data)
            self._condition.notify()

    def close(self, timeout_seconds: float) -> None:
        """Write what is left, within a time."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        if self._has_started:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._is_closed:
                    self._condition.wait()
                if not self._waiting:
                    return
                source, data = self._waiting.popleft()
            _write_all(DESCRIPTORS.get(source, 1), data)
            with self._condition:
                self._bytes -= len(data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            threading.Event().wait(0.01)
        except OSError:
            return
