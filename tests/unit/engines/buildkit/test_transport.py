"""Ways to a daemon: sockets, Docker's upgrade, TLS, programs; and what is said when one does not lead there."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cogc.engines.buildkit.address import Address, find_address
from cogc.engines.buildkit.credentials import credentials_of
from cogc.engines.buildkit.docker_config import configured_proxies
from cogc.engines.buildkit.errors import BuildkitError, Unreachable
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.transport import connect
from tests.certificates import Authority
from tests.unit.engines.buildkit.daemon import Daemon

WORKERS = "/moby.buildkit.v1.Control/ListWorkers"


def answers(address: Address) -> bool:
    connection = Connection(connect(address))
    try:
        return bool(connection.unary(WORKERS, b""))
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("builder", "environment", "expected"),
    [
        (None, {}, Address("unix", ("/var/run/docker.sock",), upgrades=True)),
        (None, {"DOCKER_HOST": "unix:///x"}, Address("unix", ("/x",), upgrades=True)),
        (None, {"DOCKER_HOST": "ssh://me@host"}, Address("program", ("docker", "system", "dial-stdio"), upgrades=True)),
        (None, {"DOCKER_CONTEXT": "far"}, Address("program", ("docker", "system", "dial-stdio"), upgrades=True)),
        (None, {"BUILDKIT_HOST": "unix:///b", "DOCKER_HOST": "unix:///x"}, Address("unix", ("/b",))),
        (None, {"BUILDKIT_HOST": "tcp://h:9", "BUILDKIT_TLS_DIR": "/c"}, Address("tcp", ("h", "9"), certificates="/c")),
        (None, {"BUILDKIT_HOST": "tcp://h"}, Address("tcp", ("h", "1234"))),
        ("b", {"BUILDKIT_HOST": "unix:///b"}, Address("program", ("docker", "buildx", "dial-stdio", "--builder", "b"))),
        (
            None,
            {"BUILDKIT_HOST": "kube-pod://p"},
            Address("program", ("kubectl", "exec", "--stdin", "p", "--", "buildctl", "dial-stdio")),
        ),
        (
            None,
            {"BUILDKIT_HOST": "kube-pod://p?namespace=n&container=k&context=c"},
            Address(
                "program",
                (
                    *("kubectl", "--context=c", "--namespace=n", "exec", "--stdin", "--container=k"),
                    *("p", "--", "buildctl", "dial-stdio"),
                ),
            ),
        ),
        (
            None,
            {"BUILDKIT_HOST": "docker-container://b?context=c"},
            Address("program", ("docker", "--context=c", "exec", "--interactive", "b", "buildctl", "dial-stdio")),
        ),
        (None, {"DOCKER_HOST": "unix://"}, Address("unix", ("/var/run/docker.sock",), upgrades=True)),
    ],
)
def test_addresses(builder: str | None, environment: dict[str, str], expected: Address, tmp_path: Path) -> None:
    assert find_address(builder, {"HOME": str(tmp_path), **environment}) == expected


def test_a_current_docker_context_counts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    assert find_address(None, {"DOCKER_CONFIG": str(tmp_path)}).kind == "program"


def test_a_socket_and_dockers_upgrade(tmp_path: Path) -> None:
    for upgrades in (False, True):
        with Daemon(tmp_path / f"{upgrades}.sock", upgrades=upgrades) as daemon:
            assert answers(Address("unix", (str(daemon.path),), upgrades=upgrades))


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """Answers the first bytes of a connection with those bytes, and ends it."""
    opened: list[socket.socket] = []

    def listen(answer: bytes) -> Path:
        path = tmp_path / "s.sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        opened.append(server)

        def serve() -> None:
            with contextlib.suppress(OSError):
                raw, _ = server.accept()
                with raw:
                    raw.recv(4096)
                    raw.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return path

    yield listen
    for server in opened:
        server.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 17\r\n\r\npage not found...", "404 Not Found page not found"),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", "no BuildKit, or is too old"),
    ],
)
def test_an_engine_that_has_no_buildkit(listening: Callable[[bytes], Path], answer: bytes, told: str) -> None:
    with pytest.raises(Unreachable, match=told):
        connect(Address("unix", (str(listening(answer)),), upgrades=True))


def test_programs(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no program `no-such-program`"):
        connect(Address("program", ("no-such-program",)))
    with pytest.raises(BuildkitError, match="no builder of that name"):
        answers(Address("program", ("sh", "-c", "echo no builder of that name >&2; exit 1")))


# -- TLS -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    root = tmp_path_factory.mktemp("tls")
    return Authority(root / "right"), Authority(root / "other")


@pytest.fixture
def tls_port(tmp_path: Path, authorities: tuple[Authority, Authority]) -> Iterator[int]:
    """The port of a daemon that shows a certificate and asks for one; plain bytes go on to a small daemon."""
    right = authorities[0].root
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(right / "server.pem", right / "server.key")
    context.load_verify_locations(right / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = socket.create_server(("127.0.0.1", 0))
    with Daemon(tmp_path / "d.sock") as daemon, server:

        def copy(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError, ssl.SSLError):
                while data := source.recv(65536):
                    target.sendall(data)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            while True:
                try:
                    raw, _ = server.accept()
                except OSError:
                    return
                with (
                    contextlib.suppress(OSError, ssl.SSLError),
                    context.wrap_socket(raw, server_side=True) as secured,
                    socket.socket(socket.AF_UNIX) as plain,
                ):
                    plain.connect(str(daemon.path))
                    there = threading.Thread(target=copy, args=(plain, secured), daemon=True)
                    there.start()
                    copy(secured, plain)
                    there.join(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_tls_with_certificates_of_both_sides(tls_port: int, authorities: tuple[Authority, Authority]) -> None:
    folder = str(authorities[0].folder)
    assert answers(Address("tcp", ("127.0.0.1", str(tls_port)), certificates=folder))


def test_a_daemon_of_another_authority_is_not_trusted(tls_port: int, authorities: tuple[Authority, Authority]) -> None:
    address = Address("tcp", ("127.0.0.1", str(tls_port)), certificates=str(authorities[1].folder))
    with pytest.raises(Unreachable, match="certificate cannot be trusted"):
        connect(address)


def test_a_client_without_a_certificate_is_turned_away(
    tls_port: int, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    shutil.copy(authorities[0].root / "ca.pem", tmp_path / "ca.pem")
    with pytest.raises(Unreachable, match="asks who we are"):
        answers(Address("tcp", ("127.0.0.1", str(tls_port)), certificates=str(tmp_path)))


def test_certificates_that_are_not_there(tls_port: int, tmp_path: Path) -> None:
    address = Address("tcp", ("127.0.0.1", str(tls_port)), certificates=str(tmp_path))
    with pytest.raises(Unreachable, match=f"there is no ca.pem in BUILDKIT_TLS_DIR={tmp_path}"):
        connect(address)
    (tmp_path / "ca.pem").write_text("nothing")
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(Unreachable, match=r"there is no key\.pem"):
        connect(address)
    (tmp_path / "cert.pem").unlink()
    with pytest.raises(Unreachable, match="no TLS"):
        connect(address)


def test_a_daemon_that_wants_tls_was_never_reached(tls_port: int) -> None:
    with pytest.raises(Unreachable, match="before it said anything, as one does that wants TLS"):
        answers(Address("tcp", ("127.0.0.1", str(tls_port))))


PROXIES = """{"proxies": {"default": {"httpProxy": "http://d:1", "noProxy": "x"}, "tcp://far:1": {"allProxy": "http://f:1"}}}"""


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        (PROXIES, "", {"HTTP_PROXY": "http://d:1", "NO_PROXY": "x"}),
        (PROXIES, "unix:///other", {"HTTP_PROXY": "http://d:1", "NO_PROXY": "x"}),
        (PROXIES, "tcp://far:1", {"ALL_PROXY": "http://f:1"}),
        ('{"proxies": 3}', "", {}),
        ("[]", "", {}),
        ("{", "", {}),
    ],
)
def test_proxies_of_dockers_configuration(tmp_path: Path, text: str, host: str, expected: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(text)
    assert configured_proxies({"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": host}) == expected


# -- who we are ----------------------------------------------------------------------------------------


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(
        '{"auths": {"r.example": {"auth": "bWU6c2VjcmV0"}, "t.example": {"auth": "", "identitytoken": "tok"},'
        ' "https://index.docker.io/v1/": {"auth": "aHViOng="}, "broken": {"auth": "!"}},'
        ' "credHelpers": {"h.example": "made-up"}}'
    )
    helper = tmp_path / "docker-credential-made-up"
    helper.write_text(
        '#!/bin/sh\n[ "$(cat)" = h.example ] && echo \'{"Username": "<token>", "Secret": "from program"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    hosts = ("r.example", "t.example", "registry-1.docker.io", "h.example", "broken", "unknown")
    assert [credentials_of(host, environment) for host in hosts] == [
        ("me", "secret"),
        ("", "tok"),
        ("hub", "x"),
        ("", "from program"),
        None,
        None,
    ]
    assert credentials_of("r.example", {"DOCKER_CONFIG": str(tmp_path / "none")}) is None
