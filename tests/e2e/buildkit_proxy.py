"""The engine's BuildKit at addresses of its own, over a connection that tests can watch, stop and cut."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from pathlib import Path

_BYTES = 1 << 16


class BuildkitProxy:
    """Listens at a unix socket or at a port of 127.0.0.1, there with TLS if a context is given.

    Each connection leads to the engine by `docker buildx dial-stdio`. `to_daemon` counts the bytes that went there.
    """

    def __init__(self, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._changed = threading.Condition()
        self._is_held = False
        self._is_closed = False
        self._ends: list[socket.socket] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._said = bytearray()
        self._last_words: bytes | None = None
        self.to_daemon = 0
        if path is None:
            self._listening = socket.create_server(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        else:
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(str(path))
            self._listening.listen()
            self.address = f"unix://{path}"
        self._start(self._accept)

    def __enter__(self) -> BuildkitProxy:
        return self

    def __exit__(self, *failure: object) -> None:
        with self._changed:
            self._is_closed = True
        self.let_go()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    # -- what tests do with it -----------------------------------------------------------------------

    def cut(self) -> None:
        """End all connections, as a network or a daemon that goes away."""
        for program in self._programs:
            program.kill()
            program.wait(10)
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let nothing through any more in either direction, but keep the connections."""
        with self._changed:
            self._is_held = True

    def let_go(self) -> None:
        """Let through what was held."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()

    def wait_for(self, text: bytes, seconds: float = 60) -> None:
        """Wait until the daemon has said something, such as a line of a step's output."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in self._said, seconds), "the daemon never said that"

    def hold_when(self, text: bytes) -> None:
        """Let nothing through any more once the daemon has said something; that itself is held as well."""
        with self._changed:
            self._last_words = text

    def hold_after(self, count: int, seconds: float = 60) -> None:
        """Let that many bytes through to the daemon, then nothing."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.to_daemon >= count, seconds), "too little was sent"
            self._is_held = True

    # -- the connections -----------------------------------------------------------------------------

    def _start(self, target: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:  # errors of TLS too
            closing.enter_context(client)
            if self._tls is not None:
                client = closing.enter_context(self._tls.wrap_socket(client, server_side=True))
            ours, its = socket.socketpair()
            closing.enter_context(ours)
            words = ("docker", "buildx", "dial-stdio")
            with its:
                self._programs.append(subprocess.Popen(words, stdin=its, stdout=its, stderr=subprocess.DEVNULL))
            self._ends += [client, ours]
            lock = threading.Lock()
            back = self._start(self._copy, ours, client, lock, False)
            self._copy(client, ours, lock, True)
            back.join(10)

    def _copy(self, source: socket.socket, target: socket.socket, lock: threading.Lock, is_to_daemon: bool) -> None:
        """One direction. A socket with TLS must not be read and written at once, so both have a lock."""
        guard = contextlib.nullcontext() if self._tls is None else lock
        with contextlib.suppress(OSError):
            while data := self._receive(source, guard):
                with self._changed:
                    if not is_to_daemon:
                        self._said += data
                        if self._last_words is not None and self._last_words in self._said:
                            self._is_held, self._last_words = True, None
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: not self._is_held or self._is_closed)
                    self.to_daemon += len(data) if is_to_daemon else 0
                    self._changed.notify_all()
                with guard:
                    target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _receive(self, source: socket.socket, guard: contextlib.AbstractContextManager[object]) -> bytes:
        if not (isinstance(source, ssl.SSLSocket) and source.pending()):
            select.select([source], [], [])
        with guard:
            return source.recv(_BYTES)
