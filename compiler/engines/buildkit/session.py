"""What a daemon asks back for while it builds: directories, secrets, credentials, and where to put results.

The daemon calls us through a second HTTP/2 connection on which we are the server: one of its own, or one whose bytes
are the messages of a call of ours. It asks every few seconds whether we are well, and ends what belongs to the session
when we are not.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .agent_forwarding import AGENT_SERVICE, forward_agent
from .content_store import CONTENT_SERVICE, ContentStore
from .context_files import ContextDirectory
from .errors import CallFailed, Unreachable
from .grpc import NOT_FOUND, UNAVAILABLE, Call, Connection, Handler, Stream
from .messages import SERVICES
from .received import Receiver
from .transport import OpenSession

__all__ = ["Offers", "Session"]

_EXPOSE = "x-docker-expose-session-"
_MOST_SECRET_BYTES = 500 * 1024
_JOIN_SECONDS = 10


@dataclass(slots=True)
class Offers:
    """What the daemon may have.

    `directories`, `secrets` and the sockets of ssh `agents` are by name, credentials are asked for by the host of a
    registry and are a user's name and a password, or None. `receivers` take what exporters send, by their number;
    `stores` are directories of blobs by name. `shared_key` is the same for every build of a project: the daemon keeps
    what was sent under it. `problems` are phrases about what could not be given, `agent_problems` those about agents.
    """

    directories: Mapping[str, ContextDirectory] = field(default_factory=dict)
    secrets: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    agents: Mapping[str, Path] = field(default_factory=dict)
    credentials: Callable[[str], tuple[str, str] | None] | None = None
    receivers: Mapping[int, Receiver] = field(default_factory=dict)
    stores: Mapping[str, ContentStore] = field(default_factory=dict)
    shared_key: str = ""
    problems: list[str] = field(default_factory=list)
    agent_problems: list[str] = field(default_factory=list)


class Session:
    """One session; it lasts until it is closed or the connection ends.

    It is a connection that `opens` makes, else one within `connection`.
    """

    def __init__(self, connection: Connection, offers: Offers, opens: OpenSession | None = None) -> None:
        self.id = uuid.uuid4().hex
        self._offers = offers
        self._working: list[threading.Thread] = []
        handlers = self._handlers()
        headers = [
            (f"{_EXPOSE}uuid", self.id),
            (f"{_EXPOSE}name", "cogc"),
            (f"{_EXPOSE}sharedkey", offers.shared_key),
            *((f"{_EXPOSE}grpc-method", path) for path in handlers),
        ]
        stream: Stream | None = None
        if opens is not None:
            with contextlib.suppress(Unreachable):  # there may be something in between that knows only the other way
                stream = opens(headers)
        if stream is None:
            stream = _Tunnel(connection.start("/moby.buildkit.v1.Control/Session", headers))
        self._connection = Connection(stream, handlers=handlers, name="session")

    @property
    def last_heard(self) -> float:
        """When the daemon last said something, by the monotonic clock."""
        return self._connection.last_heard

    def close(self) -> None:
        """End it, and wait until nothing is read or written any more."""
        self._connection.close()
        for thread in self._working:
            thread.join(_JOIN_SECONDS)

    def _handlers(self) -> dict[str, Handler]:
        offers = self._offers
        found: dict[str, Handler] = {"/grpc.health.v1.Health/Check": _healthy}
        if offers.directories:
            found["/moby.filesync.v1.FileSync/DiffCopy"] = self._send_directory
        if offers.secrets:
            found["/moby.buildkit.secrets.v1.Secrets/GetSecret"] = self._give_secret
        if offers.agents:
            found[f"{AGENT_SERVICE}/CheckAgent"] = self._check_agent
            found[f"{AGENT_SERVICE}/ForwardAgent"] = self._forward_agent
        if offers.credentials is not None:
            found["/moby.filesync.v1.Auth/Credentials"] = self._give_credentials
        if offers.receivers:
            found["/moby.filesync.v1.FileSend/DiffCopy"] = self._take_result
        if offers.stores:
            methods = ContentStore(Path()).handlers()
            found |= {f"{CONTENT_SERVICE}/{method}": self._use_store for method in methods}
        return found

    def _use_store(self, call: Call) -> None:
        name = call.header("buildkit-attachable-store-id") or ""
        store = self._offers.stores.get(name)
        if store is None:
            raise CallFailed(NOT_FOUND, f"there is no store {name} in this build")
        self._working.append(threading.current_thread())
        store.handlers()[call.path.rpartition("/")[2]](call)

    def _send_directory(self, call: Call) -> None:
        name = call.header("dir-name") or ""
        directory = self._offers.directories.get(name)
        if directory is None:
            raise CallFailed(NOT_FOUND, f"there is no directory {name} in this build")
        directory.send(call)

    def _give_secret(self, call: Call) -> None:
        name = SERVICES.decode("GetSecretRequest", call.only()).get("id", "")
        read = self._offers.secrets.get(name)
        if read is None:
            raise CallFailed(NOT_FOUND, f"secret {name}: not found")
        try:
            data = read()
        except OSError as error:
            self._offers.problems.append(f"the secret `{name}` cannot be read: {error.strerror or error}")
            raise
        if len(data) > _MOST_SECRET_BYTES:
            self._offers.problems.append(f"the secret `{name}` is larger than 500 KB")
            raise CallFailed(NOT_FOUND, f"secret {name}: too large")
        call.answer(SERVICES.encode("GetSecretResponse", {"data": data}))

    def _check_agent(self, call: Call) -> None:
        self._agent(SERVICES.decode("CheckAgentRequest", call.only()).get("id", ""))
        call.answer(b"")

    def _forward_agent(self, call: Call) -> None:
        name, path = self._agent(call.header("buildkit.ssh.id") or "")
        self._working.append(threading.current_thread())
        try:
            forward_agent(call, path)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._offers.agent_problems.append(f"the ssh agent `{name}` cannot be reached: {why}")
            raise CallFailed(UNAVAILABLE, f"ssh agent {name}: {why}") from error

    def _agent(self, name: str) -> tuple[str, Path]:
        """The agent of that name; nothing is the one called default."""
        name = name or "default"
        path = self._offers.agents.get(name)
        if path is None:
            raise CallFailed(NOT_FOUND, f"unset ssh forward key {name}")
        return name, path

    def _give_credentials(self, call: Call) -> None:
        host = SERVICES.decode("CredentialsRequest", call.only()).get("host", "")
        assert self._offers.credentials is not None
        user, password = self._offers.credentials(host) or ("", "")
        call.answer(SERVICES.encode("CredentialsResponse", {"username": user, "secret": password}))

    def _take_result(self, call: Call) -> None:
        number = call.header("buildkit-attachable-exporter-id") or "0"
        receiver = self._offers.receivers.get(int(number)) if number.isdigit() else None
        if receiver is None:
            raise CallFailed(NOT_FOUND, f"exporter {number} of this build has nothing to send")
        self._working.append(threading.current_thread())
        receiver.receive(call)


def _healthy(call: Call) -> None:
    call.only()
    call.answer(SERVICES.encode("HealthCheckResponse", {"status": 1}))


class _Tunnel:
    """The messages of a call as a stream of bytes."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._lock = threading.Lock()

    def recv(self, size: int, /) -> bytes:
        while True:
            message = self._call.receive()
            if message is None:
                return b""
            if data := SERVICES.decode("BytesMessage", message).get("data"):
                return bytes(data)

    def sendall(self, data: bytes, /) -> None:
        with self._lock:
            self._call.send(SERVICES.encode("BytesMessage", {"data": data}))

    def close(self) -> None:
        self._call.cancel()
