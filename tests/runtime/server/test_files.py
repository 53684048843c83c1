"""Downloads of inputs, and where files of outputs go."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from tests.runtime.server.harness import Receiver, impatient_python, running_server

MODEL = """
import os
from typing import Iterator, List
from cog import BasePredictor, Path
class Predictor(BasePredictor):
    def predict(self, files: List[Path] = [], name: str = "", content: str = "content", missing: bool = False) -> Iterator[Path]:
        for file in files:
            print(os.path.basename(str(file)), open(file, "rb").read().decode("latin-1"))
        if missing:
            yield Path("/nowhere/at/all.txt")
        if name:
            path = "/tmp/" + name
            with open(path, "w") as file:
                file.write(content)
            yield Path(path)
"""
ENVIRONMENT = {"COGC_MAX_DOWNLOAD_BYTES": "5000", "COG_USER_AGENT": "fetcher/1"}


def test_downloads_follow_redirects_and_keep_names(shared, receiver):
    def answer(request):
        if request.path == "/start":
            return 302, {"Location": "/folder/a%20picture.png?size=1"}, b""
        return 200, {}, b"picture"

    receiver.answer = answer
    result = shared.predict(files=[receiver.url + "/start", receiver.url + "/folder/..%2F..%2Fetc%2Fpasswd"])
    first, second = result["logs"].splitlines()
    assert first.endswith("picture")
    assert "passwd" in second
    assert "/" not in second
    assert {request.headers["user-agent"] for request in receiver.requests} == {"fetcher/1"}
    assert result["input"]["files"][0] == receiver.url + "/start"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, {}, b""), "404"),
        ((200, {}, b"x" * 6000), "larger than 5000"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "neither http nor https"),
        ((302, {"Location": "/again"}, b""), "redirects"),
    ],
)
def test_bad_downloads_fail_the_prediction_with_a_reason(shared, receiver, answer, words):
    receiver.answer = lambda request: answer
    result = shared.predict(files=[receiver.url + "/x"])
    assert result["status"] == "failed"
    assert words in result["error"]
    assert "files" in result["error"]
    assert shared.predict()["status"] == "succeeded"


def test_eight_files_are_downloaded_at_a_time(shared, receiver):
    lock, full = threading.Lock(), threading.Event()
    running = most = 0

    def answer(request):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 8:
                full.set()
        full.wait(20)
        with lock:
            running -= 1
        return 200, {}, request.path.encode()

    receiver.answer = answer
    result = shared.predict(files=[f"{receiver.url}/{number}.txt" for number in range(12)])
    assert [line.split()[1] for line in result["logs"].splitlines()] == [f"/{number}.txt" for number in range(12)]
    assert most == 8


def test_nobody_there_fails_the_prediction(shared):
    assert shared.predict(files=["http://127.0.0.1:9/x"])["status"] == "failed"


def test_a_download_can_be_cancelled(shared, receiver):
    go_on = threading.Event()
    receiver.answer = lambda request: (go_on.wait(15), (200, {}, b""))[1]
    shared.begin("fetching", {"files": [receiver.url + "/slow"]})
    receiver.wait(lambda requests: requests)
    assert shared.ask("POST", "/predictions/fetching/cancel").status == 200
    assert shared.wait_status("fetching", "canceled")
    go_on.set()
    assert shared.predict()["status"] == "succeeded"


def test_a_cancel_right_behind_a_request_with_files_is_never_lost(shared):
    body = b'{"input":{"files":["data:,x"]}}'
    address = ("127.0.0.1", shared.port)
    with socket.create_connection(address) as one, socket.create_connection(address) as other:
        for number in range(40):
            one.sendall(
                b"PUT /predictions/early%d HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\nContent-Length: %d\r\n\r\n%s"
                % (number, len(body), body)
            )
            other.sendall(b"POST /predictions/early%d/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % number)
            shared.wait_status(f"early{number}", "succeeded", "canceled")
    assert shared.predict()["status"] == "succeeded"


def test_prefix_uploads_are_multipart(shared, receiver):
    body = {"input": {"name": "out put.txt"}, "output_file_prefix": receiver.url + "/prefix"}
    result = shared.ask("POST", "/predictions", body).json
    (request,) = receiver.requests
    assert (request.method, request.path) == ("PUT", "/prefix/out%20put.txt")
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert (
        b'Content-Disposition: form-data; name="file"; filename="out put.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n'
        in request.body
    )
    assert result["output"] == [receiver.url + "/prefix/out%20put.txt"]


def test_a_failed_prefix_upload_fails_the_prediction(shared, receiver):
    receiver.answer = lambda request: (403, {}, b"")
    body = {"input": {"name": "a.txt"}, "output_file_prefix": receiver.url}
    result = shared.ask("POST", "/predictions", body).json
    assert result["status"] == "failed"
    assert "403" in result["error"]
    assert shared.predict()["status"] == "succeeded"


def test_a_missing_output_file_fails_the_prediction(shared):
    result = shared.predict(missing=True)
    assert result["status"] == "failed"
    assert "/nowhere/at/all.txt" in result["error"]


def test_upload_url_gets_raw_puts_with_retries(serve, receiver):
    server = serve(MODEL, "--upload-url", receiver.url + "/up/")
    statuses = iter([503, 200])
    receiver.answer = lambda request: (next(statuses), {"Location": "/stored/1?signature=x"}, b"")
    answer = server.ask("PUT", "/predictions/upload-1", {"input": {"name": "a.txt"}})
    assert answer.json["output"] == [receiver.url + "/stored/1"]
    first, second = receiver.requests
    assert (second.method, second.path, second.body) == ("PUT", "/up/a.txt", b"content")
    assert second.headers["content-type"] == "text/plain"
    assert second.headers["x-prediction-id"] == "upload-1"
    assert first.body == b"content"


TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}


def test_output_files_of_asynchronous_predictions_are_data_urls_without_an_upload_url(shared):
    shared.begin("inline", {"name": "a.txt"})
    assert shared.wait_status("inline", "succeeded")["output"] == ["data:text/plain;base64,Y29udGVudA=="]


def test_a_prefix_is_for_asynchronous_predictions_too_and_the_answer_may_name_another_place(shared, receiver):
    receiver.answer = lambda request: (201, {"Location": "/stored/b?version=1"}, b"")
    prefix = receiver.url + "/prefix?/"  # whatever it is, the name goes behind it
    body = {"input": {"name": "b.txt"}, "output_file_prefix": prefix}
    shared.ask("PUT", "/predictions/prefixed", body, {"Prefer": "respond-async", **TRACE})
    assert shared.wait_status("prefixed", "succeeded")["output"] == [receiver.url + "/stored/b?version=1"]
    (request,) = receiver.requests
    assert request.path == "/prefix?/b.txt"
    assert {name: request.headers[name] for name in TRACE} == TRACE
    assert request.headers["user-agent"].startswith("cog-worker/")


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """A server with an upload URL; its `receiver` gets the files."""
    with contextlib.closing(Receiver()) as receiver:
        arguments = ("--upload-url", receiver.url + "/up")
        with running_server(tmp_path_factory.mktemp("uploads"), MODEL, *arguments) as server:
            server.receiver = receiver
            yield server


def test_uploads_of_asynchronous_predictions(uploads):
    uploads.receiver.requests.clear()
    uploads.receiver.answer = lambda request: (200, {}, b"")
    headers = {"Prefer": "respond-async", **TRACE}
    uploads.ask("PUT", "/predictions/async", {"input": {"name": "a b.bin"}}, headers)
    assert uploads.wait_status("async", "succeeded")["output"] == [uploads.receiver.url + "/up/a%20b.bin"]
    (request,) = uploads.receiver.requests
    assert (request.method, request.path, request.body) == ("PUT", "/up/a%20b.bin", b"content")
    assert request.headers["content-type"] == "application/octet-stream"
    assert request.headers["x-prediction-id"] == "async"
    assert request.headers["user-agent"].startswith("cog-worker/")
    assert {name: request.headers[name] for name in TRACE} == TRACE


def test_a_prefix_comes_before_the_upload_url(uploads, receiver):
    uploads.receiver.requests.clear()
    body = {"input": {"name": "a.txt"}, "output_file_prefix": receiver.url + "/mine/"}
    assert uploads.ask("POST", "/predictions", body).json["output"] == [receiver.url + "/mine/a.txt"]
    assert uploads.receiver.requests == []


@pytest.mark.parametrize(
    ("status", "tries"), [(408, 2), (429, 2), (500, 2), (502, 2), (503, 2), (504, 2), (302, 1), (403, 1), (501, 1)]
)
def test_uploads_are_tried_again_where_that_may_help(uploads, status, tries):
    uploads.receiver.requests.clear()
    answers = iter([status, 200])
    uploads.receiver.answer = lambda request: (next(answers), {"Location": "/other"}, b"")
    result = uploads.predict(name="a.txt")
    assert len(uploads.receiver.requests) == tries
    assert result["status"] == ("succeeded" if tries == 2 else "failed")
    assert result["error"] is None or str(status) in result["error"]


def test_uploads_are_tried_again_three_times(uploads):
    uploads.receiver.requests.clear()
    uploads.receiver.answer = lambda request: (503, {}, b"")
    assert uploads.predict(name="a.txt")["status"] == "failed"
    assert len(uploads.receiver.requests) == 4


def test_an_upload_whose_connection_breaks_is_tried_again(serve):
    with socket.create_server(("127.0.0.1", 0)) as place:
        place.settimeout(20)
        server = serve(MODEL, "--upload-url", f"http://127.0.0.1:{place.getsockname()[1]}/up")
        server.begin("again", {"name": "a.txt"})
        place.accept()[0].close()
        connection, _ = place.accept()
        with connection:
            connection.settimeout(20)
            received = b""
            while not received.endswith(b"content"):
                piece = connection.recv(65536)
                assert piece, received
                received += piece
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert server.wait_status("again", "succeeded")["output"][0].endswith("/up/a.txt")


NAMELESS = """
import io
from cog import BasePredictor, File
class Predictor(BasePredictor):
    def predict(self, name: str = "") -> File:
        file = io.BytesIO(b"content")
        if name:
            file.name = name
        return file
