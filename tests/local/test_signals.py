"""Ctrl-C and other signals at every moment: the prediction is cancelled, and nothing is left that runs."""

from __future__ import annotations

import os
import signal
import tarfile
import urllib.request

import pytest

from tests.local.harness import until
from tests.runtime.server.harness import free_port

SLOW = """
    import os, time
    from cog import BasePredictor, CancelationException
    class Predictor(BasePredictor):
        def setup(self):
            open("in setup", "w").close()
            if os.path.exists("slow setup"): time.sleep(600)
        def predict(self) -> str:
            open("started", "w").close()
            try:
                time.sleep(600)
            except CancelationException:
                open("cancelled", "w").close()
                raise
            return "done"
"""


@pytest.fixture
def slow(project):
    project.write("predict.py", SLOW)
    assert project.run("run", "--engine", "local", "true").status == 0  # the environment is there
    return project


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_running_prediction_is_cancelled(number, status, slow):
    with slow.start("predict", "--engine", "local") as process:
        assert until((slow.root / "started").exists)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, ""), err
    assert err.endswith("cogc: interrupted\n")
    assert "compiler/" not in err  # no traceback but the model's own
    assert (slow.root / "cancelled").exists()
    assert slow.nothing_runs()


def test_ctrl_c_of_a_terminal_reaches_the_whole_group(slow):
    with slow.start("predict", "--engine", "local") as process:
        assert until((slow.root / "started").exists)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (slow.root / "cancelled").exists()
    assert slow.nothing_runs()


def test_during_setup(slow):
    slow.write("slow setup", "")
    with slow.start("predict", "--engine", "local") as process:
        assert until((slow.root / "in setup").exists)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert slow.nothing_runs()


def test_twice_is_no_slower_and_leaves_nothing(slow):
    with slow.start("predict", "--engine", "local") as process:
        assert until((slow.root / "started").exists)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert slow.nothing_runs()


def test_a_command_that_is_killed_takes_its_server_along(slow):
    with slow.start("predict", "--engine", "local") as process:
        assert until((slow.root / "started").exists)
        process.kill()
        process.wait(10)
        assert slow.nothing_runs()
        process.communicate()


def test_serve_ends_with_0_after_ctrl_c(slow):
    port = free_port()
    with slow.start("serve", "--engine", "local", "-p", str(port)) as process:
        assert until(lambda: _health(port) == 200)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert slow.nothing_runs()


def test_serve_ends_with_the_signal_of_others(slow):
    port = free_port()
    with slow.start("serve", "--engine", "local", "-p", str(port)) as process:
        assert until(lambda: _health(port) == 200)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert slow.nothing_runs()


BACKEND = """
import os, time
def build_wheel(*arguments, **settings):
    open(os.environ["BUILDS"], "w").close()
    time.sleep(600)
prepare_metadata_for_build_wheel = build_sdist = build_wheel
"""


def test_while_packages_are_installed(project):
    project.write("predict.py", SLOW)
    project.write("slow/backend.py", BACKEND)
    project.write(
        "slow/pyproject.toml", '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    with tarfile.open(project.root / "slow-1.0.tar.gz", "w:gz") as archive:
        archive.add(project.root / "slow", "slow-1.0")
    config = (project.root / "cog.yaml").read_text()
    project.write("cog.yaml", config.replace("build:\n", "build:\n  python_packages: [./slow-1.0.tar.gz]\n"))
    project.environment["BUILDS"] = str(project.root / "builds")
    with project.start("predict", "--engine", "local") as process:
        assert until(lambda: (project.root / "builds").exists() or process.poll() is not None, 100)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert project.nothing_runs()
    assert [path.name for path in (project.root / ".cog/local").iterdir() if path.suffix != ".lock"] == []


def _health(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health-check", timeout=5) as answer:
            return answer.status if b"READY" in answer.read() else 0
    except OSError:
        return 0
