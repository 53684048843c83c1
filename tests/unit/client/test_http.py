"""The client against servers of every generation, played by a small web server with prepared answers."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cogc.client.http import ModelClient, new_identity
from cogc.client.operation import read_operation
from cogc.client.problems import Refused, Unreachable
from tests.unit.client.test_operation import document

OPERATION = read_operation(document({"text": {"type": "string"}}), "predict")
DONE = {"id": "x", "status": "succeeded", "output": "hi", "error": None, "metrics": {"predict_time": 0.1}}


class Prepared:
    """`answers` maps `METHOD /path` to a function of (handler, body); what was asked is in `asked`."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Any, bytes], None]] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        prepared = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                prepared.asked.append((f"{self.command} {self.path}", headers, body))
                prepared.answers.get(f"{self.command} {self.path}", answer(404, {"detail": "Not Found"}))(self, body)

            do_GET = do_POST = handle_one  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def client(self) -> ModelClient:
        return ModelClient(f"http://127.0.0.1:{self.server.server_address[1]}")


@pytest.fixture
def prepared() -> Iterator[Prepared]:
    server = Prepared()
    yield server
    server.server.shutdown()
    server.server.server_close()


def answer(status: int, content: Any, media_type: str = "application/json") -> Callable[[Any, bytes], None]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    def write(handler: Any, _: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return write


def events(*blocks: str, ends: bool = True) -> Callable[[Any, bytes], None]:
    """Server-sent events, each in a chunk of its own; without `ends` the connection just breaks."""

    def write(handler: Any, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for block in blocks:
            data = block.encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()
        if ends:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.connection.shutdown(socket.SHUT_RDWR)

    return write


def event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


# -- predictions ------------------------------------------------------------------------------------


def test_a_prediction(prepared):
    prepared.answers["POST /predictions"] = answer(200, DONE)
    result = prepared.client.predict(OPERATION, {"text": "größe"}, identity="abc", context={"token": "t"})
    assert (result.status, result.output, result.error, result.has_succeeded) == ("succeeded", "hi", "", True)
    ((request, headers, body),) = prepared.asked
    assert request == "POST /predictions"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"id": "abc", "input": {"text": "größe"}, "context": {"token": "t"}}


def test_a_failed_prediction_is_an_answer(prepared):
    prepared.answers["POST /predictions"] = answer(200, {"status": "failed", "error": "boom", "output": None})
    result = prepared.client.predict(OPERATION, {}, identity=new_identity())
    assert (result.status, result.error, result.has_succeeded) == ("failed", "boom", False)


def test_refused_inputs_are_listed(prepared):
    problems = [
        {"loc": ["body", "input", "text"], "msg": "field required", "type": "value_error.missing"},
        {"loc": ["body", "input", "files", 0], "msg": "no URL"},
        {"loc": ["body", "id"], "msg": "too long"},
    ]
    prepared.answers["POST /predictions"] = answer(422, {"detail": problems})
    with pytest.raises(Refused) as raised:
        prepared.client.predict(OPERATION, {}, identity=new_identity())
    diagnostic = raised.value.diagnostic
    assert diagnostic.code == "COG722"
    assert [note.message for note in diagnostic.notes] == ["text: field required", "files.0: no URL", "too long"]
    assert "@PATH" in diagnostic.hint


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (409, {"detail": "Already running a prediction"}, "with 409: Already running a prediction"),
        (503, {"error": "Setup has not finished yet", "status": "failed"}, "with 503: Setup has not finished yet"),
        (500, b"Internal Server Error", "with 500: Internal Server Error"),
        (413, b"", "with 413: nothing"),
        (200, b"<html>", "with 200: <html>"),
        (200, b"[]", "with 200: []"),
        (200, b"{}", "with 200: {}"),
        (422, b"no json", "with 422: no json"),
        (500, b"x" * 1000, "with 500: " + "x" * 500 + "…"),
    ],
)
def test_answers_that_are_none(status, content, said, prepared):
    prepared.answers["POST /predictions"] = answer(status, content)
    with pytest.raises(Refused) as raised:
        prepared.client.predict(OPERATION, {}, identity=new_identity())
    assert raised.value.diagnostic.code == "COG724"
    assert raised.value.diagnostic.message == f"the model's server answers POST /predictions {said}"


def test_a_connection_that_breaks(prepared):
    prepared.answers["POST /predictions"] = lambda handler, _: handler.connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Unreachable) as raised:
        prepared.client.predict(OPERATION, {}, identity=new_identity())
    assert raised.value.diagnostic.code == "COG725"


def test_nobody_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        # The port is ours as long as the socket is there, but nobody listens.
        client = ModelClient(f"http://127.0.0.1:{probe.getsockname()[1]}")
        assert client.health() is None
        assert client.cancel(OPERATION, "x") is False
        with pytest.raises(Unreachable):
            client.predict(OPERATION, {}, identity=new_identity())
        with pytest.raises(Unreachable):
            client.document()


def test_a_token_is_sent(prepared):
    prepared.answers["GET /openapi.json"] = answer(200, {"openapi": "3.0.2"})
    url = f"http://127.0.0.1:{prepared.server.server_address[1]}"
    ModelClient(url, "s3cret").document()
    assert prepared.asked[0][1]["authorization"] == "Bearer s3cret"
    ModelClient(url).document()
    assert "authorization" not in prepared.asked[1][1]


