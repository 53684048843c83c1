"""One prediction in the worker, what it ends with, and the model's health check.

Comes in: the `predict` message. Goes out: the arguments of the call, chunks, and the `done` message.
"""

from __future__ import annotations

import inspect
import io
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, Union

from . import logs
from .arguments import decode_inputs
from .exceptions import CancelationException
from .frames import to_json
from .kinds import STR, type_name
from .metrics import Metrics
from .predictor import Target
from .scope import Scope
from .staging import Stage, remove
from .values import OutputError, encode

if TYPE_CHECKING:
    from .lines import Output

__all__ = ["Health", "Job", "Numbers", "slots"]

Send = Callable[[Union[Mapping[str, Any], str]], None]
"""Sends a message, or its JSON text."""


class Fetch:
    """A file that the server has been asked for."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._error: str | None = None
        self._is_here = threading.Event()

    def answer(self, path: str | None, error: str | None) -> None:
        """It is there, or cannot be had; the first answer counts."""
        if not self._is_here.is_set():
            self._path, self._error = path, error
            self._is_here.set()

    def result(self) -> str:
        """The path, once it is there. Errors: `OSError`."""
        self._is_here.wait()
        if self._path is None:
            raise OSError(self._error or "the file cannot be fetched")
        return self._path


class Job:
    """A prediction from its request to its end."""

    def __init__(self, message: Mapping[str, Any], target: Target, send: Send) -> None:
        self.id = message["id"]
        self.json_id = to_json(self.id)
        self.number = message["number"]
        self.is_canceled = False
        self.is_cancel_pending = False
        self.has_begun = False
        self.is_closed = False
        self.is_done = False
        self.outputs: Mapping[str, Output] = {}  # by stream, only of async targets
        self.stage = Stage()
        self._message = message
        self._target = target
        self._send = send
        self._made: list[Any] = []
        self._fetches: dict[int, Fetch] = {}
        self._count = 0
        self._has_yielded = False
        self._began = time.monotonic()
        self._process = os.getpid()
        self._lock = threading.Lock()
        context = {str(key): str(value) for key, value in (message.get("context") or {}).items()}
        self.scope = Scope(Metrics(self._metric), context)

    def _metric(self, name: str, value: Any, mode: str) -> None:
        self._send({"type": "metric", "id": self.id, "name": name, "value": value, "mode": mode})

    def cancel(self) -> bool:
        """Mark the job as cancelled; False when it is too late."""
        with self._lock:
            if not self.is_closed:
                self.is_canceled = self.is_cancel_pending = True
            return not self.is_closed

    def close(self) -> bool:
        """From now on a cancel is too late; whether there was one."""
        with self._lock:
            self.is_closed = True
            self.is_cancel_pending = False
            return self.is_canceled

    def begin(self) -> None:
        """Say that user code begins, unless the server does without."""
        self.has_begun = True
        self._began = time.monotonic()
        if not self._message.get("quiet"):
            self._send({"type": "started", "id": self.id})

    def arguments(self) -> dict[str, Any]:
        """What the model's function is called with. Errors: `ValueError`, `OSError`."""
        given = self._message.get("input") or {}
        files = self._message.get("files") or ()
        return decode_inputs(self._target.signature, given, files, self._made, self._fetch)

    def _fetch(self, index: int) -> str:
        """The path of a file of the input that is now needed; the server downloads it. Errors: `OSError`."""
        wanted = self._fetches.setdefault(index, Fetch())
        if self.is_done:
            raise OSError("the prediction has ended")
        if os.getpid() != self._process:
            raise OSError("a child of os.fork() cannot fetch the file: read from it before")
        self._send({"type": "fetch", "id": self.id, "index": index})
        return wanted.result()

    def fetched(self, message: Mapping[str, Any]) -> None:
        """The answer of the server."""
        wanted = self._fetches.get(message["index"])
        if wanted is not None:
            wanted.answer(message.get("path"), message.get("error"))

    def items(self, result: Any) -> Any:
        """The iterator behind the result of an iterator output. Errors: `OutputError`."""
        if result is None:
            return iter(())
        if isinstance(result, (str, bytes, Mapping, io.IOBase)) or not hasattr(result, "__iter__"):
            wanted = type_name(self._target.signature.output)
            raise OutputError("output must be %s, but the model returned %s" % (wanted, type(result).__name__))
        return iter(result)

    def encoded_item(self, item: Any) -> tuple[Any, Any]:
        """One item of an iterator output as JSON and the files in it. Errors: `OutputError`."""
        return _encoded(item, self._target.signature.output.item)  # type: ignore[union-attr]

    def send_item(self, encoded: tuple[Any, Any]) -> None:
        """Send an item that was yielded."""
        chunk, files = encoded
        placed = self.stage.place(files, is_last=False) if files else []
        text = '{"type":"output","id":%s,"index":%d,"chunk":%s,"files":%s}'
        self._send(text % (self.json_id, self._count, to_json(chunk), to_json(placed)))
        self._count += 1

    def encoded_result(self, result: Any) -> tuple[Any, Any]:
        """A returned value as JSON and the files in it; None is no output, of whatever type. Errors: `OutputError`.

        A generator that a model of 2021 returns is sent item by item, as if the function had yielded them.
        """
        if self._target.signature.is_legacy and inspect.isgenerator(result):
            self._has_yielded = True
            for item in result:
                self.send_item(encode(item))
            return None, []
        return (None, []) if result is None else _encoded(result, self._target.signature.output)

    def failed(self, error: BaseException) -> dict[str, Any]:
        """The fields of `done` for an error, which is written to the log."""
        if isinstance(error, CancelationException):
            return {"status": "canceled"}
        try:
            sys.stderr.write(logs.format_error(error))
        except Exception:
            pass
        return {"status": "canceled"} if self.is_canceled else {"status": "failed", "error": logs.error_text(error)}

    def finish(self, fields: Mapping[str, Any], is_iterator: bool) -> None:
        """Clean up, write out the logs and send `done`."""
        seconds = time.monotonic() - self._began
        output, files, status, error = None, [], fields["status"], fields.get("error")
        is_iterator = is_iterator or self._has_yielded
        if not is_iterator:
            output, files = fields.get("output"), fields.get("files") or []
        if files:
            try:
                files = self.stage.place(files, is_last=True)
            except Exception as problem:  # also what closed files, odd paths and the model's own file objects raise
                output, files = None, []
                failure = self.failed(problem)
                status, error = failure["status"], failure.get("error")
        self._clean()
        logs.flush()
        self.is_done = True
        for writer in self.outputs.values():
            writer.close()
        for wanted in self._fetches.values():
            wanted.answer(None, "the prediction has ended")
        try:
            made = '"is_iterator":true' if is_iterator else '"output":%s,"files":%s' % (to_json(output), to_json(files))
        except (ValueError, TypeError, RecursionError) as problem:
            made, status, error = '"output":null,"files":[]', "failed", "the output cannot be sent: %s" % problem
        text = '{"type":"done","id":%s,"status":"%s","error":%s,"seconds":%r,%s}'
        self._send(text % (self.json_id, status, to_json(error), seconds, made))

    def _clean(self) -> None:
        self.stage.clean()
        for made in self._made:
            if isinstance(made, str):
                remove([made])
            else:
                made.close()


