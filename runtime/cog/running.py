"""Predictions of ordinary functions: one at a time, in the main thread.

A cancel raises CancelationException in the main thread through a signal handler, and so ends sleeps and blocking
reads; it is raised only while code of the model runs. A cancel that comes earlier waits for that moment.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from _signal import signal as set_handler  # what signal.signal() calls, without 10 µs of looking up enums
from typing import Any, Callable, Mapping

from .exceptions import CancelationException
from .frames import Channel
from .jobs import Health, Job, Numbers, slots
from .predictor import Target
from .scope import scope_of_prediction

__all__ = ["SyncRunner"]

SIGUSR1 = int(signal.SIGUSR1)

# A signal that arrives just before a call blocks does not interrupt it: send another until one has worked.
REPEAT_SECONDS = 0.05


class SyncRunner:
    """Runs one job after the other."""

    def __init__(self, channel: Channel, target: Target) -> None:
        self.max_concurrency = slots(target)
        self.health = Health(target.healthcheck, self.send)
        self._channel = channel
        self._target = target
        self._job: Job | None = None
        self._numbers = Numbers()
        self._lock = threading.Lock()
        self._main_id = threading.main_thread().ident or 0
        self._process = os.getpid()
        # The job whose user code is running: exactly then may the handler raise.
        self._exposed: Job | None = None
        self._is_sending = False

    # Called in the control thread.

    def cancel(self, number: int) -> None:
        """Cancel the prediction that runs, or one that is on its way; one that is done stays as it is."""
        with self._lock:
            job = self._job
            if job is None or job.number != number:
                self._numbers.cancel(number)
                return
        self._cancel(job)

    def fetched(self, message: Mapping[str, Any]) -> None:
        """A file is there that a prediction waits for."""
        job = self._job
        if job is not None and job.number == message["number"]:
            job.fetched(message)

    def _cancel(self, job: Job) -> None:
        if job.cancel():
            threading.Thread(target=self._interrupt, args=(job,), name="cog-cancel", daemon=True).start()

    def _interrupt(self, job: Job) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        while job.is_cancel_pending and not job.is_done:
            signal.pthread_kill(self._main_id, signal.SIGUSR1)
            time.sleep(REPEAT_SECONDS)

    def stop(self) -> None:
        """End after the predictions that were sent before."""
        self._channel.close_reading()

    def abandon(self) -> None:
        """End as soon as possible."""
        with self._lock:
            self._numbers.cancel_all()
            job = self._job
        if job is not None:
            self._cancel(job)
        self.stop()

    # Called in the main thread.

    def set_up(self, setup: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Run the model's setup."""
        result = setup(**arguments)
        if hasattr(result, "__await__"):
            import asyncio

            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(result)

    def listen(self) -> None:
        """Be ready for signals; without a handler, they would end the process."""
        set_handler(SIGUSR1, self._on_signal)

    def run(self) -> int:
        """Run jobs until `stop`; the exit status."""
        try:
            while True:
                # For each job, because a model may have put its own handler there.
                self.listen()
                message = self._channel.receive()
                if message is None:
                    return 0
                if message["type"] == "predict":
                    self._run(self._taken(message))
        except OSError:
            return 1

    def _taken(self, message: Mapping[str, Any]) -> Job:
        job = Job(message, self._target, self.send)
        with self._lock:
            self._job = job
            if self._numbers.take(job.number):
                job.cancel()
        return job

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message whole: the main thread is not interrupted meanwhile."""
        if threading.get_ident() != self._main_id:
            self._channel.send(message)
            return
        self._is_sending = True
        try:
            self._channel.send(message)
        finally:
            self._is_sending = False
        self._on_signal()

    def _on_signal(self, *_: Any) -> None:
        job = self._exposed
        if job is not None and job.is_cancel_pending and not self._is_sending:
            job.is_cancel_pending = False
            raise CancelationException("the prediction was cancelled")

    def _user(self, job: Job, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call code of the model, or throw a cancel that is waiting."""
        try:
            self._exposed = job
            if job.is_cancel_pending:
                job.is_cancel_pending = False
                raise CancelationException("the prediction was cancelled")
            return call(*arguments)
        finally:
            self._exposed = None
            if os.getpid() != self._process:
                # A child made by os.fork() that came back from the model's code: the parent answers.
                os._exit(0)

    def _run(self, job: Job) -> None:
        is_iterator = self._target.signature.is_iterator
        fields: Mapping[str, Any] = {}
        if not job.is_canceled:
            job.begin()
            try:
                with scope_of_prediction(job.scope, is_alone=True):
                    fields = self._iterate(job) if is_iterator else self._call(job)
            except BaseException as error:
                self._exposed = None
                fields = job.failed(error)
        if job.close():
            fields = {"status": "canceled"}
        self._job = None
        job.finish(fields, is_iterator)

    def _call(self, job: Job) -> Mapping[str, Any]:
        output, files = self._user(job, self._called, job)
        return {"status": "succeeded", "output": output, "files": files}

    def _called(self, job: Job) -> Any:
        return job.encoded_result(_finished(self._target.function(**job.arguments())))

    def _iterate(self, job: Job) -> Mapping[str, Any]:
        arguments = self._user(job, job.arguments)
        items = job.items(self._user(job, lambda: self._target.function(**arguments)))
        try:
            while True:
                try:
                    encoded = self._next(job, items)
                except StopIteration:
                    return {"status": "succeeded"}
                if job.is_canceled and not job.is_cancel_pending:
                    # It went on after a cancel.
                    return {"status": "canceled"}
                job.send_item(encoded)
        finally:
            if hasattr(items, "close"):
                # A cancel that still waits has nothing left to stop.
                job.is_cancel_pending = False
                self._user(job, items.close)

    def _next(self, job: Job, items: Any) -> Any:
        """The next item, encoded; a cancel that came between two items is raised inside the generator."""
        if job.is_cancel_pending and hasattr(items, "throw"):
            job.is_cancel_pending = False
            error = CancelationException("the prediction was cancelled")
            return self._user(job, lambda: job.encoded_item(items.throw(error)))
        return self._user(job, lambda: job.encoded_item(next(items)))


def _finished(result: Any) -> Any:
    """The result, awaited if the function turned out to be asynchronous."""
    if not hasattr(result, "__await__"):
        return result
    import asyncio

    from .jobs import _awaited

    return asyncio.run(_awaited(result))