"""


def test_open_files_have_their_names_or_a_usual_one(serve, receiver):
    server = serve(NAMELESS, "--upload-url", receiver.url + "/up")
    assert server.predict()["output"] == receiver.url + "/up/file"
    assert server.predict(name="/some/folder/a.gif")["output"] == receiver.url + "/up/a.gif"
    body = {"input": {}, "output_file_prefix": receiver.url + "/prefix"}
    assert server.ask("POST", "/predictions", body).json["output"] == receiver.url + "/prefix/output"
    assert [request.headers.get("content-type", "")[:24] for request in receiver.requests] == [
        "application/octet-stream", "image/gif", "multipart/form-data; boun",
    ][:2] + ["multipart/form-data; bou"]  # fmt: skip
    assert serve(NAMELESS).predict()["output"] == "data:application/octet-stream;base64,Y29udGVudA=="


def test_a_yielded_file_is_at_its_place_before_clients_hear_of_it(uploads, receiver):
    uploads.receiver.requests.clear()
    uploads.receiver.answer = lambda request: (200, {}, b"")
    seen = []
    receiver.answer = lambda request: (seen.append((request.json["output"], len(uploads.receiver.requests))), (200, {}, b""))[1]
    body = {"input": {"name": "a.txt"}, "webhook": receiver.url, "webhook_events_filter": ["output"]}
    assert uploads.ask("POST", "/predictions", body).status == 200
    uploads.wait_webhooks()
    assert seen
    for output, uploaded in seen:
        assert output == [uploads.receiver.url + "/up/a.txt"][: len(output)]
        assert uploaded >= len(output)


def test_servers_that_fall_silent_are_left(serve, receiver, tmp_path):
    """The limit is 10 seconds; here it is a fraction of one."""
    statement = (
        "import dataclasses, cog_server.main as m; parse = m.parse_settings; "
        "m.parse_settings = lambda *given: dataclasses.replace(parse(*given), download_timeout=0.2)"
    )
    server = serve(MODEL, environment={"COGC_SERVER_PYTHON": impatient_python(tmp_path, statement)})
    go_on = threading.Event()
    receiver.answer = lambda request: (go_on.wait(20), (200, {}, b""))[1]
    failed = server.predict(files=[receiver.url + "/silent"])
    go_on.set()
    assert (failed["status"], failed["error"]) == (
        "failed", "the input 'files' cannot be fetched: the server did not answer in time",
    )  # fmt: skip


def test_certificates_of_the_operator_are_trusted(serve, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with contextlib.closing(Receiver(context)) as receiver:
        receiver.answer = lambda request: (200, {}, b"over TLS")
        url = receiver.url + "/a.txt"
        others = {"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": ""}
        for variable in others:
            trusting = serve(MODEL, environment={**others, variable: str(certificate)})
            result = trusting.predict(files=[url])
            assert result["logs"].endswith(" over TLS\n"), result
            trusting.ask("POST", "/predictions", {"input": {}, "webhook": url, "webhook_events_filter": ["completed"]})
            trusting.wait_webhooks()
            assert receiver.requests.pop().method == "POST"
        assert "ertificate" in serve(MODEL, environment=others).predict(files=[url])["error"]


REFUSED = [
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://[::1]:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://0.0.0.0:{port}/x",
    "http://127.1:{port}/x",
    "http://2130706433:{port}/x",
    "http://0x7f000001:{port}/x",
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/x",
    "http://metadata.google.internal/x",
]


def test_loopback_link_local_and_metadata_addresses_are_refused(serve, receiver):
    server = serve(MODEL, environment={"COGC_ALLOW_PRIVATE_URLS": ""})
    port = receiver.url.rsplit(":", 1)[1]
    for template in REFUSED:
        result = server.predict(files=[template.format(port=port)])
        assert result["status"] == "failed", template
        assert "refused" in result["error"] or "canonical" in result["error"], (template, result["error"])
    assert receiver.requests == []
    # Webhooks to the loopback address are usual; link-local ones are not sent.
    server.ask("POST", "/predictions", {"input": {}, "webhook": receiver.url, "webhook_events_filter": ["completed"]})
    receiver.wait_completed()


SEVERAL = """
import tempfile, time
from typing import Iterator
from cog import BasePredictor, Path
class Predictor(BasePredictor):
    def predict(self, seconds: float = 0) -> Iterator[Path]:
        for number in range(5):
            path = Path(tempfile.mkdtemp()) / "out.bin"
            path.write_bytes(b"x" * 1000)
            yield path
        print("made", flush=True)
        time.sleep(seconds)
