"""Deliveries to a prediction's webhook: `start`, then at most one update per interval, then `completed`.

Bodies are cumulative, so an update that falls into the interval is not lost: the next one carries it, and the last state
is always sent. One task per prediction keeps the order. Only `completed` is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from typing import Any, Dict, Optional

from msgspec import Raw

from .client import Client, Reach, reason_of
from .metrics import Metrics
from .predictions import Observer, Prediction
from .settings import Settings

__all__ = ["Webhooks"]

logger = logging.getLogger("cog_server.webhooks")

RETRIES = 12
FIRST_DELAY, LONGEST_DELAY = 0.1, 102.4
RETRY_STATUSES = (429, 500, 502, 503, 504)
HURRIED_DELAY = 0.2
TIMEOUT_SECONDS = 30
LARGE_BYTES = 64 * 1024


class Webhooks:
    """All deliveries of a server."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics, version: str) -> None:
        self._client = client
        self._metrics = metrics
        self.interval = settings.webhook_interval
        self._headers = {"Content-Type": "application/json", "User-Agent": "cog-worker/" + version}
        if settings.webhook_token:
            self._headers["Authorization"] = "Bearer " + settings.webhook_token
        self._deliveries: "Dict[asyncio.Task[bool], _Delivery]" = {}

    def watch(self, prediction: Prediction) -> None:
        """Report `prediction` to its webhook, if it has one."""
        if prediction.request.webhook:
            self.deliver(prediction)

    def deliver(self, prediction: Prediction) -> "asyncio.Task[bool]":
        """Report to whatever `post` reports to. The task ends with whether the receiver has the final state."""
        delivery = _Delivery(self, prediction)
        prediction.observers.append(delivery)
        task = asyncio.ensure_future(delivery.run())
        self._deliveries[task] = delivery
        self._metrics.open_webhooks = len(self._deliveries)
        task.add_done_callback(self._delivered)
        return task

    def _delivered(self, task: "asyncio.Task[bool]") -> None:
        del self._deliveries[task]
        self._metrics.open_webhooks = len(self._deliveries)

    async def close(self, timeout_seconds: float) -> None:
        """Deliver what is open, the final states first and without long pauses, within a time; then stop."""
        for delivery in self._deliveries.values():
            delivery.hurry()
        if self._deliveries:
            await asyncio.wait(list(self._deliveries), timeout=timeout_seconds)
        for task in list(self._deliveries):
            task.cancel()

    async def prepare(self) -> None:
        """Have the client ready before it is needed."""
        await self._client.prepare()

    async def post(self, prediction: Prediction, body: bytes) -> Optional[int]:
        """The status of one try, or None if there was no answer."""
        name = "the webhook of prediction %s" % prediction.id
        return await self.send(Reach.CALLBACK, prediction.request.webhook or "", body, name, prediction.request.trace)

    async def send(
        self, reach: Reach, url: str, body: bytes, name: str, trace: Optional[Dict[str, str]] = None
    ) -> Optional[int]:
        """POST a JSON body once. The status, or None if there was no answer; `name` says in the log what it was."""
        await self._client.prepare()
        import aiohttp

        headers = {**self._headers, **(trace or {})}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with self._client.request(
                reach, "POST", url, data=body, headers=headers, timeout=timeout
            ) as response:
                status: int = response.status
                if status >= 300:
                    logger.warning("%s answered %d", name, status)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
            logger.warning("%s cannot be reached: %s", name, reason_of(error))
            self._metrics.webhook("error")
            return None
        self._metrics.webhook("sent" if status < 300 else "refused")
        return status


