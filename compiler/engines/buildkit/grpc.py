"""gRPC over any stream of bytes, as a client and as a server: HTTP/2 by the library h2, messages as plain bytes.

A connection has two threads, one that reads and one that writes, so that neither end can block the other: what is to be
sent is put into a buffer of bounded size. Calls may be used from any thread.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from .errors import BuildkitError, CallFailed, ConnectionLost, Unreachable
from .messages import SERVICES

__all__ = ["Call", "Connection", "Handler", "Stream"]

_WINDOW = 4 << 20
_CONNECTION_WINDOW = 16 << 20
_MOST_BUFFERED = 1 << 20
_MOST_QUEUED = 8 << 20
_MOST_MESSAGE = 64 << 20
_READ_BYTES = 1 << 18
_LAST_WORDS_SECONDS = 2.0
_SETTINGS_FRAME = b"\x04"

UNKNOWN, NOT_FOUND, UNIMPLEMENTED, UNAVAILABLE = 2, 5, 12, 14


class Stream(Protocol):
    """A connected stream of bytes. Errors of all methods: OSError."""

    def recv(self, size: int, /) -> bytes:
        """Some bytes; none at the end."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Write all of it."""
        ...

    def close(self) -> None:
        """End both directions; `recv` in another thread comes back."""
        ...


class Call:
    """One call on a connection, of either role: messages go both ways until each side ends its own."""

    def __init__(self, connection: Connection, number: int, path: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.path = path
        self.headers = tuple(headers)
        self.error: BuildkitError | None = None
        self._connection = connection
        self._number = number
        self._sending = threading.Lock()
        self._messages: deque[bytes] = deque()
        self._partial = bytearray()
        self._queued = 0
        self._unacknowledged = 0
        self._has_ended = False
        self._has_answered = False
        self._is_finished = False

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)

    def header_list(self, name: str) -> list[str]:
        """All headers of that name."""
        return [value for key, value in self.headers if key == name]

    def send(self, message: bytes, *, ends: bool = False) -> None:
        """Send a message, waiting for room. Errors: CallFailed, ConnectionLost."""
        with self._sending:  # a message that waits for room halfway must not have another one in it
            self._connection.send(self, _framed(message), ends=ends)

    def send_all(self, messages: Iterable[bytes]) -> None:
        """Send some messages, small ones together. Errors: CallFailed, ConnectionLost."""
        with self._sending:
            self._connection.send(self, b"".join(map(_framed, messages)), ends=False)

    def end(self) -> None:
        """No more messages from a client."""
        self._connection.send(self, b"", ends=True)

    def answer(self, message: bytes) -> None:
        """The only answer of a server, and the end of the call."""
        self.send(message)
        self.finish()

    def finish(self, code: int = 0, message: str = "") -> None:
        """The end of a call by the server."""
        self._connection.finish(self, code, message)

    def receive(self) -> bytes | None:
        """The next message, None at the end. Errors: CallFailed, ConnectionLost."""
        return self._connection.receive(self)

    def only(self) -> bytes:
        """The one message of an answer. Errors: CallFailed, ConnectionLost."""
        message = self.receive()
        while self.receive() is not None:
            pass
        if message is None:
            raise CallFailed(UNKNOWN, f"{self.path}: no answer")
        return message

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._connection.is_over(self)

    def wait(self, seconds: float) -> None:
        """Wait until nothing more will come, for a while."""
        self._connection.wait(self, seconds)

    def cancel(self) -> None:
        """End the call at once; harmless when it has ended."""
        self._connection.reset(self)


Handler: TypeAlias = Callable[[Call], None]
"""Serves one call in a thread of its own; an exception becomes the call's error."""


