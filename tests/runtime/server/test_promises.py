"""What other servers get wrong: each test fails on the behaviour that was seen there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import threading
from pathlib import Path

import pytest

ASYNC = """
import asyncio, os
from cog import BasePredictor
class Predictor(BasePredictor):
    async def predict(self, name: str = "a", lines: int = 0) -> str:
        for number in range(lines):
            print(name, number)
            if number % 1000 == 0:
                await asyncio.sleep(0)
        return name
"""
PLAIN = """
import os, sys
from typing import Any, List, Optional
from cog import BasePredictor, Input, Path, Secret
class Predictor(BasePredictor):
    def setup(self, weights: Optional[Path] = None):
        print("set up")
    def predict(self, do: str = "echo", token: Optional[Secret] = None, tokens: List[Secret] = [], n: int = 0) -> Any:
        secret = token.get_secret_value() if token else ""
        if do == "where":
            return sys.executable
        if do == "print":
            # The secret lies across every border of what is read in one go.
            for number in range(n):
                sys.stdout.write("x" * 997 + secret)
            sys.stdout.flush()
        if do == "raise":
            raise ValueError("no " + secret + tokens[0].get_secret_value())
        return [str(token), repr(tokens)]
"""
SECRET = "s3cr3t-of-the-client-0123456789"


def together(work, count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_as_many_clients_as_slots_are_never_refused(serve):
    """Each asks again the moment it has its answer, when a slot that is freed late would still be taken."""
    server = serve(ASYNC, environment={"COG_MAX_CONCURRENCY": "16"})
    statuses: list[int] = []

    def client(number: int) -> None:
        body = json.dumps({"input": {"name": str(number)}}).encode()
        with contextlib.closing(server.connect()) as connection:
            for _ in range(100):
                connection.request("POST", "/predictions", body)
                answer = connection.getresponse()
                assert answer.status != 200 or json.loads(answer.read())["output"] == str(number)
                answer.read()
                statuses.append(answer.status)

    together(client, 16)
    assert statuses == [200] * 1600


def test_logs_of_parallel_predictions_are_complete_and_apart(serve):
    server = serve(ASYNC, environment={"COG_MAX_CONCURRENCY": "4"})
    answers = {}

    def client(number: int) -> None:
        answers[number] = server.predict(name=f"n{number}", lines=20_000)

    together(client, 4)
    for number, answer in answers.items():
        assert answer["logs"] == "".join(f"n{number} {line}\n" for line in range(20_000))


def test_the_models_interpreter_is_found_by_its_path(serve, tmp_path, model_python):
    """Not by whatever is called python where programs are looked for."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("python", "python3"):
        (fake / name).write_text("#!/bin/sh\necho an interpreter of somebody else >&2; exit 9\n")
        (fake / name).chmod(0o755)
    server = serve(PLAIN, environment={"PATH": f"{fake}{os.pathsep}{os.environ['PATH']}"})
    assert server.predict(do="where")["output"] == model_python


def test_a_secret_is_in_no_log_error_webhook_or_health_document(serve, receiver):
    server = serve(PLAIN, environment={"COG_LOG_LEVEL": "debug"})
    other = SECRET + "-other"
    seen = []
    for do in ("echo", "print", "raise"):
        body = {"input": {"do": do, "token": SECRET, "tokens": [other], "n": 3000}, "webhook": receiver.url}
        receiver.requests.clear()
        answer = server.ask("PUT", f"/predictions/secret-{do}", body)
        assert answer.status == 200
        assert answer.json["input"]["token"] == "**********"
        assert answer.json["input"]["tokens"] == ["**********"]
        receiver.wait_completed()
        seen += [answer.body, *(request.body for request in receiver.requests)]
        seen.append(server.ask("GET", f"/predictions/secret-{do}").body)
    assert json.loads(seen[-1])["error"] == "no ********************"
    refused = server.ask("POST", "/predictions", {"input": {"token": SECRET, "tokens": SECRET, "n": "many"}})
    assert refused.status == 422
    seen += [refused.body, json.dumps(server.health()).encode(), server.output.encode()]
    for text in seen:
        assert SECRET.encode() not in text


