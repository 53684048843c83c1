"""Routes, documents, tokens, hostile requests, command line."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

MODEL = """
from cog import BasePredictor, Input
class Predictor(BasePredictor):
    def predict(self, s: str = Input(description="text", default="x")) -> str:
        return s
"""
ENVIRONMENT = {"COGC_MAX_BODY_BYTES": "100000", "COGC_REQUEST_TIMEOUT_SECONDS": "1"}


def raw(server, data: bytes, seconds: float = 5) -> bytes:
    """What the server answers to these bytes until it closes or falls silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as client:
        with contextlib.suppress(OSError):
            client.sendall(data)
        found = b""
        with contextlib.suppress(OSError):
            while chunk := client.recv(65536):
                found += chunk
        return found


def test_discovery_documents_and_pages(shared, model_python):
    discovery = shared.ask("GET", "/").json
    assert discovery["predictions_cancel_url"] == "/predictions/{prediction_id}/cancel"
    assert "trainings_url" not in discovery
    document = shared.ask("GET", "/openapi.json").json
    assert document["components"]["schemas"]["Input"]["properties"]["s"]["description"] == "text"
    assert shared.ask("GET", "/docs").headers["content-type"].startswith("text/html")
    assert shared.ask("HEAD", "/health-check").status == 200
    metrics = shared.ask("GET", "/metrics").body.decode()
    assert "cog_ready 1.0" in metrics
    health = shared.health()
    version = subprocess.run([model_python, "-V"], capture_output=True, text=True, check=True).stdout
    assert health["version"]["python"] == version.split()[1]


