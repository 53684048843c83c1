"""The walk-throughs that users of Cog know, command by command on a container engine; large packages have stand-ins.

The code of the models is as it is written there. tests/local/test_walkthroughs.py has those without containers.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine, Image, Project, cogc_program
from tests.e2e.serving import patiently, receiving, serving
from tests.e2e.wheels import wheel, wheel_name
from tests.walkthroughs import GUESSES, JPEG, RESNET, TENSORFLOW

pytestmark = pytest.mark.engine

ENVIRONMENT = 'build:\n  python_version: "3.11"\n'


@contextmanager
def walking(engine: Engine, project: MakeProject, name: str, config: str = ENVIRONMENT) -> Iterator[Project]:
    """A project whose environment is removed afterwards."""
    try:
        yield project(name, config)
    finally:
        engine.docker("image", "rm", "--force", f"cog-{name.removeprefix('cog-')}-base")


def _in_a_terminal(project: Project, typed: bytes, *words: str) -> str:
    """What is on the screen after a command to which `typed` was given when it had shown a prompt."""
    leader, follower = pty.openpty()
    command = [cogc_program(), *words]
    process = subprocess.Popen(command, cwd=project.root, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    shown, deadline, is_typed = b"", time.monotonic() + 240, False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([leader], [], [], 1)
        try:
            shown += os.read(leader, 65536) if ready else b""
        except OSError:
            break
        if b">>> " in shown and not is_typed:
            is_typed = bool(os.write(leader, typed))
        if not ready and process.poll() is not None:
            break
    os.close(leader)
    assert process.wait(60) == 0, shown
    return shown.decode("utf-8", "replace")


# -- getting started ---------------------------------------------------------------------------------

TENSORFLOW_WHEEL = wheel_name("tensorflow", "2.12.0")


def test_getting_started(engine: Engine, project: MakeProject) -> None:
    resnet = engine.name("resnet")
    with walking(engine, project, "cog-quickstart") as own, receiving(engine) as receiver:
        # cog run python
        shown = _in_a_terminal(own, b"print(6 * 7)\n\x04", "run", "--engine", "docker", "python")
        notice = "Running 'python' in Docker with the current directory mounted as a volume..."
        assert notice in " ".join(shown.split())  # it is wrapped to the width of the terminal
        assert "Python 3.11." in shown
        assert "\n42\r" in shown

        own.write("resnet50_weights_tf_dim_ordering_tf_kernels.h5", "weights")
        own.write("predict.py", RESNET)
        own.write(TENSORFLOW_WHEEL, wheel("tensorflow", "2.12.0", TENSORFLOW))
        packages = f'  python_packages:\n    - six==1.16.0\n    - "./{TENSORFLOW_WHEEL}"\n'
        config = f'{ENVIRONMENT}{packages}predict: "predict.py:Predictor"\n'
        own.write("cog.yaml", config)
        own.write("input.jpg", JPEG)
        # cog predict -i image=@input.jpg
        done = own.cogc("predict", "--engine", "docker", "-i", "image=@input.jpg")
        assert json.loads(done.stdout) == GUESSES
        assert done.stdout.startswith('[\n  [\n    "n02123159",\n    "tiger_cat",\n    0.4874822497367859\n  ],\n')

        # cog build -t resnet; cog debug; cog predict resnet -i image=@input.jpg
        assert f"Image built as {resnet}" in own.cogc("build", "-t", resnet).stderr
        assert "FROM python:3.11-slim" in own.cogc("debug").stdout
        assert json.loads(own.cogc("predict", resnet, "-i", "image=@input.jpg").stdout) == GUESSES

        # docker run -d --rm -p 5000:5000 resnet; curl http://localhost:5000/predictions …
        receiver.files["/mystery.jpg"] = JPEG
        host = ("--add-host=host.docker.internal:host-gateway", "--env=COGC_ALLOW_PRIVATE_URLS=1")
        with serving(engine, Image(engine, resnet), *host) as (client, _):
            assert client.predict(image=f"{receiver.url}/mystery.jpg")["output"] == GUESSES

        # image: …; cog push
        registry = os.environ.get("COGC_TEST_REGISTRY")
        if registry:
            pushed = f"{registry}/cogc-e2e/resnet:{engine.session}"
            engine.references.append(pushed)
            own.write("cog.yaml", f'{config}image: "{pushed}"\n')
            done = own.cogc("push")
            assert f"Pushing to {pushed}..." in done.stderr
            assert f"{pushed}@sha256:" in done.stdout


# -- a model of one's own, and deploying it ------------------------------------------------------------

ENLARGE = """\
from cog import BasePredictor, Path, Input
import torch


