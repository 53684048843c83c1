"""Messages of the queue, and the predictions that answer them.

    {"input": {…}, "id"?, "webhook"?, "response_queue"?, "webhook_events_filter"?, "cancel_key"?, "traceparent"?, …}

A response is the message itself, with inputs as they may be shown, plus status, output, logs, error, times and metrics.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Dict, List, Optional

import msgspec
from msgspec import Raw

from ..predictions import Prediction, PredictionRequest, new_id
from ..validation import EVENTS, InputChecker, Invalid, parse_request, url_problem

__all__ = ["Message", "QueuePrediction", "Unreadable", "as_utc", "decode", "predict", "problems_text", "refused"]

_TRACE = ("traceparent", "tracestate")
_TRACE_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?\Z")
# What a response says, whatever the message has under these names.
_SAID = ("input", "status", "output", "logs", "error", "metrics", "started_at", "completed_at")
TIMESTAMPS = "x-experimental-timestamps"

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(Dict[str, Raw]).decode


class Unreadable(Exception):
    """The message says neither what to do nor where to answer."""


class _Envelope(msgspec.Struct, omit_defaults=True):
    """The part of a message that is too large to be read whole."""

    id: Any = msgspec.UNSET
    webhook: Any = msgspec.UNSET
    response_queue: Any = msgspec.UNSET


class Message:
    """A message: its fields as JSON, and where answers go. `problem` is why it cannot be run."""

    def __init__(self, fields: Dict[str, Raw], value: bytes, problem: Optional[str] = None) -> None:
        self.fields = fields
        self.value = value
        self.problem = problem
        self.is_of_2021 = "inputs" in fields and "input" not in fields
        webhook = self.text("webhook")
        has_webhook = webhook is not None and url_problem("webhook", webhook) is None
        self.webhook = webhook if has_webhook and not self.is_of_2021 else None
        self.response_queue = self.text("response_queue") if self.webhook is None else None
        self.cancel_key = self.text("cancel_key")

    @property
    def has_destination(self) -> bool:
        """Whether somebody is to be answered."""
        return self.webhook is not None or self.response_queue is not None

    def text(self, name: str) -> Optional[str]:
        """A field that is text, else None."""
        value = self.value_of(name)
        return value if isinstance(value, str) and value else None

    def value_of(self, name: str) -> Any:
        """A field as a Python value; None where there is nothing that can be read."""
        try:
            return msgspec.json.decode(self.fields[name]) if name in self.fields else None
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return None

    def trace(self) -> Dict[str, str]:
        """Trace headers to pass on."""
        found = {name: self.text(name) or "" for name in _TRACE}
        return {name: text for name, text in found.items() if _TRACE_VALUE.match(text)}


def decode(value: Optional[bytes], limit: int) -> Message:
    """The message of an entry's `value`, which may have `limit` bytes. Errors: Unreadable."""
    if value is None:
        raise Unreadable("it has no field `value`")
    try:
        if len(value) > limit:
            envelope = _decode_fields(_encode(msgspec.json.decode(value, type=_Envelope)))
            return Message(envelope, value, "the message is larger than %d bytes" % limit)
        try:
            value.decode("utf-8")
        except UnicodeDecodeError as error:
            readable = value.decode("utf-8", "replace").encode()
            return Message(_decode_fields(readable), readable, "the message is not UTF-8: %s" % error.reason)
        return Message(_decode_fields(value), value)
    except RecursionError:
        raise Unreadable("its JSON is nested too deeply") from None
    except (ValueError, msgspec.MsgspecError) as error:
        raise Unreadable("it is not a JSON object: %s" % error) from None


class QueuePrediction(Prediction):
    """A prediction that a message asked for; its body is the response."""

    __slots__ = ("deliveries", "file_names", "has_timed_out", "message", "refusal", "uses_lists")

    def __init__(self, request: PredictionRequest, message: Message, uses_lists: bool, refusal: Optional[str]) -> None:
        super().__init__(request)
        self.message = message
        self.uses_lists = uses_lists
        self.refusal = refusal
        self.has_timed_out = False
        self.deliveries: "List[asyncio.Task[bool]]" = []
        self.file_names: Dict[bytes, str] = {}

    def finish(
        self, status: str, output: Optional[Raw] = None, error: Optional[str] = None, is_iterator: bool = False
    ) -> None:
        """Reach the final state. One that was cancelled because its time was up has failed."""
        if self.has_timed_out and status == "canceled":
            status, error = "failed", "Prediction timed out"
        super().finish(status, output, error, is_iterator)

    def body(self, has_unset: bool = True) -> bytes:
        """The response as JSON. Fields that were never set are left out."""
        if self._body is not None:
            return self._body
        response: Dict[str, Any] = {name: raw for name, raw in self.message.fields.items() if name not in _SAID}
        response["id"] = self.id if self.message.value_of("id") in (None, self.id) else self.message.fields["id"]
        if "input" in self.message.fields:
            response["input"] = self.request.shown
        response["status"] = "processing" if self.status == "starting" else self.status
        response["output"] = self.output()
        response["logs"] = self.logs.splitlines() if self.uses_lists else self.logs
        if self.error is not None:
            response["error"] = self.error
        times = {"started_at": self.started_at, "completed_at": self.completed_at}
        written = {name: as_utc(time) for name, time in times.items() if time is not None}
        response.update({TIMESTAMPS: written} if self.uses_lists else written)
        if self.metrics:
            response["metrics"] = self.metrics
        encoded = _encode(response)
        if self.is_terminal:
            self._body = encoded
        return encoded


def as_utc(time: str) -> str:
    """A time with the offset written as `Z`."""
    return time[:-6] + "Z" if time.endswith("+00:00") else time


def predict(message: Message, checker: InputChecker, uses_lists: bool) -> QueuePrediction:
    """The prediction that a message asks for; one that cannot be run has a `refusal`."""
    try:
        if message.problem is not None:
            return refused(message, checker, uses_lists, message.problem)
        request = parse_request(message.value, checker)
    except Invalid as invalid:
        return refused(message, checker, uses_lists, problems_text(invalid))
    request.trace = message.trace()
    request.webhook = message.webhook
    # Values in Redis are snapshots, which nothing is filtered from; and who waits for the end is always told.
    request.webhook_events = EVENTS if message.webhook is None else (*request.webhook_events, "completed")
    return QueuePrediction(request, message, uses_lists, None)


def refused(message: Message, checker: InputChecker, uses_lists: bool, refusal: str) -> QueuePrediction:
    """A prediction that only says why it does not run."""
    given = message.value_of("input")
    try:
        shown = checker.masked(given) if isinstance(given, dict) else {}
        _encode(shown)
    except RecursionError:
        shown = {}
    request = PredictionRequest(id=message.text("id") or new_id(), input={}, shown=shown, webhook=message.webhook)
    request.trace = message.trace()
    return QueuePrediction(request, message, uses_lists, refusal)


def problems_text(invalid: Invalid) -> str:
    """All problems of a request in one line: `prompt: field required; scale: value is not a valid float`."""
    lines = []
    for problem in invalid.problems:
        place = [str(step) for step in problem["loc"][1:] if step != "input"]
        lines.append("%s: %s" % (".".join(place), problem["msg"]) if place else problem["msg"])
    return "; ".join(lines)
