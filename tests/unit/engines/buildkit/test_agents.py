"""Steps of a build and the ssh agents of this machine, through a session."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cogc.engines import EngineFailure
from cogc.engines.buildkit.address import Address
from cogc.engines.buildkit.errors import BuildkitError, CallFailed
from cogc.engines.buildkit.grpc import Call, Connection
from cogc.engines.buildkit.key_agent import key_agent
from cogc.engines.buildkit.messages import SERVICES
from cogc.engines.buildkit.session import Offers, Session
from cogc.engines.buildkit.transport import connect
from tests.ssh_agents import RunningAgent, make_key, running_agent
from tests.unit.engines.buildkit.daemon import Daemon

AGENT = "/moby.sshforward.v1.SSH"
REQUEST_IDENTITIES = b"\0\0\0\1\x0b"


class Echo:
    """Listens at a socket in place of an agent: says back what it hears, and at its end how much that was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self._accepted: list[socket.socket] = []
        self.lock = threading.Lock()

    def hang_up(self) -> None:
        for each in self._accepted:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                self._accepted.append(accepted)
                self._threads.append(threading.Thread(target=self._serve, args=(accepted,)))
                self._threads[-1].start()

    def _serve(self, accepted: socket.socket) -> None:
        with self.lock:
            self.open += 1
        size = 0
        with accepted, contextlib.suppress(OSError):
            while data := accepted.recv(1 << 16):
                size += len(data)
                accepted.sendall(data)
            accepted.sendall(b"heard %d" % size)
        with self.lock:
            self.open -= 1


class Sessions:
    """Sessions with a daemon, which asks for the agents of this machine."""

    def __init__(self, path: Path) -> None:
        self.daemon = Daemon(path)
        self.connection = Connection(connect(Address("unix", (str(path),))))
        self.session: Session | None = None

    def offer(self, **agents: Path) -> Offers:
        offers = Offers(agents=agents)
        self.session = Session(self.connection, offers)
        return offers

    def check(self, name: str) -> None:
        self.daemon.ask(f"{AGENT}/CheckAgent", "CheckAgentRequest", {"id": name}, "PingRequest")

    def forward(self, name: str = "default") -> Call:
        return self.daemon.session.start(f"{AGENT}/ForwardAgent", [("buildkit.ssh.id", name)])

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
        self.connection.close()
        self.daemon.__exit__()


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(tmp_path / "d")
    yield made
    made.close()
    eventually(lambda: not agent_threads())


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    made = Echo(tmp_path / "e")
    yield made
    made.close()


def agent_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "agent" in thread.name.lower()]


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def say(call: Call, data: bytes) -> None:
    call.send(SERVICES.encode("BytesMessage", {"data": data}))


def hear(call: Call, size: int) -> bytes:
    """That many bytes, or all to the end."""
    heard = b""
    while len(heard) < size and (message := call.receive()) is not None:
        heard += SERVICES.decode("BytesMessage", message).get("data", b"")
    return heard


def test_the_agents_are_known_by_their_ids(sessions: Sessions, echo: Echo) -> None:
    sessions.offer(default=echo.path, other=echo.path)
    for name in ("", "default", "other"):
        sessions.check(name)
    with pytest.raises(CallFailed, match="unset ssh forward key nobody"):
        sessions.check("nobody")
    with pytest.raises(CallFailed, match="unset ssh forward key nobody"):
        sessions.forward("nobody").only()


def test_without_agents_there_is_no_such_service(sessions: Sessions) -> None:
    sessions.offer()
    with pytest.raises(CallFailed, match="unknown method"):
        sessions.check("default")


def test_a_real_agent_answers(sessions: Sessions, tmp_path: Path) -> None:
    with running_agent() as agent:
        agent.add(make_key(tmp_path / "key"))
        sessions.offer(default=agent.path)
        calls = [sessions.forward() for _ in range(5)]
        for call in calls:
            say(call, REQUEST_IDENTITIES)
        for call in calls:
            answer = hear(call, 9)
            assert answer[4:9] == b"\x0c\0\0\0\1"
            call.end()
            assert call.receive() is None


def test_a_client_of_openssh_sees_the_key_through_the_session(sessions: Sessions, tmp_path: Path) -> None:
    with running_agent() as agent:
        agent.add(make_key(tmp_path / "key"))
        sessions.offer(default=agent.path)
        with bridge(sessions, tmp_path / "b") as path:
            assert RunningAgent(path).keys() == agent.keys() != []


