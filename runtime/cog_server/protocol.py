"""HTTP/1.1 on one connection: bytes → requests, responses → bytes. Requests of a connection are answered one by one.

Everything that a client decides is bounded: headers, body, and the time that either takes. httptools parses; between it
and the application there are a few calls of functions and neither tasks nor queues, which is what makes small
predictions cheap (docs/adr/0016 has the measurements).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any, Deque, NamedTuple, Optional, Protocol, Set
from urllib.parse import unquote

import httptools

from .exchange import JSON, Headers, Refusal, Request, Response, Streamed

__all__ = ["Application", "Connection", "Limits"]

logger = logging.getLogger("cog_server.protocol")

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 128
JOIN_BYTES = 256 * 1024
TOTAL_BODY_SECONDS = 600.0
KEEP_ALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
NEVER = float("inf")
_HEAD_OK = b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
CLOSE = (b"connection", b"close")

_REASONS = {
    200: b"OK", 202: b"Accepted", 204: b"No Content", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found",
    405: b"Method Not Allowed", 406: b"Not Acceptable", 408: b"Request Timeout", 409: b"Conflict",
    413: b"Content Too Large", 415: b"Unsupported Media Type", 422: b"Unprocessable Content",
    429: b"Too Many Requests", 500: b"Internal Server Error", 503: b"Service Unavailable",
}  # fmt: skip
_monotonic = time.monotonic


class Limits(NamedTuple):
    """In bytes and seconds; the time is that for all headers, and between two pieces of a body."""

    body_bytes: int
    wait_seconds: float


class Application(Protocol):
    """What a connection needs of the application. Neither method raises."""

    def open(self, request: Request) -> Optional[Response]:
        """The headers are there: a response ends the request without its body."""

    def handle(self, request: Request) -> Any:
        """The body is there: a `Response`, `Streamed`, an awaitable of one of them, or None to `send` it later."""


class _Date:
    """The header line `date`, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(second)).encode("ascii")
        return self._line


_date = _Date()


def _head(status: int, content_type: bytes, headers: Headers) -> bytes:
    """Status line and headers, without the empty line at the end."""
    lines = [
        b"HTTP/1.1 %d %s\r\n" % (status, _REASONS.get(status, b"")),
        _date.line(),
        b"content-type: %s\r\n" % _one_line(content_type),
    ]
    lines += [b"%s: %s\r\n" % (name, _one_line(value)) for name, value in headers]
    return b"".join(lines)


def _one_line(value: bytes) -> bytes:
    return value.replace(b"\r", b" ").replace(b"\n", b" ")


