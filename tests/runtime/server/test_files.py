"""Downloads of inputs, and where files of outputs go."""

from __future__ import annotations

import socket
import threading

import pytest

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
            shared.wait_status(f"early{number}", "succeeded", "canceled", seconds=5)
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
        time.sleep(seconds)
"""


@pytest.mark.parametrize("end", ["succeed", "refuse", "cancel", "cancel after the model"])
def test_no_output_file_stays_behind(serve, receiver, tmp_path, wait_until, end):
    folder = tmp_path / "temporary"
    folder.mkdir()
    server = serve(SEVERAL, "--upload-url", receiver.url, environment={"TMPDIR": str(folder)})
    release = threading.Event()

    def answer(request):
        if end.startswith("cancel"):
            release.wait(20)
        return 403 if end == "refuse" else 200, {}, b""

    receiver.answer = answer
    server.begin("p", {"seconds": 60 if end == "cancel" else 0})
    if end.startswith("cancel"):
        receiver.wait(lambda requests: requests)
        assert server.ask("POST", "/predictions/p/cancel").status == 200
    server.wait_status("p", {"succeed": "succeeded", "refuse": "failed"}.get(end, "canceled"))
    wait_until(lambda: not [path for path in folder.rglob("*") if path.is_file()], 5)
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


def test_open_file_inputs_are_downloaded_when_the_model_reads_them(serve, receiver):
    receiver.answer = lambda request: (404, {}, b"") if "missing" in request.path else (200, {}, request.path.encode())
    server = serve(LAZY_MODEL)
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


def test_a_lazy_download_can_be_cancelled(serve, receiver):
    go_on = threading.Event()
    receiver.answer = lambda request: (go_on.wait(10), (200, {}, b""))[1]
    server = serve(LAZY_MODEL)
    server.begin("reading", {"file": receiver.url + "/slow"})
    receiver.wait(lambda requests: requests)
    assert server.ask("POST", "/predictions/reading/cancel").status == 200
    assert server.wait_status("reading", "canceled")
    go_on.set()
    assert server.predict(file="data:,x")["status"] == "succeeded"