@contextlib.contextmanager
def bridge(sessions: Sessions, path: Path) -> Iterator[Path]:
    """A socket whose connections go through the session, as the daemon's does."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            with listening.accept()[0] as accepted:
                call = sessions.forward()
                back = threading.Thread(target=carry, args=(call, accepted))
                back.start()
                while data := accepted.recv(1 << 16):
                    say(call, data)
                call.end()
                back.join(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(10)
        assert not thread.is_alive()


def carry(call: Call, to: socket.socket) -> None:
    while (message := call.receive()) is not None:
        to.sendall(SERVICES.decode("BytesMessage", message).get("data", b""))


def test_much_goes_both_ways_at_once(sessions: Sessions, echo: Echo) -> None:
    sessions.offer(default=echo.path)
    data = os.urandom(3 << 20)
    calls = [sessions.forward() for _ in range(3)]
    heard: list[bytes] = []
    threads = [threading.Thread(target=lambda call=call: heard.append(hear(call, 1 << 40))) for call in calls]
    for thread in threads:
        thread.start()
    for call in calls:
        for start in range(0, len(data), 1 << 16):
            say(call, data[start : start + (1 << 16)])
        call.end()
    for thread in threads:
        thread.join(30)
    assert heard == [data + b"heard %d" % len(data)] * 3


def test_the_step_ends_its_half_and_hears_the_rest(sessions: Sessions, echo: Echo) -> None:
    sessions.offer(default=echo.path)
    call = sessions.forward()
    say(call, b"abc")
    call.end()
    assert hear(call, 100) == b"abcheard 3"
    eventually(lambda: echo.open == 0)


def test_the_agent_hangs_up(sessions: Sessions, echo: Echo) -> None:
    sessions.offer(default=echo.path)
    call = sessions.forward()
    say(call, b"abc")
    assert hear(call, 3) == b"abc"
    echo.hang_up()
    hear(call, 100)
    assert call.is_over
    eventually(lambda: not agent_threads())


def test_the_step_is_cancelled(sessions: Sessions, echo: Echo) -> None:
    sessions.offer(default=echo.path)
    call = sessions.forward()
    say(call, b"abc")
    assert hear(call, 3) == b"abc"
    call.cancel()
    eventually(lambda: echo.open == 0 and not agent_threads())
    sessions.check("default")  # the session goes on


def test_the_end_of_the_session_ends_all_connections(sessions: Sessions, echo: Echo) -> None:
    sessions.offer(default=echo.path)
    calls = [sessions.forward() for _ in range(4)]
    for call in calls:
        say(call, b"abc")
        assert hear(call, 3) == b"abc"
    before = len(os.listdir("/proc/self/fd"))
    assert sessions.session is not None
    sessions.session.close()
    assert agent_threads() == []
    eventually(lambda: echo.open == 0)
    assert len(os.listdir("/proc/self/fd")) <= before - 2 * len(calls)  # both ends are in this process
    with pytest.raises(BuildkitError):
        hear(calls[0], 1)


def test_an_agent_that_has_gone_is_told(sessions: Sessions, tmp_path: Path) -> None:
    offers = sessions.offer(default=tmp_path / "gone")
    with pytest.raises(CallFailed, match="no such file"):
        sessions.forward().only()
    assert offers.agent_problems == ["the ssh agent `default` cannot be reached: no such file or directory"]


# -- an agent for key files ------------------------------------------------------------------------


def test_keys_have_an_agent_for_a_while(tmp_path: Path) -> None:
    keys = [make_key(tmp_path / "one"), make_key(tmp_path / "two", "-t", "ecdsa")]
    keys[1].chmod(0o644)  # as docker takes it
    with key_agent(keys) as path:
        assert len(RunningAgent(path).keys()) == 2
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()
    assert processes_with(str(path)) == []


def test_a_key_that_cannot_be_used(tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", passphrase="sesame street")
    with pytest.raises(EngineFailure) as caught, key_agent([locked]):
        pass
    [problem] = caught.value.diagnostics
    assert problem.code == "COG660"
    assert problem.message.startswith(f"the key {locked} cannot be used: ")


def test_without_openssh_there_is_no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineFailure, match="there is no ssh-agent"), key_agent([]):
        pass


def test_the_agent_ends_when_its_block_fails(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    places = []
    with contextlib.suppress(ZeroDivisionError), key_agent([key]) as path:
        places.append(path)
        raise ZeroDivisionError
    assert processes_with(str(places[0])) == []


def processes_with(word: str) -> list[str]:
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if word in line]
