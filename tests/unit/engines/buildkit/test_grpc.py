"""Calls between two ends of our own, over a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from cogc.engines.buildkit.errors import CallFailed, ConnectionLost, Unreachable
from cogc.engines.buildkit.grpc import Call, Connection, Handler

Connect = Callable[[Mapping[str, Handler]], tuple[Connection, Connection]]


class SocketStream:
    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw

    def recv(self, size: int, /) -> bytes:
        return self.raw.recv(size)

    def sendall(self, data: bytes, /) -> None:
        self.raw.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.raw.shutdown(socket.SHUT_RDWR)
        self.raw.close()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes a client and a server that are connected."""
    made: list[Connection] = []

    def make(handlers: Mapping[str, Handler]) -> tuple[Connection, Connection]:
        one, other = socket.socketpair()
        server = Connection(SocketStream(other), handlers=handlers, name="server")
        client = Connection(SocketStream(one))
        made.extend((client, server))
        return client, server

    yield make
    for connection in made:
        connection.close()


def echo(call: Call) -> None:
    while (message := call.receive()) is not None:
        call.send(message)


def refuse(call: Call) -> None:
    raise CallFailed(5, "no such thing: ü\n")


def wait(call: Call) -> None:
    assert call.receive() is None


HANDLERS: dict[str, Handler] = {"/echo": echo, "/refuse": refuse, "/wait": wait}


@pytest.mark.parametrize("size", [0, 1, 16_384, 200_000, 5_000_000])
def test_messages_of_every_size_come_back(connect: Connect, size: int) -> None:
    client, _ = connect(HANDLERS)
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert client.unary("/echo", message) == message


def test_a_stream_of_more_than_all_windows_flows_both_ways(connect: Connect) -> None:
    client, _ = connect(HANDLERS)
    call = client.start("/echo")
    chunk = b"c" * 100_000

    def send() -> None:
        for _ in range(300):
            call.send(chunk)
        call.end()

    sender = threading.Thread(target=send)
    sender.start()
    received = 0
    while (message := call.receive()) is not None:
        assert message == chunk
        received += len(message)
    sender.join(30)
    assert received == 30_000_000


def test_a_slow_reader_holds_the_sender_back(connect: Connect) -> None:
    sent = 0
    done = threading.Event()

    def pour(call: Call) -> None:
        nonlocal sent
        for _ in range(400):
            call.send(b"x" * 100_000)
            sent += 1
        done.set()

    client, _ = connect({"/pour": pour})
    call = client.request("/pour", b"")
    assert call.receive() is not None
    assert not done.wait(1.0), "40 MB went into the memory of a reader that took one message"
    count = 1
    while call.receive() is not None:
        count += 1
    assert count == sent == 400


def test_many_calls_at_once(connect: Connect) -> None:
    client, _ = connect(HANDLERS)
    answers: dict[int, bytes] = {}

    def ask(number: int) -> None:
        answers[number] = client.unary("/echo", b"%d" % number * 1000)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == {number: b"%d" % number * 1000 for number in range(50)}


def test_an_error_has_its_code_and_its_text(connect: Connect) -> None:
    client, _ = connect(HANDLERS)
    with pytest.raises(CallFailed) as caught:
        client.unary("/refuse", b"")
    assert (caught.value.code, caught.value.message) == (5, "no such thing: ü\n")


def test_an_unknown_method_is_unimplemented(connect: Connect) -> None:
    client, _ = connect(HANDLERS)
    with pytest.raises(CallFailed, match="unknown method /nothing") as caught:
        client.unary("/nothing", b"")
    assert caught.value.code == 12


def test_an_error_while_much_is_sent_is_that_error(connect: Connect) -> None:
    client, _ = connect(HANDLERS)
    with pytest.raises(CallFailed, match="no such thing"):
        client.unary("/refuse", b"x" * 30_000_000)


def test_messages_of_several_threads_on_one_call_are_not_mixed(connect: Connect) -> None:
    """Each is larger than the window, so that it is sent in pieces."""
    received: list[bytes] = []

    def take(call: Call) -> None:
        while (message := call.receive()) is not None:
            received.append(message)

    client, _ = connect({"/take": take})
    call = client.start("/take")
    messages = [bytes([number]) * (9 << 20) for number in range(4)]
    threads = [threading.Thread(target=call.send, args=(message,)) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    call.end()
    assert call.receive() is None
    assert sorted(received) == messages


def test_a_bug_of_a_handler_is_an_error_of_the_call(connect: Connect) -> None:
    def broken(call: Call) -> None:
        raise KeyError("x")

    client, _ = connect({"/broken": broken})
    with pytest.raises(CallFailed, match="KeyError"):
        client.unary("/broken", b"")


def test_a_call_that_is_canceled_ends_on_both_sides(connect: Connect) -> None:
    ended = threading.Event()

    def watch(call: Call) -> None:
        try:
            call.receive()
        finally:
            ended.set()

    client, _ = connect({"/watch": watch})
    call = client.start("/watch")
    call.cancel()
    with pytest.raises(CallFailed):
        call.receive()
    assert ended.wait(10)
    call.cancel()


def test_the_end_of_the_connection_ends_all_calls(connect: Connect) -> None:
    client, server = connect(HANDLERS)
    calls = [client.start("/wait") for _ in range(3)]
    server.close()
    for call in calls:
        with pytest.raises((ConnectionLost, CallFailed)):
            call.receive()
    with pytest.raises(ConnectionLost):
        client.unary("/echo", b"")


class StuckStream(SocketStream):
    """Writing waits until it may go on."""

    def __init__(self, raw: socket.socket) -> None:
        super().__init__(raw)
        self.may_write = threading.Event()

    def sendall(self, data: bytes, /) -> None:
        assert self.may_write.wait(10)
        super().sendall(data)


@pytest.mark.parametrize("use", [lambda call: call.send(b"x"), lambda call: call._connection.start("/echo")])
def test_a_connection_that_is_being_closed_is_lost(use: Callable[[Call], object]) -> None:
    """It waits for a moment until its last words are written; whoever uses it meanwhile learns that it is at its end."""

    def use_it() -> None:
        for _ in range(100_000):
            use(call)

    one, other = socket.socketpair()
    stream = StuckStream(one)
    client = Connection(stream)
    call = client.start("/echo")
    closing = threading.Thread(target=client.close)
    closing.start()
    try:
        with pytest.raises(ConnectionLost):
            use_it()
    finally:
        stream.may_write.set()
        closing.join(10)
        other.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10, "it speaks HTTP/1"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not speak HTTP/2: b'SSH-2.0"),
    ],
)
def test_what_does_not_speak_http2_was_never_reached(said: bytes, told: str) -> None:
    one, other = socket.socketpair()
    other.sendall(said)
    client = Connection(SocketStream(one))
    try:
        with pytest.raises(Unreachable, match=told):
            client.unary("/echo", b"")
    finally:
        client.close()
        other.close()


def test_threads_end_with_their_connection(connect: Connect) -> None:
    before = set(threading.enumerate())
    client, server = connect(HANDLERS)
    client.unary("/echo", b"x")
    client.close()
    server.close()
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]
