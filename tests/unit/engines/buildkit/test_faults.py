"""What goes wrong while a daemon builds: each ends with a diagnostic, and nothing hangs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cogc.backends.llb.definition import marshal
from cogc.backends.llb.ops import LocalSource, Output, Platform
from cogc.backends.llb.schema import LLB
from cogc.cli import main
from cogc.engines.buildkit.address import Address, find_address
from cogc.engines.buildkit.client import Bridge, Export, Result, build
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.messages import SERVICES
from cogc.engines.buildkit.session import Offers
from cogc.engines.buildkit.transport import connect, session_opener
from tests.unit.engines.buildkit.daemon import Daemon, Script

SECRET = "{command: cat /s, mounts: [{type: secret, id: s, target: /s}]}"
CONFIG = f'build:\n  python_version: "3.12"\n  run:\n    - {SECRET}\npredict: predict.py:Predictor\n'
PREDICT = "class Predictor:\n    def predict(self, x: str) -> str:\n        return x\n"


class Project:
    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.root, self._capsys, self._patch = root, capsys, patch
        (root / "cog.yaml").write_text(CONFIG)
        (root / "predict.py").write_text(PREDICT)
        (root / "s.txt").write_text("the secret")
        patch.chdir(root)
        for name in ("COG_CA_CERT", "DOCKER_HOST", "DOCKER_CONTEXT"):
            patch.delenv(name, raising=False)

    def build(self, *words: str, host: str) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and the diagnostics that are errors."""
        self._patch.setenv("BUILDKIT_HOST", host)
        self._capsys.readouterr()
        options = ["--engine", "buildkit", "--secret", "id=s,src=s.txt", "--push", "-t", "r.example/x"]
        options.remove("--push") if "--output" in words else None
        status = main(["build", *options, *words, "--format", "json", "--progress", "quiet"])
        document = json.loads(self._capsys.readouterr().out)
        self.diagnostics: list[dict[str, Any]] = document["diagnostics"]
        return status, [found for found in self.diagnostics if found["severity"] == "error"]


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", capsys, monkeypatch)


def daemon(tmp_path: Path, script: Script | None = None) -> Daemon:
    return Daemon(tmp_path / "d.sock", script)


def fails(project: Project, host: str, code: str, *words: str) -> str:
    status, errors = project.build(*words, host=host)
    assert status == 1
    assert [found["code"] for found in errors] == [code], errors
    return errors[0]["message"]


def transfer(daemon: Daemon) -> list[dict[str, Any]]:
    """Ask for the directory and read its listing."""
    call = daemon.session.start("/moby.filesync.v1.FileSync/DiffCopy", [("dir-name", "context")])
    packets = []
    while (message := call.receive()) is not None:
        packet = SERVICES.decode("Packet", message)
        packets.append(packet)
        if packet.get("type", 0) == 4 or (packet.get("type", 0) == 0 and not packet.get("stat")):
            break
    return packets


