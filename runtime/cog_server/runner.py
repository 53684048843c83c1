"""One target: its worker, its slots, the predictions in them and those that wait.

    starting ──▶ ready ──▶ (worker lost) starting ──▶ … ──▶ defunct
        └──────▶ setup_failed                 any ──▶ stopped

A slot is taken when a prediction is accepted and free again when the worker's `done` has been read, before anything is
answered. Files that the model might overwrite keep it until they are read.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import msgspec

from .files import FileError, Files
from .masking import Masker, masked, worth_masking
from .messages import (
    Done,
    Fetch,
    Health,
    Loaded,
    LoadFailed,
    Log,
    Message,
    Metric,
    Output,
    Ready,
    SetupFailed,
    Started,
)
from .metrics import Metrics
from .predictions import Prediction, now
from .scratch import Scratch
from .settings import Settings
from .streams import StreamCopier
from .webhooks import Webhooks
from .workers import Worker, describe_exit

__all__ = ["Busy", "NotReady", "Runner", "Services", "Setup"]

logger = logging.getLogger("cog_server.runner")

HEALTHCHECK_SECONDS = 5.0


class Busy(Exception):
    """All slots are taken, and there is no room to wait."""


class NotReady(Exception):
    """The target cannot run anything now; the text says why."""


class Services:
    """What runners share."""

    def __init__(
        self,
        settings: Settings,
        scratch: Scratch,
        files: Files,
        webhooks: Webhooks,
        metrics: Metrics,
        streams: StreamCopier,
    ) -> None:
        self.settings = settings
        self.scratch = scratch
        self.files = files
        self.webhooks = webhooks
        self.metrics = metrics
        self.streams = streams


class Setup:
    """What is known about the model's start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.seconds = 0.0
        self.started_at = now()
        self.completed_at: Optional[str] = None
        self.status = "starting"
        self.logs: List[str] = []

    def finish(self, status: str) -> None:
        """Setup is over."""
        self.seconds = time.monotonic() - self._begun
        self.completed_at = now()
        self.status = status

    def document(self) -> Dict[str, Any]:
        """The `setup` of the health document."""
        result = {"started_at": self.started_at, "status": self.status, "logs": "".join(self.logs)}
        if self.completed_at is not None:
            result["completed_at"] = self.completed_at
        return result


class _Outbox:
    """Results of a prediction with files: published one after the other, in the order of the worker."""

    def __init__(self) -> None:
        self.waiting: Deque[Any] = deque()
        self.task: "Optional[asyncio.Task[None]]" = None


