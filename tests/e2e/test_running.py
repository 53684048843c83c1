"""`cogc predict`, `train`, `serve` and `run` in containers, on the project and on an image."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine, Project, cogc_program
from tests.e2e.recording import recording
from tests.e2e.serving import Client, receiving

pytestmark = pytest.mark.engine

CONFIG = """\
build:
  python_version: "3.11"
  python_packages: [six==1.16.0]
environment:
  - GREETING=hello
predict: predict.py:Predictor
train: train.py:train
"""
PREDICT = """\
import os
import sys
import time

import six
from cog import BasePredictor, CancelationException, Input, Path


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("set up by", six.__version__)
        if os.environ.get("FAILS"):
            raise RuntimeError("no weights today")

    def predict(self, image: Path = Input(default=None), text: str = "you", seconds: float = 0) -> Path:
        print("log of", text)
        open("started", "w").close()
        try:
            time.sleep(seconds)
        except CancelationException:
            open("cancelled", "w").close()
            raise
        path = Path("/tmp/out.txt")
        content = image.read_text() if image else f"{os.environ['GREETING']} {text} {os.environ.get('EXTRA', '')}"
        path.write_text(content.strip())
        return path
"""
TRAIN = """\
import io

from cog import File


def train(param: str) -> File:
    return io.StringIO("hello " + param)
