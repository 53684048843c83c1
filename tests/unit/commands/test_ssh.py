"""`--ssh` in all its forms, and whether the build has the agents that it needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogc.commands._secrets import Secret
from cogc.commands._ssh import check_agents, known_hosts, parse_agents
from cogc.engines.ssh_agents import SshAgent
from tests.builds import resolved_build
from tests.ssh_agents import make_key, running_agent


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with two files, seen from a folder in it; the home folder and the agent are its own."""
    (tmp_path / "sub").mkdir()
    for name in ("key", "other", "a,b"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sub/here").write_text("x")
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        yield tmp_path


def test_forms(root: Path) -> None:
    texts = ["default", "a=socket", "b=key,other", "c=here", "d=~/key", "e=../missing"]
    agents, found = parse_agents(texts, root)
    assert found == ()
    assert agents == (
        SshAgent("default", socket=root / "socket"),
        SshAgent("a", socket=root / "socket"),
        SshAgent("b", keys=(root / "key", root / "other")),
        SshAgent("c", keys=(root / "sub/here",)),
        SshAgent("d", keys=(root / "key",)),
        SshAgent("e", keys=(root / "sub/../missing",)),
    )
    assert agents[2].words == f"b={root}/key,{root}/other"
    assert agents[0].words == f"default={root}/socket"


WRONG = {
    "": "it has no id",
    "=key": "it has no id",
    "default=": "a path is empty",
    "default=key,": "a path is empty",
    "default=socket,key": "a socket stands alone",
}


@pytest.mark.parametrize(("text", "why"), WRONG.items())
def test_wrong_values_are_explained(root: Path, text: str, why: str) -> None:
    agents, (problem,) = parse_agents([text], root)
    assert agents == ()
    assert (problem.code, problem.message) == ("COG503", f"--ssh {text}: {why}")


def test_an_id_has_one_agent(root: Path) -> None:
    _, (problem,) = parse_agents(["default=key", "default=other"], root)
    assert problem.message == "--ssh default=other: there is an agent `default` already"


def test_docker_takes_no_comma(root: Path) -> None:
    (root / "x,y").mkdir()
    (root / "x,y/key").write_text("x")
    _, (problem,) = parse_agents(["default=key"], root / "x,y")
    assert problem.message == "--ssh default=key: docker takes no path with a comma"


CONFIG = """\
build:
  run:
    - {command: make, mounts: [{type: ssh}]}
    - {command: test, mounts: [{type: ssh, id: extra, required: false}]}
"""
OVER_SSH = """\
build:
  system_packages: [git, openssh-client]
  python_packages:
    - six
    - tool @ git+ssh://git@example.com/tool
"""


def codes(config: str, *agents: SshAgent) -> list[tuple[str, int | None]]:
    found = check_agents(agents, resolved_build(config))
    return [(problem.code, problem.span.line if problem.span else None) for problem in found]


def test_agents_and_mounts_must_fit_each_other(root: Path) -> None:
    key = (make_key(root / "real"),)
    assert codes(CONFIG, SshAgent("default", keys=key)) == []
    assert codes(CONFIG, SshAgent("default", keys=key), SshAgent("extra", keys=key)) == []
    assert codes(CONFIG) == [("COG660", 3)]
    assert codes(CONFIG, SshAgent("default")) == [("COG660", 3)]
    assert codes(CONFIG, SshAgent("default", keys=key), SshAgent("extra")) == [("COG660", 4)]
    assert codes(CONFIG, SshAgent("default", keys=key), SshAgent("unused", keys=key)) == [("COG633", None)]
    assert codes(CONFIG, SshAgent("default", keys=key), SshAgent("unused")) == [("COG503", None)]


def test_packages_over_ssh_need_an_agent(root: Path) -> None:
    assert codes(OVER_SSH) == [("COG660", 5)]
    with running_agent() as agent:
        (empty,) = check_agents([SshAgent("default", socket=agent.path)], resolved_build(OVER_SSH))
        assert empty.message == f"the ssh agent `default` cannot be used: the agent at {agent.path} has no keys"
        assert empty.span is not None
        assert empty.span.line == 5
        agent.add(make_key(root / "real"))
        assert codes(OVER_SSH, SshAgent("default", socket=agent.path)) == []


def test_of_an_own_dockerfile_nothing_is_known(root: Path) -> None:
    key = (make_key(root / "real"),)
    assert list(check_agents([SshAgent("default", keys=key)], None)) == []
    assert [problem.code for problem in check_agents([SshAgent("default")], None)] == ["COG503"]


def test_the_hosts_that_the_user_knows(root: Path) -> None:
    build = resolved_build(OVER_SSH)
    assert known_hosts([], resolved_build(CONFIG)) == (None, ())
    secret, (warning,) = known_hosts([], build)
    assert secret is None
    assert warning.code == "COG661"
    assert warning.span is not None
    assert warning.span.line == 5
    (root / ".ssh").mkdir()
    (root / ".ssh/known_hosts").write_text("example.com ssh-ed25519 AAAA\n")
    assert known_hosts([], build) == (Secret("known_hosts", file=root / ".ssh/known_hosts"), ())
    assert known_hosts([Secret("known_hosts", variable="X")], build) == (None, ())