class Predictor(BasePredictor):
    def setup(self):
        \"\"\"Load the model into memory to make running multiple predictions efficient\"\"\"
        self.net = torch.load("weights.pth")

    def predict(self,
            image: Path = Input(description="Image to enlarge"),
            scale: float = Input(description="Factor to scale image by", default=1.5)
    ) -> Path:
        \"\"\"Run a single prediction on the model\"\"\"
        output = Path("/tmp/enlarged.png")
        output.write_bytes(self.net(open(image, "rb").read(), scale))
        return output
"""


def test_ones_own_model_and_its_deployment(engine: Engine, project: MakeProject) -> None:
    name = engine.name("own-model")
    with walking(engine, project, "own-model") as own:
        for file in ("cog.yaml", "predict.py"):
            (own.root / file).unlink()
        own.cogc("init")
        own.write("cog.yaml", f'{ENVIRONMENT}predict: "predict.py:Predictor"\n')
        own.write("torch.py", "def load(path):\n    return lambda image, scale: image * int(scale * 2)\n")
        own.write("weights.pth", "weights")
        own.write("predict.py", ENLARGE)
        own.write("input.jpg", b"ab")
        done = own.cogc("predict", "--engine", "docker", "-i", "image=@input.jpg")
        assert "Written output to: output.png" in done.stderr
        assert (own.root / "output.png").read_bytes() == b"ababab"
        own.cogc("predict", "--engine", "docker", "-i", "image=@input.jpg", "-i", "scale=2.0")
        assert (own.root / "output.png").read_bytes() == b"abababab"

        own.cogc("build", "-t", name)
        image, container = Image(engine, name), f"cogc-e2e-own-model-{engine.session}"
        with serving(engine, image, f"--name={container}") as (client, _):
            assert client.ask("GET", "/openapi.json")[1]["components"]["schemas"]["Input"]["required"] == ["image"]
            assert client.predict(image="data:image/jpeg;base64,YWI=")["output"] == "data:image/png;base64,YWJhYmFi"
            engine.text("kill", container)
        with serving(engine, image, command=("python", "-m", "cog.server.http", "--threads=10")) as (client, _):
            assert client.predict(image="data:,ab", scale=1)["status"] == "succeeded"
        with serving(engine, image, command=("python", "-m", "cog.server.http", "--host=::")) as (client, _):
            assert client.predict(image="data:,ab", scale=1)["status"] == "succeeded"


# -- training ------------------------------------------------------------------------------------------

TRAIN = """\
from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Path


def train(
    train_data: Path = Input(description="HTTPS URL of a file containg training data"),
    learning_rate: float = Input(description="learning rate, for learning!", default=1e-4, ge=0),
    seed: int = Input(description="random seed to use for training", default=42)
) -> TrainingOutput:
    weights_file = f"/tmp/weights-{seed}"
    open(weights_file, "w").write(train_data.read_text().upper())
    return TrainingOutput(weights=Path(weights_file))
"""
TRAINED = """\
from typing import Optional, Union

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def setup(self, weights: Optional[Union[Path, str]] = None) -> None:
        self.model = open(weights).read() if weights else "base"

    def predict(self, prompt: str) -> str:
        return prompt + " by " + self.model
