"""uvicorn's HTTP/1.1 protocol with bounds: header size and count, time for headers, and word of clients that leave."""

from __future__ import annotations

import asyncio
from typing import Any, Optional

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["DISCONNECTED", "BoundedProtocol"]

DISCONNECTED = "cogc.disconnected"
"""Key of the ASGI scope: a function to call when the client leaves before the response is complete."""

_CONTINUE = b"HTTP/1.1 100"
MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 128
JOIN_BYTES = 256 * 1024


class _Joined:
    """A transport that writes the head of a response together with the first piece of its body: one call less."""

    __slots__ = ("_head", "_transport", "close", "is_closing")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._head: Optional[bytes] = b""
        self.close: Any = transport.close
        self.is_closing: Any = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._transport.write(data)
        elif not self._head and not data.startswith(_CONTINUE):
            self._head = data
        else:
            head, self._head = self._head, (None if self._head else b"")
            self._transport.write(head + data if len(data) < JOIN_BYTES else head)
            if len(data) >= JOIN_BYTES:
                self._transport.write(data)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    header_timeout = 30.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_in_headers = False
        self._received = 0
        self._header_timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.header_timeout, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            callback = cycle.scope.get(DISCONNECTED)
            if callback is not None:
                callback()
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if not self._is_in_headers:
            if self._header_timer is not None:
                self._stop_timer()
            return
        if self._received > MAX_HEADER_BYTES:
            self.send_400_response("The request's headers are too large.")
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_timeout, self._headers_timed_out)

    def on_message_begin(self) -> None:
        self._is_in_headers = True
        self._received = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_headers = False
        headers = self.headers
        if len(headers) > MAX_HEADERS:
            raise ValueError("too many headers")  # answered with 400 by the caller
        if len(self.url) + sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_BYTES:
            raise ValueError("headers too large")
        super().on_headers_complete()
        if self.cycle is not None and self.scope["method"] != "HEAD":
            self.cycle.transport = _Joined(self.transport)  # type: ignore[assignment]

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_timed_out(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self.transport.close()
