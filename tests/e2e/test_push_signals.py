"""`cogc push` that is ended by a signal while a layer is on its way: it stops, nothing is half there, the next one works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Project, cogc_program
from tests.e2e.stalling import Door, door

pytestmark = pytest.mark.engine

_LIMIT_SECONDS = 120.0
_FORMS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


@pytest.fixture(scope="module")
def registry_door() -> Iterator[Door]:
    registry = os.environ.get("COGC_TEST_REGISTRY") or pytest.skip("COGC_TEST_REGISTRY names no registry")
    with door(registry) as made:
        yield made


@pytest.fixture(scope="module")
def made(project: MakeProject) -> Project:
    return project("pushing", HELLO)


@pytest.mark.parametrize(
    ("number", "progress"), [(signal.SIGINT, "plain"), (signal.SIGTERM, "quiet"), (signal.SIGHUP, "plain")]
)
def test_a_push_that_is_ended_by_a_signal(
    engine: Engine, made: Project, registry_door: Door, number: signal.Signals, progress: str
) -> None:
    name = f"{registry_door.host}/cogc-tests/{uuid.uuid4().hex[:8]}:v1"
    engine.references.append(name)
    registry_door.hold()
    process = subprocess.Popen(
        [cogc_program(), "push", "--progress", progress, name],
        cwd=made.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert registry_door.is_reached.wait(_LIMIT_SECONDS), "nothing was pushed"
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number, errors.decode()
    assert output == b""
    assert b"Traceback" not in errors
    registry_door.release()
    _assert_nobody_pushes(name)
    assert _manifest(name) is None
    again = made.cogc("push", "--progress", "quiet", name)
    assert again.stdout.startswith(name.rpartition(":")[0])
    manifest = _manifest(name)
    assert manifest is not None
    assert manifest.get("layers") or manifest.get("manifests")


def _assert_nobody_pushes(name: str) -> None:
    """The docker program that pushed is gone too."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done = subprocess.run(["pgrep", "-f", f"docker.* push .*{name}"], capture_output=True, check=False)
        if done.returncode:
            return
        time.sleep(0.1)
    raise AssertionError(f"something still pushes {name}")


def _manifest(name: str) -> dict | None:
    """What the registry has under the name; None when that is nothing."""
    repository, _, tag = name.rpartition(":")
    host, _, path = repository.partition("/")
    headers = {"Accept": ", ".join(_FORMS)}
    request = urllib.request.Request(f"http://{host}/v2/{path}/manifests/{tag}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    assert status == 404
    return None
