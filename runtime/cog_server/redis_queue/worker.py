"""One queue worker from start to end: the model is set up, messages are read while it has room, the last finished."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any, Awaitable, Callable, Optional, Set

from ..documents import DocumentError, Documents
from ..runner import Runner
from ..settings import Settings
from .answers import Answers, ListWriter, LogLines
from .connection import FIRST_DELAY, LONGEST_DELAY, Connection, Refused, Unreachable
from .handler import Handler
from .messages import as_utc
from .settings import QueueSettings
from .stream import Entry, Stream

__all__ = ["QueueWorker"]

logger = logging.getLogger("cog_server.redis")

POLL_SECONDS = 0.05
REPORT_SECONDS = 60.0
# How long, once the end was asked for, a read may take, and the last answers after the last prediction.
LAST_READ_SECONDS, FAREWELL_SECONDS = 2.0, 5.0
CANCEL_SECONDS = 0.7
LONGEST_SILENCE_SECONDS = 60.0


class QueueWorker:
    """A consumer of the queue."""

    def __init__(
        self,
        settings: Settings,
        queue: QueueSettings,
        answers: Answers,
        runner: Runner,
        connection: Connection,
        documents: Documents,
    ) -> None:
        self._queue = queue
        self._answers = answers
        self._runner = runner
        self._redis = connection
        self._documents = documents
        self._stream = Stream(connection, queue)
        self._wake = asyncio.Event()
        self._handler = Handler(
            queue, settings.max_body_bytes, runner, documents, answers, self._stream, connection, self._wake.set
        )
        self._background: "Set[asyncio.Task[Any]]" = set()
        self._delay = FIRST_DELAY
        self._complaint = ""
        self._is_stopping = False
        self._is_hurried = False

    async def run(self) -> int:
        """The exit status: 0 after a signal, 1 if the model cannot run predictions."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        self._runner.on_loaded = lambda message: self._documents.add(message.openapi) if message.openapi else None
        await self._runner.attach()
        await self._redis.open()
        code = 1
        if await self._set_up():
            self._start(self._stay_alive())
            code = await self._read_messages()
            await self._finish_messages()
        elif self._is_stopping:
            code = 0
        for task in list(self._background):
            task.cancel()
        await self._runner.stop(0, CANCEL_SECONDS)
        return code

    def _end(self) -> None:
        """A signal came; at the second one nothing is waited for."""
        self._is_hurried = self._is_stopping
        self._is_stopping = self._handler.is_ending = True
        self._wake.set()

    def _start(self, work: Awaitable[Any]) -> None:
        """Do something beside, until it is done or the worker ends."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Setup

    async def _set_up(self) -> bool:
        """Wait for the model; whether it is ready, and nobody has asked for the end meanwhile."""
        runner, queue = self._runner, self._queue
        lines = None
        if queue.log_queue is not None:
            lines = LogLines(ListWriter(self._redis, queue.log_queue), "setup", queue.model_id)
        told, is_over = 0, False
        while not is_over and not self._is_stopping:
            is_over = runner.state != "starting"
            logs = runner.setup.logs
            if lines is not None:
                lines.logged(None, "", "".join(logs[told:]))
            told = len(logs)
            if not is_over:
                await asyncio.sleep(POLL_SECONDS)
        if self._is_stopping:
            return False
        if lines is not None:
            lines.completed(None)
        if runner.state != "ready":
            last = [self._report(), *([lines.writer.task] if lines is not None else [])]
            await asyncio.wait([asyncio.ensure_future(one) for one in last], timeout=REPORT_SECONDS)
            return False
        self._start(self._report())
        self._start(self._stream.record("setup-time", runner.setup.seconds))
        try:
            await self._documents.require(runner.mode)
        except DocumentError as error:
            logger.error("the inputs of the model are not known: %s", error)
            return False
        return True

    async def _report(self) -> None:
        """Tell the operator what setup came to."""
        if self._queue.report_url is None:
            return
        document = self._runner.setup.document()
        for name in ("started_at", "completed_at"):
            document[name] = as_utc(document[name])
        await self._answers.report(self._queue.report_url, document)

    # Messages

    async def _read_messages(self) -> int:
        """Read messages and have them handled until a signal (0), or until there is no use in it (1)."""
        while not self._is_stopping:
            if self._runner.state in ("setup_failed", "defunct"):
                logger.error("the model's process has ended too often")
                return 1
            most = self._queue.max_failures
            if most is not None and self._handler.failures > most:
                logger.error("%d predictions in a row have failed: the worker ends", self._handler.failures)
                return 1
            if not self._handler.has_room:
                await self._pause()
            elif self._runner.state != "ready":
                await self._pause(POLL_SECONDS)
            else:
                entry = await self._next()
                if entry is not None:
                    self._handler.begin(entry)
        return 0

    async def _next(self) -> Optional[Entry]:
        """The next message. None if there was none, or Redis is away, or the end was asked for."""
        reading = asyncio.ensure_future(self._stream.next())
        while not reading.done() and not self._is_stopping:
            self._wake.clear()
            waking = asyncio.ensure_future(self._wake.wait())
            await asyncio.wait([reading, waking], return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
        if not reading.done():
            await asyncio.wait([reading], timeout=LAST_READ_SECONDS)
        if not reading.done():
            reading.cancel()
            return None
        try:
            entry = reading.result()
        except Unreachable:
            await self._back_off()
            return None
        except Refused as error:
            self._complain(str(error))
            await self._back_off()
            return None
        self._delay, self._complaint = FIRST_DELAY, ""
        if entry is not None and self._is_stopping:
            await self._handler.hand_back(entry.id)
            return None
        return entry

    def _complain(self, error: str) -> None:
        if error == self._complaint:
            return
        self._complaint = error
        key = self._queue.input_queue
        hint = ""
        if error.startswith("NOGROUP"):
            hint = "; `XGROUP CREATE %s %s $ MKSTREAM` makes both" % (key, key)
        elif "unknown command" in error:
            hint = "; Redis 6.2 or newer is needed"
        logger.error("the queue %s cannot be read: %s%s", key, error, hint)

    async def _back_off(self) -> None:
        if not self._is_stopping:
            await self._pause(self._delay)
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    async def _pause(self, seconds: Optional[float] = None) -> None:
        """Wait until something happens, or the time is over."""
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def _stay_alive(self) -> None:
        """Keep other consumers from taking over what is still in work here."""
        while True:
            await asyncio.sleep(min(self._queue.claim_after / 4, LONGEST_SILENCE_SECONDS))
            try:
                await self._stream.refresh()
            except (Unreachable, Refused) as error:
                logger.debug("no sign of life could be given: %s", error)

    async def _finish_messages(self) -> None:
        """Let predictions end, deliver the last answers, acknowledge; at a second signal hand everything back."""
        handler = self._handler
        handler.is_ending = True
        await self._wait_unless_hurried(lambda: not handler.running)
        if handler.tasks:
            self._start(self._answers.close(FAREWELL_SECONDS))
            await self._wait_unless_hurried(lambda: not handler.tasks, FAREWELL_SECONDS)
        self._redis.give_up()
        await self._wait_unless_hurried(lambda: not handler.tasks, LAST_READ_SECONDS)
        if handler.tasks:
            await handler.abandon()

    async def _wait_unless_hurried(self, is_true: Callable[[], bool], seconds: float = float("inf")) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not is_true() and not self._is_hurried and loop.time() < end:
            await self._pause(None if seconds == float("inf") else end - loop.time())
