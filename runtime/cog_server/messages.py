"""The server's side of `cog.frames`: the same bytes, read into typed values and written without a detour.

Values that only pass through (outputs, metrics) stay the JSON bytes they were (`msgspec.Raw`).
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from typing import Any, Callable, Dict, List, Optional, Union

import msgspec
from cog.frames import INLINE_BYTES, MAX_BYTES
from cog.lines import MEMORY_BYTES, NUMBER
from msgspec import Raw, Struct

__all__ = [
    "Done",
    "Fetch",
    "File",
    "FrameReader",
    "Health",
    "LoadFailed",
    "Loaded",
    "Log",
    "Message",
    "Metric",
    "Output",
    "ProtocolError",
    "Ready",
    "SetupFailed",
    "Started",
    "encode_frame",
    "unsent_lines",
]

_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """What came from the worker is no frame."""


class File(Struct):
    pointer: List[Union[str, int]]
    path: str
    name: str = ""
    mime: Optional[str] = None
    delete: bool = False


class Loaded(Struct, tag_field="type", tag="loaded"):
    pid: int = 0
    python: str = ""
    sdk: str = ""
    openapi: Optional[Dict[str, Any]] = None
    max_concurrency: Optional[int] = None
    is_async: bool = False
    is_streaming: bool = False
    has_healthcheck: bool = False
    is_legacy: bool = False
    lazy_inputs: List[str] = []


class LoadFailed(Struct, tag_field="type", tag="load_failed"):
    error: str = ""
    traceback: Optional[str] = None


class SetupFailed(Struct, tag_field="type", tag="setup_failed"):
    error: str = ""
    traceback: Optional[str] = None


class Ready(Struct, tag_field="type", tag="ready"):
    pass


class Started(Struct, tag_field="type", tag="started"):
    id: str


class Fetch(Struct, tag_field="type", tag="fetch"):
    id: str
    index: int


class Output(Struct, tag_field="type", tag="output"):
    id: str
    chunk: Raw
    index: int = 0
    files: List[File] = []


class Log(Struct, tag_field="type", tag="log"):
    data: str
    id: Optional[str] = None
    source: str = "stdout"
    batch: int = 0


class Metric(Struct, tag_field="type", tag="metric"):
    id: str
    name: str
    value: Any = None
    mode: str = "replace"


class Done(Struct, tag_field="type", tag="done"):
    id: str
    status: str
    output: Raw = Raw(b"null")
    files: List[File] = []
    is_iterator: bool = False
    error: Optional[str] = None
    seconds: Optional[float] = None


class Health(Struct, tag_field="type", tag="health"):
    nonce: Any = None
    ok: bool = True
    error: Optional[str] = None


class _About(Struct):
    id: str
    source: str


class _Spilled(Struct, tag_field="type", tag="spilled"):
    path: str


Message = Union[Loaded, LoadFailed, SetupFailed, Ready, Started, Fetch, Output, Log, Metric, Done, Health]
_KNOWN = {"loaded", "load_failed", "setup_failed", "ready", "started", "fetch", "output", "log", "metric", "done",
          "health"}  # fmt: skip
_decoder = msgspec.json.Decoder(
    Union[Loaded, LoadFailed, SetupFailed, Ready, Started, Fetch, Output, Log, Metric, Done, Health, _Spilled]
)
_encoder = msgspec.json.Encoder()


def encode_frame(message: Dict[str, Any], folder: Optional[str] = None) -> bytes:
    """The bytes of one frame, length included; a large message goes through a temporary file in `folder`."""
    try:
        body = _encoder.encode(message)
    except (OverflowError, UnicodeEncodeError):  # whole numbers beyond 64 bits
        body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > INLINE_BYTES:
        if folder is not None:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        handle, path = tempfile.mkstemp(prefix="cog-frame-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        body = _encoder.encode({"type": "spilled", "path": path})
    return _LENGTH.pack(len(body)) + body


def _decode(body: bytes) -> Optional[Message]:
    try:
        message = _decoder.decode(body)
    except msgspec.ValidationError as error:
        return _unknown(body, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_loosely(body, error)
    if not isinstance(message, _Spilled):
        return message
    try:
        with open(message.path, "rb") as file:
            spilled = file.read()
        os.unlink(message.path)
    except OSError as error:
        raise ProtocolError("a spilled frame cannot be read: %s" % error) from error
    return _decode(spilled)


def _unknown(body: bytes, error: Exception) -> Optional[Message]:
    """None for a type that we do not know, as the protocol asks."""
    document = json.loads(body)
    if isinstance(document, dict) and document.get("type") not in _KNOWN:
        return None
    raise ProtocolError("a frame has unexpected fields: %s" % error) from error


def _decode_loosely(body: bytes, error: Exception) -> Optional[Message]:
    """Lone surrogates are fine for Python's own JSON and nobody else's: they become U+FFFD."""
    try:
        document = json.loads(body.decode("utf-8", "surrogatepass"))
        text = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return _decoder.decode(text.encode())  # type: ignore[return-value]
    except (ValueError, msgspec.MsgspecError, RecursionError) as again:
        raise ProtocolError("a frame is not JSON: %s" % again) from error


def unsent_lines(memory: int, last_batch: int) -> Optional[Log]:
    """What a worker that has ended had no time to send, if it was not sent after all; the format is in `cog.lines`."""
    data = os.pread(memory, MEMORY_BYTES, 0).rstrip(b"\0")
    if len(data) < NUMBER.size or NUMBER.unpack_from(data)[0] <= last_batch:
        return None
    about, _, text = data[NUMBER.size :].partition(b"\n")
    try:
        log = msgspec.json.decode(about, type=_About)
    except msgspec.MsgspecError:
        return None
    return Log(data=text.decode("utf-8", "replace"), id=log.id, source=log.source) if text else None


class FrameReader:
    """Bytes in, messages out; keeps what is not complete."""

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        self._on_message = on_message
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Hand on the messages that `data` completes. Errors: ProtocolError."""
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        try:
            while end - start >= 4:
                (length,) = _LENGTH.unpack_from(data, start)
                if length > MAX_BYTES:
                    raise ProtocolError("a frame of %d bytes" % length)
                stop = start + 4 + length
                if stop > end:
                    break
                message = _decode(data[start + 4 : stop])
                start = stop
                if message is not None:
                    self._on_message(message)
        finally:
            self._rest = data[start:]
