"""Requests and files that mean harm: each is bounded and answered as documented, and the server goes on."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import resource
import socket
import subprocess
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.runtime.server.harness import PATIENCE_SECONDS, running_server

MODEL = """
import io, os
from typing import Any, List, Literal, Optional, TypedDict, Union
from cog import BasePredictor, Input, Path
class Named(io.BytesIO):
    pass
class Box(TypedDict):
    x: int
    label: Optional[str]
class Predictor(BasePredictor):
    def predict(self, file: Optional[Path] = None, a: Any = None, d: dict = {}, n: int = 0, x: float = 0.0, s: str = "",
                name: str = "", size: int = 0, code: str = Input(default="", regex="^(a+)*$")) -> Any:
        if name:
            out = Named(b"content")
            out.name = name
            return out
        if file is not None:
            return [os.path.basename(file), str(file), os.path.getsize(file)]
        return "y" * size if size else a
"""
ENVIRONMENT = {
    "COGC_MAX_BODY_BYTES": "3000000",
    "COGC_MAX_DOWNLOAD_BYTES": "1000000",
    "COGC_REQUEST_TIMEOUT_SECONDS": "1",
}
JSON = b"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def exchange(server, data: bytes, seconds: float = 10) -> bytes:
    """What comes back for these bytes, until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as client:
        with contextlib.suppress(OSError):
            client.sendall(data)
        found = b""
        with contextlib.suppress(OSError):
            while chunk := client.recv(65536):
                found += chunk
        return found


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answers)]


def lives(server) -> None:
    """The same server, with its one slot free, still works."""
    assert server.process.poll() is None
    assert server.predict(a="fine")["output"] == "fine"


# -- requests that are no HTTP, or too much of it


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 5000 + b"\r\n",
        JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        JSON + b"Content-Length: -1\r\n\r\n",
        JSON + b"Content-Length: 1e3\r\n\r\n",
        JSON + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        JSON + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        JSON + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        JSON + b"X-A: \x00\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 100_000,
    ],
    ids=range(16),
)
def test_what_is_no_request_is_refused(shared, data):
    answer = exchange(shared, data, 5)
    assert statuses(answer) in ([], [400], [413], [431])
    lives(shared)


def test_a_large_body_is_refused_before_it_is_sent(shared):
    head = JSON + b"Expect: 100-continue\r\nContent-Length: 3000001\r\n\r\n"
    assert statuses(exchange(shared, head, 5)) == [413]
    chunked = JSON + b"Transfer-Encoding: chunked\r\n\r\n" + (b"ffff\r\n" + b" " * 0xFFFF + b"\r\n") * 50
    assert statuses(exchange(shared, chunked, 5)) == [413]
    lives(shared)


