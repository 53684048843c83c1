"""One exchange over HTTP: the request that came, and what answers it. Knows neither sockets nor routes."""

from __future__ import annotations

from typing import Any, AsyncIterator, Callable, Dict, List, NamedTuple, Optional, Tuple

import msgspec

__all__ = ["JSON", "Headers", "Refusal", "Request", "Response", "Streamed"]

JSON = b"application/json"
_encode = msgspec.json.Encoder().encode

Headers = List[Tuple[bytes, bytes]]


class Response(NamedTuple):
    """A whole response. It ends the connection if one of its headers says so."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = []


class Streamed(NamedTuple):
    """A response whose body comes piece by piece; `close` is called when nobody wants more of it."""

    content_type: bytes
    headers: Headers
    chunks: AsyncIterator[bytes]
    close: Callable[[], None]


class Refusal(Exception):
    """The request ends here, with this response."""

    def __init__(self, status: int, document: Any, headers: Optional[Headers] = None) -> None:
        super().__init__(status)
        self.response = Response(status, _encode(document), JSON, headers or [])


class Request:
    """What a client asks for. `headers` has the first value of each, by its name in small letters.

    The connection fills `body` before the handler is called, and calls `on_disconnect` when the client leaves before
    it has its response, and `on_end` in any case. The application fills `handler` and `identity` (the id in the path),
    and `extra`: headers of the response, whatever that is.
    """

    __slots__ = (
        "body",
        "extra",
        "handler",
        "has_body",
        "headers",
        "identity",
        "is_answered",
        "is_modern",
        "keeps_alive",
        "method",
        "on_disconnect",
        "on_end",
        "parts",
        "path",
        "send",
        "size",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: Dict[bytes, bytes],
        is_modern: bool,
        keeps_alive: bool,
        send: "Callable[[Request, Response], None]",
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.is_modern = is_modern  # HTTP/1.1
        self.keeps_alive = keeps_alive
        self.send = send
        self.parts: List[bytes] = []
        self.size = 0
        self.has_body = False  # all of it, if there is one
        self.body = b""
        self.is_answered = False
        self.handler: Any = None
        self.identity = ""
        self.extra: Headers = []
        self.on_disconnect: Optional[Callable[[], Any]] = None
        self.on_end: Optional[Callable[[], Any]] = None

    def header(self, name: bytes) -> bytes:
        """The first value of a header, or nothing."""
        return self.headers.get(name, b"")

    def respond(self, body: bytes) -> None:
        """Answer 200 with a JSON body, now."""
        self.send(self, Response(200, body))

    def leave(self) -> None:
        """The client has gone, before it had its response or after it."""
        on_disconnect, self.on_disconnect = self.on_disconnect, None
        on_end, self.on_end = self.on_end, None
        if on_disconnect is not None:
            on_disconnect()
        if on_end is not None:
            on_end()