"""


def test_training_and_a_prediction_with_its_weights(engine: Engine, project: MakeProject) -> None:
    config = f'{ENVIRONMENT}predict: "predict.py:Predictor"\ntrain: "train.py:train"\n'
    with walking(engine, project, "trained", config) as own, receiving(engine) as receiver:
        own.write("train.py", TRAIN)
        own.write("predict.py", TRAINED)
        own.write("data.zip", "tok")
        own.cogc("train", "--engine", "docker", "-i", "train_data=@data.zip", "-i", "learning_rate=0.0001")
        assert (own.root / "weights").read_text() == "TOK"
        receiver.files["/weights.tar"] = (own.root / "weights").read_bytes()
        (own.root / "weights").unlink()
        words = ("-e", f"COG_WEIGHTS={receiver.url}/weights.tar", "-e", "COGC_ALLOW_PRIVATE_URLS=1")

        def predict() -> tuple[bool, subprocess.CompletedProcess[str]]:
            done = own.cogc("predict", "--engine", "docker", *words, "-i", "prompt=a photo of TOK", check=False)
            return done.returncode == 0, done

        done = patiently(predict)
        assert done.stdout == "a photo of TOK by TOK\n", done.stderr


# -- a private registry of packages ----------------------------------------------------------------------


def test_private_package_registry(engine: Engine, project: MakeProject) -> None:
    # A package of this session's own: that the step is cached does not depend on the secret.
    name, package = engine.name("private"), f"greeting-{engine.session}"
    file = wheel_name(package, "1.0")
    mount = "{type: secret, id: pip, target: /etc/pip.conf}"
    run = f"    - command: pip install {package}\n      mounts:\n        - {mount}\n"
    config = f'{ENVIRONMENT}  run:\n{run}predict: "predict.py:Predictor"\n'
    with receiving(engine) as receiver:
        own = project("private", config)
        receiver.files[f"/{package}/"] = f'<a href="{file}">{file}</a>'.encode()
        receiver.files[f"/{package}/{file}"] = wheel(package, "1.0")
        (own.root.parent / "pip.conf").write_text(
            f"[global]\nindex-url = http://username:hunter2@{receiver.address}:{receiver.port}\n"
            f"trusted-host = {receiver.address}\n"
        )
        done = own.cogc("build", "-t", name, "--secret", "id=pip,source=../pip.conf")
        assert receiver.next().path == f"/{package}/"
        image = Image(engine, name)
        assert f"{package}==1.0" in image.freeze()
        assert "hunter2" not in done.stderr
        assert "hunter2" not in engine.text("history", "--no-trunc", name)
        assert image.run("grep", "hunter2", "/etc/pip.conf").returncode != 0


# -- notebooks -------------------------------------------------------------------------------------------

JUPYTER = """\
import http.server, sys


def main():
    assert sys.argv[1:] == ["lab", "--allow-root", "--ip=0.0.0.0"], sys.argv
    http.server.ThreadingHTTPServer(("0.0.0.0", 8888), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_notebook(engine: Engine, project: MakeProject) -> None:
    file = wheel_name("jupyterlab", "3.3.4")
    config = f'{ENVIRONMENT}  python_packages:\n    - "./{file}"\n'
    with walking(engine, project, "notebook", config) as own:
        own.write(file, wheel("jupyterlab", "3.3.4", {"jupyterlab.py": JUPYTER}, {"jupyter": "jupyterlab:main"}))
        words = ["run", "--engine", "docker", "-p", "8888", "jupyter", "lab", "--allow-root", "--ip=0.0.0.0"]
        process = subprocess.Popen([cogc_program(), *words], cwd=own.root, stderr=subprocess.PIPE, text=True)
        deadline, page = time.monotonic() + 240, b""
        try:
            while not page:
                try:
                    with urllib.request.urlopen("http://127.0.0.1:8888/cog.yaml", timeout=10) as answer:
                        page = answer.read()
                except OSError:
                    assert process.poll() is None, process.communicate()[1]
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert page == (own.root / "cog.yaml").read_bytes()  # the project's folder is where it runs
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