def test_the_list_of_urls(shared, serve):
    found = {
        "cog_version": shared.ask("GET", "/health-check").json["version"]["cog"],
        "docs_url": "/docs",
        "openapi_url": "/openapi.json",
        "shutdown_url": "/shutdown",
        "healthcheck_url": "/health-check",
        "predictions_url": "/predictions",
        "predictions_idempotent_url": "/predictions/{prediction_id}",
        "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    }
    assert shared.ask("GET", "/").json == found
    config = 'predict: "predict.py:Predictor"\ntrain: "predict.py:train"\n'
    trainable = serve(MODEL + "def train(n: int) -> str:\n    return str(n)\n", config=config)
    assert trainable.ask("GET", "/").json == {
        **found,
        "trainings_url": "/trainings",
        "trainings_idempotent_url": "/trainings/{training_id}",
        "trainings_cancel_url": "/trainings/{training_id}/cancel",
    }
    assert shared.ask("POST", "/trainings", {"input": {"n": 1}}).status == 404


def test_wrong_paths_and_methods(shared):
    for path in ("/nope", "/predictions/", "/predictions/a/b", "/predictions/a/cancel/x", "/trainings", "/predict"):
        answer = shared.ask("POST", path, {"input": {}})
        assert answer.status == 404, path
        assert answer.json
    assert shared.ask("GET", "/predictions").status == 405
    assert shared.ask("DELETE", "/predictions/a").headers["allow"] == "GET, PUT"
    assert shared.ask("POST", "/predictions/unknown/cancel").status == 404
    assert shared.ask("PUT", "/predictions/..%2f..%2fetc", {"input": {}}).status == 404
    assert shared.ask("PUT", "/predictions/" + "x" * 300, {"input": {}}).status == 422


def test_bodies_are_bounded(shared):
    assert shared.ask("POST", "/predictions", b" " * 100001).status == 413
    assert b"413" in raw(shared, b"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")[:20]
    chunks = (
        b"POST /predictions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"4e20\r\n%s\r\n" % (b" " * 20000) * 7
    )
    assert b"413" in raw(shared, chunks)[:20]
    assert shared.predict()["status"] == "succeeded"


def test_headers_are_bounded(shared):
    big = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000
    assert raw(shared, big + b"\r\n\r\n")[:12] in (b"HTTP/1.1 400", b"")
    many = b"".join(b"X%d: 1\r\n" % i for i in range(1000))
    assert raw(shared, b"GET / HTTP/1.1\r\n" + many + b"\r\n")[:12] == b"HTTP/1.1 400"
    assert raw(shared, b"\x00\xff garbage\r\n\r\n")[:12] == b"HTTP/1.1 400"
    assert shared.predict()["status"] == "succeeded"


def test_slow_clients_are_bounded(shared):
    begun = time.monotonic()
    head = b"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
    with ThreadPoolExecutor(4) as clients:
        line, nothing, *bodies = clients.map(lambda data: raw(shared, data), (b"GET /health", b"", head + b"{", head))
    assert (line, nothing) == (b"", b"")
    assert [b" 408 " in body[:20] for body in bodies] == [True, True]
    assert time.monotonic() - begun < 10


def test_a_token_guards_everything_but_the_probes(serve):
    server = serve(MODEL, environment={"COG_API_TOKEN": "open-sesame"}, states=("READY",))
    assert server.ask("GET", "/health-check").status == 200
    assert "logs" not in server.health()["setup"]
    for method, path in (
        ("POST", "/predictions"),
        ("GET", "/openapi.json"),
        ("POST", "/shutdown"),
        ("GET", "/metrics"),
    ):
        answer = server.ask(method, path)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert server.ask(method, path, headers={"Authorization": "Bearer wrong"}).status == 401
    good = {"Authorization": "Bearer open-sesame"}
    assert server.ask("POST", "/predictions", {"input": {}}, good).json["output"] == "x"
    assert "logs" in server.ask("GET", "/health-check", headers=good).json["setup"]
    assert "open-sesame" not in server.output


def test_cors_is_an_option(serve, shared):
    origin = {"Origin": "https://app.example"}
    assert "access-control-allow-origin" not in shared.ask("GET", "/", headers=origin).headers
    server = serve(MODEL, environment={"COGC_CORS_ORIGINS": "https://app.example"})
    assert server.ask("OPTIONS", "/predictions", headers=origin).status == 204
    assert server.ask("GET", "/", headers=origin).headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in server.ask("GET", "/", headers={"Origin": "https://x.example"}).headers


def test_host_may_be_ipv6(serve):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return
    server = serve(MODEL, "--host", "::")
    with socket.create_connection(("::1", server.port), timeout=5) as client:
        client.sendall(b"GET /health-check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert server.predict()["output"] == "x"


def entry(folder, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    from pathlib import Path

    runtime = str(Path(__file__).resolve().parents[3] / "runtime")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COG_")}
    return subprocess.run(
        [sys.executable, "-m", "cog.server.http", *arguments],
        cwd=folder, env={**kept, "PYTHONPATH": runtime, **environment}, capture_output=True, text=True, timeout=20,
    )  # fmt: skip


def test_the_version_option(tmp_path):
    assert entry(tmp_path, "--version").stdout.startswith("cog.server.http ")


def test_a_missing_target_is_an_error(tmp_path):
    python = os.environ.get("COGC_SERVER_PYTHON", sys.executable)
    result = entry(tmp_path, COGC_SERVER_PYTHON=python)
    assert result.returncode == 1
    assert "predict" in result.stderr


def test_a_port_in_use_is_an_error(shared, tmp_path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    python = os.environ.get("COGC_SERVER_PYTHON", sys.executable)
    result = entry(tmp_path, "--host", "127.0.0.1", COGC_SERVER_PYTHON=python, PORT=str(shared.port))
    assert result.returncode == 1
    assert "cannot listen" in result.stderr


def test_targets_are_read_without_a_yaml_library():
    import runpy
    from pathlib import Path

    module = runpy.run_path(str(Path(__file__).resolve().parents[3] / "runtime/cog/server/http.py"))
    read = module["read_targets"]
    assert read("predict: p.py:P\n") == {"COG_PREDICT_TYPE_STUB": "p.py:P"}
    assert read("run: 'a b.py:f' # x\r\ntrain:   \"t.py:T\"\n") == {
        "COG_PREDICT_TYPE_STUB": "a b.py:f", "COG_TRAIN_TYPE_STUB": "t.py:T",
    }  # fmt: skip
    assert read("build:\n  run:\n    - x\n  predict: no\n# predict: no\n") == {}


def document_that_says(text: str) -> str:
    properties = {"s": {"type": "string", "default": "x", "description": text}}
    return json.dumps({"openapi": "3.0.2", "components": {"schemas": {"Input": {"properties": properties}}}})


def test_the_published_document_is_the_one_that_the_operator_names(serve, tmp_path):
    def published(server) -> str:
        document = server.ask("GET", "/openapi.json").json
        return document["components"]["schemas"]["Input"]["properties"]["s"]["description"]

    for number in range(3):  # what an older version of the project has left
        folder = tmp_path / f"project{number}" / ".cog"
        folder.mkdir(parents=True)
        (folder / "openapi_schema.json").write_text(document_that_says("left"))
    named = tmp_path / "named.json"
    named.write_text(document_that_says("named"))
    assert published(serve(MODEL)) == "left"
    assert published(serve(MODEL, environment={"COGC_OPENAPI_SCHEMA": str(named)})) == "named"
    assert published(serve(MODEL, environment={"COGC_OPENAPI_SCHEMA": ""})) == "text"
