"""A real ssh agent, and keys for it; without the programs of OpenSSH tests are skipped."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["RunningAgent", "make_key", "running_agent"]


def make_key(path: Path, *words: str, passphrase: str = "") -> Path:
    """A new private key; `words` are further options of ssh-keygen."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen here (openssh-client)")
    options = words or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *options, "-N", passphrase, "-f", path], check=True, timeout=60)
    return path


class RunningAgent:
    """An agent without keys, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, key: Path) -> None:
        """Give it a key."""
        self._ask("-q", str(key))

    def keys(self) -> list[str]:
        """The fingerprints of its keys."""
        return [line.split()[1] for line in self._ask("-l").splitlines() if "SHA256:" in line]

    def _ask(self, *words: str) -> str:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(self.path)}
        done = subprocess.run(["ssh-add", *words], env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout


@contextlib.contextmanager
def running_agent() -> Iterator[RunningAgent]:
    """An agent that runs in this block."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("there is no ssh-agent here (openssh-client)")
    with tempfile.TemporaryDirectory(prefix="agent-") as directory:  # the path of a socket has to be short
        path = Path(directory, "s")
        words = ["ssh-agent", "-a", str(path), "sh", "-c", "echo $SSH_AGENT_PID; exec cat"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            number = int(process.stdout.readline())
            try:
                yield RunningAgent(path)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, 15)
                process.stdin.close()
