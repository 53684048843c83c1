"""A small daemon for tests: it answers the calls of a build as BuildKit does, over a socket, with our own server side.

`script` runs inside the solve of the frontend, and may call back through the session as a daemon does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cogc.engines.buildkit.grpc import Call, Connection, Handler
from cogc.engines.buildkit.messages import SERVICES
from cogc.engines.buildkit.session import _Tunnel
from cogc.engines.buildkit.transport import _Socket

CONTROL, BRIDGE = "/moby.buildkit.v1.Control", "/moby.buildkit.v1.frontend.LLBBridge"
CAPABILITIES = ("mergeop", "exporter.multiple")
Script = Callable[["Daemon", dict[str, Any]], None]


class Daemon:
    """Listens at `path` until it is closed. `solved` are the requests for builds, `returned` is what
    frontends gave back.

    With `upgrades` it is asked as Docker's engine is; `asked` are the paths, `exposed` the methods of a session that is
    a connection of its own, which only works with `has_sessions`.
    """

    def __init__(
        self, path: Path, script: Script | None = None, *, upgrades: bool = False, has_sessions: bool = True
    ) -> None:
        self.path = path
        self.script = script
        self.upgrades = upgrades
        self.has_sessions = has_sessions
        self.asked: list[str] = []
        self.exposed: list[str] = []
        self.returned: list[dict[str, Any]] = []
        self.solved: list[dict[str, Any]] = []
        self.capabilities = dict.fromkeys(CAPABILITIES, True)
        self._forgotten = ""
        self.ended = threading.Event()
        self._session_made = threading.Event()
        self._session: Connection | None = None
        self._finished = threading.Event()
        self._connections: list[Connection] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *failure: object) -> None:
        self._finished.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()
        self._thread.join(10)

    def drop(self) -> None:
        """End all connections, as a daemon that is killed."""
        for connection in self._connections:
            connection.close()

    def forget(self, service: str) -> None:
        """Know nothing of a service from now on, as a daemon that is too old."""
        self._forgotten = service

    @property
    def session(self) -> Connection:
        """The client's side of the session, once it is there."""
        assert self._session_made.wait(10)
        assert self._session is not None
        return self._session

    def ask(self, path: str, request: str, message: dict[str, Any], answer: str) -> dict[str, Any]:
        """A call to the client through its session."""
        return SERVICES.decode(answer, self.session.unary(path, SERVICES.encode(request, message)))

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listening.accept()
            except OSError:
                return
            if self.upgrades:
                head = b""
                while not head.endswith(b"\r\n\r\n") and (byte := raw.recv(1)):
                    head += byte
                path = head.split()[1].decode() if head else ""
                self.asked.append(path)
                if path == "/session" and not self.has_sessions:
                    raw.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                    raw.close()
                    continue
                raw.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
                if path == "/session":
                    lines = head.decode().split("\r\n")
                    self.exposed = [line.partition(": ")[2] for line in lines if "session-grpc-method:" in line]
                    threading.Thread(target=self._hold, args=(Connection(_Socket(raw)),), daemon=True).start()
                    continue
            self._connections.append(Connection(_Socket(raw), handlers=self._handlers(), name="daemon"))

    def _handlers(self) -> dict[str, Handler]:
        handlers: dict[str, Handler] = {
            f"{CONTROL}/ListWorkers": self._workers,
            f"{CONTROL}/Session": self._serve_session,
            f"{CONTROL}/Solve": self._solve,
            f"{CONTROL}/Status": self._status,
            f"{BRIDGE}/Ping": lambda call: self._answer(
                call,
                "PongResponse",
                {"llb_caps": [{"id": name, "enabled": enabled} for name, enabled in self.capabilities.items()]},
            ),
            f"{BRIDGE}/ResolveImageConfig": lambda call: self._answer(
                call, "ResolveImageConfigResponse", {"config": b'{"config": {"Env": ["PATH=/bin"]}}'}
            ),
            f"{BRIDGE}/Solve": self._frontend,
            f"{BRIDGE}/ReadFile": lambda call: self._answer(call, "ReadFileResponse", {"data": b"six==1.16.0\n"}),
            f"{BRIDGE}/Return": self._return,
        }
        forgotten = f".{self._forgotten}/"
        return {path: handler for path, handler in handlers.items() if forgotten not in path}

    def _answer(self, call: Call, name: str, message: dict[str, Any]) -> None:
        call.only()
        call.answer(SERVICES.encode(name, message))

    def _workers(self, call: Call) -> None:
        self._answer(
            call, "ListWorkersResponse", {"record": [{"platforms": [{"os": "linux", "architecture": "amd64"}]}]}
        )

    def _serve_session(self, call: Call) -> None:
        self._hold(Connection(_Tunnel(call)))

    def _hold(self, session: Connection) -> None:
        self._session = session
        self._session_made.set()
        while session.failure is None and not self._finished.wait(0.01):
            pass
        session.close()
        self.ended.set()

    def _solve(self, call: Call) -> None:
        self.solved.append(SERVICES.decode("SolveRequest", call.only()))
        while not self._finished.wait(0.01):
            if self.returned:
                call.answer(
                    SERVICES.encode("SolveResponse", {"exporter_response": {"containerimage.digest": "sha256:1"}})
                )
                return

    def _status(self, call: Call) -> None:
        call.only()

    def _frontend(self, call: Call) -> None:
        request = SERVICES.decode("BridgeSolveRequest", call.only())
        if self.script is not None:
            self.script(self, request)
        call.answer(SERVICES.encode("BridgeSolveResponse", {"result": {"ref": {"id": "r"}}}))

    def _return(self, call: Call) -> None:
        self.returned.append(SERVICES.decode("ReturnRequest", call.only()))
        call.answer(b"")
