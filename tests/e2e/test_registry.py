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
    """A registry with one user, and an environment in which nobody is logged in yet."""

    host: str
    environment: dict[str, str]


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
    docker_config = folder / "docker"
    docker_config.mkdir()
    if (plugins := Path(os.environ.get("DOCKER_CONFIG", "/nowhere"), "cli-plugins")).exists():
        (docker_config / "cli-plugins").symlink_to(plugins)
    process = subprocess.Popen([_program(), "serve", str(folder / "config.yml")], stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(port)
        yield Registry(f"localhost:{port}", {"DOCKER_CONFIG": str(docker_config)})
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
    name = f"{registry.host}/team/hello:v1"
    engine.references.append(name)
    return project("hello", f"{HELLO}image: {name}\n")


def test_push_without_login_is_refused_and_login_helps(made: Project, registry: Registry) -> None:
    name = f"{registry.host}/team/hello:v1"
    refused = made.cogc("push", "--format", "json", check=False, environment=registry.environment)
    assert refused.returncode == 1
    (found,) = [item for item in json.loads(refused.stdout)["diagnostics"] if item["severity"] == "error"]
    assert found["code"] == "COG640"
    assert "cogc login" in found["hint"]

    wrong = made.cogc(
        "login", "-u", "me", "--password-stdin", stdin="no\n", check=False, environment=registry.environment
    )
    assert wrong.returncode == 1
    assert f"{registry.host} refuses the name or the password" in wrong.stderr
    # The host is that of `image` in cog.yaml.
    login = ("--debug", "login", "--username", "me", "--token-stdin")
    done = made.cogc(*login, stdin="secret\n", environment=registry.environment)
    assert f"Login succeeded for {registry.host}" in done.stderr
    assert "secret" not in done.stderr
    assert registry.host in Path(registry.environment["DOCKER_CONFIG"], "config.json").read_text()

    pushed = made.cogc("push", environment=registry.environment)
    digest = re.fullmatch(re.escape(name) + r"@(sha256:[0-9a-f]{64})\n", pushed.stdout)
    assert digest is not None
    assert f"Pushing to {name}..." in pushed.stderr

    inspected = made.cogc("inspect", f"{registry.host}/team/hello@{digest[1]}", environment=registry.environment)
    assert "predict   predict.py:Predictor" in inspected.stdout


def test_image_in_the_registry_is_inspected_without_a_pull(engine: Engine, made: Project, registry: Registry) -> None:
    name = f"{registry.host}/team/hello:v1"
    logged_in = registry.environment
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
    engine: Engine, made: Project, registry: Registry
) -> None:
    name = f"{registry.host}/team/other"
    engine.references.append(name)
    made.cogc("push", name, "--progress", "quiet", environment=registry.environment)
    made.write("predict.py", PREDICT + "# edited\n")
    pushed = made.cogc("push", name, environment=registry.environment)
    assert len(re.findall(r": Layer already exists$", pushed.stderr, re.MULTILINE)) > 10
    config = json.loads(Image(engine, name).labels["run.cog.config"])
    assert config["image"] == name


def test_push_without_a_name_and_other_images(engine: Engine, project: MakeProject, registry: Registry) -> None:
    nameless = project("nameless", HELLO)
    done = nameless.cogc("push", "--format", "json", check=False)
    assert [found["code"] for found in json.loads(done.stdout)["diagnostics"] if found["severity"] == "error"] == [
        "COG645"
    ]
    for name, code in {"debian:13": "COG643", f"{registry.host}/team/nothing": "COG642"}.items():
        done = nameless.cogc("inspect", name, "--format", "json", check=False, environment=registry.environment)
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
