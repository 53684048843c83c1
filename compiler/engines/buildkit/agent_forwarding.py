"""Connections of a step to an ssh agent of this machine: a call of the daemon for each, with the bytes of both ways.

Source: https://github.com/moby/buildkit/tree/master/session/sshforward
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from .errors import BuildkitError
from .grpc import Call
from .messages import SERVICES

__all__ = ["AGENT_SERVICE", "forward_agent"]

AGENT_SERVICE = "/moby.sshforward.v1.SSH"

_CONNECT_SECONDS = 5.0
_READ_BYTES = 32 << 10


def forward_agent(call: Call, path: Path) -> None:
    """Serve a connection until the agent or the step ends it. Errors: OSError where there is no agent."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(_CONNECT_SECONDS)
        agent.connect(str(path))
        agent.settimeout(None)
        sender = threading.Thread(target=_send, args=(call, agent), name="agent-sender", daemon=True)
        sender.start()
        try:
            with contextlib.suppress(ConnectionError, BuildkitError):  # either side may go at any time
                while data := agent.recv(_READ_BYTES):
                    call.send(SERVICES.encode("BytesMessage", {"data": data}))
        finally:
            call.finish()  # which ends what the sender waits for
            sender.join()


def _send(call: Call, agent: socket.socket) -> None:
    """What the step says, to the agent; then the end of it, which the agent may still answer."""
    how = socket.SHUT_WR
    try:
        while (message := call.receive()) is not None:
            agent.sendall(SERVICES.decode("BytesMessage", message).get("data", b""))
    except (OSError, BuildkitError):
        how = socket.SHUT_RDWR
    with contextlib.suppress(OSError):
        agent.shutdown(how)