"""


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A server whose model makes several files; its `receiver` gets them, and `temporary` is where it makes them."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "temporary").mkdir()
    with contextlib.closing(Receiver()) as receiver:
        variables = {"TMPDIR": str(folder / "temporary")}
        with running_server(folder, SEVERAL, "--upload-url", receiver.url, environment=variables) as server:
            server.receiver, server.temporary = receiver, folder / "temporary"
            yield server


@pytest.mark.parametrize("end", ["succeed", "refuse", "cancel", "cancel after the model"])
def test_no_output_file_stays_behind(several, wait_until, end):
    server, receiver, folder = several, several.receiver, several.temporary
    receiver.requests.clear()
    release = threading.Event()

    def answer(request):
        if end.startswith("cancel"):
            release.wait(20)
        return 403 if end == "refuse" else 200, {}, b""

    receiver.answer = answer
    server.begin(end.replace(" ", "-"), {"seconds": 60 if end == "cancel" else 0})
    if end.startswith("cancel"):
        receiver.wait(lambda requests: requests)
        # A file that is made and not yet yielded when the cancel comes would be the model's own.
        wait_until(lambda: "made" in server.ask("GET", f"/predictions/{end.replace(' ', '-')}").json["logs"])
        assert server.ask("POST", f"/predictions/{end.replace(' ', '-')}/cancel").status == 200
    server.wait_status(end.replace(" ", "-"), {"succeed": "succeeded", "refuse": "failed"}.get(end, "canceled"))
    wait_until(lambda: not [path for path in folder.rglob("*") if path.is_file()])
    release.set()
    assert server.predict()["status"] == ("failed" if end == "refuse" else "succeeded")


LAZY_MODEL = """
from typing import Any, List
from cog import BasePredictor, File
class Predictor(BasePredictor):
    def predict(self, file: File, more: List[File] = [], reads: bool = True) -> Any:
        if not reads:
            return file.name
        content = [one.read().decode() for one in [file, *more]]
        return [type(file).__name__, *content]