def test_cancel(prepared):
    prepared.answers["POST /predictions/a%20b/cancel"] = answer(200, {})
    assert prepared.client.cancel(OPERATION, "a b") is True
    assert prepared.client.cancel(OPERATION, "unknown") is False


# -- events -----------------------------------------------------------------------------------------


def test_pieces_come_as_they_are_made(prepared):
    prepared.answers["POST /predictions"] = events(
        event("start", {"id": "x", "status": "processing"}),
        ": keep-alive\n\n",
        event("output", {"chunk": "he", "index": 0}),
        event("log", {"source": "stdout", "data": "line"}),
        event("output", {"chunk": "llo", "index": 1}) + event("output", {"chunk": "\n", "index": 2}),
        event("completed", {**DONE, "output": ["he", "llo", "\n"]}),
    )
    pieces: list[str] = []
    result = prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=pieces.append)
    assert pieces == ["he", "llo", "\n"]
    assert result.output == ["he", "llo", "\n"]
    assert "text/event-stream" in prepared.asked[0][1]["accept"]


def test_what_happens_to_a_piece_is_no_matter_of_the_connection(prepared):
    prepared.answers["POST /predictions"] = events(event("output", {"chunk": "he", "index": 0}), ends=False)

    def into_a_closed_pipe(_: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=into_a_closed_pipe)


def test_events_split_anywhere(prepared):
    text = event("output", {"chunk": "größe", "index": 0}) + "event:completed\r\ndata:" + json.dumps(DONE) + "\r\n\r\n"
    prepared.answers["POST /predictions"] = events(*text)
    pieces: list[str] = []
    assert prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=pieces.append).has_succeeded
    assert pieces == ["größe"]


def test_a_server_without_events_is_asked_again(prepared):
    answers = iter([answer(406, {"error": "This model does not support streaming responses."}), answer(200, DONE)])
    prepared.answers["POST /predictions"] = lambda handler, body: next(answers)(handler, body)
    pieces: list[str] = []
    assert prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=pieces.append).output == "hi"
    assert pieces == []
    assert "accept" not in prepared.asked[1][1] or "event-stream" not in prepared.asked[1][1]["accept"]


def test_an_old_server_that_knows_no_events_answers_at_once(prepared):
    prepared.answers["POST /predictions"] = answer(200, DONE)
    assert prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=lambda _: None).output == "hi"
    assert len(prepared.asked) == 1


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (events(event("start", {}), ends=True), "the events ended early"),
        (events(event("start", {}), ends=False), "was lost"),
        (events(event("error", {"error": "the reader is too far behind", "skipped": 3})), "is too far behind"),
    ],
)
def test_events_that_end_without_a_result(stream, said, prepared):
    prepared.answers["POST /predictions"] = stream
    with pytest.raises(Unreachable) as raised:
        prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=lambda _: None)
    assert said in raised.value.diagnostic.message


def test_refused_inputs_of_a_stream(prepared):
    problems = {"detail": [{"loc": ["body", "input", "text"], "msg": "field required"}]}
    prepared.answers["POST /predictions"] = answer(422, problems)
    with pytest.raises(Refused) as raised:
        prepared.client.predict(OPERATION, {}, identity=new_identity(), on_piece=lambda _: None)
    assert raised.value.diagnostic.notes[0].message == "text: field required"


# -- health -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "content", "health"),
    [
        (200, {"status": "READY", "setup": {"logs": "a\nb", "status": "succeeded"}}, ("READY", "a\nb")),
        (200, {"status": "STARTING", "setup": {}}, ("STARTING", "")),
        (200, {"status": "SETUP_FAILED", "setup": {"logs": ["a", "b"]}}, ("SETUP_FAILED", "a\nb")),
        (200, {"status": "starting", "setup": None}, ("STARTING", "")),
        (200, {}, ("UNKNOWN", "")),
        (200, [], None),
        (200, b"x", None),
        (500, {"status": "READY"}, None),
    ],
)
def test_health(status, content, health, prepared):
    prepared.answers["GET /health-check"] = answer(status, content)
    found = prepared.client.health()
    assert (found and (found.status, found.setup_logs)) == health


def test_no_document(prepared):
    prepared.answers["GET /openapi.json"] = answer(503, {"error": "OpenAPI schema not available"})
    with pytest.raises(Refused) as raised:
        prepared.client.document()
    assert raised.value.diagnostic.message.endswith("GET /openapi.json with 503: OpenAPI schema not available")


def test_addresses_with_brackets():
    client = ModelClient("http://[::1]:5000")
    assert (client._host, client._port) == ("::1", 5000)


def test_path_of_the_url_comes_before_those_of_the_server(prepared: Prepared) -> None:
    prepared.answers["GET /models/a/health-check"] = answer(200, {"status": "READY"})
    client = ModelClient(f"http://127.0.0.1:{prepared.server.server_address[1]}/models/a/", token="t0ken")
    health = client.health()
    assert health is not None
    assert health.status == "READY"
    assert prepared.asked[0][1]["authorization"] == "Bearer t0ken"


def test_server_with_a_certificate(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to make a certificate with")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    made = [*words.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(["openssl", *made], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    prepared.server.socket = context.wrap_socket(prepared.server.socket, server_side=True)
    prepared.answers["GET /openapi.json"] = answer(200, {"openapi": "3.0.2"})
    client = ModelClient(f"https://localhost:{prepared.server.server_address[1]}")
    with pytest.raises(Unreachable, match="certificate"):
        client.document()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    assert client.document() == {"openapi": "3.0.2"}