"""


@pytest.fixture(scope="module")
def made(engine: Engine, project: MakeProject) -> Iterator[Project]:
    """A project whose environment has been built once."""
    made = project("running", CONFIG, {"predict.py": PREDICT, "train.py": TRAIN})
    made.cogc("run", "--engine", "docker", "true")
    yield made
    engine.docker("image", "rm", "--force", "cog-running-base")


@pytest.fixture(autouse=True)
def nothing_is_left(engine: Engine, made: Project) -> Iterator[None]:
    yield
    assert _ours(engine, made) == set()


def test_prediction_on_the_project(made: Project) -> None:
    (made.root / "in.txt").write_text("from a file")
    done = made.cogc("predict", "--engine", "docker", "-i", "image=@in.txt", "-o", "out.txt")
    assert (made.root / "out.txt").read_text() == "from a file"
    assert done.stdout == ""
    assert "Building Docker image from environment in cog.yaml..." in done.stderr
    assert "set up by 1.16.0" in done.stderr
    assert "log of you" in done.stderr
    assert "Written output to: out.txt" in done.stderr


def test_variables_reach_the_model_and_are_not_shown(made: Project) -> None:
    words = ("--debug", "predict", "--engine", "docker", "-e", "EXTRA=hunter2", "-o", "out.txt")
    done = made.cogc(*words)
    assert (made.root / "out.txt").read_text() == "hello you hunter2"
    assert "+ docker run " in done.stderr
    assert "hunter2" not in done.stderr.partition("Starting the model")[2].partition("Running prediction")[0]


def test_wrong_inputs_are_refused_before_anything_runs(made: Project) -> None:
    done = made.cogc("predict", "--engine", "docker", "-i", "nope=1", check=False, environment={"PATH": "/nowhere"})
    assert done.returncode == 1
    assert 'unknown input "nope"' in done.stderr


def test_setup_that_fails_is_told_with_its_reason(made: Project) -> None:
    done = made.cogc("predict", "--engine", "docker", "-e", "FAILS=1", check=False)
    assert done.returncode == 1
    assert "Model setup failed" in done.stderr
    assert "no weights today" in done.stderr


def test_training_writes_the_file_weights(made: Project) -> None:
    made.cogc("train", "--engine", "docker", "-i", "param=train")
    assert (made.root / "weights").read_text() == "hello train"


def test_gpus_that_are_not_there(made: Project) -> None:
    asked = made.cogc("predict", "--engine", "docker", "--gpus", "all", check=False)
    assert asked.returncode == 1
    assert "COG603" in asked.stderr
    config = (made.root / "cog.yaml").read_text()
    try:
        made.write("cog.yaml", config.replace("build:\n", "build:\n  gpu: true\n"))
        done = made.cogc("predict", "--engine", "docker", "--no-tools", "-o", "out.txt")
    finally:
        made.write("cog.yaml", config)
    assert "Missing device driver, re-trying without GPU" in done.stderr
    assert (made.root / "out.txt").read_text() == "hello you"


def test_engine_is_asked_for_the_gpus_of_the_option(made: Project, tmp_path: Path) -> None:
    wanted = {"all": (-1, None), "2": (2, None), "device=0,1": (0, ["0", "1"])}
    for spec, request in wanted.items():
        options = ("--engine", "docker", "--gpus", spec)
        for command in (
            ("predict", *options),
            ("run", *options, "true"),
        ):  # `run` tries the GPUs with a container first
            (place := tmp_path / f"{command[0]}-{spec.replace(',', '-')}").mkdir()
            with recording(place) as kept:
                refused = made.cogc(*command, check=False, environment={"DOCKER_HOST": kept.host})
            assert "COG603" in refused.stderr, command
            (asked,) = [created["HostConfig"]["DeviceRequests"] for created in kept.created()]
            assert [(one["Count"], one["DeviceIDs"], one["Capabilities"]) for one in asked] == [(*request, [["gpu"]])]
    with recording(tmp_path) as kept:
        words = ("predict", "--engine", "docker", "--gpus", "none", "-o", "out.txt")
        made.cogc(*words, environment={"DOCKER_HOST": kept.host})
    assert [created["HostConfig"]["DeviceRequests"] for created in kept.created()] == [None]


def test_prediction_on_an_image(engine: Engine, made: Project, project: MakeProject) -> None:
    name = engine.name("running-image")
    made.cogc("build", "-t", name)
    elsewhere = project("elsewhere", "")
    elsewhere.cogc("predict", name, "-i", "text=image", "-o", "out.txt")
    assert (elsewhere.root / "out.txt").read_text() == "hello image"
    wrong = elsewhere.cogc("predict", name, "-i", "nope=1", check=False)
    assert 'unknown input "nope"' in wrong.stderr
    other = elsewhere.cogc("predict", "debian:13", check=False)
    assert "Image debian:13 does not appear to be a Cog model" in other.stderr
    listed = elsewhere.cogc("run", "--image", name, "python", "-c", "import os; print(os.listdir('/src'))")
    assert "predict.py" in listed.stdout
    assert f"Running 'python' in {name}..." in listed.stderr
    with serving(elsewhere, name, "-p", "18769"):
        assert Client(18769).predict(text="served")["status"] == "succeeded"


def test_examples_hold_on_the_project_and_on_an_image(engine: Engine, made: Project, project: MakeProject) -> None:
    name = engine.name("running-examples")
    made.cogc("build", "-t", name)
    examples = """\
examples:
  - name: greets
    input: {text: you}
    output: hello you
    media_type: text/plain
  - name: reads
    input: {image: "@data/in.txt"}
    output: "@data/in.txt"
