"""What goes wrong between us and the real BuildKit: each ends with a diagnostic, and the build with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cogc.cli import main
from tests.e2e.buildkit_proxy import BuildkitProxy
from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import MIB, Engine, Project, cogc_program

pytestmark = pytest.mark.engine

WORDS = ("build", "--engine", "buildkit", "--format", "json", "--progress", "quiet")


@pytest.fixture
def proxy(containerd_store: None, tmp_path: Path) -> Iterator[BuildkitProxy]:
    """It counts as a daemon of its own, whose images come back as archives."""
    with BuildkitProxy(tmp_path / "b.sock") as made:
        yield made


class Build:
    """`cogc build` in a process of its own."""

    def __init__(self, made: Project, name: str, host: str) -> None:
        words = [cogc_program(), *WORDS, "-t", name]
        environment = {**os.environ, "BUILDKIT_HOST": host}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, cwd=made.root, env=environment, stdout=pipe, stderr=pipe)

    def errors(self) -> list[tuple[str, str]]:
        """The codes and messages of its errors, when it has ended."""
        output, errors = self.process.communicate(timeout=60)
        assert b"Traceback" not in errors
        found = json.loads(output)["diagnostics"]
        return [(each["code"], each["message"]) for each in found if each["severity"] == "error"]


Start = Callable[[Project, BuildkitProxy], Build]


@pytest.fixture
def start(engine: Engine) -> Iterator[Start]:
    started: list[Build] = []

    def run(made: Project, proxy: BuildkitProxy) -> Build:
        started.append(Build(made, engine.name("fault"), proxy.address))
        return started[-1]

    yield run
    for each in started:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        each.process.communicate()


@pytest.fixture
def waiting(project: MakeProject, engine: Engine, request: pytest.FixtureRequest) -> tuple[Project, str]:
    """A project with a step that goes on for minutes, and what that step says first."""
    mark = f"{engine.session}-{request.node.name}"
    command = f"echo said-{mark} && sleep 300 && echo {mark}"
    return project("waiting", HELLO.replace("build:\n", f"build:\n  run:\n    - {command}\n")), mark


def stops(mark: str, seconds: float = 30) -> None:
    """Wait until no process of this machine has the mark in its command."""
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
        return  # the engine's processes are elsewhere
    deadline = time.monotonic() + seconds
    while (found := list(_with(mark))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == []


def _with(mark: str) -> Iterator[str]:
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (directory / "cmdline").read_bytes()
            if f"&& echo {mark}".encode() in command:
                yield command.decode()


def test_the_connection_is_cut_while_a_step_runs(
    proxy: BuildkitProxy, start: Start, waiting: tuple[Project, str]
) -> None:
    made, mark = waiting
    build = start(made, proxy)
    proxy.wait_for(f"said-{mark}".encode())
    proxy.cut()
    [(code, message)] = build.errors()
    assert code == "COG627"
    assert "was lost" in message
    assert build.process.returncode == 1
    stops(mark)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupt_ends_the_step(
    proxy: BuildkitProxy, start: Start, waiting: tuple[Project, str], number: int, status: int
) -> None:
    made, mark = waiting
    build = start(made, proxy)
    proxy.wait_for(f"said-{mark}".encode())
    build.process.send_signal(number)
    assert build.process.wait(30) == status
    stops(mark)


def test_nothing_comes_through_any_more(
    proxy: BuildkitProxy,
    waiting: tuple[Project, str],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The connection stays open on our side; the minute after which it counts as lost is made two seconds."""
    monkeypatch.setattr("cogc.engines.buildkit.client._SILENCE_SECONDS", 2.0)
    monkeypatch.setenv("BUILDKIT_HOST", proxy.address)
    made, mark = waiting
    monkeypatch.chdir(made.root)
    proxy.hold_when(f"said-{mark}".encode())
    assert main([*WORDS, "-t", engine.name("fault")]) == 1
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [each["code"] for each in found if each["severity"] == "error"] == ["COG627"]
    proxy.let_go()
    proxy.cut()
    stops(mark)


def large(project: MakeProject, name: str) -> Project:
    """The code has a file that is not sent at once, and one that comes after it."""
    made = project(name, HELLO, {"z.txt": "last\n"})
    made.write("code/a.txt", os.urandom(9 * MIB))
    return made


def test_a_file_changes_while_it_is_sent(proxy: BuildkitProxy, start: Start, project: MakeProject) -> None:
    made = large(project, "changes")
    build = start(made, proxy)
    proxy.hold_after(2 * MIB)
    with (made.root / "code/a.txt").open("ab") as file:
        file.write(b"more")
    proxy.let_go()
    assert build.errors() == [("COG629", "code/a.txt has changed while it was sent")]


def test_a_file_goes_while_another_is_sent(proxy: BuildkitProxy, start: Start, project: MakeProject) -> None:
    made = large(project, "goes")
    build = start(made, proxy)
    proxy.hold_after(2 * MIB)
    (made.root / "z.txt").unlink()
    proxy.let_go()
    assert build.errors() == [("COG629", "z.txt does not exist")]


def test_a_name_that_is_no_text(engine: Engine, project: MakeProject) -> None:
    made = project("no-text", HELLO)
    Path(os.fsdecode(bytes(made.root) + b"/b\xffd")).write_text("x")
    done = made.cogc(*WORDS, "-t", engine.name("fault"), check=False)
    assert done.returncode == 1
    assert "UTF-8" in done.stdout
