"""ssh agents in builds: what a command sees, and packages from a repository behind a real ssh server."""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.comparison import assert_equal
from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine, Image, Project
from tests.ssh_agents import make_key, running_agent

pytestmark = pytest.mark.engine

# Asks the agents at SSH_AUTH_SOCK and at a second place for their keys.
SCRIPT = """\
import os, socket
for path in (os.environ["SSH_AUTH_SOCK"], "/run/deploy.sock"):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(path)
        agent.sendall(bytes([0, 0, 0, 1, 11]))
        data = agent.recv(4)
        while len(data) < 4 + int.from_bytes(data[:4], "big"):
            data += agent.recv(1 << 16)
        print(oct(os.stat(path).st_mode)[-3:], data[5:9].hex(), data[13:].hex())
"""


def asking(nonce: str) -> str:
    script = base64.b64encode(SCRIPT.encode()).decode()
    return f"""\
build:
  python_version: "3.11"
  run:
    - command: "echo {nonce}; echo {script} | base64 -d | python > /keys"
      mounts:
        - {{type: ssh}}
        - {{type: ssh, id: deploy, target: /run/deploy.sock}}
predict: predict.py:Predictor
"""


@pytest.mark.parametrize("which", ["docker", "buildkit"])
def test_a_command_sees_the_keys(engine: Engine, project: MakeProject, tmp_path: Path, which: str) -> None:
    made = project("asking", asking(f"{which} {uuid.uuid4()}"))
    default, deploy = make_key(tmp_path / "default"), make_key(tmp_path / "deploy")
    reference = engine.name(f"asking-{which}")
    options = ["--engine", which, "-t", reference, "--ssh", "default", "--ssh", f"deploy={deploy}"]
    with running_agent() as agent:
        agent.add(default)
        environment = {"SSH_AUTH_SOCK": str(agent.path)}
        done = made.cogc("build", *options, "--progress", "plain", environment=environment)
        # The other engine takes the step from the cache.
        options[1] = "buildkit" if which == "docker" else "docker"
        again = made.cogc("build", *options, "--format", "json", environment=environment)
    steps = [layer for layer in json.loads(again.stdout)["layers"] if "base64 -d" in (layer["title"] or "")]
    assert [step["cached"] for step in steps] == [True]
    image = Image(engine, reference)
    seen = [line.split() for line in image.output("cat", "/keys").splitlines()]
    assert [line[:2] for line in seen] == [["600", "00000001"]] * 2
    for line, key in zip(seen, (default, deploy), strict=True):
        public = base64.b64decode(key.with_suffix(".pub").read_text().split()[1])
        assert public in bytes.fromhex(line[2])
    assert "SSH_AUTH_SOCK" not in image.environment
    assert not [path for path in image.tree("/run", "/root", "/tmp") if "ssh" in path or "deploy" in path]
    assert "PRIVATE KEY" not in done.stdout + done.stderr


def test_an_agent_that_is_not_given_stops_the_build(project: MakeProject) -> None:
    made = project("agentless", asking("x"))
    for which in ("docker", "buildkit"):
        done = made.cogc("build", "--engine", which, "-t", "cogc-e2e-agentless", check=False)
        assert done.returncode == 1
        assert "error[COG660]: the ssh agent `default` is needed and was not given" in done.stderr
        assert "cog.yaml:6:11" in done.stderr


# -- packages ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SshServer:
    """A server of a repository. `key` may log in, `known` is a line of known_hosts, `log` what it says."""

    address: str
    port: int
    key: Path
    known: str
    log: Path
    repository: Path

    @property
    def requirement(self) -> str:
        """The line that installs the package of the repository."""
        return f"greeting @ git+ssh://{getpass.getuser()}@{self.address}:{self.port}{self.repository}@v1"

    @property
    def logins(self) -> int:
        """How often somebody came in."""
        return self.log.read_text().count("Accepted publickey")


