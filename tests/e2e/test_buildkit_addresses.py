"""The engine's BuildKit behind every kind of address: sockets, ports, TLS, and programs that lead there."""

from __future__ import annotations

import io
import json
import os
import shutil
import ssl
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogc.backends.llb.definition import marshal
from cogc.backends.llb.ops import CopyFiles, FileOp, LocalSource, Output, Platform
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.client import Bridge, Export, Result, build
from cogc.engines.buildkit.context_files import ContextDirectory
from cogc.engines.buildkit.errors import BuildkitError
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.received import ReceivedArchive
from cogc.engines.buildkit.session import Offers
from cogc.engines.buildkit.transport import connect
from tests.certificates import Authority
from tests.e2e.buildkit_proxy import BuildkitProxy
from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine

pytestmark = pytest.mark.engine

PLATFORM = Platform("linux", "amd64")


def archive_of(directory: Path, environment: dict[str, str]) -> dict[str, bytes]:
    """Send a directory to the daemon of that environment, have it copied there, and take the result back."""
    source = Output(LocalSource(name="context", part="all"))
    copied = Output(FileOp(base=None, actions=(CopyFiles(source, "/", "/copied"),), platform=PLATFORM))
    result = io.BytesIO()
    receivers = {0: ReceivedArchive(write=result.write, flush=result.flush)}
    offers = Offers(directories={"context": ContextDirectory(directory)}, receivers=receivers)
    connection = Connection(connect(find_address(None, environment)))

    def frontend(bridge: Bridge) -> Result:
        return Result(((PLATFORM, bridge.solve(marshal(copied, PLATFORM)), {}),))

    try:
        build(connection, offers, Export(exporters=[("tar", {})]), frontend, lambda document: None)
    finally:
        connection.close()
    result.seek(0)
    with tarfile.open(fileobj=result) as archive:
        files = [member for member in archive if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "sent"
    made.mkdir()
    for name in ("a", "b\nc", "ü"):
        (made / name).write_text(name)
    return made


SENT = {"copied/a": b"a", "copied/b\nc": b"b\nc", "copied/ü": "ü".encode()}


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    root = tmp_path_factory.mktemp("tls")
    return Authority(root / "right"), Authority(root / "other")


@pytest.fixture(scope="module")
def secured(engine: Engine, authorities: tuple[Authority, Authority]) -> Iterator[BuildkitProxy]:
    """A port with TLS that wants to know who we are."""
    right = authorities[0].root
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(right / "server.pem", right / "server.key")
    context.load_verify_locations(right / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    with BuildkitProxy(tls=context) as proxy:
        yield proxy


def test_a_socket(engine: Engine, directory: Path, tmp_path: Path) -> None:
    with BuildkitProxy(tmp_path / "b.sock") as proxy:
        assert archive_of(directory, {"BUILDKIT_HOST": proxy.address}) == SENT


def test_a_port(engine: Engine, directory: Path) -> None:
    with BuildkitProxy() as proxy:
        assert archive_of(directory, {"BUILDKIT_HOST": proxy.address}) == SENT


def test_tls(secured: BuildkitProxy, directory: Path, authorities: tuple[Authority, Authority]) -> None:
    folder = str(authorities[0].folder)
    assert archive_of(directory, {"BUILDKIT_HOST": secured.address, "BUILDKIT_TLS_DIR": folder}) == SENT


def test_the_engine_of_docker(engine: Engine, directory: Path) -> None:
    assert archive_of(directory, dict(os.environ)) == SENT


@pytest.mark.parametrize(
    ("program", "host", "leads"),
    [
        ("docker", "docker-container://some", "exec --interactive some buildctl dial-stdio"),
        ("kubectl", "kube-pod://some", "exec --stdin some -- buildctl dial-stdio"),
    ],
)
def test_programs_that_lead_into_a_container(
    engine: Engine,
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    host: str,
    leads: str,
) -> None:
    """The program is a stand-in that takes just these words, and leads to the real BuildKit."""
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / program
    docker = shutil.which("docker")
    stand_in.write_text(f'#!/bin/sh\n[ "$*" = "{leads}" ] || exit 9\nexec {docker} buildx dial-stdio\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    assert archive_of(directory, {"BUILDKIT_HOST": host}) == SENT


@pytest.mark.parametrize("folder", ["other", "none", "strangers"])
def test_wrong_certificates(
    secured: BuildkitProxy,
    authorities: tuple[Authority, Authority],
    project: MakeProject,
    tmp_path: Path,
    folder: str,
) -> None:
    """`other`: its authority is not ours; `none`: we show none; `strangers`: ours is of another authority."""
    right, other = authorities
    files = {"other": other.folder.iterdir(), "none": [right.folder / "ca.pem"]}
    files["strangers"] = [right.folder / "ca.pem", other.folder / "cert.pem", other.folder / "key.pem"]
    for file in files[folder]:
        shutil.copy(file, tmp_path)
    variables = {"BUILDKIT_HOST": secured.address, "BUILDKIT_TLS_DIR": str(tmp_path)}
    made = project(f"tls-{folder}", HELLO)
    words = ("build", "--engine", "buildkit", "-t", "cogc-e2e-tls", "--format", "json", "--progress", "quiet")
    done = made.cogc(*words, environment=variables, check=False)
    found = [each for each in json.loads(done.stdout)["diagnostics"] if each["severity"] == "error"]
    assert done.returncode == 1
    told = {
        "other": "its certificate cannot be trusted",
        "none": "asks who we are: BUILDKIT_TLS_DIR needs cert.pem",
        "strangers": "does not accept our certificate",
    }
    assert [each["code"] for each in found] == ["COG621"], found
    assert told[folder] in found[0]["message"]


def test_a_port_where_nobody_listens(engine: Engine) -> None:
    with pytest.raises(BuildkitError, match="connection refused"):
        archive_of(Path("."), {"BUILDKIT_HOST": "tcp://127.0.0.1:1"})
