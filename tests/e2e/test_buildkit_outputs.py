"""`cogc build --output`, `--push` and `--load`, with both engines."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Image, Project, cogc_program

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def made(project: MakeProject) -> Project:
    return project("outputs", HELLO, {"data/words.txt": "one\n"})


@pytest.fixture(scope="module")
def written(engine: Engine, containerd_store: None, made: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one build with every output has written."""
    place = tmp_path_factory.mktemp("outputs")
    outputs = [f"type=oci,dest={place}/oci.tar", f"type=docker,dest={place}/docker.tar", f"type=tar,dest={place}/tar"]
    words = [word for output in [*outputs, f"{place}/files"] for word in ("-o", output)]
    done = made.cogc("build", "--engine", "buildkit", "-t", engine.name("outputs"), *words, "--format", "json")
    document = json.loads(done.stdout)
    assert [output["type"] for output in document["outputs"]] == ["oci", "docker", "tar", "local"]
    assert not engine.has(engine.name("outputs")), "without --load"
    return place


def contents(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name, status = path.relative_to(root).as_posix(), path.lstat()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (status.st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = (status.st_mode, "")
    return found


def test_the_archive_of_files_and_the_files_are_the_same(written: Path, tmp_path: Path) -> None:
    with tarfile.open(written / "tar") as archive:
        archive.extractall(tmp_path, filter="fully_trusted")
    theirs, ours = contents(tmp_path), contents(written / "files")
    assert {"src/predict.py", "src/data/words.txt", "usr/bin/env"} <= ours.keys()
    assert ours == theirs


def test_images_as_archives(engine: Engine, written: Path) -> None:
    with tarfile.open(written / "oci.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        assert archive.extractfile("oci-layout") is not None
    (manifest,) = index["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"].endswith(engine.name("outputs"))
    engine.text("load", "--quiet", "--input", str(written / "docker.tar"))
    image = Image(engine, engine.name("outputs"))
    assert "run.cog.openapi_schema" in image.labels
    assert image.config["WorkingDir"] == "/src"


def test_docker_writes_the_same_files(made: Project, written: Path, tmp_path: Path) -> None:
    made.cogc("build", "--engine", "docker", "-o", f"type=local,dest={tmp_path}/files", "--progress", "quiet")
    theirs, ours = contents(tmp_path / "files"), contents(written / "files")
    changing = ("var/", "etc/ld.so.cache", "tmp/")
    assert ours.keys() == theirs.keys()
    different = {name for name in ours if ours[name] != theirs[name] and not name.endswith(".pyc")}
    assert {name for name in different if not name.startswith(changing)} == set()


@pytest.mark.parametrize("which", ["docker", "buildkit"])
def test_an_archive_on_standard_output(made: Project, which: str) -> None:
    words = [cogc_program(), "build", "--engine", which, "-o", "type=tar", "--progress", "quiet"]
    with subprocess.Popen(words, cwd=made.root, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            names = {member.name for member in archive}
        assert process.wait(60) == 0
    assert "src/predict.py" in names


def test_pushed_and_loaded(engine: Engine, made: Project) -> None:
    registry = os.environ.get("COGC_TEST_REGISTRY") or pytest.skip("COGC_TEST_REGISTRY names no registry")
    name = f"{registry}/{engine.name('both')}"
    engine.references.append(name)
    done = made.cogc("build", "--engine", "buildkit", "-t", name, "--push", "--load", "--format", "json")
    digest = json.loads(done.stdout)["digest"]
    assert engine.has(name)
    engine.text("image", "rm", name)
    engine.text("pull", "--quiet", f"{name}@{digest}")
    engine.references.append(f"{name}@{digest}")


@pytest.mark.parametrize("which", ["docker", "buildkit"])
def test_a_place_that_cannot_be_written(made: Project, which: str) -> None:
    done = made.cogc("build", "--engine", which, "-o", "type=tar,dest=no/where.tar", check=False)
    assert done.returncode == 1
    assert "error[COG501]: no does not exist" in done.stderr


@pytest.mark.parametrize("kind", ["type=oci,dest=image.tar", "files"])
@pytest.mark.parametrize("which", ["docker", "buildkit"])
def test_an_interrupt_leaves_nothing(
    made: Project, tmp_path: Path, request: pytest.FixtureRequest, which: str, kind: str
) -> None:
    """Stopped as soon as something is being written."""
    if kind.startswith("type=oci"):
        request.getfixturevalue("containerd_store")
    (tmp_path / "image.tar").write_text("as it was")
    words = [cogc_program(), "build", "-f", str(made.root / "cog.yaml"), "--engine", which, "-o", kind]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while process.poll() is None and not _is_being_written(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, errors
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
    assert (tmp_path / "image.tar").read_text() == "as it was"


def _is_being_written(place: Path) -> bool:
    for path in place.glob(".*.tmp"):
        if path.is_dir() and any(path.iterdir()):
            return True
        if path.is_file() and path.stat().st_size:
            return True
    return False