@pytest.fixture(scope="module")
def server(engine: Engine, served_git: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("there is no sshd here (openssh-server)")
    root = tmp_path_factory.mktemp("sshd")
    key, host = make_key(root / "key"), make_key(root / "host")
    gateway = json.loads(engine.text("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]
    with socket.socket() as probe:
        try:
            probe.bind((gateway, 0))
        except OSError:
            pytest.skip(f"the engine's network is not on this machine: {gateway}")
        port = probe.getsockname()[1]
    config = {
        "ListenAddress": gateway,
        "Port": port,
        "HostKey": host,
        "AuthorizedKeysFile": f"{key}.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "yes",
        "ForceCommand": 'git-shell -c "$SSH_ORIGINAL_COMMAND"',
    }
    (root / "config").write_text("".join(f"{name} {value}\n" for name, value in config.items()))
    with contextlib.suppress(OSError):
        Path("/run/sshd").mkdir(exist_ok=True)
    with (root / "log").open("w") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", root / "config"], stderr=log)
    try:
        if not _listens(gateway, port, process):
            pytest.skip(f"sshd does not start here: {(root / 'log').read_text().strip().splitlines()[-1:]}")
        known = f"[{gateway}]:{port} {(root / 'host.pub').read_text()}"
        yield SshServer(gateway, port, key, known, root / "log", served_git)
    finally:
        process.terminate()
        process.wait(10)


def _listens(address: str, port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return True
        time.sleep(0.05)
    return False


def config_of(server: SshServer) -> str:
    return f"""\
build:
  python_version: "3.11"
  system_packages: [git, openssh-client]
  python_packages:
    - {server.requirement}
predict: predict.py:Predictor
"""


class BothWays:
    """The same project by both engines: by docker with the keys of hosts, by buildkit without any."""

    def __init__(self, engine: Engine, made: Project, server: SshServer, folder: Path) -> None:
        (folder / "known").write_text(server.known)
        ways = {"docker": ["--secret", f"id=known_hosts,src={folder / 'known'}"], "buildkit": []}
        config = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
        homeless = {"HOME": str(folder), "DOCKER_CONFIG": config}
        self.images: dict[str, Image] = {}
        self.said: dict[str, str] = {}
        for which, options in ways.items():
            reference = engine.name(f"{which}-over-ssh")
            words = ["build", "--engine", which, "-t", reference, "--ssh", f"default={server.key}", *options]
            self.said[which] = made.cogc(*words, "--progress", "quiet", environment=homeless).stderr
            self.images[which] = Image(engine, reference)


@pytest.fixture(scope="module")
def pair(engine: Engine, project: MakeProject, server: SshServer, tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    return BothWays(engine, project("over-ssh", config_of(server)), server, tmp_path_factory.mktemp("home"))


def test_a_package_comes_over_ssh(pair: BothWays, server: SshServer) -> None:
    assert server.logins >= 2
    for image in pair.images.values():
        assert image.python("import greeting; greeting.greet()") == "hello from greeting\n"
        assert not [path for path in image.tree("/root", "/tmp", "/run") if "ssh" in path or "hosts" in path]


def test_without_the_keys_of_hosts_there_is_a_warning(pair: BothWays) -> None:
    assert "COG661" not in pair.said["docker"]
    assert "warning[COG661]" in pair.said["buildkit"]


def test_both_back_ends_make_the_same_of_it(pair: BothWays) -> None:
    assert_equal(pair.images["buildkit"], pair.images["docker"])


def test_a_host_with_another_key_is_refused(project: MakeProject, pair: BothWays, server: SshServer) -> None:
    made = project("refused", config_of(server).replace("@v1", "@main"))
    other = make_key(made.root / "other").with_suffix(".pub").read_text().split()[1]
    made.write("known", server.known.replace(server.known.split()[2], other))
    before = server.logins
    words = ("build", "--engine", "buildkit", "-t", "cogc-e2e-refused", "--progress", "quiet")
    options = ("--ssh", f"default={server.key}", "--secret", "id=known_hosts,src=known")
    done = made.cogc(*words, *options, check=False)
    assert done.returncode == 1
    assert "error[COG630]: installing the Python packages failed" in done.stderr
    assert "a host shows another key than known_hosts has" in done.stderr
    assert "cog.yaml:5:7" in done.stderr
    assert server.logins == before