"""


@pytest.fixture(scope="module")
def lazy(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("lazy"), LAZY_MODEL) as server:
        yield server


def test_open_file_inputs_are_downloaded_when_the_model_reads_them(lazy, receiver):
    receiver.answer = lambda request: (404, {}, b"") if "missing" in request.path else (200, {}, request.path.encode())
    server = lazy
    url = receiver.url + "/folder/a%20b.txt"
    assert server.predict(file=url, reads=False)["output"] == "a b.txt"
    assert receiver.requests == []
    result = server.predict(file=url, more=[receiver.url + "/2", "data:,3"])
    assert result["output"] == ["InputFile", "/folder/a%20b.txt", "/2", "3"]
    assert result["input"]["file"] == url
    assert server.predict(file="data:text/plain;base64,aGk=")["output"] == ["BytesIO", "hi"]
    failed = server.predict(file=receiver.url + "/missing")
    assert failed["status"] == "failed"
    assert failed["error"].startswith("the input 'file' cannot be fetched: the server answered 404")


def test_open_file_inputs_have_the_rules_of_all_downloads(serve, receiver):
    server = serve(LAZY_MODEL, environment={"COGC_ALLOW_PRIVATE_URLS": "0"})
    failed = server.predict(file=receiver.url + "/x")
    assert "loopback: refused" in failed["error"]
    assert receiver.requests == []


def test_a_lazy_download_can_be_cancelled(lazy, receiver):
    go_on = threading.Event()
    receiver.answer = lambda request: (go_on.wait(10), (200, {}, b""))[1]
    server = lazy
    server.begin("reading", {"file": receiver.url + "/slow"})
    receiver.wait(lambda requests: requests)
    assert server.ask("POST", "/predictions/reading/cancel").status == 200
    assert server.wait_status("reading", "canceled")
    go_on.set()
    assert server.predict(file="data:,x")["status"] == "succeeded"
