"""What the docker program asks of the engine: a socket before the engine's own that keeps what is sent to it."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_DEFAULT = "unix:///var/run/docker.sock"


class Recording:
    """The bytes of all connections to the engine, as far as clients sent them."""

    def __init__(self, socket_path: Path) -> None:
        self.host = f"unix://{socket_path}"
        self._lock = threading.Lock()
        self._sent: list[bytearray] = []

    def created(self) -> list[dict[str, Any]]:
        """The documents by which containers were made."""
        found = []
        with self._lock:
            for sent in self._sent:
                for match in re.finditer(rb"POST \S*/containers/create\S* HTTP/1\.1\r\n.*?\r\n\r\n", sent, re.DOTALL):
                    text = bytes(sent[match.end() :]).decode("utf-8", "replace")
                    found.append(json.JSONDecoder().raw_decode(text)[0])
        return found

    def forward(self, client: socket.socket, engine: str) -> None:
        sent = bytearray()
        with self._lock:
            self._sent.append(sent)
        server = socket.socket(socket.AF_UNIX)
        server.connect(engine)
        back = threading.Thread(target=_copy, args=(server, client))
        back.start()
        while data := _read(client):
            with self._lock:
                sent += data
            with suppress(OSError):
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)
        back.join()
        client.close()
        server.close()


@contextmanager
def recording(directory: Path) -> Iterator[Recording]:
    """A recording while it lasts; `DOCKER_HOST` is its `host`."""
    host = os.environ.get("DOCKER_HOST", _DEFAULT)
    if not host.startswith("unix://"):
        pytest.skip("the engine has no socket here that could be listened to")
    path = directory / "engine.sock"
    kept = Recording(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        accepting = threading.Thread(target=_accept, args=(listener, kept, host.removeprefix("unix://")))
        accepting.start()
        try:
            yield kept
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


def _accept(listener: socket.socket, kept: Recording, engine: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=kept.forward, args=(client, engine), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := _read(source):
        with suppress(OSError):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _read(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""
