"""HTTP/1.1 as it is on the wire: which connections stay open, what of them is read, and when they end."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

MODEL = """
import time
import cog
from cog import BasePredictor
from typing import Iterator
class Predictor(BasePredictor):
    @cog.streaming
    def predict(self, n: int = 1, size: int = 1, pause: float = 0.0) -> Iterator[str]:
        for number in range(n):
            time.sleep(pause)
            yield "x" * size
"""
ENVIRONMENT = {"COGC_MAX_BODY_BYTES": "100000", "COGC_REQUEST_TIMEOUT_SECONDS": "1"}
HEALTH = b"GET /health-check HTTP/1.1\r\nHost: x\r\n\r\n"


def post(headers: bytes = b"", path: bytes = b"/predictions", version: bytes = b"1.1", **inputs: object) -> bytes:
    body = json.dumps({"input": inputs}).encode()
    head = b"POST %b HTTP/%b\r\nHost: x\r\nContent-Length: %d\r\n" % (path, version, len(body))
    return head + headers + b"\r\n" + body


class Client:
    """A connection that shows what comes back as it is."""

    def __init__(self, server, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", server.port))
        self._found = b""

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def response(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of the next response with a length."""
        while b"\r\n\r\n" not in self._found:
            self._more()
        head, _, self._found = self._found.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        wanted = int(length[1]) if length is not None else 0
        while len(self._found) < wanted:
            self._more()
        body, self._found = self._found[:wanted], self._found[wanted:]
        return int(head[9:12]), head, body

    def until(self, text: bytes) -> bytes:
        """All that has come, once `text` has."""
        while text not in self._found:
            self._more()
        return self._found

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        with contextlib.suppress(EOFError):
            while True:
                self._more()
        return self._found

    def _more(self) -> None:
        chunk = self.socket.recv(65536)
        if not chunk:
            raise EOFError(self._found)
        self._found += chunk


@pytest.fixture
def client(shared) -> Iterator[Client]:
    with contextlib.closing(Client(shared)) as one:
        yield one


def test_a_connection_serves_many_requests(client):
    for _ in range(3):
        client.send(HEALTH)
        status, head, body = client.response()
        assert (status, json.loads(body)["status"]) == (200, "READY")
        assert b"connection:" not in head
        assert re.search(rb"\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", head)
        client.send(post())
        assert json.loads(client.response()[2])["output"] == ["x"]


@pytest.mark.parametrize("request_", [HEALTH.replace(b"Host: x", b"Connection: close"), HEALTH.replace(b"1.1", b"1.0")])
def test_a_connection_ends_when_the_client_wants_it(client, request_):
    client.send(request_)
    status, head, _ = client.response()
    assert (status, b"connection: close" in head, client.rest()) == (200, True, b"")


def test_head_has_the_headers_and_no_body(client):
    client.send(HEALTH.replace(b"GET", b"HEAD") + HEALTH)
    found = client.until(b"READY")
    first, second = re.findall(rb"content-length: (\d+)\r\n\r\n", found)
    assert first == second
    assert found.count(b"HTTP/1.1 200") == 2


def test_requests_may_come_in_any_pieces(client):
    data = post(n=3) + HEALTH + post(path=b"/nope") + post(n=2)
    for byte in data:
        client.send(bytes([byte]))
    client.send(data)
    assert [client.response()[0] for _ in range(8)] == [200, 200, 404, 200] * 2


def test_requests_behind_one_that_runs_wait_for_it(client):
    client.send(post(pause=0.3) + HEALTH + post(n=2) + post(path=b"/nope"))
    answers = [client.response() for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 404]
    assert json.loads(answers[1][2])["status"] == "READY"
    assert json.loads(answers[2][2])["output"] == ["x", "x"]


def test_a_waiting_request_that_never_gets_whole_times_out(client):
    client.send(HEALTH + post()[:-5])
    assert client.response()[0] == 200
    status, head, _ = client.response()
    assert (status, b"connection: close" in head) == (408, True)


