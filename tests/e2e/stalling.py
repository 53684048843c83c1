"""A door before a registry that lets everything through, or holds back the first bytes of every layer that is sent."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Door", "door"]

_LIMIT_SECONDS = 60.0
_LAYER = re.compile(rb"(?:PATCH|PUT) /v2/\S+/blobs/uploads/")  # engines send a layer by one or the other


class Door:
    """`host` is what images are named by. While it `holds`, no layer goes through; `is_reached` when one was tried."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.is_reached = threading.Event()
        self._is_open = threading.Event()
        self._is_open.set()

    def hold(self) -> None:
        self.is_reached.clear()
        self._is_open.clear()

    def release(self) -> None:
        self._is_open.set()

    def forward(self, client: socket.socket, registry: tuple[str, int]) -> None:
        with client, socket.create_connection(registry) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    if _LAYER.search(data) and not self._is_open.is_set():
                        self.is_reached.set()
                        self._is_open.wait(_LIMIT_SECONDS)
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
            back.join(_LIMIT_SECONDS)


@contextmanager
def door(registry: str) -> Iterator[Door]:
    """A door before the registry `HOST:PORT`, on a free port of this machine."""
    host, _, port = registry.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    made = Door(f"localhost:{listener.getsockname()[1]}")

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=made.forward, args=(client, (host, int(port))), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield made
    finally:
        made.release()
        listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