def test_many_requests_on_one_connection_are_answered_in_order(shared):
    bodies = [json.dumps({"input": {"a": number}}).encode() for number in range(100)]
    data = b"".join(JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as client:
        client.sendall(data)
        found = b""
        while len(outputs := re.findall(rb'"output":(\d+)', found)) < 100:
            chunk = client.recv(65536)
            assert chunk, found[-500:]
            found += chunk
    assert [int(output) for output in outputs] == list(range(100))


# -- slow ones


def has_ended(client: socket.socket) -> bool:
    """Whether the server has closed the connection."""
    try:
        while client.recv(65536, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def test_slow_clients_take_no_place_from_others(shared):
    """Hundreds of connections that send a byte now and then, in headers and in bodies."""
    starts = [b"GET / HTTP/1.1\r\nX: ", JSON + b"Content-Length: 1000\r\n\r\n{", b""]
    clients = [socket.create_connection(("127.0.0.1", shared.port), timeout=10) for _ in range(300)]
    try:
        for number, client in enumerate(clients):
            client.sendall(starts[number % 3])
        # The bytes do not buy those headers more time.
        sending, deadline = clients[::3], time.monotonic() + PATIENCE_SECONDS
        while sending := [client for client in sending if not has_ended(client)]:
            assert time.monotonic() < deadline, f"{len(sending)} are still connected"
            for client in sending:
                with contextlib.suppress(OSError):
                    client.sendall(b"x")
            lives(shared)
        # Silence buys nobody any.
        for client in clients:
            with contextlib.suppress(ConnectionError):
                while client.recv(65536):
                    pass
    finally:
        for client in clients:
            client.close()
    lives(shared)


def test_a_client_that_does_not_read_its_answer_is_left(shared):
    body = b'{"id":"unread","input":{"size":4000000}}'
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", shared.port))
        client.sendall(JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        # The slot is free although nobody has read the output.
        shared.wait_status("unread", "succeeded")
        lives(shared)


def test_more_connections_than_descriptors(serve):
    server = serve(MODEL)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (100, 100))
    clients = []
    for _ in range(200):
        client = socket.socket()
        client.settimeout(20)
        client.connect(("127.0.0.1", server.port))
        clients.append(client)
    for client in clients:
        client.close()

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError):
            assert server.predict(a=1)["output"] == 1
            break
        assert time.monotonic() < deadline, server.output[-2000:]
    assert server.process.poll() is None


# -- bodies


@pytest.mark.parametrize("depth", [150, 199, 250, 400, 500, 700, 900, 990, 1100, 100_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_deep_json_is_refused_or_runs(shared, depth, brackets):
    text = brackets[0] * depth + "1" + brackets[1] * depth
    answer = shared.ask("POST", "/predictions", b'{"input":{"a":' + text.encode() + b"}}")
    if answer.status == 422:
        assert depth >= 198
        assert "deep" in answer.json["detail"][0]["msg"]
    else:
        assert (answer.status, answer.json["status"]) == (200, "succeeded")
        assert depth < 200


def test_a_pattern_that_takes_for_ever_is_given_up(shared):
    """`(a+)*$` needs 2^n steps for n letters that end in another one."""
    assert shared.predict(code="a" * 1000, a=1)["output"] == 1
    with ThreadPoolExecutor(4) as clients:
        hostile = {"input": {"code": "a" * 60 + "b"}}
        answers = [clients.submit(shared.ask, "POST", "/predictions", hostile) for _ in range(4)]
        while not all(answer.done() for answer in answers):
            assert shared.health()["status"] == "READY"
    for answer in answers:
        assert answer.result().status == 422
        (problem,) = answer.result().json["detail"]
        assert problem["loc"] == ["body", "input", "code"]
        assert "takes too long" in problem["msg"]


@pytest.mark.parametrize(
    "body",
    [
        '{"input":{}}'.encode("utf-16"),
        b'\xef\xbb\xbf{"input":{}}',
        b'{"input":{"s":"\xed\xa0\x80"}}',
        b'{"input":{"s":"\\ud800"}}',
        b'{"input":{"\\udfff":1}}',
        b'{"input":{"s":"\xc0\xae"}}',
        b'{"input":{"n":1e999}}',
        b'{"input":{"a":' + b"9" * 10_000 + b"}}",
        b'{"input":{"n":1_000}}',
        b'{"input":{"n":"1_000"}}',
        b'{"input":{"x":"1_000.5"}}',
        '{"input":{"n":"١٢"}}'.encode(),
        '{"input":{"x":"١٢"}}'.encode(),
        b'{"input":{"n":"' + b"9" * 10_000 + b'"}}',
        b'{"input":{"x":"Infinity"}}',
        gzip.compress(b"{}", mtime=0),
        b"input=x",
        b'--B\r\nContent-Disposition: form-data; name="input"\r\n\r\nx\r\n--B--\r\n',
        b"<x/>",
    ],
    ids=range(19),
)
def test_text_that_is_no_input_is_named(shared, body):
    answer = shared.ask("POST", "/predictions", body)
    assert answer.status == 422, answer
    assert answer.json["detail"][0]["msg"]
    lives(shared)


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [("text/plain", ""), ("application/x-www-form-urlencoded", ""), ("\xff/\xfe", ""), ("a" * 5000, ""), ("", "gzip")],
)
def test_the_content_decides_not_its_type(shared, content_type, encoding):
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}
    answer = shared.ask("POST", "/predictions", {"input": {"a": 1}}, headers)
    assert (answer.status, answer.json["output"]) == (200, 1)


def test_any_input_takes_any_json(shared):
    for value in ([1, [2]], "text", 1.5, True, {"a": None}):
        assert shared.predict(a=value)["output"] == value
    assert shared.predict(a=None)["output"] is None


@pytest.mark.parametrize(
    "identity", ["%ff", "a%0ab", "..%2f..%2fx", ".", "%00", "x" * 257, "a b%20c", "%f0%9f%90%8d", "a%3fb"]
)
def test_ids_are_text_without_tricks(shared, identity):
    answer = shared.ask("PUT", f"/predictions/{identity.replace(' ', '%20')}", {"input": {"a": 1}})
    assert answer.status in (200, 404, 422)
    if answer.status == 200:
        assert not re.search(r"[\x00-\x1f/]", answer.json["id"])
    lives(shared)


@pytest.mark.parametrize(
    "prefer", ["wait=" + "9" * 400, "wait=nan", "wait=-1", "wait=1e9", ",;,=", "\xff", "respond-async" * 1000]
)
def test_preferences_that_are_none(shared, prefer):
    answer = shared.ask("POST", "/predictions", {"input": {"a": 1}}, {"Prefer": prefer.encode("latin-1")})
    assert answer.status == 200


# -- names of files

NAMES = [
    "../../../../etc/passwd", "/etc/passwd", "..", ".", "a/../../b", "..\\..\\windows", "a\x00b", 'a"; filename="b',
    "a\r\nX-Injected: 1\r\n\r\nb", "?query#fragment", "%2e%2e%2fx", "n" * 5000 + ".png", "ü\u202egnp.exe", "\ud800", " ",
]  # fmt: skip


@pytest.mark.parametrize("way", ["output_file_prefix", "--upload-url"])
def test_names_of_output_files_stay_below_their_prefix(serve, receiver, way):
    raw = ("--upload-url", receiver.url + "/up") if way == "--upload-url" else ()
    server = serve(MODEL, *raw)
    fields = {"output_file_prefix": receiver.url + "/up/"} if not raw else {}
    for name in NAMES:
        receiver.requests.clear()
        result = server.ask("POST", "/predictions", {"input": {"name": name}, **fields})
        if result.status == 422:
            assert name == "\ud800"
            continue
        assert result.json["status"] == "succeeded", (name, result.json["error"])
        (request,) = receiver.requests
        assert re.fullmatch(r"/up/[^/?#]{1,1000}", request.path), (name, request.path)
        assert request.path not in ("/up/..", "/up/.", "/up/%2e%2e")
        assert "x-injected" not in request.headers
        if not raw:
            head = request.body.partition(b"\r\n\r\n")[0]
            assert [key for key, _ in re.findall(rb'; (\w+)="([^"]*)"', head)] == [b"name", b"filename"]
            assert head.count(b"\r\n") == 2
            assert b"\r\n\r\ncontent\r\n--" in request.body
        assert result.json["output"].startswith(receiver.url + "/up/")


@pytest.mark.parametrize(
    "path",
    [
        "/..%2F..%2Fetc%2Fpasswd",
        "/%2e%2e",
        "/.",
        "/a%00b",
        "/%5c..%5cx",
        "/" + "n" * 3000 + ".png",
        "/%ff%fe",
        "/a%0Ab",
        "/",
        "",
    ],
)
def test_names_of_input_files_stay_in_their_folder(shared, receiver, path):
    receiver.answer = lambda request: (200, {}, b"12345")
    result = shared.predict(file=receiver.url + path)
    assert result["status"] == "succeeded", result["error"]
    name, full, size = result["output"]
    assert size == 5
    assert name not in ("", ".", "..")
    assert not re.search(r"[\x00-\x1f/\\]", name)
    assert len(name.encode()) <= 210
    assert os.path.realpath(full) == full
    assert "/cog-" in full
    assert path[-4:] != ".png" or name.endswith(".png")


# -- downloads


def test_compressed_downloads_are_bounded_by_what_comes_out(shared, receiver):
    bomb = gzip.compress(bytes(100_000_000), 9)
    assert len(bomb) < 150_000
    receiver.answer = lambda request: (200, {"Content-Encoding": "gzip"}, bomb)
    before = peak_memory(shared)
    result = shared.predict(file=receiver.url + "/bomb")
    assert (result["status"], "larger than 1000000" in result["error"]) == ("failed", True)
    assert peak_memory(shared) - before < 50_000_000
    lives(shared)


def peak_memory(server) -> int:
    """The most memory that the server's process ever had, in bytes."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) * 1024


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0), 5),
        ("gzip", gzip.compress(b"hello", mtime=0) + gzip.compress(b"world", mtime=0), 10),
        ("deflate", zlib.compress(b"hello"), 5),
        ("identity", b"hello", 5),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:-12], "ended early"),
        ("gzip", b"hello", "decompressed"),
        ("br", b"hello", "'br'"),
        ("gzip, gzip", b"hello", "'gzip, gzip'"),
    ],
)
def test_downloads_that_are_compressed_unasked(shared, receiver, encoding, body, expected):
    receiver.answer = lambda request: (200, {"Content-Encoding": encoding}, body)
    result = shared.predict(file=receiver.url + "/x")
    assert receiver.requests[0].headers["accept-encoding"] == "identity"
    if isinstance(expected, int):
        assert result["output"][2] == expected
    else:
        assert result["status"] == "failed"
        assert expected in result["error"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: //\r\nContent-Length: 0\r\n\r\n",
        b"\x00\x01\x02",
        b"",
    ],
    ids=range(10),
)
def test_origins_that_misbehave_fail_the_prediction(shared, answer):
    with socket.create_server(("127.0.0.1", 0)) as origin:

        def misbehave() -> None:
            """To every request: some of these answers are asked for again."""
            while True:
                try:
                    connection, _ = origin.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=misbehave)
        thread.start()
        result = shared.predict(file=f"http://127.0.0.1:{origin.getsockname()[1]}/x")
        origin.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert result["status"] == "failed"
    assert "'file'" in result["error"]
    assert "Traceback" not in result["error"]
    lives(shared)


# -- addresses

REFUSED = [
    "http://127.0.0.1:{port}/", "http://127.0.0.1.:{port}/", "http://user@127.0.0.1:{port}/", "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/", "http://a.localhost:{port}/", "http://127.1:{port}/", "http://2130706433:{port}/",
    "http://0177.0.0.1:{port}/", "http://0x7f.0.0.1:{port}/", "http://0x7f000001:{port}/", "http://0:{port}/",
    "http://0.0.0.0:{port}/", "http://[::]:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/",
    "http://１２７.0.0.1:{port}/", "http://127。0。0。1:{port}/", "http://169.254.169.254/", "http://2852039166/",
    "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/", "http://[fe80::1%25lo]/",
    "http://[fd00:ec2::254]/", "http://metadata.google.internal/", "http://metadata.google.internal./",
    "http://100.100.100.200/", "http://224.0.0.1/", "http://255.255.255.255/", "http://127.0.0.1%00.example/",
    "http:\\\\127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}/", "http://127.0.0.1:99999/",
]  # fmt: skip


@pytest.fixture(scope="module")
def strict(tmp_path_factory, request):
    """A server with the usual rule for addresses, which reaches everything else through a proxy on this machine."""
    from tests.runtime.server.harness import Receiver

    proxy = Receiver()
    environment = {
        "COGC_ALLOW_PRIVATE_URLS": "",
        "HTTP_PROXY": proxy.url.replace("127.0.0.1", "localhost"),
        "NO_PROXY": "",
    }
    with running_server(tmp_path_factory.mktemp("strict"), MODEL, environment=environment) as server:
        server.proxy = proxy
        yield server
    proxy.close()


@pytest.fixture(params=["first", "redirected"])
def hop(request) -> str:
    return request.param


@pytest.mark.parametrize("url", REFUSED)
def test_forbidden_addresses_are_never_asked(strict, receiver, url, hop):
    url = url.format(port=receiver.url.rsplit(":", 1)[1])
    strict.proxy.requests.clear()
    strict.proxy.answer = lambda request: (302, {"Location": url.encode().decode("latin-1")}, b"")
    answer = strict.ask(
        "POST", "/predictions", {"input": {"file": url if hop == "first" else "http://files.example/a"}}
    )
    if answer.status == 200:
        assert answer.json["status"] == "failed"
    else:
        assert (answer.status, hop) == (422, "first")
    assert receiver.requests == []
    # Some are read as a path on the same host.
    assert {request.path.split("/")[2] for request in strict.proxy.requests} <= {"files.example"}


def test_other_addresses_are_asked_through_the_proxy(strict):
    strict.proxy.requests.clear()
    strict.proxy.answer = lambda request: (200, {}, b"12345")
    assert strict.predict(file="http://files.example/a.bin")["output"][2] == 5
    assert strict.proxy.requests[0].path == "http://files.example/a.bin"


@pytest.mark.parametrize("field", ["webhook", "output_file_prefix"])
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://[fe80::1]/", "http://metadata.google.internal/", "http://2852039166/"]
)
def test_callbacks_do_not_reach_metadata_services(strict, field, url):
    strict.proxy.requests.clear()
    answer = strict.ask("POST", "/predictions", {"input": {"name": "a.txt"}, field: url}).json
    assert answer["status"] == ("succeeded" if field == "webhook" else "failed")
    assert strict.proxy.requests == []


HOSTS = "127.0.0.1 localhost\n127.0.0.1 loop.example\n::1 loop6.example\n169.254.169.254 data.example\n"


def test_names_are_judged_by_their_addresses(tmp_path, receiver):
    """With a file of hosts of our own, in a mount namespace."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not to be had here")
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    python = tmp_path / "python"
    from tests.runtime.server.harness import SERVER_PYTHON

    python.write_text(
        f'#!/bin/sh\nexec unshare --mount sh -c \'mount --bind "$0" /etc/hosts && exec "$@"\' {hosts} {SERVER_PYTHON} "$@"\n'
    )
    python.chmod(0o755)
    environment = {"COGC_ALLOW_PRIVATE_URLS": "", "COGC_SERVER_PYTHON": str(python)}
    with running_server(tmp_path / "project", MODEL, environment=environment) as server:
        port = receiver.url.rsplit(":", 1)[1]
        for name, word in (("loop", "loopback"), ("loop6", "loopback"), ("data", "metadata")):
            result = server.predict(file=f"http://{name}.example:{port}/x")
            assert result["status"] == "failed"
            assert word in result["error"]
        hook = {"input": {}, "webhook": f"http://loop.example:{port}/hook", "webhook_events_filter": ["completed"]}
        assert server.ask("POST", "/predictions", hook).status == 200
        receiver.wait_completed()
    assert [request.path for request in receiver.requests] == ["/hook"]


