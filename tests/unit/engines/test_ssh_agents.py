"""What can be told of agents and key files before a build."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from cogc.engines.ssh_agents import SshAgent, agent_problem
from tests.ssh_agents import make_key, running_agent


def problem(agent: SshAgent) -> str | None:
    found = agent_problem(agent)
    return found[0] if found is not None else None


@pytest.mark.parametrize("words", [("-t", "ed25519"), ("-t", "ecdsa", "-m", "PEM"), ("-t", "ecdsa", "-m", "PKCS8")])
def test_a_key_may_not_have_a_passphrase(tmp_path: Path, words: tuple[str, ...]) -> None:
    plain = make_key(tmp_path / "plain", *words)
    locked = make_key(tmp_path / "locked", *words, passphrase="sesame street")
    assert problem(SshAgent("a", keys=(plain,))) is None
    assert problem(SshAgent("a", keys=(plain, locked))) == f"the key {locked} is protected by a passphrase"


def test_what_is_no_key(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    public = key.with_suffix(".pub")
    assert problem(SshAgent("a", keys=(public,))) == f"{public} is no private key"
    assert problem(SshAgent("a", keys=(tmp_path,))) == f"the key {tmp_path} cannot be read: is a directory"
    assert problem(SshAgent("a", keys=(tmp_path / "none",))) == f"{tmp_path / 'none'} does not exist"


def test_no_key_is_shown(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAAsecretsecretsecret\n")
    assert "secret" not in str(agent_problem(SshAgent("a", keys=(broken,))))


def test_an_agent_must_have_keys(tmp_path: Path) -> None:
    with running_agent() as agent:
        assert problem(SshAgent("a", socket=agent.path)) == f"the agent at {agent.path} has no keys"
        agent.add(make_key(tmp_path / "key"))
        assert problem(SshAgent("a", socket=agent.path)) is None
    assert problem(SshAgent("a", socket=agent.path)) == f"{agent.path} does not exist"


def test_an_agent_that_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    assert problem(SshAgent("a", socket=path)) == f"the agent at {path} cannot be reached: connection refused"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n"])
def test_what_is_no_agent(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            with listening.accept()[0] as accepted:
                accepted.recv(5)
                accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert problem(SshAgent("a", socket=path)) == f"what answers at {path} is no ssh agent"
        thread.join(10)


def test_no_agent_at_all() -> None:
    assert problem(SshAgent("a")) == "SSH_AUTH_SOCK is not set"
