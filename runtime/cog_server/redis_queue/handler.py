"""What happens to one message: read, run, answered, acknowledged.

A message that nobody can read is dropped with a line in the log; one that cannot be run is answered with `failed`. Both
are acknowledged, so that they do not come back. What was not answered is not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Callable, Dict, Optional

from ..documents import COMPONENTS, Documents
from ..runner import Busy, NotReady, Runner
from .answers import Answers
from .connection import Connection, Refused, Unreachable
from .messages import QueuePrediction, Unreadable, decode, predict, refused
from .of_2021 import predict_2021
from .settings import QueueSettings
from .stream import Entry, Stream

__all__ = ["Handler"]

logger = logging.getLogger("cog_server.redis")

POLL_SECONDS = 0.05
CANCEL_CHECK_SECONDS = 0.1
# Messages whose predictions are over while their answers are still under way. More are not begun.
MOST_UNANSWERED = 16
HAND_BACK_SECONDS = 1.0


class _NotRun(Exception):
    """The model cannot run the message, or it is too late to begin: it is left to another consumer."""


class Handler:
    """All messages that are being handled. `failures` counts predictions that failed one after the other."""

    def __init__(
        self,
        queue: QueueSettings,
        max_bytes: int,
        runner: Runner,
        documents: Documents,
        answers: Answers,
        stream: Stream,
        redis: Connection,
        on_change: Callable[[], None],
    ) -> None:
        self.failures = 0
        self.is_ending = False
        self.tasks: "Dict[bytes, asyncio.Task[None]]" = {}
        self.running: Dict[bytes, Optional[QueuePrediction]] = {}
        self._queue = queue
        self._max_bytes = max_bytes
        self._runner = runner
        self._documents = documents
        self._answers = answers
        self._stream = stream
        self._redis = redis
        self._on_change = on_change
        # Where no answer may go: it would take the place of what other messages need.
        self._reserved = (*stream.keys, queue.log_queue)

    @property
    def has_room(self) -> bool:
        """Whether the prediction of another message could begin."""
        capacity = self._runner.capacity
        return len(self.running) < capacity and len(self.tasks) < capacity + MOST_UNANSWERED

    def begin(self, entry: Entry) -> None:
        """Handle a message, beside others."""
        self.running[entry.id] = None
        self.tasks[entry.id] = asyncio.ensure_future(self._handle(entry))

    async def _handle(self, entry: Entry) -> None:
        try:
            prediction = self._read(entry)
            if prediction.refusal is not None:
                self._refuse(prediction)
            else:
                await self._run(entry, prediction)
            self._is_over(entry)
            await self._conclude(entry, prediction)
        except Unreadable as error:
            logger.error("message %s is dropped: %s", entry.id.decode(), error)
            await self._acknowledge(entry)
        except _NotRun:
            await self.hand_back(entry.id)
        except Exception:  # a mistake of ours must not end the worker; the message comes again, a few times
            logger.exception("message %s cannot be handled", entry.id.decode())
        finally:
            self._is_over(entry)
            self.tasks.pop(entry.id, None)
            self._stream.forget(entry.id)
            self._on_change()

    def _is_over(self, entry: Entry) -> None:
        self.running.pop(entry.id, None)
        self._on_change()

    def _read(self, entry: Entry) -> QueuePrediction:
        """Errors: Unreadable."""
        try:
            return self._prediction(entry)
        except Unreadable:
            raise
        except Exception as error:  # a mistake of ours: the message would make it again
            logger.exception("message %s cannot be read", entry.id.decode())
            raise Unreadable(repr(error)) from error

    def _prediction(self, entry: Entry) -> QueuePrediction:
        checker = self._documents.checkers[COMPONENTS[self._runner.mode]]
        message = decode(entry.value, self._max_bytes)
        uses_lists = self._queue.has_list_responses
        limit = self._queue.max_deliveries
        if limit and entry.deliveries > limit:
            refusal = "The message was given up: %d consumers took it, and none came to an end." % limit
            prediction = refused(message, checker, uses_lists, refusal)
        elif message.is_of_2021:
            prediction = predict_2021(message, checker)
        else:
            prediction = predict(message, checker, uses_lists)
        if message.response_queue is not None and message.response_queue in self._reserved:
            logger.error("message %s asks for its answer in a key of the queue's own", entry.id.decode())
            message.response_queue = None
        if not message.has_destination:
            what = "" if prediction.refusal is None else ", and is not run: " + prediction.refusal
            logger.warning("message %s has neither `webhook` nor `response_queue`%s", entry.id.decode(), what)
        return prediction

    def _refuse(self, prediction: QueuePrediction) -> None:
        self._answers.watch(prediction)
        prediction.finish("failed", error=prediction.refusal)

    async def _run(self, entry: Entry, prediction: QueuePrediction) -> None:
        """Errors: _NotRun."""
        while not self._submit(prediction):
            if self.is_ending or self._runner.state in ("setup_failed", "defunct", "stopped"):
                raise _NotRun
            await asyncio.sleep(POLL_SECONDS)
        self.running[entry.id] = prediction
        loop = asyncio.get_running_loop()
        timer = None
        if self._queue.predict_timeout is not None:
            timer = loop.call_later(self._queue.predict_timeout, self._time_is_up, prediction)
        watching = asyncio.ensure_future(self._watch_cancel_key(prediction))
        try:
            await asyncio.shield(prediction.finished)
        finally:
            watching.cancel()
            if timer is not None:
                timer.cancel()
        if prediction.status == "succeeded":
            self.failures = 0
        elif prediction.status == "failed" and prediction.dispatched_at is not None:
            self.failures += 1

    def _submit(self, prediction: QueuePrediction) -> bool:
        if prediction.id in self._runner.active:
            return False  # two messages with one id
        try:
            self._runner.submit(prediction)
        except (Busy, NotReady):
            return False
        return True

    def _time_is_up(self, prediction: QueuePrediction) -> None:
        if not prediction.is_cancel_requested:
            prediction.has_timed_out = True
            self._runner.cancel(prediction.id)

    async def _watch_cancel_key(self, prediction: QueuePrediction) -> None:
        key = prediction.message.cancel_key
        while key is not None:
            try:
                if await self._redis.ask("EXISTS", key):
                    self._runner.cancel(prediction.id)
                    return
            except (Unreachable, Refused) as error:
                logger.debug("the cancel key of prediction %s cannot be looked at: %s", prediction.id, error)
            await asyncio.sleep(CANCEL_CHECK_SECONDS)

    async def _conclude(self, entry: Entry, prediction: QueuePrediction) -> None:
        """Wait for the answers, then acknowledge."""
        delivered = await asyncio.gather(*prediction.deliveries, return_exceptions=True)
        if self.is_ending and any(one is not True for one in delivered):
            await self.hand_back(entry.id)
            return
        await self._acknowledge(entry)
        if prediction.seconds is not None:
            await self._stream.record("run-time", prediction.seconds)

    async def _acknowledge(self, entry: Entry) -> None:
        try:
            await self._stream.finish(entry.id)
        except (Unreachable, Refused) as error:
            logger.error("message %s is not acknowledged, it will be run again: %s", entry.id.decode(), error)

    async def hand_back(self, identity: bytes) -> None:
        """Leave a message to another consumer, which takes it at once if Redis can be told so, else later."""
        logger.warning("message %s is left to another consumer", identity.decode())
        try:
            await asyncio.wait_for(self._stream.hand_back(identity), HAND_BACK_SECONDS)
        except (Unreachable, Refused, asyncio.TimeoutError) as error:
            logger.error("message %s is not handed back: %s", identity.decode(), str(error) or "it took too long")

    async def abandon(self) -> None:
        """Hand everything back, without further answers."""
        identities = list(self.tasks)
        for prediction in self.running.values():
            if prediction is not None:
                prediction.observers.clear()
                for delivery in prediction.deliveries:
                    delivery.cancel()
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*[self.hand_back(identity) for identity in identities])