def test_a_build_that_works(project: Project, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        path = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
        seen["secret"] = daemon.ask(path, "GetSecretRequest", {"id": "s"}, "GetSecretResponse")
        seen["healthy"] = daemon.ask("/grpc.health.v1.Health/Check", "PingRequest", {}, "HealthCheckResponse")
        seen["listed"] = [packet["stat"]["path"] for packet in transfer(daemon) if packet.get("stat")]

    with daemon(tmp_path, script) as running:
        status, errors = project.build(host=f"unix://{running.path}")
        assert running.ended.wait(10), "the session ends with the build"
    assert (status, errors) == (0, [])
    assert seen.pop("listed")[-3:] == ["cog.yaml", "predict.py", "s.txt"]
    assert seen == {"secret": {"data": b"the secret"}, "healthy": {"status": 1}}
    config = json.loads(running.returned[0]["result"]["metadata"]["containerimage.config"])
    assert config["config"]["Labels"]["run.cog.pip_freeze"] == "six==1.16.0"
    assert config["config"]["Env"][0] == "PATH=/bin"


def test_nobody_listens(project: Project, tmp_path: Path) -> None:
    assert "no BuildKit answers" in fails(project, f"unix://{tmp_path}/nothing.sock", "COG621")
    assert "connection refused" in fails(project, "tcp://127.0.0.1:1", "COG621")


def test_something_else_listens(project: Project, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.sock"))
        server.listen()

        def serve() -> None:
            raw, _ = server.accept()
            with raw:
                raw.recv(4096)
                raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                raw.recv(4096)

        threading.Thread(target=serve, daemon=True).start()
        message = fails(project, f"unix://{tmp_path}/s.sock", "COG621")
    assert message.startswith(f"no BuildKit answers: unix://{tmp_path}/s.sock: it speaks HTTP/1")


NO_ADDRESSES = (
    *("nonsense", "http://x", "tcp://host:port", "tcp://[::1", "unix://", "docker-container://", "kube-pod://-x"),
    "kube-pod://x?kontext=y",
)


@pytest.mark.parametrize("host", NO_ADDRESSES)
def test_an_address_that_is_none(project: Project, host: str) -> None:
    assert "BUILDKIT_HOST" in fails(project, host, "COG621")


def test_the_daemon_goes_away(project: Project, tmp_path: Path) -> None:
    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        threading.Thread(target=daemon.drop).start()
        daemon._finished.wait(10)

    with daemon(tmp_path, script) as running:
        assert "was lost" in fails(project, f"unix://{running.path}", "COG627")


def test_a_daemon_that_falls_silent_is_lost(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cogc.engines.buildkit.client._SILENCE_SECONDS", 0.5)

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        daemon._finished.wait(30)

    with daemon(tmp_path, script) as running:
        assert "has said nothing" in fails(project, f"unix://{running.path}", "COG627")


def test_a_daemon_that_does_not_know_an_operation(project: Project, tmp_path: Path) -> None:
    from cogc.engines.buildkit.errors import CallFailed

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        raise CallFailed(2, "failed to load LLB: unknown API capability mergeop")

    with daemon(tmp_path, script) as running:
        assert "mergeop" in fails(project, f"unix://{running.path}", "COG625")
        assert running.returned[0]["error"]["message"].endswith("mergeop"), "the daemon's build ends as well"


def test_a_daemon_whose_cache_is_damaged(project: Project, tmp_path: Path) -> None:
    """As BuildKit 0.25 said after a build that was interrupted."""
    from cogc.engines.buildkit.errors import CallFailed

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        raise CallFailed(2, "failed to stat active key during commit: snapshot abc does not exist: not found")

    with daemon(tmp_path, script) as running:
        assert "cache lacks what it should have" in fails(project, f"unix://{running.path}", "COG626")


@pytest.mark.parametrize("service", ["LLBBridge", "Control"])
def test_a_daemon_without_a_service(project: Project, tmp_path: Path, service: str) -> None:
    """Such as one from before a frontend could be the client itself."""
    with daemon(tmp_path) as running:
        running.forget(service)
        assert "too old" in fails(project, f"unix://{running.path}", "COG625")
        assert running.returned == []


@pytest.mark.parametrize("merges", [True, False])
def test_a_daemon_that_cannot_merge_gets_copies(project: Project, tmp_path: Path, merges: bool) -> None:
    seen: list[dict[str, Any]] = []

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        seen.append(request)

    with daemon(tmp_path, script) as running:
        running.capabilities = {"mergeop": merges}
        status, errors = project.build(host=f"unix://{running.path}")
    assert (status, errors) == (0, [])
    kinds = {kind for request in seen for op in request["definition"]["def"] for kind in LLB.decode("Op", op)}
    assert "exec" in kinds
    assert ("merge" in kinds) is merges


def test_a_file_that_changes_while_it_is_sent(project: Project, tmp_path: Path) -> None:
    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        call = daemon.session.start("/moby.filesync.v1.FileSync/DiffCopy", [("dir-name", "context")])
        names: list[str] = []
        while (packet := SERVICES.decode("Packet", call.receive() or b"")).get("stat"):
            names.append(packet["stat"]["path"])
        (project.root / "predict.py").write_text("changed\n")
        call.send(SERVICES.encode("Packet", {"type": 1, "id": names.index("predict.py")}))
        while SERVICES.decode("Packet", call.receive() or b"").get("type") == 2:
            pass
        daemon.drop()

    with daemon(tmp_path, script) as running:
        assert fails(project, f"unix://{running.path}", "COG629") == "predict.py has changed while it was sent"


def test_a_file_that_is_removed_before_it_is_sent(project: Project, tmp_path: Path) -> None:
    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        call = daemon.session.start("/moby.filesync.v1.FileSync/DiffCopy", [("dir-name", "context")])
        names: list[str] = []
        while (packet := SERVICES.decode("Packet", call.receive() or b"")).get("stat"):
            names.append(packet["stat"]["path"])
        (project.root / "predict.py").unlink()
        call.send(SERVICES.encode("Packet", {"type": 1, "id": names.index("predict.py")}))
        call.receive()
        daemon.drop()

    with daemon(tmp_path, script) as running:
        assert fails(project, f"unix://{running.path}", "COG629") == "predict.py does not exist"


def test_without_the_library(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2", None)
    monkeypatch.setattr("cogc.commands._buildkit.find_spec", lambda name: None)
    fails(project, "unix:///nothing", "COG628")


@pytest.mark.parametrize(
    "words", [["--cache-to", "type=local"], ["--cache-from", "type=local,dest=x"], ["--cache-from", "type=tape,src=x"]]
)
def test_caches_that_cannot_be(project: Project, words: list[str]) -> None:
    fails(project, "unix:///nothing", "COG503", *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--provenance", "bogus"], "--provenance bogus"),
        (["--sbom", "generator=a,bogus"], "--sbom generator=a,bogus"),
        (["--label", "=x"], "--label =x: it has no name"),
        (["--build-arg", "=x"], "--build-arg =x: it has no name"),
        (["--timestamp", str(10**18)], "the last second is 253402300799"),
    ],
)
def test_values_that_say_nothing(project: Project, words: list[str], told: str) -> None:
    assert told in fails(project, "unix:///nothing", "COG503", *words)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("true", {"attest:provenance": "mode=min"}),
        ("1", {"attest:provenance": "mode=min"}),
        ("mode=max,builder-id=x", {"attest:provenance": "mode=max,builder-id=x"}),
        ("false", {}),
        ("0", {}),
        ("disabled=true", {}),
    ],
)
def test_what_is_told_about_the_image(project: Project, tmp_path: Path, value: str, wanted: dict[str, str]) -> None:
    with daemon(tmp_path) as running:
        assert project.build("--provenance", value, host=f"unix://{running.path}") == (0, [])
        assert running.solved[0].get("frontend_attrs", {}) == wanted


def test_build_arguments_without_a_dockerfile(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those for proxies reach the commands, with those that docker gives to builds; of others it is said that they do nothing."""
    seen: list[dict[str, Any]] = []

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        for data in request["definition"].get("def", []):
            run = SERVICES.decode("Op", data).get("exec")
            seen.extend([run["meta"].get("proxy_env", {})] if run else [])

    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpsProxy": "http://q:1", "noProxy": "here"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    words = ["--build-arg", "A=1", "--build-arg", "HTTPS_PROXY", "--build-arg", "NOT_SET"]
    with daemon(tmp_path, script) as running:
        assert project.build(*words, host=f"unix://{running.path}") == (0, [])
    (unused,) = [found for found in project.diagnostics if found["code"] == "COG505"]
    assert unused["message"] == "--build-arg A has no effect without a Dockerfile"
    assert seen
    assert all(proxies == {"https_proxy": "http://p:1", "no_proxy": "here"} for proxies in seen)


def test_an_interrupt_ends_the_build_and_the_session(project: Project, tmp_path: Path) -> None:
    started = threading.Event()

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        started.set()
        daemon._finished.wait(30)

    with daemon(tmp_path, script) as running:
        words = [sys.executable, "-m", "cogc", "build", "--engine", "buildkit", "--secret", "id=s,src=s.txt", "--push"]
        environment = {**os.environ, "BUILDKIT_HOST": f"unix://{running.path}"}
        process = subprocess.Popen([*words, "-t", "r.example/x"], env=environment, stderr=subprocess.PIPE)
        assert started.wait(30)
        process.send_signal(2)
        errors = process.communicate(timeout=20)[1].decode()
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        assert running.ended.wait(10)


def test_builds_on_one_connection_leave_nothing(tmp_path: Path) -> None:
    def frontend(bridge: Bridge) -> Result:
        bridge.capabilities()
        return Result(())

    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    with daemon(tmp_path) as running:
        connection = Connection(connect(find_address(None, {"BUILDKIT_HOST": f"unix://{running.path}"})))
        connection.unary("/moby.buildkit.v1.Control/ListWorkers", b"")
        before = left()
        for _ in range(50):
            build(connection, Offers(), Export(), frontend, lambda document: None)
        deadline = time.monotonic() + 10
        while left() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert left() <= before
        connection.close()


def test_an_output_that_leads_out_of_its_directory_is_refused(project: Project, tmp_path: Path) -> None:
    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        call = daemon.session.start("/moby.filesync.v1.FileSend/DiffCopy")
        call.send(SERVICES.encode("Packet", {"stat": {"path": "../evil", "mode": 0o644}}))
        while call.receive() is not None:
            pass

    with daemon(tmp_path, script) as running:
        message = fails(project, f"unix://{running.path}", "COG637", "--output", "out")
    assert message == "what the daemon sends for out is refused: '../evil' is no path within a directory"
    assert sorted(path.name for path in project.root.iterdir()) == [".cog", "cog.yaml", "predict.py", "s.txt"]


@pytest.mark.parametrize("kind", ["type=oci,dest=image.tar", "out"])
def test_an_interrupt_leaves_nothing_half_written(project: Project, tmp_path: Path, kind: str) -> None:
    halfway, first = threading.Event(), threading.Lock()

    def script(daemon: Daemon, request: dict[str, Any]) -> None:
        if not first.acquire(blocking=False):
            return
        call = daemon.session.start("/moby.filesync.v1.FileSend/DiffCopy")
        if kind == "out":
            for status in ({"path": "d", "mode": 1 << 31 | 0o555}, {"path": "d/f", "mode": 0o644}):
                call.send(SERVICES.encode("Packet", {"stat": status}))
            assert SERVICES.decode("Packet", call.receive() or b"") == {"type": 1, "id": 1}
            call.send(SERVICES.encode("Packet", {"type": 2, "id": 1, "data": b"x" * 1000}))
        else:
            call.send(SERVICES.encode("BytesMessage", {"data": b"x" * 1000}))
        halfway.set()
        daemon._finished.wait(30)

    (project.root / "image.tar").write_text("as it was")
    before = sorted(path.name for path in project.root.iterdir())
    with daemon(tmp_path, script) as running:
        words = [sys.executable, "-m", "cogc", "build", "--engine", "buildkit", "--secret", "id=s,src=s.txt"]
        environment = {**os.environ, "BUILDKIT_HOST": f"unix://{running.path}"}
        process = subprocess.Popen([*words, "--output", kind], env=environment, stderr=subprocess.PIPE)
        assert halfway.wait(30)
        assert len(list(project.root.iterdir())) == len(before) + 2, "a lock of the project, and what is being written"
        process.send_signal(2)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert sorted(path.name for path in project.root.iterdir()) == sorted([".cog", *before])
    assert (project.root / "image.tar").read_text() == "as it was"


# -- Docker's engine ----------------------------------------------------------------------------------


@pytest.fixture
def of_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project) -> Callable[[Daemon], None]:
    """Makes a daemon the one that is found as Docker's engine."""
    for name in ("BUILDKIT_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return lambda running: monkeypatch.setenv("DOCKER_HOST", f"unix://{running.path}")


@pytest.mark.parametrize("has_sessions", [True, False])
def test_the_session_is_a_connection_of_its_own_where_it_can(tmp_path: Path, has_sessions: bool) -> None:
    found = []

    def script(running: Daemon, request: dict[str, Any]) -> None:
        path = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
        found.append(running.ask(path, "GetSecretRequest", {"id": "s"}, "GetSecretResponse")["data"])

    def frontend(bridge: Bridge) -> Result:
        platform = Platform("linux", "amd64")
        return Result(((platform, bridge.solve(marshal(Output(LocalSource(name="x", part="x")), platform)), {}),))

    with Daemon(tmp_path / "e.sock", script, upgrades=True, has_sessions=has_sessions) as running:
        address = Address("unix", (str(running.path),), upgrades=True)
        connection = Connection(connect(address))
        offers = Offers(secrets={"s": lambda: b"the secret"})
        try:
            build(connection, offers, Export(), frontend, lambda document: None, session_opener(address))
        finally:
            connection.close()
        assert running.ended.wait(10), "the session ends with the build"
        assert running.asked == ["/grpc", "/session"]
        assert ("/moby.buildkit.secrets.v1.Secrets/GetSecret" in running.exposed) is has_sessions
    assert found == [b"the secret"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("-o", "type=oci,dest=x.tar"), "--output type=oci"),
        (("--cache-to", "type=local,dest=cache"), "--cache-to type=local"),
        (("--sbom", "true"), "--sbom"),
        (("--platform", "linux/amd64,linux/arm64"), "several platforms"),
        (("--timestamp", "1"), "--timestamp"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_older_image_store(
    tmp_path: Path,
    of_docker: Callable[[Daemon], None],
    capsys: pytest.CaptureFixture[str],
    project: Project,
    words: tuple[str, ...],
    what: str,
) -> None:
    """It would stop in the midst, or leave out what is wanted."""
    with Daemon(tmp_path / "e.sock", upgrades=True) as running:
        of_docker(running)
        capsys.readouterr()
        words = ("build", "--engine", "buildkit", "-t", "x", "--secret", "id=s,src=s.txt", *words)
        assert main([*words, "--format", "json", "--progress", "quiet"]) == 1
        found = [each for each in json.loads(capsys.readouterr().out)["diagnostics"] if each["severity"] == "error"]
        assert [each["code"] for each in found] == ["COG638"]
        assert found[0]["message"] == f"the image store of this engine cannot do {what}"
        assert running.returned == []
    assert not list(project.root.glob("*.tar"))