"""
    own = project("examples", CONFIG + examples, {"predict.py": PREDICT, "train.py": TRAIN, "data/in.txt": "a file"})
    words = ("test", "--engine", "docker", "--progress", "plain")
    assert own.cogc(*words, name).stdout.splitlines()[-1] == "2 examples passed"
    own.write("cog.yaml", CONFIG + examples.replace("hello you", "goodbye you"))
    done = own.cogc(*words, "-k", "greets", check=False)
    engine.docker("image", "rm", "--force", "cog-examples-base")
    assert done.returncode == 1
    assert "greets: the output is a file of text/plain, 'hello you', not \"goodbye you\"" in done.stderr
    assert _ours(engine, own) == set()


def test_ctrl_c_cancels_the_prediction_and_removes_the_container(engine: Engine, made: Project) -> None:
    for name in ("started", "cancelled"):
        (made.root / name).unlink(missing_ok=True)
    words = [cogc_program(), "predict", "--engine", "docker", "-i", "seconds=600"]
    process = subprocess.Popen(words, cwd=made.root, stderr=subprocess.PIPE, text=True)
    _wait_for(made.root / "started", process)
    running = _ours(engine, made)
    assert len(running) == 1
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert (made.root / "cancelled").exists()
    assert _ours(engine, made) == set()


# -- programs ----------------------------------------------------------------------------------------


def test_program_has_the_project_its_streams_and_its_exit_code(made: Project) -> None:
    code = "import os, sys; print(os.getcwd(), sys.stdin.read(), os.path.exists('cog.yaml')); sys.exit(7)"
    done = made.cogc("run", "--engine", "docker", "python", "-c", code, stdin="typed", check=False)
    assert (done.returncode, done.stdout) == (7, "/src typed True\n")
    assert "Running 'python' in Docker with the current directory mounted as a volume..." in done.stderr
    assert made.cogc("exec", "--engine", "docker", "nosuchprogram", check=False).returncode == 127


def test_program_in_a_terminal_has_one(made: Project) -> None:
    leader, follower = pty.openpty()
    code = "import sys; print('tty', sys.stdin.isatty(), sys.stdout.isatty()); print('got', input())"
    words = [cogc_program(), "run", "--engine", "docker", "python", "-c", code]
    process = subprocess.Popen(words, cwd=made.root, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    os.write(leader, b"typed\n")
    raw = b""
    while True:
        ready, _, _ = select.select([leader], [], [], 1)
        try:
            raw += os.read(leader, 65536) if ready else b""
        except OSError:
            break
        if not ready and process.poll() is not None:
            break
    os.close(leader)
    assert process.wait() == 0, raw
    assert b"tty True True" in raw
    assert b"got typed" in raw


def test_published_port_is_reached_on_this_machine(engine: Engine, made: Project) -> None:
    words = [cogc_program(), "run", "--engine", "docker", "-p", "18765", "python", "-m", "http.server", "18765"]
    process = subprocess.Popen(words, cwd=made.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert "<title>Directory listing" in _fetch("http://127.0.0.1:18765/", process)
        (container,) = _ours(engine, made)
        assert engine.text("port", container).strip() == "18765/tcp -> 127.0.0.1:18765"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert _ours(engine, made) == set()


# -- serving -----------------------------------------------------------------------------------------


@contextmanager
def serving(made: Project, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [cogc_program(), "serve", "--engine", "docker", *words]
    process = subprocess.Popen(command, cwd=made.root, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = ""
    try:
        for line in process.stderr:
            if found := re.match(r"Serving at (\S+)", line):
                url = found[1]
            if line == "The model is ready.\n":
                break
        yield process, url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_server_answers_until_ctrl_c(engine: Engine, made: Project) -> None:
    with serving(made, "-p", "18766") as (process, url):
        assert url == "http://127.0.0.1:18766"
        assert Client(18766).predict(text="http")["status"] == "succeeded"
        taken = made.cogc("serve", "--engine", "docker", "-p", "18766", check=False)
        assert taken.returncode == 1
        assert "COG602" in taken.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert _ours(engine, made) == set()


def test_output_files_are_uploaded_to_the_host(engine: Engine, made: Project) -> None:
    with receiving(engine) as receiver:
        words = ("-p", "18767", "--upload-url", f"{receiver.url}/uploads/")
        with serving(made, *words) as (_, url):
            answer = Client(int(url.rpartition(":")[2])).predict_patiently(input={"text": "uploads"})
        assert answer["output"].startswith(f"{receiver.url}/uploads/"), answer
        assert receiver.next().body == b"hello uploads"


def test_killed_command_leaves_no_container(engine: Engine, made: Project) -> None:
    with serving(made, "-p", "18768") as (process, _):
        assert len(_ours(engine, made)) == 1
        process.kill()
        deadline = time.monotonic() + 120
        while _ours(engine, made):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _ours(engine: Engine, made: Project) -> set[str]:
    """Containers that have the project's folder."""
    return set(engine.text("ps", "--all", "--filter", f"volume={made.root}", "--format={{.Names}}").split())


def _wait_for(path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _fetch(url: str, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