@pytest.fixture
def ready_file():
    """Its place is the same for the whole machine: one run of the tests at a time looks at it."""
    if not os.access("/var/run", os.W_OK):
        pytest.skip("/var/run cannot be written here")
    with open("/var/run/cogc-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path("/var/run/cog/ready")


def test_readiness_is_a_file_under_kubernetes(serve, ready_file, tmp_path):
    file, gate = ready_file, tmp_path / "gate"
    file.unlink(missing_ok=True)
    slow = PLAIN.replace('print("set up")', f"import time\n        while not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text("of an earlier start of this container")
        server = serve(slow, environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, states=("STARTING",))
        assert not file.exists()
        gate.touch()
        server.wait_health("READY")
        assert file.exists()
        file.unlink()
        broken = serve(
            PLAIN.replace('print("set up")', "raise ValueError"),
            environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
            states=("SETUP_FAILED",),
        )
        assert broken.ask("GET", "/readyz").status == 503
        assert not file.exists()
        plain = serve(PLAIN)
        assert plain.predict()["status"] == "succeeded"
        assert not file.exists()
    finally:
        file.unlink(missing_ok=True)


def metrics(server) -> dict[str, float]:
    page = server.ask("GET", "/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = page.body.decode().splitlines()
    families = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    assert families == {line.split()[2] for line in lines if line.startswith("# HELP ")}
    samples = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+', line) for line in samples)
    assert {re.sub(r"(_bucket|_sum|_count)?[{ ].*", "", line) for line in samples} <= families
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in samples}


def test_metrics_count_what_happened(serve, receiver):
    server = serve(PLAIN)
    before = metrics(server)
    assert (before["cog_ready"], before["cog_slots"], before["cog_running"], before["cog_waiting"]) == (1, 1, 0, 0)
    for do in ("echo", "echo", "raise"):
        body = {"input": {"do": do}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
        server.ask("POST", "/predictions", body)
    server.ask("POST", "/predictions", {"input": {"n": "x"}})
    receiver.wait(lambda requests: len(requests) == 3)
    server.wait_health("READY")
    after = metrics(server)
    assert after['cog_completed_total{kind="prediction",status="succeeded"}'] == 2
    assert after['cog_completed_total{kind="prediction",status="failed"}'] == 1
    assert after['cog_refused_total{reason="invalid"}'] == 1
    assert after["cog_predict_seconds_count"] == 3
    assert after['cog_predict_seconds_bucket{le="+Inf"}'] == 3


def test_the_page_of_documentation_needs_nothing_from_elsewhere(serve):
    server = serve(PLAIN)
    page = server.ask("GET", "/docs").body.decode()
    assert "openapi.json" in page
    assert not re.search(r"https?://|//[a-z]", page.replace('"http://', "").replace("location.origin", ""))


def test_the_token_is_asked_for_everywhere_else(serve):
    server = serve(PLAIN, environment={"COG_API_TOKEN": "open-sesame"})
    good = {"Authorization": "Bearer open-sesame"}
    for method, path in (
        ("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/metrics"), ("POST", "/predictions"),
        ("PUT", "/predictions/a"), ("GET", "/predictions/a"), ("POST", "/predictions/a/cancel"), ("POST", "/shutdown"),
    ):  # fmt: skip
        for headers in ({}, {"Authorization": "open-sesame"}, {"Authorization": "Bearer open-sesam"}, {"Authorization": "Basic x"}):
            assert server.ask(method, path, headers=headers).status == 401, (method, path)
    for path in ("/health-check", "/livez", "/readyz"):
        assert server.ask("GET", path).status == 200
    assert server.ask("PUT", "/predictions/a", {"input": {}}, good).status == 200
    assert server.ask("GET", "/predictions/a", headers=good).json["status"] == "succeeded"


def test_no_temporary_file_is_left_by_inputs_and_outputs(serve, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    model = """
import tempfile
from cog import BasePredictor, BaseModel, File, Path
from typing import List, Optional
import io
class Output(BaseModel):
    path: Path
    file: File
    same: Path
class Predictor(BasePredictor):
    def predict(self, files: List[Path], handle: File, fail: bool = False) -> Output:
        path = Path(tempfile.mkdtemp()) / "out.txt"
        path.write_text(files[0].read_text() + handle.read().decode())
        if fail:
            path.unlink()
            raise ValueError("no")
        return Output(path=path, file=io.StringIO("s"), same=files[0])
"""
    server = serve(model, environment={"TMPDIR": str(folder)})
    inputs = {"files": ["data:,a", "data:text/plain;base64,Yg=="], "handle": "data:,c"}
    output = server.predict(**inputs)["output"]
    assert output == {
        "path": "data:text/plain;base64,YWM=",
        "file": "data:application/octet-stream;base64,cw==",
        "same": "data:application/octet-stream;base64,YQ==" if not output["same"].startswith("data:text") else "data:text/plain;base64,YQ==",
    }
    assert server.predict(**inputs, fail=True)["status"] == "failed"
    assert server.predict(files=["data:;base64,!"], handle="data:,c")["status"] == "failed"
    assert [str(path) for path in folder.rglob("*") if path.is_file()] == []
