"""The ssh agents that a build is given: one that runs, by its socket, or key files for an agent that is made.

Of a key file only the envelope is looked at: whether it is one, and whether a passphrase protects it.

Source: https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/ (the question for the keys), and the file
PROTOCOL.key of OpenSSH.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
from pathlib import Path

from ..record import record

__all__ = ["SshAgent", "agent_problem"]

_SECONDS = 5.0
_ENVELOPE_BYTES = 256
_REQUEST_IDENTITIES = b"\0\0\0\1\x0b"
_IDENTITIES_ANSWER = 12
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\s+(\S[^\n]*)")
_MAGIC = b"openssh-key-v1\0"


@record(kw_only=False)
class SshAgent:
    """An agent by its id: the socket of one that runs, or the files of the keys that one is to have.

    Neither is known where SSH_AUTH_SOCK should have named the socket.
    """

    id: str
    socket: Path | None = None
    keys: tuple[Path, ...] = ()

    @property
    def words(self) -> str:
        """As docker takes it."""
        return f"{self.id}={','.join(map(str, self.paths))}"

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of the socket or of the keys."""
        return (self.socket,) if self.socket is not None else self.keys


def agent_problem(agent: SshAgent) -> tuple[str, str] | None:
    """Why the agent can give no key, and what to do; None when it can."""
    if not agent.paths:
        return "SSH_AUTH_SOCK is not set", 'eval "$(ssh-agent)" starts an agent, and ssh-add adds a key'
    missing = next((path for path in agent.paths if not path.exists()), None)
    if missing is not None:
        return f"{missing} does not exist", "--ssh ID=PATH names the socket of an agent, or the file of a private key"
    if agent.socket is None:
        return next((problem for key in agent.keys if (problem := _key_problem(key))), None)
    try:
        count = _count_keys(agent.socket)
    except TimeoutError:
        return f"the agent at {agent.socket} does not answer", "`ssh-add -l` asks it for its keys"
    except OSError as error:
        return f"the agent at {agent.socket} cannot be reached: {_phrase(error)}", "`ssh-add -l` asks it for its keys"
    if count is None:
        return f"what answers at {agent.socket} is no ssh agent", 'eval "$(ssh-agent)" starts one'
    return (f"the agent at {agent.socket} has no keys", "`ssh-add FILE` adds one") if count == 0 else None


def _count_keys(path: Path) -> int | None:
    """How many keys the agent has; None when it is none. Errors: OSError."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(_SECONDS)
        stream.connect(str(path))
        stream.sendall(_REQUEST_IDENTITIES)
        answer = b""
        while len(answer) < 9:
            data = stream.recv(9 - len(answer))
            if not data:
                return None
            answer += data
    return int.from_bytes(answer[5:]) if answer[4] == _IDENTITIES_ANSWER else None


def _key_problem(path: Path) -> tuple[str, str] | None:
    try:
        with path.open("rb") as file:
            start = file.read(_ENVELOPE_BYTES)
    except OSError as error:
        return f"the key {path} cannot be read: {_phrase(error)}", "--ssh ID=FILE names the file of a private key"
    found = _PEM.search(start)
    if found is None:
        return (
            f"{path} is no private key",
            "--ssh ID=FILE names the file of a private key in the form of OpenSSH or PEM",
        )
    if _is_protected(found[1], found[2]):
        hint = f"`ssh-add {path}` gives it to an agent, and --ssh default uses that"
        return f"the key {path} is protected by a passphrase", hint
    return None


def _is_protected(kind: bytes, first_line: bytes) -> bool:
    if kind.strip() != b"OPENSSH":
        return b"ENCRYPTED" in kind or b"ENCRYPTED" in first_line
    try:
        data = base64.b64decode(first_line.strip()[:64])
    except binascii.Error:
        return False
    length = int.from_bytes(data[len(_MAGIC) : len(_MAGIC) + 4])
    cipher = data[len(_MAGIC) + 4 :][:length]
    return data.startswith(_MAGIC) and cipher != b"none"


def _phrase(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
