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
from typing import Any, Callable, Mapping

from . import logs
from .arguments import decode_inputs
from .exceptions import CancelationException
from .kinds import type_name
from .metrics import Metrics
from .predictor import Target
from .scope import Scope
from .staging import Stage, remove
from .values import OutputError, encode

__all__ = ["Health", "Job", "slots"]

Send = Callable[[Mapping[str, Any]], None]


class Job:
    """A prediction from its request to its end."""

    def __init__(self, message: Mapping[str, Any], target: Target, send: Send) -> None:
        self.id = message["id"]
        self.is_canceled = False
        self.is_cancel_pending = False
        self.has_begun = False
        self.is_closed = False
        self.is_done = False
        self.pending: dict[str, str] = {}
        self.stage = Stage()
        self._message = message
        self._target = target
        self._send = send
        self._made: list[Any] = []
        self._count = 0
        self._began = time.monotonic()
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
        return decode_inputs(self._target.signature, given, self._message.get("files") or (), self._made)

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
        return encode(item, self._target.signature.output.item)  # type: ignore[union-attr]

    def send_item(self, encoded: tuple[Any, Any]) -> None:
        """Send an item that was yielded."""
        chunk, files = encoded
        placed = self.stage.place(files, is_last=False) if files else []
        self._send({"type": "output", "id": self.id, "index": self._count, "chunk": chunk, "files": placed})
        self._count += 1

    def encoded_result(self, result: Any) -> tuple[Any, Any]:
        """A returned value as JSON and the files in it; None is no output, of whatever type. Errors: `OutputError`."""
        return (None, []) if result is None else encode(result, self._target.signature.output)

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
        made = {"output": None, "files": [], **fields}
        if made["files"]:
            try:
                made["files"] = self.stage.place(made["files"], is_last=True)
            except OSError as error:
                made = {"output": None, "files": [], **self.failed(error)}
        self._clean()
        logs.flush()
        self.is_done = True
        done: dict[str, Any] = {"type": "done", "id": self.id, "error": None, "seconds": seconds, **made}
        if is_iterator:
            done["is_iterator"] = True
            del done["output"], done["files"]
        try:
            self._send(done)
        except (ValueError, TypeError, RecursionError) as error:
            self._send({"type": "done", "id": self.id, "status": "failed", "output": None, "files": [],
                        "error": "the output cannot be sent: %s" % error, "seconds": seconds})  # fmt: skip

    def _clean(self) -> None:
        self.stage.clean()
        remove(made for made in self._made if isinstance(made, str))
        for made in self._made:
            if not isinstance(made, str):
                made.close()


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
