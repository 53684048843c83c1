"""The listening socket and the connections that came through it: accepted, watched for their deadlines, ended."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Optional, Set

from .protocol import Application, Connection, Limits

__all__ = ["Listener"]

BACKLOG = 2048


class Listener:
    """Serves an application on one socket."""

    def __init__(self, application: Application, limits: Limits) -> None:
        self._application = application
        self._limits = limits
        self._connections: Set[Connection] = set()
        self._server: Optional[asyncio.AbstractServer] = None
        # One timer for all connections: setting one for each request costs as much as parsing it.
        self._interval = min(1.0, limits.wait_seconds / 4)
        self._is_watching = False

    async def start(self, listening: socket.socket) -> None:
        """Accept connections."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(self._connection, sock=listening, backlog=BACKLOG)

    def _connection(self) -> Connection:
        if not self._is_watching:
            self._is_watching = True
            self._loop.call_later(self._interval, self._watch)
        return Connection(self._application, self._limits, self._connections)

    def _watch(self) -> None:
        now = time.monotonic()
        for connection in [one for one in self._connections if one.deadline < now]:
            connection.time_out()
        self._is_watching = bool(self._connections)
        if self._is_watching:
            self._loop.call_later(self._interval, self._watch)

    def stop(self) -> None:
        """Accept no more. Connections end, those that wait for a response when they have it."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end()

    async def ended(self, timeout_seconds: float) -> None:
        """Wait, within a time, until all connections have ended."""
        deadline = time.monotonic() + timeout_seconds
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