class _Kept:
    """A body that may have to wait for minutes, with many others, until its receiver is back."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._is_compressed = False

    def body(self) -> bytes:
        """The body as it was."""
        return zlib.decompress(self._body) if self._is_compressed else self._body

    async def shrink(self) -> None:
        """Compress it if it is large, beside the event loop."""
        if len(self._body) >= LARGE_BYTES and not self._is_compressed:
            loop = asyncio.get_running_loop()
            self._body = await loop.run_in_executor(None, zlib.compress, self._body, 1)
            self._is_compressed = True


class _Delivery(Observer):
    def __init__(self, webhooks: Webhooks, prediction: Prediction) -> None:
        self._webhooks = webhooks
        self._prediction = prediction
        self._events = set(prediction.request.webhook_events)
        self._wake = asyncio.Event()
        self._start: Optional[bytes] = None
        self._snapshot: Optional[bytes] = None
        self._is_dirty = False
        self._is_final = False
        self._is_hurried = False
        self._sent_at = float("-inf")
        self._sending: "Optional[asyncio.Task[Any]]" = None

    def started(self, prediction: Prediction) -> None:
        if "start" in self._events:
            self._start = prediction.body(has_unset=False)
            self._wake.set()

    def output(self, prediction: Prediction, index: int, chunk: Raw) -> None:
        self._update("output")

    def logged(self, prediction: Prediction, source: str, text: str) -> None:
        self._update("logs")

    def completed(self, prediction: Prediction) -> None:
        self._is_final = True
        self._wake.set()

    def hurry(self) -> None:
        """The server ends: only the final state counts, and it is tried again soon."""
        self._is_hurried = True
        self._wake.set()
        if self._sending is not None:
            self._sending.cancel()

    def _update(self, event: str) -> None:
        if event not in self._events:
            return
        if not self._is_dirty and self._start is None and self._wait() <= 0:
            # Due at once: keep this state, which may be gone when the task runs (a value that is returned).
            self._snapshot = self._prediction.body(has_unset=False)
            self._sent_at = asyncio.get_running_loop().time()
        else:
            self._is_dirty = True
        self._wake.set()

    def _wait(self) -> float:
        return self._sent_at + self._webhooks.interval - asyncio.get_running_loop().time()

    async def run(self) -> bool:
        """Deliver until the prediction is over and told. False if the last try has failed."""
        await self._webhooks.prepare()
        while not (self._is_final and (self._is_hurried or (self._start is None and self._snapshot is None))):
            if self._start is not None:
                body, self._start = self._start, None
                await self._send(body)
            elif self._snapshot is not None:
                body, self._snapshot = self._snapshot, None
                await self._send(body)
            elif self._is_dirty and self._wait() <= 0:
                await self._send_latest()
            else:
                await self._sleep(self._wait() if self._is_dirty else None)
        if "completed" in self._events:
            return await self._complete()
        if self._is_dirty:
            while self._wait() > 0 and not self._is_hurried:
                await self._sleep(self._wait())
            await self._send_latest()
        return True

    async def _send_latest(self) -> None:
        self._is_dirty = False
        await self._send(self._prediction.body(has_unset=False))

    async def _send(self, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._sent_at = loop.time()
        self._sending = asyncio.ensure_future(self._webhooks.post(self._prediction, body))
        try:
            await asyncio.wait([self._sending])
        finally:
            self._sending.cancel()
            self._sending = None
        self._sent_at = loop.time()

    async def _sleep(self, seconds: Optional[float]) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def _complete(self) -> bool:
        body = _Kept(self._prediction.body(has_unset=False))
        delay = FIRST_DELAY
        for attempt in range(RETRIES + 1):
            status = await self._webhooks.post(self._prediction, body.body())
            if status is not None and status not in RETRY_STATUSES:
                return True
            if attempt < RETRIES:
                await self._sleep(HURRIED_DELAY if self._is_hurried else delay)
                if not self._is_hurried:
                    self._prediction.forget()
                    await body.shrink()
                delay = min(delay * 2, LONGEST_DELAY)
        logger.error("the webhook of prediction %s was given up: %d tries", self._prediction.id, RETRIES + 1)
        return False
