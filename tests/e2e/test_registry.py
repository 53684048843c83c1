"""`cogc push`, `cogc login` and `cogc inspect`, with a registry that wants a password."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import HELLO, PREDICT, MakeProject
from tests.e2e.images import Engine, Image, Project

pytestmark = pytest.mark.engine

# The password is `secret`.
USERS = "me:$2b$04$ADLa3VaZVDIjOUMjY8Fi/e69UhkKf2wUPTdVQasIuX1rkdUiuZXWa\n"
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: tests, path: {folder}/users}}}}
"""


@dataclass(frozen=True)
class Registry:
    """A registry with one user."""

    host: str
    folder: Path

    @property
    def image(self) -> str:
        return f"{self.host}/team/hello:v1"

    def environment(self, name: str) -> dict[str, str]:
        """An environment in which nobody is logged in yet."""
        docker_config = self.folder / name
        docker_config.mkdir()
        if (plugins := Path(os.environ.get("DOCKER_CONFIG", "/nowhere"), "cli-plugins")).exists():
            (docker_config / "cli-plugins").symlink_to(plugins)
        return {"DOCKER_CONFIG": str(docker_config)}


def _program() -> str:
    beside = Path(os.environ.get("DOCKER_CONFIG", "/nowhere")).parent / "bin/docker-registry"
    found = str(beside) if beside.exists() else shutil.which("docker-registry")
    return found or pytest.skip("there is no docker-registry to start")


@pytest.fixture(scope="module")
def registry(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "users").write_text(USERS)
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=port))
    process = subprocess.Popen([_program(), "serve", str(folder / "config.yml")], stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(port)
        yield Registry(f"localhost:{port}", folder)
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/").close()
        except urllib.error.HTTPError as answer:
            answer.close()
            return  # 401: it wants a password
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the registry does not answer")


@pytest.fixture(scope="module")
def made(engine: Engine, project: MakeProject, registry: Registry) -> Project:
    engine.references.append(registry.image)
    return project("hello", f"{HELLO}image: {registry.image}\n")


@dataclass(frozen=True)
class LoggedIn:
    """An environment in which the user is logged in, and what `cogc login` said."""

    environment: dict[str, str]
    said: str


@pytest.fixture(scope="module")
def user(made: Project, registry: Registry) -> LoggedIn:
    environment = registry.environment("user")
    # The host is that of `image` in cog.yaml.
    words = ("--debug", "login", "--username", "me", "--token-stdin")
    return LoggedIn(environment, made.cogc(*words, stdin="secret\n", environment=environment).stderr)


@pytest.fixture(scope="module")
def pushed(made: Project, user: LoggedIn) -> subprocess.CompletedProcess[str]:
    return made.cogc("push", environment=user.environment)


def test_push_without_login_is_refused(made: Project, registry: Registry) -> None:
    nobody = registry.environment("nobody")
    refused = made.cogc("push", "--format", "json", check=False, environment=nobody)
    assert refused.returncode == 1
    (found,) = [item for item in json.loads(refused.stdout)["diagnostics"] if item["severity"] == "error"]
    assert found["code"] == "COG640"
    assert "cogc login" in found["hint"]

    wrong = made.cogc("login", "-u", "me", "--password-stdin", stdin="no\n", check=False, environment=nobody)
    assert wrong.returncode == 1
    assert f"{registry.host} refuses the name or the password" in wrong.stderr


def test_login_helps(
    made: Project, registry: Registry, user: LoggedIn, pushed: subprocess.CompletedProcess[str]
) -> None:
    assert f"Login succeeded for {registry.host}" in user.said
    assert "secret" not in user.said
    assert registry.host in Path(user.environment["DOCKER_CONFIG"], "config.json").read_text()

    digest = re.fullmatch(re.escape(registry.image) + r"@(sha256:[0-9a-f]{64})\n", pushed.stdout)
    assert digest is not None
    assert f"Pushing to {registry.image}..." in pushed.stderr

    remote = f"{registry.host}/team/hello@{digest[1]}"
    assert "predict   predict.py:Predictor" in made.cogc("inspect", remote, environment=user.environment).stdout


@pytest.mark.usefixtures("pushed")
def test_image_in_the_registry_is_inspected_without_a_pull(
    engine: Engine, made: Project, registry: Registry, user: LoggedIn
) -> None:
    name, logged_in = registry.image, user.environment
    local = json.loads(made.cogc("inspect", name, "--format", "json", environment=logged_in).stdout)
    engine.text("image", "rm", name)
    remote = json.loads(made.cogc("inspect", name, "--format", "json", environment=logged_in).stdout)
    assert not engine.has(name)
    assert (local["local"], remote["local"]) == (True, False)
    for key in ("digest", "labels", "config", "schema", "packages", "platform", "user"):
        assert local[key] == remote[key], key
    assert local["packages"] == ["six==1.16.0"]
    assert 0 < remote["size_bytes"] < local["size_bytes"]
    assert sum(layer["size_bytes"] for layer in local["layers"]) == local["size_bytes"]
    text = made.cogc("inspect", name, environment=logged_in).stdout
    assert "  text  string  required  Some text\noutput: string\n" in text


def test_argument_of_push_replaces_the_image_and_code_edits_push_little(
    engine: Engine, made: Project, registry: Registry, user: LoggedIn
) -> None:
    name = f"{registry.host}/team/other"
    engine.references.append(name)
    made.cogc("push", name, "--progress", "quiet", environment=user.environment)
    made.write("predict.py", PREDICT + "# edited\n")
    again = made.cogc("push", name, environment=user.environment)
    assert len(re.findall(r": Layer already exists$", again.stderr, re.MULTILINE)) > 10
    config = json.loads(Image(engine, name).labels["run.cog.config"])
    assert config["image"] == name


def test_push_without_a_name_and_other_images(project: MakeProject, registry: Registry, user: LoggedIn) -> None:
    nameless = project("nameless", HELLO)
    done = nameless.cogc("push", "--format", "json", check=False)
    assert [found["code"] for found in json.loads(done.stdout)["diagnostics"] if found["severity"] == "error"] == [
        "COG645"
    ]
    for name, code in {"debian:13": "COG643", f"{registry.host}/team/nothing": "COG642"}.items():
        done = nameless.cogc("inspect", name, "--format", "json", check=False, environment=user.environment)
        assert done.returncode == 1
        assert [found["code"] for found in json.loads(done.stdout)["diagnostics"]] == [code]


def test_login_needs_a_name_and_a_password(project: MakeProject) -> None:
    nowhere = project("login", HELLO)
    for words, stdin in (
        (("--password-stdin",), "secret"),
        (("-u", "me", "--password-stdin"), ""),
        ((), "me\nsecret\n"),
    ):
        done = nowhere.cogc("login", "localhost:1", *words, stdin=stdin, check=False)
        assert done.returncode == 1
        assert "COG503" in done.stderr
        assert "secret" not in done.stderr
