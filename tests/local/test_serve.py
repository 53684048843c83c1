"""`cogc serve`: the model's HTTP interface on this machine."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.local.harness import HERE, Project, until
from tests.runtime.server.harness import free_port

MODEL = """
    import os
    from cog import BasePredictor, Path
    class Predictor(BasePredictor):
        def setup(self):
            if os.environ.get("FAIL"): raise RuntimeError("no weights today")
        def predict(self, text: str) -> Path:
            with open("out.txt", "w") as file:
                file.write(text)
            return Path("out.txt")
"""


class Running:
    def __init__(self, project: Project, port: int, host: str = "127.0.0.1") -> None:
        self.project, self.port, self.host = project, port, host

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        with contextlib.closing(http.client.HTTPConnection(self.host, self.port, timeout=30)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def health(self) -> str:
        try:
            return str(self.ask("GET", "/health-check")[1]["status"])
        except OSError:
            return ""


@contextlib.contextmanager
def serving(project: Project, *words: str, host: str = "127.0.0.1", state: str = "READY") -> Iterator[Running]:
    port = free_port()
    log = project.root.parent / "log"
    with (
        log.open("w") as errors,
        project.start("serve", "--engine", "local", "-p", str(port), *words, stderr=errors) as process,
    ):
        running = Running(project, port, host)
        try:
            assert until(lambda: running.health() == state or process.poll() is not None), log.read_text()
            assert process.poll() is None, log.read_text()
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
    assert project.nothing_runs()


def test_predictions_over_http(project):
    project.write("predict.py", MODEL)
    with serving(project) as server:
        status, document = server.ask("POST", "/predictions", {"input": {"text": "hi"}})
        assert (status, document["status"], document["output"]) == (200, "succeeded", "data:text/plain;base64,aGk=")
        assert server.ask("POST", "/predictions", {"input": {}})[0] == 422
        _, interface = server.ask("GET", "/openapi.json")
        assert interface["components"]["schemas"]["Input"]["required"] == ["text"]
        log = project.root.parent / "log"
        assert until(lambda: "The model is ready." in log.read_text())
    assert f"Serving at http://127.0.0.1:{server.port}" in log.read_text()


def test_a_server_that_is_asked_to_end_is_no_failure(project):
    project.write("predict.py", MODEL)
    port, log = free_port(), project.root.parent / "log"
    server = Running(project, port)
    with (
        log.open("w") as errors,
        project.start("serve", "--engine", "local", "-p", str(port), stderr=errors) as process,
    ):
        try:
            assert until(lambda: server.health() == "READY" or process.poll() is not None), log.read_text()
            assert server.ask("POST", "/shutdown")[0] == 200
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert "The server was asked to end." in log.read_text()


def test_trainings_beside_predictions_and_alone(project):
    project.write("predict.py", MODEL)
    project.write("train.py", "def train(n: int) -> str:\n    return 'w' * n\n")
    config = (project.root / "cog.yaml").read_text()
    project.write("cog.yaml", config + "train: train.py:train\n")
    with serving(project) as server:
        assert server.ask("POST", "/trainings", {"input": {"n": 2}})[1]["output"] == "ww"
        assert server.ask("POST", "/predictions", {"input": {"text": "a"}})[1]["status"] == "succeeded"
    project.write("cog.yaml", f'build: {{python_version: "{HERE}"}}\ntrain: train.py:train\n')
    with serving(project) as server:
        assert server.ask("POST", "/trainings", {"input": {"n": 3}})[1]["output"] == "www"


def test_a_failed_setup_is_told_and_served(project):
    project.write("predict.py", MODEL)
    with serving(project, "-e", "FAIL=1", state="SETUP_FAILED") as server:
        assert server.ask("POST", "/predictions", {"input": {"text": "a"}})[0] == 503
        assert until(lambda: "error[COG720]: Model setup failed" in (project.root.parent / "log").read_text())
    assert "no weights today" in (project.root.parent / "log").read_text()


def test_a_port_that_is_taken(project):
    project.write("predict.py", MODEL)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = project.run("serve", "--engine", "local", "-p", str(port))
    assert (done.status, done.out) == (1, "")
    assert f"error[COG602]: cannot listen on 127.0.0.1 port {port}: address already in use" in done.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-p", "0"], 2, "error[COG503]: --port 0"),
        (["-p", "70000"], 2, "error[COG503]: --port 70000"),
        (["-p", "x"], 2, "invalid int value: 'x'"),
        (["--host", "nosuch.host.invalid"], 1, "error[COG602]: cannot listen on nosuch.host.invalid port 8393"),
    ],
)
def test_addresses_that_are_none(words, status, said, project):
    project.write("predict.py", MODEL)
    done = project.run("serve", "--engine", "local", *words)
    assert done.status == status
    assert said in done.err


def test_other_addresses(project):
    project.write("predict.py", MODEL)
    with serving(project, "--host", "::1", host="::1") as server:
        assert server.ask("POST", "/predictions", {"input": {"text": "a"}})[0] == 200
    assert f"Serving at http://[::1]:{server.port}" in (project.root.parent / "log").read_text()


def test_uploads(project, tmp_path):
    project.write("predict.py", MODEL)
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        url = f"http://127.0.0.1:{receiver.getsockname()[1]}/upload/"
        with serving(project, "--upload-url", url, "-e", "COGC_ALLOW_PRIVATE_URLS=1") as server:
            seen: list[bytes] = []

            def receive() -> None:
                connection, _ = receiver.accept()
                with connection:
                    connection.settimeout(60)
                    data = b""
                    while not data.endswith(b"uploaded"):
                        piece = connection.recv(65536)
                        assert piece, data
                        data += piece
                    seen.append(data)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

            thread = threading.Thread(target=receive)
            thread.start()
            _, document = server.ask("POST", "/predictions", {"input": {"text": "uploaded"}})
            thread.join(60)
    assert document["output"] == f"{url}out.txt"
    assert seen[0].startswith(b"PUT /upload/out.txt HTTP/1.1")


def test_nothing_to_serve(project):
    project.write("cog.yaml", f'build: {{python_version: "{HERE}"}}')
    done = project.run("serve", "--engine", "local")
    assert done.status == 1
    assert "error[COG634]: neither `predict` nor `train` is set" in done.err
