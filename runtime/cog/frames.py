"""The messages between the server and the worker, as bytes on one full-duplex socket.

A frame is a length (4 bytes, big-endian, of what follows) and a JSON object in UTF-8 with a `type`. Both sides
ignore types and fields that they do not know. Python 3.8, standard library only: both interpreters import it.

Server to worker:

- `predict`: `id`, `input` (object: declared inputs that were given or have defaults, already validated),
  `files` (list of `{"pointer": [key or index, ...], "path": str, "name": str, "url": str}`: where in `input`
  a downloaded file goes), `context` (object of strings), `quiet` (optional; when true, `started` need not be sent)
- `cancel`: `id`
- `healthcheck`: `nonce`
- `shutdown`

Worker to server, in this order: one `loaded` or `load_failed`; one `ready` or `setup_failed`; then any number of
the others.

- `loaded`: `pid`, `python`, `sdk`, `openapi` (the document by introspection), `max_concurrency`, `is_async`,
  `is_streaming`, `has_healthcheck`, `is_legacy`
- `load_failed`, `setup_failed`: `error` (one line), `traceback`
- `ready`: nothing more
- `started`: `id`: user code begins
- `output`: `id`, `index`, `chunk`, `files`: one yielded item, converted
- `log`: `id` or null, `source` (`stdout` or `stderr`), `data`: only from async targets, where a line must be told
  from those of other predictions; all else arrives through the pipes at descriptors 1 and 2
- `metric`: `id`, `name`, `value` (null deletes), `mode` (`replace`, `incr`, `append`)
- `done`: `id`, `status` (`succeeded`, `failed`, `canceled`), `output` and `files` (unless items were yielded: then
  `is_iterator` is true and `output` is absent), `error` (text or null), `seconds`. The slot is free when it is read.
- `health`: `nonce`, `ok`, `error`

`files` of an output are `{"pointer": [...], "path": str, "name": str, "mime": str or null, "delete": bool}`: at
that place of the value stands a file; the server reads it and deletes it when `delete` is true.

A frame larger than INLINE_BYTES is written to a temporary file instead and announced by a frame
`{"type": "spilled", "path": ...}`; the reader deletes the file. Files for the other side are made in the folder that
the environment variable COGC_SCRATCH names; the server removes it when the worker has ended.
"""

import json
import os
import socket
import struct
import tempfile
import threading

__all__ = ["INLINE_BYTES", "MAX_BYTES", "Channel", "decode", "encode", "scratch_folder"]

INLINE_BYTES = 1024 * 1024
MAX_BYTES = 4 * INLINE_BYTES

_LENGTH = struct.Struct(">I")
_SCRATCH = os.environ.get("COGC_SCRATCH")


def scratch_folder():
    """Where to make temporary files that the server takes over; None is the temporary directory."""
    if _SCRATCH:
        # Models do clean the temporary directory.
        os.makedirs(_SCRATCH, mode=0o700, exist_ok=True)
    return _SCRATCH or None


def encode(message):
    """The bytes of one frame, length included. Large messages are spilled to a file."""
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("utf-8", "surrogatepass")
    if len(body) > INLINE_BYTES:
        handle, path = tempfile.mkstemp(prefix="cog-frame-", dir=scratch_folder())
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        body = json.dumps({"type": "spilled", "path": path}).encode()
    return _LENGTH.pack(len(body)) + body


def decode(body):
    """The message of a frame's bytes after the length."""
    message = json.loads(body.decode("utf-8", "surrogatepass"))
    if message.get("type") != "spilled":
        return message
    path = message["path"]
    try:
        with open(path, "rb") as file:
            return json.loads(file.read().decode("utf-8", "surrogatepass"))
    finally:
        os.unlink(path)


class Channel:
    """Frames over a connected stream socket, with blocking reads; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb", buffering=65536)
        self._sending = threading.Lock()

    def send(self, message) -> None:
        """Send one message. Errors: OSError when the other side is gone."""
        frame = encode(message)
        with self._sending:
            self._socket.sendall(frame)

    def receive(self):
        """The next message, or None when the other side has closed."""
        header = self._reader.read(4)
        if len(header) < 4:
            return None
        (length,) = _LENGTH.unpack(header)
        if length > MAX_BYTES:
            raise ValueError("frame of %d bytes" % length)
        body = self._reader.read(length)
        return decode(body) if len(body) == length else None
