"""The messages between the server and the worker, as bytes on two stream sockets.

The first carries predictions and all that the worker says; the worker's main thread reads it when it has nothing to
run. What must come through while the model runs (`cancel`, `healthcheck`, `shutdown`) has a socket of its own, which
another thread waits for: so a prediction wakes one thread and not two.

A frame is a length (4 bytes, big-endian, of what follows) and a JSON object in UTF-8 with a `type`. Both sides
ignore types and fields that they do not know. Python 3.8, standard library only: both interpreters import it.

Server to worker, on the first socket:

- `predict`: `id`, `number` (each prediction of a worker has a higher one than those before, its `id` may come again),
  `input` (object: declared inputs that were given or have defaults, already validated),
  `files` (optional list of `{"pointer": [key or index, ...], "path": str, "name": str, "url": str}`: where in `input`
  a downloaded file goes; an empty text stands there; one without a `path` but with an `index` is fetched when it is
  read), `context` (optional object of strings), `quiet` (optional; when
  true, `started` need not be sent)

On the second socket, which is not ordered with the first:

- `cancel`: `number`: also of a prediction that is on its way, or has ended
- `fetched`: `number`, `index`, `path` or `error`: the answer to `fetch`
- `healthcheck`: `nonce`
- `shutdown`: end after the predictions that were sent before

Worker to server, in this order: one `loaded` or `load_failed`; one `ready` or `setup_failed`; then any number of
the others.

- `loaded`: `pid`, `python`, `sdk`, `openapi` (the document by introspection), `max_concurrency`, `is_async`,
  `is_streaming`, `has_healthcheck`, `is_legacy`, `lazy_inputs` (names of those whose files need not be there)
- `load_failed`, `setup_failed`: `error` (one line), `traceback`
- `ready`: nothing more
- `started`: `id`: user code begins
- `fetch`: `id`, `index`: a file of the input is now needed
- `output`: `id`, `index`, `chunk`, `files`: one yielded item, converted
- `log`: `id` or null, `source` (`stdout` or `stderr`), `data`, `batch`: only from async targets, where lines must be
  told from those of other predictions; all else arrives through the pipes at descriptors 1 and 2. `batch` is the
  number of the lines in the memory of `lines`, which the server reads when the worker has ended; 0 is in none
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

__all__ = ["INLINE_BYTES", "MAX_BYTES", "Channel", "decode", "encode", "scratch_folder", "to_json"]

INLINE_BYTES = 1024 * 1024
MAX_BYTES = 4 * INLINE_BYTES
READ_BYTES = 64 * 1024

_LENGTH = struct.Struct(">I")
# Made once: json.dumps() with options makes an encoder for each call.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode
_SCRATCH = os.environ.get("COGC_SCRATCH")


def scratch_folder():
    """Where to make temporary files that the server takes over; None is the temporary directory."""
    if _SCRATCH:
        # Models do clean the temporary directory.
        os.makedirs(_SCRATCH, mode=0o700, exist_ok=True)
    return _SCRATCH or None


def to_json(value):
    """A value as JSON text. Errors: ValueError, TypeError, RecursionError."""
    # The encoder is quick with a text alone, but needs 5 µs for any container and for null.
    if value is None:
        return "null"
    if value == [] and type(value) is list:
        return "[]"
    return _encode(value)


def encode(message):
    """The bytes of one frame, length included, of a message or its JSON text. Large ones are spilled to a file."""
    body = (message if isinstance(message, str) else _encode(message)).encode()
    if len(body) > INLINE_BYTES:
        handle, path = tempfile.mkstemp(prefix="cog-frame-", dir=scratch_folder())
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        body = _encode({"type": "spilled", "path": path}).encode()
    return _LENGTH.pack(len(body)) + body


def decode(body):
    """The message of a frame's bytes after the length."""
    message, _ = _decode(body.decode("utf-8", "surrogatepass"))
    if message.get("type") != "spilled":
        return message
    path = message["path"]
    try:
        with open(path, "rb") as file:
            return _decode(file.read().decode("utf-8", "surrogatepass"))[0]
    finally:
        os.unlink(path)


class Channel:
    """Frames over a connected, blocking stream socket; one thread reads, any may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = b""
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def send(self, message) -> None:
        """Send one message, or its JSON text. Errors: OSError when the other side is gone."""
        frame = encode(message)
        with self._sending:
            self._socket.sendall(frame)

    def receive(self):
        """The next message, or None when the other side has closed."""
        while True:
            message = self._next()
            if message is not None:
                return message
            data = self._socket.recv(READ_BYTES)
            if not data:
                return None
            self._received += data

    def receive_ready(self):
        """All messages that are there, without waiting for more. Errors: EOFError when the other side has closed."""
        data = self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
        if not data:
            raise EOFError
        self._received += data
        messages = []
        while True:
            message = self._next()
            if message is None:
                return messages
            messages.append(message)

    def close_reading(self) -> None:
        """Nothing is received any more but what was sent so far."""
        self._socket.shutdown(socket.SHUT_RD)

    def _next(self):
        received = self._received
        if len(received) < 4:
            return None
        (length,) = _LENGTH.unpack_from(received)
        if length > MAX_BYTES:
            raise ValueError("frame of %d bytes" % length)
        end = 4 + length
        if len(received) < end:
            return None
        self._received = received[end:]
        return decode(received[4:end])
