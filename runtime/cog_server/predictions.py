"""The state machine of one prediction or training; knows no HTTP, no processes and no files.

    starting → processing → succeeded | failed | canceled

A prediction gathers logs, outputs and metrics, tells its observers about each, and ends exactly once.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from .masking import masked, worth_masking

__all__ = ["FileInput", "Observer", "Prediction", "PredictionRequest", "new_id", "now"]

_encode = msgspec.json.Encoder().encode


_second: Tuple[int, str] = (-1, "")


def now() -> str:
    """The time in UTC as ISO 8601 with microseconds and an offset."""
    # Three for each prediction: what is the same within a second is written once, which takes a third of the time.
    global _second
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    if seconds != _second[0]:
        _second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return "%s.%06d+00:00" % (_second[1], rest // 1000)


# Each of the 256 values of a byte stands for one of 32 digits.
_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567" * 8


def new_id() -> str:
    """26 characters: a random 130-bit number in base 32."""
    return os.urandom(26).translate(_DIGITS).decode("ascii")


class FileInput(Struct):
    """A URL in the input: `pointer` leads to it."""

    pointer: List[Union[str, int]]
    url: str
    name: Optional[str] = None


class PredictionRequest(Struct, kw_only=True):
    """What a client asked for, checked. `shown` is the input as it is echoed: defaults filled in, secrets masked."""

    id: str
    input: Dict[str, Any]
    shown: Dict[str, Any]
    files: List[FileInput] = []
    secrets: List[str] = []
    context: Dict[str, str] = {}
    webhook: Optional[str] = None
    webhook_events: Sequence[str] = ("start", "output", "logs", "completed")
    output_file_prefix: Optional[str] = None
    created_at: Optional[str] = None
    trace: Dict[str, str] = {}
    is_async: bool = False


class _Body(Struct, kw_only=True):
    id: str
    input: Raw
    output: Raw
    logs: str
    status: str
    created_at: str
    error: Union[str, None, UnsetType] = None
    version: Union[None, UnsetType] = None
    metrics: Union[Dict[str, Any], UnsetType] = UNSET
    started_at: Union[str, None, UnsetType] = None
    completed_at: Union[str, None, UnsetType] = None


class Observer:
    """Who wants to know what happens to a prediction. All methods are called in the event loop and return at once."""

    def started(self, prediction: "Prediction") -> None:
        """The prediction was given a slot."""

    def processing(self, prediction: "Prediction") -> None:
        """User code has begun."""

    def output(self, prediction: "Prediction", index: int, chunk: Raw) -> None:
        """A value was yielded or returned."""

    def logged(self, prediction: "Prediction", source: str, text: str) -> None:
        """Text was written to `source`."""

    def metric(self, prediction: "Prediction", name: str, value: Any, mode: str) -> None:
        """A metric was recorded."""

    def completed(self, prediction: "Prediction") -> None:
        """The state is final."""


class Prediction:
    """One run of the model."""

    __slots__ = (
        "_body",
        "_chunks",
        "_finished",
        "_input",
        "_logs",
        "_on_finished",
        "_returned",
        "cancel_hooks",
        "completed_at",
        "created_at",
        "dispatched_at",
        "error",
        "id",
        "is_cancel_requested",
        "is_terminal",
        "metrics",
        "number",
        "observers",
        "request",
        "seconds",
        "started_at",
        "status",
    )

    def __init__(self, request: PredictionRequest) -> None:
        self.id = request.id
        self.request = request
        self.status = "starting"
        self.error: Optional[str] = None
        self.metrics: Dict[str, Any] = {}
        self.created_at = request.created_at or now()
        self.started_at: Optional[str] = None
        self.completed_at: Optional[str] = None
        self.seconds: Optional[float] = None
        self.dispatched_at: Optional[float] = None
        self.number = 0
        self.is_cancel_requested = False
        self.is_terminal = False  # whether the state is final
        self.cancel_hooks: List[Callable[[], None]] = []
        self.observers: List[Observer] = []
        self._on_finished: Optional[Callable[[bytes], None]] = None
        self._finished: "Optional[asyncio.Future[bytes]]" = None
        self._input: Optional[Raw] = None
        self._logs: List[str] = []
        self._chunks: Optional[List[Raw]] = None
        self._returned: Optional[Raw] = None
        self._body: Optional[bytes] = None

    @property
    def is_iterator(self) -> bool:
        """Whether items were yielded."""
        return self._chunks is not None

    @property
    def logs(self) -> str:
        """Everything written so far."""
        if len(self._logs) > 1:
            self._logs[:] = ["".join(self._logs)]
        return self._logs[0] if self._logs else ""

    @property
    def finished(self) -> "asyncio.Future[bytes]":
        """Resolves with the final body as JSON."""
        if self._finished is None:
            self._finished = asyncio.get_running_loop().create_future()
            if self.is_terminal:
                self._finished.set_result(self.body())
        return self._finished

    def when_finished(self, callback: Callable[[bytes], None]) -> None:
        """Call back with the final body as JSON as soon as it is there, before anything else is done with it."""
        if self.is_terminal:
            callback(self.body())
        else:
            self._on_finished = callback

    def begin(self) -> None:
        """A slot is taken: from now on it counts as started."""
        self.started_at = now()
        for observer in self.observers:
            observer.started(self)

    def process(self) -> None:
        """User code runs."""
        if self.status == "starting" and not self.is_terminal:
            self.status = "processing"
            for observer in self.observers:
                observer.processing(self)

    def log(self, source: str, text: str) -> None:
        """Append text to the logs."""
        if self.is_terminal:
            return
        # The pipe of the log may be read before the message that user code has started.
        self.process()
        self._logs.append(text)
        for observer in self.observers:
            observer.logged(self, source, text)

    def masked(self, text: str) -> str:
        """`text` without the values of this prediction's secrets."""
        return masked(text, worth_masking(self.request.secrets)) if self.request.secrets else text

    def append_output(self, index: int, chunk: Raw) -> None:
        """One more item of an iterator."""
        if self.is_terminal:
            return
        if self._chunks is None:
            self._chunks = []
        self._chunks.append(chunk)
        for observer in self.observers:
            observer.output(self, index, chunk)

    def record_metric(self, name: str, value: Any, mode: str) -> None:
        """Apply one metric of the model. The worker has checked names and types."""
        if self.is_terminal:
            return
        _apply_metric(self.metrics, name.split("."), value, mode)
        for observer in self.observers:
            observer.metric(self, name, value, mode)

    def finish(
        self, status: str, output: Optional[Raw] = None, error: Optional[str] = None, is_iterator: bool = False
    ) -> None:
        """Reach the final state. A second call changes nothing."""
        if self.is_terminal:
            return
        if is_iterator and self._chunks is None:
            self._chunks = []
        if output is not None and self._chunks is None and status == "succeeded":
            self._returned = output
            for observer in self.observers:
                observer.output(self, 0, output)
        self.status = status
        self.error = self.masked(error) if error is not None and status == "failed" else None
        self.completed_at = now()
        self.is_terminal = True
        if self.seconds is not None:
            self.metrics["predict_time"] = self.seconds
        self.cancel_hooks.clear()
        body = self.body()
        on_finished, self._on_finished = self._on_finished, None
        if on_finished is not None:
            on_finished(body)
        for observer in self.observers:
            observer.completed(self)
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(body)

    def cancel(self) -> bool:
        """Ask for the end. False when it is final already."""
        if self.is_terminal:
            return False
        if not self.is_cancel_requested:
            self.is_cancel_requested = True
            for hook in list(self.cancel_hooks):
                hook()
        return True

    def forget(self) -> None:
        """Keep no input, output and logs of a prediction that has ended and was told to all who asked."""
        self.request.input, self.request.shown, self.request.files = {}, {}, []
        self._logs, self._chunks, self._returned, self._body, self._input = [], None, None, None, None
        self.observers = []

    def output(self) -> Raw:
        """The output so far, as JSON."""
        if self._chunks is not None:
            if not self._chunks:
                return Raw(b"[]")
            joined = b",".join([bytes(chunk) for chunk in self._chunks])
            return Raw(b"[" + joined + b"]")
        return self._returned if self._returned is not None else Raw(b"null")

    def body(self, has_unset: bool = True) -> bytes:
        """The response object as JSON; without `has_unset`, fields that were never set are left out."""
        if self._body is not None and has_unset:
            return self._body
        if self._input is None:
            self._input = Raw(_encode(self.request.shown))
        missing: Any = None if has_unset else UNSET
        body = _Body(
            id=self.id,
            input=self._input,
            output=self.output(),
            logs=self.logs,
            status=self.status,
            created_at=self.created_at,
            error=self.error if self.error is not None else missing,
            version=missing,
            metrics=self.metrics if self.metrics else UNSET,
            started_at=self.started_at or missing,
            completed_at=self.completed_at or missing,
        )
        encoded = _encode(body)
        if self.is_terminal and has_unset:
            self._body = encoded
        return encoded


def _apply_metric(metrics: Dict[str, Any], names: Sequence[str], value: Any, mode: str) -> None:
    for name in names[:-1]:
        if not isinstance(metrics.get(name), dict):
            if value is None:
                return
            metrics[name] = {}
        metrics = metrics[name]
    last = names[-1]
    if value is None:
        metrics.pop(last, None)
    elif mode in ("incr", "increment") and isinstance(metrics.get(last), (int, float)):
        metrics[last] += value
    elif mode == "append":
        before = metrics.get(last, [])
        metrics[last] = [*(before if isinstance(before, list) else [before]), value]
    else:
        metrics[last] = value


Pointer = Tuple[Union[str, int], ...]