class Connection(asyncio.Protocol):
    """One connection. `time_out` is due when the monotonic clock passes `deadline`."""

    def __init__(self, application: Application, limits: Limits, connections: "Set[Connection]") -> None:
        self.deadline = NEVER
        self._application = application
        self._limits = limits
        self._connections = connections
        self._parser: Any = httptools.HttpRequestParser(self)
        # The request that is coming in, the one that is being answered, and those that came after that one.
        self._incoming: Optional[Request] = None
        self._active: Optional[Request] = None
        self._waiting: Deque[Request] = deque()
        self._is_in_headers = False
        self._received = 0
        self._latest = NEVER  # when headers or a body must be complete
        self._is_last = False  # after the response that is due, the connection ends
        self._is_deaf = False  # nothing that comes is read any more
        self._is_closing = False
        self._unsent = NEVER  # how many bytes the client had still to take when we last looked
        self._is_paused = False
        self._writable: "Optional[asyncio.Future[None]]" = None
        self._task: "Optional[asyncio.Task[None]]" = None

    # The event loop calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._connections.add(self)
        self.deadline = _monotonic() + self._limits.wait_seconds

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._connections.discard(self)
        self._is_closing = True
        request, self._active = self._active, None
        self._incoming = None
        self._waiting.clear()
        self.resume_writing()
        if request is not None:
            request.leave()
        if self._task is not None:
            self._task.cancel()
        # Parser and connection know each other: without this, both and all that they hold would stay until the garbage
        # collector comes by, which under load is after hundreds of others.
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._is_closing:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse_garbage()
        if self._is_in_headers and self._received > MAX_HEADER_BYTES:
            self._refuse_garbage()
        if self._is_in_headers or self._incoming is not None:
            self._set_clock()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()
            self._pause()
            self._unsent = NEVER
            self.deadline = _monotonic() + KEEP_ALIVE_SECONDS

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():  # its task may have been cancelled
                self._writable.set_result(None)
            self._writable = None
            self._resume()
            self.deadline = NEVER if self._active is not None else _monotonic() + KEEP_ALIVE_SECONDS

    # The parser calls

    def on_message_begin(self) -> None:
        self._is_in_headers = True
        self._latest = NEVER
        self._url = b""
        self._headers: Headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._is_in_headers = False
        self._latest = NEVER
        parser, headers = self._parser, self._headers
        # Errors here become 400, as those of the parser.
        if len(headers) > MAX_HEADERS or (self._received > MAX_HEADER_BYTES and self._is_too_large()):
            raise ValueError("the headers are too large")
        headers.reverse()  # of several with one name, the first counts
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise ValueError("this is no proxy")
            return
        is_modern = parser.get_http_version() == "1.1"
        request = Request(
            parser.get_method().decode("ascii"),
            _path(self._url),
            dict(headers),
            is_modern,
            is_modern and parser.should_keep_alive(),
            self._send,
        )
        self._incoming = request
        if self._is_closing:
            return
        if self._active is None and not self._waiting:
            self._open(request)
        else:
            self._waiting.append(request)
            self._pause()

    def on_body(self, body: bytes) -> None:
        request = self._incoming
        if request is None or self._is_closing:
            return
        request.size += len(body)
        if request.size > self._limits.body_bytes:
            self._refuse_body(request)
        elif not request.is_answered:
            request.parts.append(body)

    def on_message_complete(self) -> None:
        request, self._incoming = self._incoming, None
        self._received = 0
        if request is None or self._is_closing:
            return
        request.has_body = True
        if request is not self._active:
            return
        if request.is_answered:
            self._next()
        else:
            self._handle(request)

    def _is_too_large(self) -> bool:
        return len(self._url) + sum([len(name) + len(value) for name, value in self._headers]) > MAX_HEADER_BYTES

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Serve a request that asks for another protocol as if it had not asked. The parser ended at its headers."""
        head = [b"%b %b HTTP/1.1\r\n" % (self._parser.get_method(), self._url)]
        head += [b"%b: %b\r\n" % item for item in self._headers if item[0] not in (b"upgrade", b"connection")]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join(head) + b"\r\n" + rest)

    # Requests

    def _open(self, request: Request) -> None:
        """Begin to answer."""
        self._active = request
        self.deadline = NEVER
        length = request.headers.get(b"content-length")
        response = self._application.open(request)
        if response is not None:
            self._send(request, response)
        elif length is not None and int(length) > self._limits.body_bytes:
            self._refuse_body(request)
        elif request.has_body:
            self._handle(request)
        elif b"expect" in request.headers and request.is_modern:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _handle(self, request: Request) -> None:
        self.deadline = NEVER
        parts = request.parts
        if parts:
            request.body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
        result = self._application.handle(request)
        if result is not None:
            self._deliver(request, result)

    def _deliver(self, request: Request, result: Any) -> None:
        if isinstance(result, Response):
            self._send(request, result)
        elif isinstance(result, Streamed):
            self._task = asyncio.ensure_future(self._stream(request, result))
        else:
            self._task = asyncio.ensure_future(self._deliver_later(request, result))

    async def _deliver_later(self, request: Request, awaitable: Any) -> None:
        result = await awaitable
        if result is not None:
            self._deliver(request, result)

    def _next(self) -> None:
        """The response is out and the request is in: on to the next one."""
        self._active = None
        if self._is_last:
            self._close()
            return
        if self._waiting:
            # Not at once: of requests that are answered at once, each would be handled within the one before.
            asyncio.get_running_loop().call_soon(self._open_next)
            return
        self.deadline = _monotonic() + KEEP_ALIVE_SECONDS
        if self._is_in_headers:
            self._set_clock()

    def _open_next(self) -> None:
        if self._is_closing:
            return
        request = self._waiting.popleft()
        if not self._waiting:
            self._resume()
        self._open(request)
        if self._incoming is not None:
            self._set_clock()

    # Responses

    def _send(self, request: Request, response: Response) -> None:
        """Answer a request; if its client has left or was answered, nothing happens."""
        if request is not self._active or request.is_answered:
            return
        status, body, content_type, headers = response
        keeps = request.keeps_alive and not self._is_last
        if status == 200 and keeps and content_type is JSON and not headers and not request.extra:
            # What nearly all responses are, in one go.
            head = _HEAD_OK % (_date.line(), len(body))
        else:
            keeps = keeps and CLOSE not in headers
            head = _head(status, content_type, [*headers, *request.extra])
            head += b"content-length: %d\r\n" % len(body) if status != 204 else b""
            head += b"\r\n" if keeps or CLOSE in headers else b"connection: close\r\n\r\n"
        if request.method == "HEAD":
            body = b""
        if len(body) < JOIN_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self._finish(request, keeps)

    async def _stream(self, request: Request, response: Streamed) -> None:
        keeps = request.keeps_alive and not self._is_last
        head = _head(200, response.content_type, [*response.headers, *request.extra])
        head += b"transfer-encoding: chunked\r\n" if request.is_modern else b""
        head += b"\r\n" if keeps else b"connection: close\r\n\r\n"
        self._transport.write(head)
        try:
            async for chunk in response.chunks:
                if request is not self._active:
                    return
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if request.is_modern else chunk)
                if self._writable is not None:
                    await self._writable
        except Exception:
            logger.exception("the stream has failed")
            self._transport.abort()  # so that the client sees that something is missing
            return
        finally:
            response.close()
        if request is self._active:
            self._transport.write(b"0\r\n\r\n" if request.is_modern else b"")
            self._finish(request, keeps)

    def _finish(self, request: Request, keeps: bool) -> None:
        request.is_answered = True
        request.on_disconnect = None
        if request.on_end is not None:
            request.on_end()
            request.on_end = None
        if not keeps:
            self._close(lingers=not request.has_body)
        elif request.has_body:
            self._next()

    # Ends

    def end(self) -> None:
        """Close the connection, after the response that is due."""
        if self._active is None and not self._waiting:
            self._close()
        else:
            self._is_last = True

    def time_out(self) -> None:
        """The deadline has passed."""
        self.deadline = NEVER
        request = self._active
        unsent = self._transport.get_write_buffer_size()
        if 0 < unsent < self._unsent:
            # The client takes what we send, if slowly.
            self._unsent = unsent
            self.deadline = _monotonic() + KEEP_ALIVE_SECONDS
        elif unsent or self._is_closing:
            self._transport.abort()
        elif request is None or request.is_answered:
            self._close()
        else:
            document = {"detail": "The body did not arrive in time."}
            self._send(request, Refusal(408, document, [CLOSE]).response)

    def _refuse_body(self, request: Request) -> None:
        if request is not self._active:
            self._is_last = self._is_deaf = True  # an earlier one still gets its response
        elif request.is_answered:
            self._close()
        else:
            document = {"detail": "The body is larger than %d bytes." % self._limits.body_bytes}
            self._send(request, Refusal(413, document, [CLOSE]).response)

    def _refuse_garbage(self) -> None:
        if self._is_closing:
            return
        if self._active is not None and (self._active is not self._incoming or self._active.is_answered):
            self._is_last = self._is_deaf = True  # an earlier request still gets its response
            return
        message = b"Invalid HTTP request received."
        head = _head(400, b"text/plain; charset=utf-8", [(b"content-length", b"%d" % len(message)), CLOSE])
        self._transport.write(head + b"\r\n" + message)
        self._close(lingers=True)

    def _close(self, lingers: bool = False) -> None:
        """Close when all is written. With `lingers` what the client still sends is swallowed for a while: otherwise
        its system would take our answer for lost."""
        self._is_closing = True
        self._unsent = NEVER
        self.deadline = _monotonic() + LINGER_SECONDS
        if lingers:
            self._resume()
            self._transport.write_eof()
        else:
            self._transport.close()

    # Clocks and brakes

    def _set_clock(self) -> None:
        """Something is only half there: headers as a whole have a time, and so has each piece of a body."""
        if self._is_closing:
            return
        now = _monotonic()
        wait = self._limits.wait_seconds
        if self._latest == NEVER:
            self._latest = now + (wait if self._is_in_headers else TOTAL_BODY_SECONDS)
        if self._is_in_headers and self._active is None:
            self.deadline = self._latest
        elif self._incoming is not None and self._incoming is self._active:
            self.deadline = min(now + wait, self._latest)

    def _pause(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self._writable is None and not self._waiting and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()


def _path(url: bytes) -> str:
    """The decoded path of a request's target. Errors: ValueError, httptools.HttpParserError."""
    if not url.startswith(b"/") or b"?" in url or b"#" in url:
        url = httptools.parse_url(url).path or b"/"
    path = url.decode("ascii")
    return unquote(path) if "%" in path else path
