"""Answers to messages: to the webhook, as a value in Redis, or pushed to a list; and log lines pushed to the log queue.

A webhook wins over a response queue. All but the last answer may be skipped when the receiver is away; the last one is
delivered, however long that takes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from typing import Any, List, Optional

from ..client import Client, Reach
from ..metrics import Metrics
from ..predictions import Observer, Prediction
from ..scratch import Scratch
from ..settings import Settings
from ..webhooks import FIRST_DELAY, LONGEST_DELAY, RETRIES, RETRY_STATUSES, Webhooks
from .connection import Connection, Refused, Unreachable
from .messages import QueuePrediction
from .of_2021 import Answers2021
from .settings import QueueSettings

__all__ = ["Answers", "ListWriter", "LogLines"]

logger = logging.getLogger("cog_server.redis")

BATCH = 100
DELIVERED, REFUSED = 200, 400


class Answers(Webhooks):
    """What the runner tells about predictions goes here."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        metrics: Metrics,
        version: str,
        scratch: Scratch,
        connection: Connection,
        queue: QueueSettings,
    ) -> None:
        super().__init__(settings, client, metrics, version, scratch)
        self._redis = connection
        self._queue = queue

    def watch(self, prediction: Prediction) -> None:
        """Answer the message of `prediction`."""
        assert isinstance(prediction, QueuePrediction)
        message = prediction.message
        if message.is_of_2021:
            if message.response_queue is not None:
                answers = ListWriter(self._redis, message.response_queue)
                prediction.observers.append(Answers2021(answers.append))
                prediction.deliveries.append(answers.task)
        elif message.has_destination:
            prediction.deliveries.append(self.deliver(prediction))
        if self._queue.log_queue is not None:
            lines = LogLines(ListWriter(self._redis, self._queue.log_queue), "run", prediction.id)
            prediction.observers.append(lines)
            prediction.deliveries.append(lines.writer.task)

    async def prepare(self) -> None:
        """Nothing: who never posts does without the client."""

    async def post(self, prediction: Prediction, body: bytes) -> Optional[int]:
        """Deliver a body; None if it could not be delivered."""
        assert isinstance(prediction, QueuePrediction)
        key = prediction.message.response_queue
        if key is None:
            return await super().post(prediction, body)
        command = ("RPUSH" if prediction.uses_lists else "SET", key, body)
        try:
            if prediction.is_terminal:
                await self._redis.insist(*command)
            else:
                await self._redis.ask(*command)
        except Unreachable:
            return None
        except Refused as error:
            logger.error("the answer to prediction %s is lost: %s", prediction.id, error)
            return REFUSED
        return DELIVERED

    async def report(self, url: str, document: Any) -> None:
        """POST a report for the operator, several times if need be."""
        body = json.dumps(document).encode()
        delay = FIRST_DELAY
        for _ in range(RETRIES + 1):
            status = await self.send(Reach.ANY, url, body, "the report of setup")
            if status is not None and status not in RETRY_STATUSES:
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
        logger.error("the report of setup was given up: %d tries", RETRIES + 1)


class ListWriter:
    """Pushes to one list, in order. `task` ends after `close`: with True when all is written, False if that failed."""

    def __init__(self, connection: Connection, key: str) -> None:
        self._redis = connection
        self._key = key
        self._waiting: List[bytes] = []
        self._wake = asyncio.Event()
        self._is_closed = False
        self.task: "asyncio.Task[bool]" = asyncio.ensure_future(self._run())

    def append(self, item: Any, is_last: bool = False) -> None:
        """Push a document, soon."""
        self._waiting.append(item if isinstance(item, bytes) else json.dumps(item).encode())
        if is_last:
            self._is_closed = True
        self._wake.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._is_closed = True
        self._wake.set()

    async def _run(self) -> bool:
        while self._waiting or not self._is_closed:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = self._waiting[:BATCH]
            try:
                await self._redis.insist("RPUSH", self._key, *batch)
            except Refused as error:
                logger.error("%d items for the list %s are lost: %s", len(batch), self._key, error)
            except Unreachable:
                return False
            del self._waiting[: len(batch)]
        return True


class LogLines(Observer):
    """Log text → lines `{"stage", "id", "line", "timestamp_sec"}` in a list."""

    def __init__(self, writer: ListWriter, stage: str, identity: str) -> None:
        self.writer = writer
        self._stage = stage
        self._id = identity
        self._rest = ""

    def logged(self, prediction: Optional[Prediction], source: str, text: str) -> None:
        """Push the lines that are complete."""
        *lines, self._rest = re.split(r"\r\n|[\r\n]", self._rest + text)
        for line in lines:
            self._push(line)

    def completed(self, prediction: Optional[Prediction]) -> None:
        """Push what is left."""
        if self._rest:
            self._push(self._rest)
        self.writer.close()

    def _push(self, line: str) -> None:
        self.writer.append({"stage": self._stage, "id": self._id, "line": line, "timestamp_sec": time.time()})
