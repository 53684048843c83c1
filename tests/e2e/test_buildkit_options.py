"""The options of `cogc build --engine buildkit`: platforms, registries, caches, attestations, weights, times."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import source_hash
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HELLO, PREDICT, MakeProject
from tests.e2e.images import Engine, Image, Project
from tests.e2e.test_registry import CONFIG, USERS, _program, _wait_until_it_answers

pytestmark = pytest.mark.engine

SCANNER = """\
#!/bin/sh
set -e
test -e "$BUILDKIT_SCAN_SOURCE/src/predict.py"
cat > "$BUILDKIT_SCAN_DESTINATION/found.spdx.json" <<END
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
 "predicate": {"spdxVersion": "SPDX-2.3", "name": "what the scanner found"}}
END
"""
BOTH = ("amd64", "arm64")
PACKAGES = "opt/cogc/server/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def registry() -> str:
    return os.environ.get("COGC_TEST_REGISTRY") or pytest.skip("COGC_TEST_REGISTRY names no registry")


@pytest.fixture(scope="module")
def made(project: MakeProject) -> Project:
    return project("options", HELLO, {"data/words.txt": "one\n"})


def build(made: Project, *words: str, **more: Any) -> dict[str, Any]:
    done = made.cogc("build", "--engine", "buildkit", *words, "--format", "json", "--progress", "quiet", **more)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


class Layout:
    """An image that was written as files: blobs with an index."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (self.top,) = json.loads((root / "index.json").read_bytes())["manifests"]

    def blob(self, digest: str) -> Any:
        return json.loads((self.root / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())

    def manifests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.blob(self.top["digest"])["manifests"]
        return found

    def layers(self) -> Iterator[tarfile.TarFile]:
        for layer in self.blob(self.top["digest"])["layers"]:
            with tarfile.open(self.root / "blobs/sha256" / layer["digest"].removeprefix("sha256:")) as archive:
                yield archive

    def files(self) -> Iterator[list[tuple[str, float, int, str]]]:
        """Of each layer the name, time, mode and content of each file, but for what Python makes of a source: it does
        not always write quite the same."""
        for archive in self.layers():
            yield [(file.name, file.mtime, file.mode, self._digest(archive, file)) for file in archive]

    def content(self, name: str) -> bytes:
        (found,) = (read(archive, archive.getmember(name)) for archive in self.layers() if name in archive.getnames())
        return found

    @staticmethod
    def _digest(archive: tarfile.TarFile, file: tarfile.TarInfo) -> str:
        if not file.isreg() or file.name.endswith(".pyc"):
            return file.linkname
        return hashlib.sha256(read(archive, file)).hexdigest()


def read(archive: tarfile.TarFile, file: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(file)
    assert content
    return content.read()


# -- platforms -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(engine: Engine, registry: str) -> str:
    """An image for two platforms, with the programs of this machine in both: nothing is emulated here."""
    container = engine.text("create", "python:3.11-slim", "none").strip()
    files = engine.docker("export", container).stdout
    engine.docker("rm", container)
    name = f"{registry}/{engine.name('both').replace(':', '-')}"
    for architecture in BOTH:
        reference = f"{name}:{architecture}"
        engine.references.append(reference)
        engine.text(
            "import",
            "--platform",
            f"linux/{architecture}",
            "--change",
            "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "-",
            reference,
            stdin=files,
        )
        engine.text("push", "--quiet", reference)
    engine.text("buildx", "imagetools", "create", "--tag", f"{name}:all", *(f"{name}:{each}" for each in BOTH))
    return f"{name}:all"


@pytest.mark.usefixtures("containerd_store")
def test_one_image_for_two_platforms(project: MakeProject, base: str, tmp_path: Path) -> None:
    config = HELLO + 'environment: ["A=1"]\n'
    made = project("platforms", config.replace("build:\n", "build:\n  run: [uname -s > /opt/made]\n"))
    output = f"type=oci,tar=false,dest={tmp_path}/image"
    platforms = ",".join(f"linux/{each}" for each in BOTH)
    build(made, "--platform", platforms, "--base-image", base, "--installer", "pip", "-o", output)
    layout = Layout(tmp_path / "image")
    found = layout.manifests()
    assert [entry["platform"]["architecture"] for entry in found] == list(BOTH)
    for entry in found:
        config = layout.blob(layout.blob(entry["digest"])["config"]["digest"])
        assert config["architecture"] == entry["platform"]["architecture"]
        assert "A=1" in config["config"]["Env"]
        assert "six==1.16.0" in config["config"]["Labels"]["run.cog.pip_freeze"]


def test_one_dockerfile_is_for_one_platform(made: Project) -> None:
    done = made.cogc("build", "--platform", "linux/amd64,linux/arm64", check=False)
    assert done.returncode == 1
    assert "error[COG503]: --platform linux/amd64,linux/arm64: one Dockerfile is for one platform" in done.stderr


# -- a Dockerfile of the user ------------------------------------------------------------------------


def test_a_dockerfile_of_ones_own(engine: Engine, made: Project, tmp_path: Path) -> None:
    path = tmp_path / "Own"
    path.write_text("FROM debian:13-slim\nARG GREETING\nRUN echo $GREETING > /greeting\nCOPY data /data\n")
    name = engine.name("own")
    build(made, "--dockerfile", str(path), "--build-arg", "GREETING", "-t", name, environment={"GREETING": "hey"})
    assert engine.text("run", "--rm", name, "cat", "/greeting", "/data/words.txt") == "hey\none\n"
    labels = Image(engine, name).labels
    assert json.loads(labels["run.cog.config"])["predict"] == "predict.py:Predictor"
    path.write_text("FROM debian:13-slim\nRUN echo oh no && exit 3\n")
    done = made.cogc("build", "--engine", "buildkit", "--dockerfile", str(path), "--progress", "quiet", check=False)
    assert done.returncode == 1
    assert "COG630" in done.stderr
    assert "oh no" in done.stderr


# -- attestations ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scanner(engine: Engine, registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("scanner")
    (place / "scan").write_text(SCANNER)
    (place / "scan").chmod(0o755)
    (place / "Dockerfile").write_text('FROM debian:13-slim\nCOPY scan /scan\nENTRYPOINT ["/scan"]\n')
    name = f"{registry}/{engine.name('scanner')}"
    engine.references.append(name)
    engine.text("build", "--quiet", "--tag", name, str(place))
    engine.text("push", "--quiet", name)
    return name


@pytest.mark.usefixtures("containerd_store")
def test_provenance_and_a_list_of_what_is_in_the_image(made: Project, scanner: str, tmp_path: Path) -> None:
    words = ["--provenance", "mode=max", "--sbom", f"generator={scanner}"]
    build(made, *words, "-o", f"type=oci,tar=false,dest={tmp_path}/image")
    layout = Layout(tmp_path / "image")
    image, attested = layout.manifests()
    assert attested["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
    assert attested["annotations"]["vnd.docker.reference.digest"] == image["digest"]
    statements = [layout.blob(layer["digest"]) for layer in layout.blob(attested["digest"])["layers"]]
    by_type = {statement["predicateType"]: statement["predicate"] for statement in statements}
    assert by_type.pop("https://spdx.dev/Document")["name"] == "what the scanner found"
    (provenance,) = by_type.values()
    assert "python" in json.dumps(provenance["materials"])
    assert "buildConfig" in provenance, "mode=max tells the steps"


@pytest.mark.usefixtures("containerd_store")
def test_provenance_without_the_steps(made: Project, tmp_path: Path) -> None:
    build(made, "--provenance", "true", "-o", f"type=oci,tar=false,dest={tmp_path}/image")
    layout = Layout(tmp_path / "image")
    _, attested = layout.manifests()
    (layer,) = layout.blob(attested["digest"])["layers"]
    assert "buildConfig" not in layout.blob(layer["digest"])["predicate"]


@pytest.mark.usefixtures("containerd_store")
def test_a_scanner_that_cannot_be_had(made: Project, registry: str) -> None:
    words = ["--sbom", f"generator={registry}/cogc-e2e-no-such-scanner", "-o", "type=cacheonly"]
    done = made.cogc("build", "--engine", "buildkit", *words, "--progress", "quiet", check=False)
    assert done.returncode == 1
    assert "error[COG642]" in done.stderr
    assert "cogc-e2e-no-such-scanner" in done.stderr


# -- caches ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("containerd_store")
def test_a_cache_in_a_directory(made: Project, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    words = ["build", "--engine", "buildkit", "-o", "type=cacheonly", "--cache-from", f"type=local,src={place}"]
    first = made.cogc(*words, "--cache-to", f"type=local,dest={place},mode=max")
    assert f"there is no cache in {place} yet" in first.stderr
    layout = Layout(place)
    assert layout.top["annotations"] == {"org.opencontainers.image.ref.name": "latest"}
    assert len(layout.blob(layout.top["digest"])["layers"]) > 10
    manifest = place / "blobs/sha256" / layout.top["digest"].removeprefix("sha256:")
    os.utime(manifest, (0, 0))
    made.cogc(*words)
    assert manifest.stat().st_atime > 0, "it is read"
    (place / "index.json").write_text("{")
    broken = made.cogc(*words, check=False)
    assert broken.returncode == 1
    assert "COG500" in broken.stderr


@dataclass(frozen=True)
class Guarded:
    """A registry that wants a password. `log` is a line for each request, `environment` is that of its user."""

    host: str
    log: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def guarded(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "users").write_text(USERS)
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=port))
    auth = base64.b64encode(b"me:secret").decode()
    (folder / "config.json").write_text(json.dumps({"auths": {f"localhost:{port}": {"auth": auth}}}))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([_program(), "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            _wait_until_it_answers(port)
            yield Guarded(f"localhost:{port}", folder / "log", {"DOCKER_CONFIG": str(folder)})
        finally:
            process.terminate()
            process.wait()


@pytest.mark.usefixtures("containerd_store")
def test_push_and_caches_with_a_password(engine: Engine, made: Project, guarded: Guarded) -> None:
    name = f"{guarded.host}/team/hello"
    engine.references.append(name)
    words = ["build", "--engine", "buildkit", "-t", name, "--push", "--progress", "quiet"]
    refused = made.cogc(*words, check=False)
    assert refused.returncode == 1
    assert "error[COG640]" in refused.stderr
    caches = ["--cache-to", f"type=registry,ref={name}:cache,mode=max", "--cache-to", "type=inline"]
    document = build(made, "-t", name, "--push", *caches, environment=guarded.environment)
    asked = guarded.log.read_text()
    assert (
        f"PUT /v2/team/hello/manifests/{document['digest']}" in asked or "PUT /v2/team/hello/manifests/latest" in asked
    )
    assert "PUT /v2/team/hello/manifests/cache" in asked
    for cache, tag in ((f"type=registry,ref={name}:cache", "cache"), (name, "latest")):
        before = guarded.log.stat().st_size
        build(made, "-o", "type=cacheonly", "--cache-from", cache, environment=guarded.environment)
        assert f"/v2/team/hello/manifests/{tag}" in guarded.log.read_text()[before:]


# -- weights, times ----------------------------------------------------------------------------------


def test_weights_of_their_own(engine: Engine, project: MakeProject) -> None:
    made = project("separate", HELLO)
    made.write_large("weights/large.bin", "one")
    name = engine.name("separate")
    engine.references.append(f"{name}-weights")
    words = ["--separate-weights", "-t", name]
    assert build(made, *words)["weights_image"] == {"name": f"{name}-weights", "built": True}
    assert Image(engine, name).tree("/src/weights/large.bin")["/src/weights/large.bin"].size == 10 << 20
    made.write("predict.py", PREDICT + "# edited\n")
    assert build(made, *words)["weights_image"]["built"] is False
    made.write_large("weights/large.bin", "two")
    assert build(made, *words)["weights_image"]["built"] is True
    text = engine.text("run", "--rm", "--entrypoint", "head", name, "-c", "3", "/src/weights/large.bin")
    assert text == "two"


@pytest.mark.usefixtures("containerd_store")
def test_the_same_image_at_another_time(made: Project, tmp_path: Path) -> None:
    """Files newer than the time are given it; nothing comes from a cache, which an engine may drop at any moment."""
    layouts = []
    for number in range(2):
        place = tmp_path / str(number)
        words = ("--no-cache",) if number else ()
        build(made, *words, "--timestamp", "1700000000", "-t", "same", "-o", f"type=oci,tar=false,dest={place}")
        layouts.append(Layout(place))
        for path in ("data/words.txt", "predict.py"):
            os.utime(made.root / path, (1700000001 + number,) * 2)
    one, other = ([*layout.files()] for layout in layouts)
    assert one == other
    assert max(time for layer in one for _, time, *_ in layer) == 1700000000
    bytecode = [layout.content(f"{PACKAGES}/aiohttp/__pycache__/web.cpython-311.pyc") for layout in layouts]
    source = layouts[0].content(f"{PACKAGES}/aiohttp/web.py")
    assert [content[4:16] for content in bytecode] == [b"\3\0\0\0" + source_hash(source)] * 2