class Runner:
    """Runs predictions of one target. All methods belong to the event loop, except the constructor and `spawn`."""

    def __init__(self, services: Services, mode: str, target: str, environment: Mapping[str, str]) -> None:
        self.mode = mode
        self.target = target
        self.state = "starting"
        self.setup = Setup()
        self.loaded: Optional[Loaded] = None
        self.capacity = 1
        self.slots: Set[str] = set()
        self.active: Dict[str, Prediction] = {}
        self.queue: Deque[Prediction] = deque()
        self.on_loaded: Callable[[Loaded], None] = lambda loaded: None
        self.on_idle: Callable[[], None] = lambda: None
        self.on_finished: Callable[[Prediction], None] = lambda prediction: None
        self.is_hurried = False
        self._services = services
        self._settings = services.settings
        self._environment = environment
        self._worker: Optional[Worker] = None
        self._dispatched: Dict[str, Prediction] = {}
        self._outboxes: Dict[str, _Outbox] = {}
        self._fetches: "Dict[str, asyncio.Task[None]]" = {}
        self._late_fetches: "Dict[str, Dict[int, asyncio.Task[None]]]" = {}
        self._decoders: Dict[str, Any] = {}
        self._maskers: Dict[Tuple[str, str], Masker] = {}
        self._number = 0
        self._crashes = 0
        self._was_ready = False
        self._is_stopping = False
        self._setup_timer: Optional[asyncio.TimerHandle] = None
        self._health: "Optional[asyncio.Future[Health]]" = None
        self._nonce = 0
        self._handlers: Dict[type, Callable[[Any], None]] = {
            Loaded: self._on_loaded,
            LoadFailed: self._on_failed,
            SetupFailed: self._on_failed,
            Ready: self._on_ready,
            Started: self._on_started,
            Fetch: self._on_fetch,
            Output: self._on_output_frame,
            Log: self._on_log,
            Metric: self._on_metric,
            Done: self._on_done,
            Health: self._on_health,
        }

    # Life of the worker

    def spawn(self) -> None:
        """Start the worker process. It may be called before there is an event loop, to save time."""
        self.setup = Setup()
        self._decoders = {source: codecs.getincrementaldecoder("utf-8")("replace") for source in ("stdout", "stderr")}
        settings = self._settings
        try:
            self._worker = Worker(
                settings.model_python,
                self.mode,
                self.target,
                settings.sdk,
                self._environment,
                self._services.scratch,
            )
        except OSError as error:
            self._worker = None
            self.setup.logs.append("The worker cannot be started: %s\n" % error)

    async def attach(self) -> None:
        """Begin to listen to the worker that `spawn` has started."""
        loop = asyncio.get_running_loop()
        if self._worker is None:
            self._setup_is_over("failed")
            return
        await self._worker.attach(self._on_message, self._on_text, self._on_gone)
        if self._settings.setup_timeout is not None:
            self._setup_timer = loop.call_later(self._settings.setup_timeout, self._setup_timed_out, self._worker)

    async def start(self) -> None:
        """Start the worker and listen."""
        self.spawn()
        await self.attach()

    def _setup_timed_out(self, worker: Worker) -> None:
        if worker is self._worker and self.state == "starting":
            self.setup.logs.append("Setup did not end within %g seconds.\n" % (self._settings.setup_timeout or 0))
            self._setup_is_over("failed")
            worker.kill()

    def _setup_is_over(self, status: str) -> None:
        if self._setup_timer is not None:
            self._setup_timer.cancel()
            self._setup_timer = None
        self.setup.finish(status)
        if status == "succeeded":
            self.state = "ready"
            self._was_ready = True
            return
        logger.error("setup of %s failed", self.target)
        self.state = "defunct" if self._was_ready else "setup_failed"
        self._fail_waiting("Setup of the model failed. GET /health-check has the logs.")

    def _on_gone(self, worker: Worker, code: Optional[int]) -> None:
        if worker is not self._worker:
            return
        self._worker = None
        if self._health is not None and not self._health.done():
            self._health.set_result(Health(ok=False, error="the worker has ended"))
        if self._is_stopping:
            self.state = "stopped"
        reason = describe_exit(code)
        was_running = self.state == "ready"
        if was_running:
            self.state = "starting"  # what waits must not begin before there is a worker again
        was_canceled = any(prediction.is_cancel_requested for prediction in self._dispatched.values())
        for prediction in list(self._dispatched.values()):
            status = "canceled" if prediction.is_cancel_requested else "failed"
            self._finish_logs(prediction)
            self._release(prediction)
            self._conclude(prediction, status, error=reason)
        if self._is_stopping:
            return
        if self.state == "starting":
            self._replace(reason, is_crash=not (was_canceled and was_running))

    def _replace(self, reason: str, is_crash: bool) -> None:
        """Start another worker, unless the first setup failed or it went on too often."""
        logger.error("%s", reason)
        if is_crash:
            self._crashes += 1
        if not self._was_ready:
            self.setup.logs.append(reason + "\n")
            self._setup_is_over("failed")
        elif self._crashes >= self._settings.max_crashes:
            self.state = "defunct"
            self._fail_waiting("The model's process has ended too often. " + reason)
        else:
            self._services.metrics.restarts += 1
            self.state = "starting"
            self.setup = Setup()
            delay = 0.0 if self._crashes <= 1 else min(0.25 * 2 ** (self._crashes - 2), 10.0)
            asyncio.get_running_loop().call_later(delay, self._restart)

    def _restart(self) -> None:
        if not self._is_stopping and self.state == "starting" and self._worker is None:
            asyncio.ensure_future(self.start())

    async def stop(self, grace: float, cancel_grace: float) -> None:
        """End: let predictions run for `grace` seconds, cancel them, and stop the worker whatever it does."""
        self._is_stopping = True
        for prediction in list(self.queue):
            self._conclude(prediction, "canceled")
        self.queue.clear()
        await self._wait_idle(grace)
        for prediction in list(self.active.values()):
            self.cancel(prediction.id)
        await self._wait_idle(cancel_grace)
        worker = self._worker
        if worker is not None:
            if self.state == "ready" and not self.active:
                worker.terminate()
                await _until(lambda: worker.is_gone, 0.5)
            if not worker.is_gone:
                worker.kill()
                await _until(lambda: worker.is_gone, 1.5)
        for prediction in list(self.active.values()):
            self._conclude(prediction, "canceled")
        self.state = "stopped"

    async def _wait_idle(self, seconds: float) -> None:
        await _until(lambda: not self.active or self.is_hurried, seconds)

    # Predictions

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self.slots and not self.queue

    @property
    def has_free_slot(self) -> bool:
        """Whether a prediction would run at once."""
        return len(self.slots) < self.capacity

    def submit(self, prediction: Prediction, room: int = 0, waits_for_setup: bool = False) -> None:
        """Run `prediction`, now or, if less than `room` others wait, later. Errors: Busy, NotReady."""
        if self._is_stopping:
            raise NotReady("The server is shutting down.")
        if self.state != "ready" and not (waits_for_setup and self.state == "starting"):
            raise NotReady(self.why_not_ready())
        begins = self.state == "ready" and not self.queue and self.has_free_slot
        if not begins and len(self.queue) >= room:
            raise Busy
        self.active[prediction.id] = prediction
        self._services.webhooks.watch(prediction)
        if begins:
            self._begin(prediction)
        else:
            self.queue.append(prediction)

    def why_not_ready(self) -> str:
        """Why predictions are refused, for the client."""
        if self.state == "setup_failed":
            return "Setup has failed. GET /health-check has the logs."
        if self.state == "defunct":
            return "The model's process has ended and cannot be started again. GET /health-check has the details."
        return "Setup has not finished yet. Wait until it has finished, or GET /health-check for status."

    def cancel(self, identity: str) -> bool:
        """Cancel a prediction. False if it is not there (any more)."""
        prediction = self.active.get(identity)
        if prediction is None or not prediction.cancel():
            return False
        if prediction in self.queue:
            self.queue.remove(prediction)
            self._conclude(prediction, "canceled")
        elif identity in self._dispatched:
            if self._worker is not None:
                self._stop_in_worker(prediction, self._worker)
        elif identity in self._fetches:
            self._fetches[identity].cancel()
        return True

    def _stop_in_worker(self, prediction: Prediction, worker: Worker) -> None:
        worker.control({"type": "cancel", "number": prediction.number})
        # The timer holds no prediction: as a rule it has ended long before.
        loop = asyncio.get_running_loop()
        loop.call_later(self._settings.cancel_grace, self._cancel_timed_out, prediction.id, prediction.number, worker)

    def _cancel_timed_out(self, identity: str, number: int, worker: Worker) -> None:
        running = self._dispatched.get(identity)
        if worker is self._worker and running is not None and running.number == number:
            logger.error("prediction %s ignores its cancellation: the worker is replaced", identity)
            worker.kill()

    def _begin(self, prediction: Prediction) -> None:
        self.slots.add(prediction.id)
        prediction.begin()
        if prediction.request.files:
            task = self._fetches[prediction.id] = asyncio.ensure_future(self._fetch(prediction))
            task.add_done_callback(lambda task: self._abandon(prediction, "canceled") if task.cancelled() else None)
        else:
            self._dispatch(prediction, [])

    async def _fetch(self, prediction: Prediction) -> None:
        # A cancel may come before the first line runs: it is handled where the task ends.
        try:
            lazy = self.loaded.lazy_inputs if self.loaded is not None else ()
            files = await self._services.files.fetch_inputs(prediction, lazy)
        except (FileError, OSError) as error:
            self._abandon(prediction, "failed", str(error))
        except Exception as error:  # whatever a library raises: the prediction must end
            logger.exception("the inputs of prediction %s cannot be fetched", prediction.id)
            self._abandon(prediction, "failed", "the inputs cannot be fetched: %r" % error)
        else:
            self._fetches.pop(prediction.id, None)
            if prediction.is_cancel_requested:
                self._abandon(prediction, "canceled")
            elif self.state == "ready":
                self._dispatch(prediction, files)
            else:
                self._abandon(prediction, "failed", "The model's process ended before the prediction began.")

    def _abandon(self, prediction: Prediction, status: str, error: Optional[str] = None) -> None:
        self._fetches.pop(prediction.id, None)
        self._release(prediction)
        self._conclude(prediction, status, error=error)

    def _dispatch(self, prediction: Prediction, files: List[Dict[str, Any]]) -> None:
        worker = self._worker
        assert worker is not None
        request = prediction.request
        self._dispatched[prediction.id] = prediction
        prediction.dispatched_at = time.monotonic()
        self._number += 1
        prediction.number = self._number
        message = {
            "type": "predict",
            "id": prediction.id,
            "number": prediction.number,
            "input": request.input,
            "quiet": True,
        }
        if files:
            message["files"] = files
            for file in files:
                message["input"] = _emptied(message["input"], file["pointer"])
        if request.context:
            message["context"] = request.context
        worker.send(message)
        if prediction.observers or request.is_async:
            # The answer to an asynchronous request says `starting`.
            asyncio.get_running_loop().call_soon(prediction.process)
        else:
            prediction.process()

    def _release(self, prediction: Prediction) -> None:
        """Free the slot and let the next one in."""
        self._dispatched.pop(prediction.id, None)
        self.slots.discard(prediction.id)
        while self.queue and self.state == "ready" and self.has_free_slot and not self._is_stopping:
            self._begin(self.queue.popleft())

    def _conclude(self, prediction: Prediction, status: str, **result: Any) -> None:
        """The final state; nothing of the prediction is left behind."""
        outbox = self._outboxes.pop(prediction.id, None)
        if outbox is not None:
            if outbox.task is not None and outbox.task is not asyncio.current_task():
                outbox.task.cancel()
            for message in outbox.waiting:
                self._services.files.discard(message.files)
        for task in self._late_fetches.pop(prediction.id, {}).values():
            task.cancel()
        if self.active.get(prediction.id) is prediction:
            del self.active[prediction.id]
        self._services.files.forget_inputs(prediction)
        if prediction.seconds is None:  # the worker could not say, or never had it
            begun = prediction.dispatched_at
            prediction.seconds = time.monotonic() - begun if begun is not None else 0.0
        was_terminal = prediction.is_terminal
        prediction.finish("canceled" if prediction.is_cancel_requested else status, **result)
        if not was_terminal:
            kind = "training" if self.mode == "train" else "prediction"
            self._services.metrics.prediction(kind, prediction.status, prediction.seconds)
        self.on_finished(prediction)
        if not self.active:
            self.on_idle()

    def _fail_waiting(self, reason: str) -> None:
        while self.queue:
            self._conclude(self.queue.popleft(), "failed", error=reason)

    # What the worker says

    def _on_message(self, worker: Worker, message: Message) -> None:
        if worker is self._worker:
            self._handlers[type(message)](message)

    def _on_loaded(self, message: Loaded) -> None:
        self.loaded = message
        configured = self._settings.max_concurrency
        slots = message.max_concurrency or configured or 1
        if configured is not None and configured > 1 and not message.is_async:
            logger.warning("COG_MAX_CONCURRENCY=%d needs an async predict: one slot is used", configured)
        self.capacity = max(slots, 1) if message.is_async else 1
        self.on_loaded(message)

    def _on_failed(self, message: Any) -> None:
        worker = self._worker
        if worker is not None:
            worker.drain()
        text = message.traceback or message.error
        if text and text.strip() not in "".join(self.setup.logs):
            self.setup.logs.append(text.rstrip("\n") + "\n")
        self._setup_is_over("failed")
        if worker is not None:
            worker.kill()

    def _on_ready(self, message: Ready) -> None:
        if self._worker is not None:
            self._worker.drain()
        self._setup_is_over("succeeded")
        if self._settings.ready_file is not None:
            _touch(self._settings.ready_file)
        while self.queue and self.has_free_slot:
            self._begin(self.queue.popleft())

    def _on_started(self, message: Started) -> None:
        prediction = self._dispatched.get(message.id)
        if prediction is not None:
            prediction.process()

    def _on_text(self, worker: Worker, source: str, data: bytes) -> None:
        streams = self._services.streams
        if worker is not self._worker:
            streams.write(source, data)
        elif self.state == "starting":
            streams.write(source, data)
            self.setup.logs.append(self._decoders[source].decode(data))
        elif len(self._dispatched) == 1:
            (prediction,) = self._dispatched.values()
            text = self._decoders[source].decode(data)
            if prediction.request.secrets:
                self._log_masked(prediction, source, text)
                return
            streams.write(source, data)
            if text:
                prediction.log(source, text)
        else:
            # Nobody knows whose this is, so it must not show the secrets of any.
            secrets = [secret for prediction in self._dispatched.values() for secret in prediction.request.secrets]
            if secrets:
                data = masked(data.decode("utf-8", "replace"), worth_masking(secrets)).encode("utf-8")
            streams.write(source, data)

    def _log_masked(self, prediction: Prediction, source: str, text: str) -> None:
        key = (prediction.id, source)
        masker = self._maskers.get(key)
        if masker is None:
            masker = self._maskers[key] = Masker(prediction.request.secrets)
        self._log(prediction, source, masker.piece(text))

    def _log(self, prediction: Prediction, source: str, text: str) -> None:
        if text:
            self._services.streams.write(source, text.encode("utf-8", "replace"))
            prediction.log(source, text)

    def _finish_logs(self, prediction: Prediction) -> None:
        """What was kept back because it might have been the beginning of a secret."""
        if prediction.request.secrets:
            for source in ("stdout", "stderr"):
                masker = self._maskers.pop((prediction.id, source), None)
                if masker is not None:
                    self._log(prediction, source, masker.rest())

    def _on_log(self, message: Log) -> None:
        prediction = self._dispatched.get(message.id) if message.id is not None else None
        if prediction is not None and prediction.request.secrets:
            self._log_masked(prediction, message.source, message.data)
        elif prediction is not None:
            self._log(prediction, message.source, message.data)
        else:
            self._services.streams.write(message.source, message.data.encode("utf-8", "replace"))
            if self.state == "starting":
                self.setup.logs.append(message.data)

    def _on_fetch(self, message: Fetch) -> None:
        prediction = self._dispatched.get(message.id)
        if prediction is not None and 0 <= message.index < len(prediction.request.files):
            tasks = self._late_fetches.setdefault(prediction.id, {})
            if message.index not in tasks:
                tasks[message.index] = asyncio.ensure_future(self._fetch_late(prediction, message.index))

    async def _fetch_late(self, prediction: Prediction, index: int) -> None:
        answer = {"type": "fetched", "number": prediction.number, "index": index}
        try:
            answer["path"], _ = await self._services.files.fetch_input(prediction, index)
        except (FileError, OSError) as error:
            answer["error"] = str(error)
        except Exception as error:  # whatever a library raises: the model waits
            logger.exception("an input of prediction %s cannot be fetched", prediction.id)
            answer["error"] = "the input cannot be fetched: %r" % error
        if self._worker is not None and self._dispatched.get(prediction.id) is prediction:
            self._worker.control(answer)

    def _on_metric(self, message: Metric) -> None:
        prediction = self._dispatched.get(message.id)
        if prediction is not None:
            prediction.record_metric(message.name, message.value, message.mode)

    def _on_output_frame(self, message: Output) -> None:
        prediction = self._dispatched.get(message.id)
        if prediction is None:
            self._services.files.discard(message.files)
            return
        outbox = self._outboxes.get(message.id)
        if outbox is None and not message.files:
            prediction.append_output(message.index, message.chunk)
        else:
            self._services.scratch.hold(message.files)
            self._post(prediction, message)

    def _on_done(self, message: Done) -> None:
        prediction = self._dispatched.get(message.id)
        if prediction is None:
            self._services.files.discard(message.files)
            return
        if self._worker is not None:
            self._worker.drain()
        self._finish_logs(prediction)
        self._crashes = 0
        prediction.seconds = message.seconds
        is_published = message.id not in self._outboxes and not message.files
        if not is_published and prediction.is_cancel_requested:
            self._services.files.discard(message.files)  # nobody waits for what is still to be delivered
            is_published = True
        if is_published or self._services.scratch.hold(message.files):
            self._release(prediction)
        else:
            self._dispatched.pop(message.id, None)
        if is_published:
            self._conclude_done(prediction, message, message.output)
        else:
            self._post(prediction, message)

    def _conclude_done(self, prediction: Prediction, message: Done, output: msgspec.Raw) -> None:
        status = message.status if message.status in ("succeeded", "canceled") else "failed"
        error = (message.error or "The prediction failed.") if status == "failed" else None
        returned = None if message.is_iterator else output
        self._conclude(prediction, status, output=returned, error=error, is_iterator=message.is_iterator)

    # Outputs with files

    def _post(self, prediction: Prediction, message: Any) -> None:
        outbox = self._outboxes.setdefault(prediction.id, _Outbox())
        outbox.waiting.append(message)
        if outbox.task is None:
            prediction.cancel_hooks.append(lambda: self._cancel_publishing(prediction))
            outbox.task = asyncio.ensure_future(self._publish(prediction, outbox))

    def _cancel_publishing(self, prediction: Prediction) -> None:
        if prediction.id not in self._dispatched:
            self._release(prediction)
            self._conclude(prediction, "canceled")

    async def _publish(self, prediction: Prediction, outbox: _Outbox) -> None:
        files = self._services.files
        failure: Optional[str] = None
        while outbox.waiting:
            message = outbox.waiting[0]
            is_done = isinstance(message, Done)
            value = message.output if is_done else message.chunk
            if message.files and failure is None:
                try:
                    value = await files.publish(prediction, value, message.files)
                except FileError as error:
                    failure = str(error)
                except Exception as error:  # the prediction must end, whatever happens to its files
                    logger.exception("the output of prediction %s cannot be published", prediction.id)
                    failure = "the output files cannot be delivered: %r" % error
                if failure is not None and not is_done:
                    self._stop_after_failure(prediction)
            else:
                files.discard(message.files)
            outbox.waiting.popleft()
            if is_done:
                self._release(prediction)
                if failure is not None:
                    self._conclude(prediction, "failed", error=failure)
                else:
                    self._conclude_done(prediction, message, value)
                return
            if failure is None:
                prediction.append_output(message.index, value)
        if failure is None:
            self._outboxes.pop(prediction.id, None)
        else:
            await self._drop(prediction, outbox, failure)

    def _stop_after_failure(self, prediction: Prediction) -> None:
        """No output can be delivered any more: the model need not go on."""
        if self._worker is not None and prediction.id in self._dispatched:
            self._stop_in_worker(prediction, self._worker)

    async def _drop(self, prediction: Prediction, outbox: _Outbox, failure: str) -> None:
        while not prediction.is_terminal:
            while outbox.waiting:
                message = outbox.waiting.popleft()
                self._services.files.discard(message.files)
                if isinstance(message, Done):
                    self._release(prediction)
                    self._conclude(prediction, "failed", error=failure)
                    return
            await asyncio.sleep(0.02)

    # Health

    @property
    def has_healthcheck(self) -> bool:
        """Whether the model has a check of its own, which can be asked now."""
        return self.state == "ready" and self.loaded is not None and self.loaded.has_healthcheck

    async def healthcheck(self) -> Optional[str]:
        """What the model's own health check complains about, or None."""
        worker = self._worker
        if worker is None or not self.has_healthcheck:
            return None
        if self._health is None or self._health.done():
            self._health = asyncio.get_running_loop().create_future()
            self._nonce += 1
            worker.control({"type": "healthcheck", "nonce": self._nonce})
        try:
            answer = await asyncio.wait_for(asyncio.shield(self._health), HEALTHCHECK_SECONDS)
        except asyncio.TimeoutError:
            self._health = None
            return "Healthcheck failed: user-defined healthcheck timed out after %.1f seconds" % HEALTHCHECK_SECONDS
        if answer.ok:
            return None
        error = answer.error or "user-defined healthcheck returned False"
        return error if error.startswith("Healthcheck failed") else "Healthcheck failed: " + error

    def _on_health(self, message: Health) -> None:
        if self._health is not None and not self._health.done() and message.nonce == self._nonce:
            self._health.set_result(message)


def _emptied(value: Any, pointer: Sequence[Any]) -> Any:
    """A copy of `value` without the URL at `pointer`: the worker has the file, and a data URL may be large."""
    if not pointer:
        return ""
    copy = value.copy()
    copy[pointer[0]] = _emptied(value[pointer[0]], pointer[1:])
    return copy


def _touch(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii"):
            pass
    except OSError as error:
        logger.warning("the readiness file cannot be written: %s", error)


async def _until(is_true: Callable[[], bool], seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not is_true() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
