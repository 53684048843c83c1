"""Predictions of async functions: as many at once as there are slots, in one event loop in the main thread.

A cancel is `task.cancel()`. When the loop does not get to it because a prediction blocks, that prediction is
interrupted by a signal like an ordinary one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import deque
from _signal import signal as set_handler  # what signal.signal() calls, without 10 µs of looking up enums
from types import FrameType
from typing import Any, Callable, Deque, Mapping

from .exceptions import CancelationException
from .frames import Channel
from .jobs import Health, Job, Numbers, slots
from .lines import Lines, Origin, Output
from .logs import PREDICTION, attribute_lines, enter, leave
from .predictor import Target
from .scope import scope_of_prediction

__all__ = ["AsyncRunner"]

# After this time a cancel that the loop has not seen becomes a signal.
PATIENCE_SECONDS = 1.0
REPEAT_SECONDS = 0.05
LINES_FILE = Lines.add.__code__.co_filename
SIGUSR1 = int(signal.SIGUSR1)


class AsyncRunner:
    """Runs jobs as tasks. Everything but `cancel`, `stop` and `abandon` runs in the main thread."""

    def __init__(self, channel: Channel, target: Target, memory: int) -> None:
        self.max_concurrency = slots(target)
        self.health = _LoopHealth(self, target.healthcheck)
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self._channel = channel
        self._target = target
        self._jobs: dict[int, Job] = {}
        self._numbers = Numbers()
        self._lock = threading.Lock()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: Deque[Job] = deque()
        self._main_id = threading.main_thread().ident or 0
        self._process = os.getpid()
        self._is_stopping = False
        self._is_sending = False
        self._is_refused = False
        self._lines = Lines(memory, channel.send)
        self._plain = attribute_lines()

    # Called in the control thread.

    def cancel(self, number: int) -> None:
        """Cancel a prediction that runs, waits or is on its way; one that is done stays as it is."""
        with self._lock:
            job = self._jobs.get(number)
            if job is None:
                self._numbers.cancel(number)
                return
        self._interrupt_when_blocked(job)

    def fetched(self, message: Mapping[str, Any]) -> None:
        """A file is there that a prediction waits for."""
        job = self._jobs.get(message["number"])
        if job is not None:
            job.fetched(message)

    def _interrupt_when_blocked(self, job: Job) -> None:
        if job.cancel():
            self.loop.call_soon_threadsafe(self._cancel, job)
            threading.Thread(target=self._interrupt, args=(job,), name="cog-cancel", daemon=True).start()

    def _interrupt(self, job: Job) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while job.is_cancel_pending and not job.is_done:
            if time.monotonic() > deadline:
                signal.pthread_kill(self._main_id, signal.SIGUSR1)
            time.sleep(REPEAT_SECONDS)

    def stop(self) -> None:
        """End after the predictions that were sent before."""
        self._channel.close_reading()

    def abandon(self) -> None:
        """End as soon as possible."""
        with self._lock:
            self._numbers.cancel_all()
            jobs = list(self._jobs.values())
        for job in jobs:
            self._interrupt_when_blocked(job)
        self.stop()

    # Called in the main thread.

    def set_up(self, setup: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Run the model's setup, in the loop of the predictions when it is async."""
        result = setup(**arguments)
        if hasattr(result, "__await__"):
            self.loop.run_until_complete(result)

    def listen(self) -> None:
        """Be ready for signals; without a handler, they would end the process."""
        set_handler(SIGUSR1, self._on_signal)

    def run(self) -> int:
        """Run jobs until `stop`; the exit status."""
        descriptor = self._channel.fileno()
        try:
            self.loop.add_reader(descriptor, self._receive, descriptor)
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        except OSError:
            return 1
        return 0

    def send(self, message: Mapping[str, Any] | str) -> None:
        """Send a message whole, after all lines: the main thread is not interrupted meanwhile."""
        self._lines.flush()
        if threading.get_ident() != self._main_id:
            self._channel.send(message)
            return
        self._is_sending = True
        try:
            self._channel.send(message)
        finally:
            self._is_sending = False
        if self._is_refused:
            self._is_refused = False
            self._on_signal()

    def _on_signal(self, number: int = 0, frame: FrameType | None = None) -> None:
        # A handler runs in the context of what it interrupts, so this is the job that blocks.
        job = PREDICTION.get()
        self._is_refused = self._is_sending or _is_writing(frame)
        if job is not None and job.is_cancel_pending and not self._is_refused:
            job.is_cancel_pending = False
            raise CancelationException("the prediction was cancelled")

    def _receive(self, descriptor: int) -> None:
        try:
            messages = self._channel.receive_ready()
        except BlockingIOError:
            return
        except (EOFError, OSError, ValueError):
            self.loop.remove_reader(descriptor)
            self._stop()
            return
        for message in messages:
            if message["type"] == "predict":
                self._accept(Job(message, self._target, self.send))

    def _accept(self, job: Job) -> None:
        lines, id_ = self._lines, job.json_id
        job.outputs = {name: Output(lines, Origin(id_, name, plain)) for name, plain in self._plain.items()}
        with self._lock:
            self._jobs[job.number] = job
            if self._numbers.take(job.number):
                job.cancel()
        if len(self._tasks) < self.max_concurrency:
            self._start(job)
        else:
            self._waiting.append(job)

    def _start(self, job: Job) -> None:
        self._tasks[job.number] = self.loop.create_task(self._run(job))

    def _cancel(self, job: Job) -> None:
        task = self._tasks.get(job.number)
        # A task that has not begun would end without a word; it sees the mark when it begins.
        if task is not None and job.is_cancel_pending and job.has_begun:
            job.is_cancel_pending = False
            task.cancel()

    def _stop(self) -> None:
        self._is_stopping = True
        if not self._tasks:
            self.loop.stop()

    async def _run(self, job: Job) -> None:
        is_iterator = self._target.signature.is_iterator
        fields: Mapping[str, Any] = {}
        enter(job)
        if not job.is_canceled:
            # A model may have put its own handler there.
            self.listen()
            job.begin()
            try:
                with scope_of_prediction(job.scope, is_alone=self.max_concurrency == 1):
                    fields = await (self._iterate(job) if is_iterator else self._call(job))
            except asyncio.CancelledError as error:
                fields = {} if job.is_canceled else job.failed(error)
            except BaseException as error:
                fields = job.failed(error)
        if os.getpid() != self._process:
            os._exit(0)
        if job.close():
            fields = {"status": "canceled"}
        del self._jobs[job.number], self._tasks[job.number]
        try:
            job.finish(fields, is_iterator)
        except OSError:
            self.loop.stop()
        leave()
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._is_stopping and not self._tasks:
            self.loop.stop()

    async def _call(self, job: Job) -> Mapping[str, Any]:
        result = self._target.function(**job.arguments())
        if hasattr(result, "__await__"):
            result = await result
        if hasattr(result, "__aiter__"):
            result = [item async for item in result]
        output, files = job.encoded_result(result)
        return {"status": "succeeded", "output": output, "files": files}

    async def _iterate(self, job: Job) -> Mapping[str, Any]:
        result = self._target.function(**job.arguments())
        if hasattr(result, "__await__"):
            result = await result
        items = result.__aiter__() if hasattr(result, "__aiter__") else _Steps(job.items(result))
        try:
            while True:
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    return {"status": "succeeded"}
                job.send_item(job.encoded_item(item))
                try:
                    # Others get their turn, and a cancel can come through, even if the model never waits.
                    await asyncio.sleep(0)
                except asyncio.CancelledError as error:
                    if not hasattr(items, "athrow"):
                        raise
                    await items.athrow(error)
                    return {"status": "canceled"}
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()


def _is_writing(frame: FrameType | None) -> bool:
    """Whether a line is just being written, which must come to its end."""
    while frame is not None:
        if frame.f_code.co_filename == LINES_FILE:
            return True
        frame = frame.f_back
    return False


class _Steps:
    """An ordinary iterator as an asynchronous one."""

    def __init__(self, items: Any) -> None:
        self._items = items

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


class _LoopHealth(Health):
    """The health check of an async model: in its loop when it is async, else in a thread."""

    def __init__(self, runner: AsyncRunner, function: Any) -> None:
        super().__init__(function, runner.send)
        self._runner = runner

    def start(self) -> None:
        import inspect

        if not inspect.iscoroutinefunction(self._function):
            super().start()
            return
        self._runner.loop.call_soon_threadsafe(lambda: self._runner.loop.create_task(self._check()))

    async def _check(self) -> None:
        try:
            result = await self._function()
        except BaseException as error:
            from .logs import error_text

            self.answer(False, error_text(error))
        else:
            self.judge(result)
