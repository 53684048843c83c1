"""Server-sent events of a prediction: a bounded history for late readers, a bounded backlog for each reader.

Events: `start`, `output`, `log`, `metric`, `completed`, and `error` when a reader missed some.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, AsyncIterator, Callable, Deque, List, Optional, Set

import msgspec
from msgspec import Raw

from .predictions import Observer, Prediction

__all__ = ["EventStream", "TooManyReaders"]

MAX_READERS = 32
MAX_BACKLOG_BYTES = 32 * 1024 * 1024
KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
_encode = msgspec.json.Encoder().encode


class TooManyReaders(Exception):
    """The prediction has as many readers as it may have."""


def _event(name: bytes, document: Any) -> bytes:
    return b"event: " + name + b"\ndata: " + _encode(document) + b"\n\n"


class _Reader:
    def __init__(self) -> None:
        self.pending: List[bytes] = []
        self.size = 0
        self.skipped = 0
        self.wake = asyncio.Event()

    def push(self, event: bytes) -> None:
        if self.skipped or self.size > MAX_BACKLOG_BYTES:
            self.skipped += 1
        else:
            self.pending.append(event)
            self.size += len(event)
        self.wake.set()


class EventStream(Observer):
    """The events of one prediction. `on_abandoned` is called when the last reader leaves before the end."""

    def __init__(self, history: int, on_abandoned: Optional[Callable[[], Any]] = None) -> None:
        self._history: Deque[bytes] = deque(maxlen=history)
        self._count = 0
        self._readers: Set[_Reader] = set()
        self._is_complete = False
        self._on_abandoned = on_abandoned

    def processing(self, prediction: Prediction) -> None:
        self._publish(_event(b"start", {"id": prediction.id, "status": "processing"}))

    def output(self, prediction: Prediction, index: int, chunk: Raw) -> None:
        self._publish(_event(b"output", {"chunk": chunk, "index": index}))

    def logged(self, prediction: Prediction, source: str, text: str) -> None:
        self._publish(_event(b"log", {"source": source, "data": text}))

    def metric(self, prediction: Prediction, name: str, value: Any, mode: str) -> None:
        self._publish(_event(b"metric", {"name": name, "value": value, "mode": mode}))

    def completed(self, prediction: Prediction) -> None:
        self._is_complete = True
        self._publish(b"event: completed\ndata: " + prediction.body() + b"\n\n")

    def _publish(self, event: bytes) -> None:
        self._history.append(event)
        self._count += 1
        for reader in self._readers:
            reader.push(event)

    def open(self) -> "_Subscription":
        """A new reader, from the first event on. Errors: TooManyReaders."""
        if len(self._readers) >= MAX_READERS:
            raise TooManyReaders
        reader = _Reader()
        reader.skipped = self._count - len(self._history)
        if not reader.skipped:
            for event in self._history:
                reader.push(event)
        self._readers.add(reader)
        return _Subscription(self, reader)

    def close(self, reader: _Reader) -> None:
        """A reader has left."""
        self._readers.discard(reader)
        if not self._readers and not self._is_complete and self._on_abandoned is not None:
            self._on_abandoned()

    @property
    def is_complete(self) -> bool:
        """Whether the last event was published."""
        return self._is_complete


class _Subscription:
    def __init__(self, stream: EventStream, reader: _Reader) -> None:
        self._stream = stream
        self._reader = reader
        self._is_closed = False

    def close(self) -> None:
        """Leave; the iteration ends."""
        if not self._is_closed:
            self._is_closed = True
            self._stream.close(self._reader)
            self._reader.wake.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All that is ready, joined, again and again; keep-alive comments in silence."""
        reader = self._reader
        while not self._is_closed:
            if reader.pending:
                chunk = b"".join(reader.pending)
                reader.pending.clear()
                reader.size = 0
                yield chunk
            elif reader.skipped:
                yield _event(b"error", {"error": "the reader is too far behind", "skipped": reader.skipped})
                return
            elif self._stream.is_complete:
                return
            else:
                reader.wake.clear()
                try:
                    await asyncio.wait_for(reader.wake.wait(), KEEP_ALIVE_SECONDS)
                except asyncio.TimeoutError:
                    yield KEEP_ALIVE