# -- the interface of 2021

LEGACY = """
import cog
from pathlib import Path
class Predictor(cog.Predictor):
    @cog.input("image", type=Path)
    def predict(self, image):
        return str(image)
"""


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("legacy"), LEGACY) as server:
        yield server


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/etc/passwd", "a\\..\\b", "x" * 3000 + ".png"])
def test_names_in_forms(legacy, name):
    server = legacy
    body = f'--B\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\nx\r\n--B--\r\n'.encode()
    answer = server.ask("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=B"})
    assert answer.status == 200, answer
    path = answer.body.decode()
    assert os.path.realpath(path) == path
    assert "/cog-" in path
    for bad in (
        b"",
        b"--B",
        b"--B" * 5000,
        b"\xff" * 1000,
        b'--B\r\nContent-Disposition: form-data; name="image"\r\n\r\n',
    ):
        answer = server.ask("POST", "/predict", bad, {"Content-Type": "multipart/form-data; boundary=B"})
        assert answer.status == 400
        assert answer.json["message"]


def test_all_of_this_at_once(shared):
    """Sixteen threads of nonsense, and one client that is served all the while."""
    rubbish = [os.urandom(size) for size in (1, 10, 100, 10_000)] + [b"GET / HTTP/1.1\r\n\r\n" * 50, JSON * 10]
    with ThreadPoolExecutor(16) as pool:
        work = [pool.submit(exchange, shared, rubbish[number % len(rubbish)], 1.5) for number in range(100)]
        while not all(one.done() for one in work):
            lives(shared)
    lives(shared)