def test_the_body_of_a_refused_request_is_swallowed(client):
    body = b"x" * 50000
    client.send(b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert client.response()[0] == 404
    client.send(body + HEALTH)
    assert client.response()[0] == 200


def test_a_refusal_reaches_a_client_that_goes_on_sending(client):
    client.send(b"POST /predictions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(40):
            client.send(b"4e20\r\n%b\r\n" % (b" " * 20000))
    assert client.response()[0] == 413


def test_a_client_may_ask_before_it_sends_the_body(client):
    whole = post(b"Expect: 100-continue\r\n")
    head, _, body = whole.partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.response()[0] == 100
    client.send(body)
    assert client.response()[0] == 200
    client.send(head.replace(b"/predictions", b"/nope") + b"\r\n\r\n")
    assert client.response()[0] == 404


def test_a_wish_for_another_protocol_is_ignored(client):
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    for n in (2, 3):
        client.send(post(wish, n=n))
        assert json.loads(client.response()[2])["output"] == ["x"] * n
    client.send(HEALTH.replace(b"Host: x\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n") + HEALTH)
    assert [client.response()[0] for _ in range(2)] == [200, 200]
    client.send(b"CONNECT example.com:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.response()[0] == 400


@pytest.mark.parametrize("headers", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"])
def test_a_client_that_leaves_cancels_its_prediction(shared, client, wait_until, headers):
    client.send(post(headers, n=10_000, pause=0.1))
    wait_until(lambda: shared.health()["status"] == "BUSY")
    client.close()
    wait_until(lambda: shared.health()["status"] == "READY")


def test_garbage_behind_a_request_does_not_spoil_its_answer(client):
    client.send(post(pause=0.3) + b"\x00\x01 garbage\r\n\r\n")
    status, head, body = client.response()
    assert (status, json.loads(body)["status"], b"connection: close" in head) == (200, "succeeded", True)
    assert client.rest() == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_streams_end_as_the_version_wants(client, version):
    client.send(post(b"Accept: text/event-stream\r\nConnection: close\r\n", version=version, n=2))
    head, _, body = client.rest().partition(b"\r\n\r\n")
    assert (b"transfer-encoding: chunked" in head, body.endswith(b"0\r\n\r\n")) == (version == b"1.1",) * 2
    assert body.count(b"event: output") == 2


def test_a_connection_goes_on_after_a_stream(client):
    client.send(post(b"Accept: text/event-stream\r\n", n=2) + HEALTH)
    found = client.until(b"READY")
    assert found.index(b"event: completed") < found.index(b"0\r\n\r\nHTTP/1.1 200 OK")


def test_slow_readers_get_everything(shared):
    """They take longer than a connection that ends is given, and longer than any timeout of this server."""
    with contextlib.ExitStack() as stack:
        clients = []
        for headers in (b"", b"Connection: close\r\n"):
            client = stack.enter_context(contextlib.closing(Client(shared, receive_bytes=4096)))
            client.send(post(headers, n=30, size=1_000_000))
            clients.append((client, client.until(b"\r\n\r\n")))
        time.sleep(3.5)
        for client, found in clients:
            length = int(re.search(rb"content-length: (\d+)", found)[1])
            wanted, size = found.index(b"\r\n\r\n") + 4 + length, len(found)
            while size < wanted:
                chunk = client.socket.recv(1 << 20)
                assert chunk, (size, wanted)
                size += len(chunk)


def test_idle_connections_end_with_the_server(serve):
    server = serve(MODEL)
    with contextlib.closing(Client(server)) as idle, contextlib.closing(Client(server)) as busy:
        idle.send(HEALTH)
        assert idle.response()[0] == 200
        busy.send(post(pause=0.5))
        server.wait_health("BUSY")
        assert server.stop() == 0
        assert idle.rest() == b""
        status, head, body = busy.response()
        assert (status, json.loads(body)["status"], b"connection: close" in head) == (200, "succeeded", True)