def _encoded(value: Any, type_: Any) -> tuple[Any, Any]:
    # What most models return, and each token of a text, takes the short way: a fifth of the time.
    if type_ is STR and type(value) is str and value.isascii():
        return value, []
    return encode(value, type_)


def slots(target: Target) -> int:
    """How many predictions may run at once: `COG_MAX_CONCURRENCY`, else `@cog.concurrent`, else one."""
    given = os.environ.get("COG_MAX_CONCURRENCY", "").strip()
    count = target.signature.max_concurrency or 1
    if given:
        if given.isdigit() and int(given) >= 1:
            count = int(given)
        else:
            sys.stderr.write("COG_MAX_CONCURRENCY=%r is not a whole number of at least 1; it is ignored\n" % given)
    if count > 1 and not target.signature.is_async:
        sys.stderr.write("predictions run one at a time: only an async predict() can run several at once\n")
        return 1
    return count


class Numbers:
    """Cancels by number that come before their predictions do, by another way."""

    def __init__(self) -> None:
        self._latest = 0
        self._canceled: set[int] = set()
        self._is_all_canceled = False

    def cancel(self, number: int) -> None:
        """Remember the cancel of a prediction, unless it has come by already."""
        if number > self._latest:
            self._canceled.add(number)

    def cancel_all(self) -> None:
        """Cancel whatever comes from now on."""
        self._is_all_canceled = True

    def take(self, number: int) -> bool:
        """A prediction has come; whether it was cancelled on its way."""
        self._latest = number
        is_canceled = self._is_all_canceled or number in self._canceled
        self._canceled.discard(number)
        return is_canceled


class Health:
    """Runs the model's `healthcheck()` beside predictions, one at a time, and answers all that asked meanwhile."""

    def __init__(self, function: Any, send: Send) -> None:
        self._function = function
        self._send = send
        self._asked: list[Any] = []
        self._lock = threading.Lock()

    def check(self, nonce: Any) -> None:
        """Answer with a `health` message when the check is done."""
        with self._lock:
            self._asked.append(nonce)
            if len(self._asked) > 1:
                return
        if self._function is None:
            self.answer(True, None)
        else:
            self.start()

    def start(self) -> None:
        """Run the check in a thread of its own."""
        threading.Thread(target=self._run, name="cog-healthcheck", daemon=True).start()

    def _run(self) -> None:
        try:
            result = self._function()
            if inspect.isawaitable(result):
                import asyncio

                result = asyncio.run(_awaited(result))
        except BaseException as error:
            self.answer(False, logs.error_text(error))
        else:
            self.judge(result)

    def judge(self, result: Any) -> None:
        """Answer with what the check returned."""
        is_fine = result is not False
        self.answer(is_fine, None if is_fine else "user-defined healthcheck returned False")

    def answer(self, is_fine: bool, error: str | None) -> None:
        """Answer everyone who has asked so far."""
        with self._lock:
            asked, self._asked = self._asked, []
        for nonce in asked:
            try:
                self._send({"type": "health", "nonce": nonce, "ok": is_fine, "error": error})
            except OSError:
                return


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
