"""The input queue: a Redis stream that consumers share, with a consumer group of the same name.

A message belongs to one consumer from the moment it is read. It stays in the stream until it is acknowledged; if its
consumer gives no sign of life for a while, another one takes it over.
"""

from __future__ import annotations

import logging
from typing import Any, Iterable, List, NamedTuple, Optional, Set, Tuple

from .connection import Connection, Refused, Unreachable
from .settings import QueueSettings

__all__ = ["Entry", "Stream"]

logger = logging.getLogger("cog_server.redis")

BLOCK_MILLISECONDS = 1000
FIELD = b"value"
STATISTICS = ("setup-time", "run-time")


class Entry(NamedTuple):
    """A message as it lies in the stream. `value` is None when it lacks the field; `deliveries` counts this one."""

    id: bytes
    value: Optional[bytes]
    deliveries: int = 1


class Stream:
    """What this consumer reads and holds."""

    def __init__(self, connection: Connection, settings: QueueSettings) -> None:
        self._redis = connection
        self._key = settings.input_queue
        self._consumer = settings.consumer
        self._idle = int(settings.claim_after * 1000)
        self._cursor: Any = "0-0"
        self._may_have_missed = False
        self._lost: Set[bytes] = set()
        self.held: Set[bytes] = set()

    @property
    def keys(self) -> Tuple[str, ...]:
        """The keys in Redis that belong to the queue."""
        return (self._key, *["%s-%s" % (self._key, name) for name in STATISTICS])

    async def next(self) -> Optional[Entry]:
        """The next message, or None if none came within a second: one that another consumer left before a new one.

        Errors: Unreachable, Refused.
        """
        try:
            entry = await self._missed() or await self._claim() or await self._read(">", "BLOCK", BLOCK_MILLISECONDS)
        except Unreachable:
            # The command may have been carried out, and only its answer be lost.
            self._may_have_missed = True
            raise
        if entry is not None:
            self.held.add(entry.id)
        return entry

    async def _claim(self) -> Optional[Entry]:
        key = self._key
        answer = await self._redis.ask("XAUTOCLAIM", key, key, self._consumer, self._idle, self._cursor, "COUNT", 1)
        # Redis looks at a few pending messages only; the cursor is where it stopped.
        self._cursor = (answer[0] if answer else None) or "0-0"
        for entry in _entries(answer[1] if answer and len(answer) > 1 else None):
            if entry.id not in self.held:
                return await self._counted(entry)
        return None

    async def _read(self, start: Any, *options: Any) -> Optional[Entry]:
        key = self._key
        command = ("XREADGROUP", "GROUP", key, self._consumer, "COUNT", 1, *options, "STREAMS", key, start)
        answer = await self._redis.ask(*command)
        return next(iter(_entries(answer[0][1] if answer else None)), None)

    async def _missed(self) -> Optional[Entry]:
        """A message that is ours by Redis' account, and that we know nothing of."""
        last: Any = "0"
        while self._may_have_missed:
            entry = await self._read(last)
            if entry is None:
                self._may_have_missed = False
            elif entry.id not in self.held:
                return await self._counted(entry)
            else:
                last = entry.id
        return None

    async def _counted(self, entry: Entry) -> Entry:
        pending = await self._redis.ask("XPENDING", self._key, self._key, entry.id, entry.id, 1)
        return entry._replace(deliveries=int(pending[0][3])) if pending else entry

    async def refresh(self) -> None:
        """Give a sign of life for the messages that are held. Errors: Unreachable, Refused."""
        for identity in sorted(self.held):
            if await self._owns(identity) and identity in self.held:
                await self._redis.ask("XCLAIM", self._key, self._key, self._consumer, 0, identity, "JUSTID")

    async def hand_back(self, identity: bytes) -> None:
        """Let another consumer take a message at once. Errors: Unreachable, Refused."""
        self.held.discard(identity)
        if await self._owns(identity):
            key, idle = self._key, self._idle + 1000
            await self._redis.ask("XCLAIM", key, key, self._consumer, 0, identity, "IDLE", idle, "JUSTID")

    async def _owns(self, identity: bytes) -> bool:
        pending = await self._redis.ask("XPENDING", self._key, self._key, identity, identity, 1)
        owner = pending[0][1].decode("utf-8", "replace") if pending else None
        if owner not in (None, self._consumer) and identity not in self._lost:
            self._lost.add(identity)
            logger.warning("message %s was taken over by %s: it is run twice", identity.decode(), owner)
        return owner == self._consumer

    async def finish(self, identity: bytes) -> None:
        """Acknowledge a message and delete it, however long that takes. Errors: Unreachable, Refused."""
        await self._redis.insist("XACK", self._key, self._key, identity)
        await self._redis.insist("XDEL", self._key, identity)
        self.forget(identity)

    def forget(self, identity: bytes) -> None:
        """The message is no longer our business."""
        self.held.discard(identity)
        self._lost.discard(identity)

    async def record(self, statistic: str, seconds: float) -> None:
        """Add a duration to the stream of a statistic, which keeps the last hundred; if Redis is away it is lost."""
        try:
            await self._redis.ask(
                "XADD", "%s-%s" % (self._key, statistic), "MAXLEN", 100, "*", "duration", repr(seconds)
            )
        except (Unreachable, Refused) as error:
            logger.warning("the statistic %s is not recorded: %s", statistic, error)


def _entries(found: Optional[Iterable[Any]]) -> List[Entry]:
    """Entries as Redis sends them: [id, [name, value, …]]; before Redis 7 those that were deleted are None."""
    result = []
    for item in found or ():
        if item is None:
            continue
        identity, flat = item
        fields = dict(zip(flat[::2], flat[1::2])) if flat else {}
        result.append(Entry(identity, fields.get(FIELD)))
    return result