class Connection:
    """HTTP/2 on a stream. As a server it has `handlers` by the path of the method."""

    def __init__(
        self, stream: Stream, *, handlers: Mapping[str, Handler] | None = None, name: str = "buildkit"
    ) -> None:
        is_client = handlers is None
        self._stream = stream
        self._handlers = dict(handlers or {})
        self._name = name
        self._changed = threading.Condition()
        self._calls: dict[int, Call] = {}
        self._outgoing = bytearray()
        self._closed: BuildkitError | None = None
        self._has_heard = False
        self.last_heard = time.monotonic()
        config = h2.config.H2Configuration(client_side=is_client, header_encoding=None)
        self._http = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        self._http.local_settings = h2.settings.Settings(
            client=is_client,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: _WINDOW,
                codes.MAX_CONCURRENT_STREAMS: 1000,
                codes.MAX_HEADER_LIST_SIZE: 16 << 20,
            },
        )
        self._http.decoder.max_header_list_size = 16 << 20
        with self._changed:
            self._http.initiate_connection()
            self._http.increment_flow_control_window(_CONNECTION_WINDOW)
            self._flush()
        self._threads = [
            threading.Thread(target=target, name=f"{name}-{what}", daemon=True)
            for what, target in (("reader", self._read), ("writer", self._write))
        ]
        for thread in self._threads:
            thread.start()

    # -- as a client -----------------------------------------------------------------------------------

    def start(self, path: str, headers: Iterable[tuple[str, str]] = ()) -> Call:
        """Open a call; its messages are sent by `Call.send`. Errors: ConnectionLost."""
        return self._open(path, headers)

    def unary(self, path: str, message: bytes, headers: Iterable[tuple[str, str]] = ()) -> bytes:
        """One message there, one back. Errors: CallFailed, ConnectionLost."""
        return self.request(path, message, headers).only()

    def request(self, path: str, message: bytes, headers: Iterable[tuple[str, str]] = ()) -> Call:
        """Open a call with its only message. Errors: CallFailed, ConnectionLost."""
        call = self._open(path, headers)
        call.send(message, ends=True)
        return call

    def _open(self, path: str, headers: Iterable[tuple[str, str]]) -> Call:
        sent = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "cogc"),
            *headers,
        ]
        with self._changed:
            self._check()
            call = Call(self, self._http.get_next_available_stream_id(), path)
            try:
                self._http.send_headers(call._number, sent)
            except h2.exceptions.ProtocolError as error:  # the connection is being closed
                raise self._lost(call) from error
            self._calls[call._number] = call
            self._flush()
        return call

    # -- what calls do -----------------------------------------------------------------------------------

    def send(self, call: Call, data: bytes, *, ends: bool) -> None:
        """Send data of a call, as much at a time as the other side allows."""
        rest = memoryview(data)
        while True:
            with self._changed:
                if rest:
                    self._changed.wait_for(lambda: self._room(call) > 0 or self._cannot_send(call))
                if call.error is not None:
                    raise call.error
                self._check()
                if self._cannot_send(call):
                    return  # the server has answered without the rest
                try:
                    if not self._has_headers(call):
                        self._answer_headers(call)
                    while rest and (size := min(len(rest), self._room(call))):
                        chunk, rest = rest[:size], rest[size:]
                        self._http.send_data(call._number, bytes(chunk), end_stream=ends and not rest)
                        self._outgoing += self._http.data_to_send()
                    if ends and not data:
                        self._http.end_stream(call._number)
                except h2.exceptions.ProtocolError as error:  # the call or the connection is being closed
                    raise self._lost(call) from error
                self._flush()
                if not rest:
                    return

    def receive(self, call: Call) -> bytes | None:
        """The next message of a call."""
        with self._changed:
            self._changed.wait_for(lambda: bool(call._messages) or self._is_over(call))
            if call._messages:
                message = call._messages.popleft()
                call._queued -= len(message)
                self._acknowledge(call)
                return message
            if call.error is not None:
                raise call.error
            if not (call._has_ended or call._is_finished):
                self._check()
            return None

    def finish(self, call: Call, code: int, message: str) -> None:
        """Send the trailers of a call that this side serves."""
        trailers = [("grpc-status", str(code))]
        trailers += [("grpc-message", quote(message, safe=" !#$&'()*+,/:;=?@[]"))] if message else []
        with self._changed, contextlib.suppress(h2.exceptions.ProtocolError):
            if self._closed is not None or call.error is not None or call._is_finished:
                return
            call._is_finished = True
            if not self._has_headers(call):
                self._answer_headers(call)
            self._http.send_headers(call._number, trailers, end_stream=True)
            self._calls.pop(call._number, None)
            self._flush()

    def reset(self, call: Call) -> None:
        """End a call at once."""
        with self._changed, contextlib.suppress(h2.exceptions.ProtocolError):
            if self._closed is None and self._calls.pop(call._number, None) is not None:
                self._http.reset_stream(call._number, h2.errors.ErrorCodes.CANCEL)
                call.error = call.error or CallFailed(1, "canceled")
                self._flush()
                self._changed.notify_all()

    def close(self) -> None:
        """End the connection and its threads."""
        with self._changed:
            if self._closed is None:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self._http.close_connection()
                    self._flush()
            deadline = time.monotonic() + 1
            self._changed.wait_for(lambda: not self._outgoing or self._closed is not None, deadline - time.monotonic())
        self._fail(ConnectionLost("the connection was closed"))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)

    def is_over(self, call: Call) -> bool:
        """Whether a call has ended."""
        with self._changed:
            return self._is_over(call)

    def wait(self, call: Call, seconds: float) -> None:
        """Wait for a call's end, for a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over(call), seconds)

    def fail(self, error: BuildkitError) -> None:
        """End the connection for a reason that all calls then raise."""
        self._fail(error)

    @property
    def failure(self) -> BuildkitError | None:
        """Why the connection has ended; None while it has not."""
        return self._closed

    # -- inside, with the lock -----------------------------------------------------------------------------

    def _room(self, call: Call) -> int:
        if len(self._outgoing) >= _MOST_BUFFERED:
            return 0
        with contextlib.suppress(h2.exceptions.ProtocolError):
            return min(self._http.local_flow_control_window(call._number), self._http.max_outbound_frame_size)
        return 0

    def _cannot_send(self, call: Call) -> bool:
        is_answered = self._http.config.client_side and call._has_ended
        return self._closed is not None or call.error is not None or is_answered

    def _is_over(self, call: Call) -> bool:
        return self._closed is not None or call.error is not None or call._has_ended or call._is_finished

    def _check(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _lost(self, call: Call) -> BuildkitError:
        return call.error or self._closed or ConnectionLost(f"{call.path}: the daemon closed the call")

    def _has_headers(self, call: Call) -> bool:
        return self._http.config.client_side or call._has_answered

    def _answer_headers(self, call: Call) -> None:
        call._has_answered = True
        self._http.send_headers(call._number, [(":status", "200"), ("content-type", "application/grpc")])

    def _acknowledge(self, call: Call) -> None:
        if call._unacknowledged and call._queued <= _MOST_QUEUED:
            size, call._unacknowledged = call._unacknowledged, 0
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._http.acknowledge_received_data(size, call._number)
                self._flush()

    def _flush(self) -> None:
        self._outgoing += self._http.data_to_send()
        self._changed.notify_all()

    # -- the threads ---------------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._outgoing) or self._closed is not None)
                    if not self._outgoing:
                        return
                    data, self._outgoing = bytes(self._outgoing), bytearray()
                    self._changed.notify_all()
                self._stream.sendall(data)
        except (OSError, BuildkitError) as error:
            with self._changed:  # who does not want us says why, and that is in what comes in
                self._changed.wait_for(lambda: self._closed is not None, 0 if self._has_heard else _LAST_WORDS_SECONDS)
            self._fail(self._end(error))

    def _read(self) -> None:
        error: Exception = ConnectionLost("the daemon closed the connection")
        try:
            while data := self._stream.recv(_READ_BYTES):
                # h2 would wait for the rest of what looks like a very long frame.
                is_first = self._http.config.client_side and not self._has_heard
                if is_first and data[3:4] not in (b"", _SETTINGS_FRAME):
                    raise Unreachable(_foreign(bytes(data)))
                self._has_heard = True
                with self._changed:
                    self.last_heard = time.monotonic()
                    for event in self._http.receive_data(data):
                        self._on(event)
                    self._flush()
        except (OSError, BuildkitError) as failure:
            error = failure
        except h2.exceptions.ProtocolError as failure:
            error = ConnectionLost(f"the other side does not speak HTTP/2: {failure}")
        self._fail(self._end(error))

    def _end(self, error: Exception) -> BuildkitError:
        """What the end of the stream means: a connection that never was one, or one that is lost."""
        if self._has_heard:
            return ConnectionLost(_phrase(error))
        if isinstance(error, Unreachable):
            return error
        return Unreachable(f"{_phrase(error)} before it said anything, as one does that wants TLS")

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._requested(event)
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                call = self._calls.get(event.stream_id or 0)
                if call is not None:
                    self._trailed(call, _texts(event.headers))
            case h2.events.DataReceived():
                self._received(event)
            case h2.events.StreamEnded():
                call = self._calls.get(event.stream_id or 0)
                if call is not None:
                    call._has_ended = True
                    if self._http.config.client_side:
                        del self._calls[call._number]
            case h2.events.StreamReset():
                call = self._calls.pop(event.stream_id or 0, None)
                if call is not None and call.error is None:
                    call.error = CallFailed(1, f"{call.path}: the other side ended the call")
            case h2.events.ConnectionTerminated():
                text = (event.additional_data or b"").decode("utf-8", "replace")
                raise ConnectionLost(f"the daemon closed the connection{f': {text}' if text else ''}")
            case _:
                pass

    def _requested(self, event: h2.events.RequestReceived) -> None:
        headers = _texts(event.headers)
        path = dict(headers).get(":path", "")
        call = Call(self, event.stream_id or 0, path, headers)
        self._calls[call._number] = call
        thread = threading.Thread(target=self._serve, args=(call,), name=f"{self._name}-{path}", daemon=True)
        thread.start()

    def _serve(self, call: Call) -> None:
        handler = self._handlers.get(call.path)
        try:
            if handler is None:
                call.finish(UNIMPLEMENTED, f"unknown method {call.path}")
                return
            handler(call)
            call.finish()
        except CallFailed as error:
            call.finish(error.code, error.message)
        except BuildkitError:
            pass  # there is nobody left to tell
        except Exception as error:  # the daemon must not wait for an answer that never comes
            call.finish(UNKNOWN, f"{type(error).__name__}: {error}")

    def _received(self, event: h2.events.DataReceived) -> None:
        call = self._calls.get(event.stream_id or 0)
        size = event.flow_controlled_length or 0
        if call is None:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._http.acknowledge_received_data(size, event.stream_id or 0)
            return
        call._partial += event.data or b""
        call._unacknowledged += size
        while len(call._partial) >= 5:
            length = int.from_bytes(call._partial[1:5])
            if call._partial[0] or length > _MOST_MESSAGE:
                raise ConnectionLost("the daemon sends messages that are compressed or too large")
            if len(call._partial) < 5 + length:
                break
            call._messages.append(bytes(call._partial[5 : 5 + length]))
            call._queued += length
            del call._partial[: 5 + length]
        self._acknowledge(call)

    def _trailed(self, call: Call, headers: list[tuple[str, str]]) -> None:
        found = dict(headers)
        status = found.get(":status", "200")
        if status != "200" and "grpc-status" not in found:
            call.error = CallFailed(UNKNOWN, f"{call.path}: HTTP status {status}")
            return
        code = found.get("grpc-status")
        if code not in (None, "0"):
            message = unquote(found.get("grpc-message", ""))
            call.error = CallFailed(int(code or UNKNOWN), message, _details(found.get("grpc-status-details-bin")))

    def _fail(self, error: BuildkitError) -> None:
        with self._changed:
            if self._closed is None:
                self._closed = error
            self._changed.notify_all()
        self._stream.close()


def _foreign(data: bytes) -> str:
    """What someone speaks who does not speak HTTP/2."""
    if data.startswith(b"HTTP/1"):
        return "it speaks HTTP/1 and not BuildKit's protocol; DOCKER_HOST is where Docker's engine is named"
    return f"it does not speak HTTP/2: {data[:40]!r}"


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


def _texts(headers: Iterable[tuple[Any, Any]] | None) -> list[tuple[str, str]]:
    return [(bytes(name).decode("latin-1"), bytes(value).decode("utf-8", "replace")) for name, value in headers or ()]


def _phrase(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return str(error)


def _details(encoded: str | None) -> list[dict[str, Any]]:
    """The details of an error, messages `Any`: those of BuildKit are JSON under a name that says its type."""
    if not encoded:
        return []
    with contextlib.suppress(ValueError):
        status = SERVICES.decode("Status", base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
        found: list[dict[str, Any]] = status.get("details", [])
        return found
    return []
