"""An ssh agent of our own that has some keys, for as long as a build takes.

Its program is that of OpenSSH. It ends with the program that it was started for, which ends when this process does,
however that comes about.

Source: ssh-agent(1), ssh-add(1)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...diagnostics import report
from .. import EngineFailure

__all__ = ["key_agent"]

_SECONDS = 30.0
_TELL_AND_WAIT = 'echo "$SSH_AGENT_PID"; exec cat'


@contextlib.contextmanager
def key_agent(keys: Sequence[Path]) -> Iterator[Path]:
    """The socket of an agent with these keys. Error: EngineFailure with COG660."""
    agent, add = shutil.which("ssh-agent"), shutil.which("ssh-add")
    if agent is None or add is None:
        hint = "install openssh-client; --engine docker reads keys without it"
        raise EngineFailure(report("COG660", "there is no ssh-agent to give the keys of --ssh to", hint=hint))
    with tempfile.TemporaryDirectory(prefix="cogc-agent-") as directory:  # which only this user can enter
        path = Path(directory, "socket")
        words = [agent, "-a", str(path), "sh", "-c", _TELL_AND_WAIT]
        pipe = subprocess.PIPE
        with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            number = process.stdout.readline().strip()
            try:
                if not number:
                    raise EngineFailure(report("COG660", f"ssh-agent does not start: {_last_line(process)}"))
                for key in keys:
                    _add(add, key, path)
                yield path
            finally:
                if number:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(number), signal.SIGTERM)
                process.stdin.close()


def _add(program: str, key: Path, path: Path) -> None:
    """Give a key to the agent, by its standard input: docker does not look at the modes of files either."""
    environment = {**os.environ, "SSH_AUTH_SOCK": str(path), "SSH_ASKPASS_REQUIRE": "never"}
    with key.open("rb") as file:
        done = subprocess.run(
            [program, "-q", "-"],
            stdin=file,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            start_new_session=True,  # without a terminal nobody is asked for a passphrase
            check=False,
        )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["ssh-add refuses it"])[-1]
        hint = "`ssh-keygen -y -f FILE` reads a private key"
        raise EngineFailure(report("COG660", f"the key {key} cannot be used: {said}", hint=hint))


def _last_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return (process.stderr.read().decode("utf-8", "replace").strip().splitlines() or ["it says nothing"])[-1]
