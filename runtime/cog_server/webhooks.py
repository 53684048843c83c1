"""Deliveries to a prediction's webhook: `start`, then at most one update per interval, then `completed`.

Bodies are cumulative, so an update that falls into the interval is not lost: the next one carries it, and the last state
is always sent. One task per prediction keeps the order. Only `completed` is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Callable, Dict, Optional

from msgspec import Raw

from .client import Client, Reach, reason_of, release_frames
from .metrics import Metrics
from .predictions import Observer, Prediction
from .scratch import Scratch, delete_file
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

    def __init__(self, settings: Settings, client: Client, metrics: Metrics, version: str, scratch: Scratch) -> None:
        self.scratch = scratch
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
        self._deliveries.pop(task).stop()
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
            release_frames(error)
            self._metrics.webhook("error")
            return None
        self._metrics.webhook("sent" if status < 300 else "refused")
        return status


class _Kept:
    """A body that may have to wait for minutes, with many others, until its receiver is back: a large one in a file."""

    def __init__(self, body: bytes, scratch: Scratch) -> None:
        self._body = body
        self._scratch = scratch
        self._path: Optional[str] = None

    async def body(self) -> bytes:
        """The body as it was. Errors: OSError."""
        return self._body if self._path is None else await _beside(_read, self._path)

    async def put_away(self) -> None:
        """Keep a large body in a file from now on, where one can be made."""
        if len(self._body) < LARGE_BYTES or self._path is not None:
            return
        try:
            self._path = await _beside(self._scratch.new_file, "webhooks", self._body)
        except OSError as error:
            logger.warning("a webhook waits in memory: %s", error)
        else:
            self._body = b""

    def discard(self) -> None:
        """It is needed no more."""
        if self._path is not None:
            delete_file(self._path)


async def _beside(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that waits for the disk, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


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

    def stop(self) -> None:
        """Observe no more."""
        observers = self._prediction.observers
        if self in observers:
            observers.remove(self)

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
            if self._start is not None or self._snapshot is not None:
                await self._send(self._take())
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

    def _take(self) -> bytes:
        # Not in `run`, where a name would hold the body until the receiver has the last one.
        if self._start is not None:
            body, self._start = self._start, None
        else:
            assert self._snapshot is not None
            body, self._snapshot = self._snapshot, None
        return body

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
        body = _Kept(self._prediction.body(has_unset=False), self._webhooks.scratch)
        try:
            return await self._insist(body)
        except OSError as error:
            logger.error("the webhook of prediction %s is lost: %s", self._prediction.id, error)
            return False
        finally:
            body.discard()

    async def _insist(self, body: _Kept) -> bool:
        delay = FIRST_DELAY
        for attempt in range(RETRIES + 1):
            status = await self._webhooks.post(self._prediction, await body.body())
            if status is not None and status not in RETRY_STATUSES:
                return True
            if attempt < RETRIES:
                await self._sleep(HURRIED_DELAY if self._is_hurried else delay)
                if not self._is_hurried:
                    self._prediction.forget()
                    await body.put_away()
                delay = min(delay * 2, LONGEST_DELAY)
        logger.error("the webhook of prediction %s was given up: %d tries", self._prediction.id, RETRIES + 1)
        return False
