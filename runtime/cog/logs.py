"""What the worker's processes write: streams that keep order, tracebacks of the model's own frames, and streams that
tell which of several concurrent predictions wrote a line.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextvars import ContextVar
from typing import Any, Callable

__all__ = [
    "PREDICTION",
    "TaskStream",
    "attribute_lines",
    "enter",
    "error_line",
    "error_text",
    "flush",
    "format_error",
    "leave",
    "prepare",
]

PREDICTION: ContextVar[Any] = ContextVar("cog_prediction", default=None)
"""The job that the running code belongs to, in async targets."""
# Where that job's texts for each stream go: found with one look, for each piece of a line.
_OUTPUTS: dict[str, ContextVar[Any]] = {
    source: ContextVar("cog_" + source, default=None) for source in ("stdout", "stderr")
}

_MAX_CALLS = 1000
_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def prepare() -> None:
    """Make both streams write each line at once, whatever characters it has."""
    for source in ("stdout", "stderr"):
        old = getattr(sys, source)
        old.flush()
        stream = WorkerStream(
            old.detach(), encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
        )
        stream.source = source
        setattr(sys, source, stream)
        setattr(sys, "__%s__" % source, stream)


def flush() -> None:
    """Write out what is buffered; a stream that the model closed or replaced is left alone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue


def error_text(error: BaseException) -> str:
    """The `error` of a failed prediction."""
    if isinstance(error, SystemExit):
        return "the model called sys.exit(%s)" % ("" if error.code is None else repr(error.code))
    try:
        text = str(error)
    except Exception:
        text = ""
    return text or type(error).__name__


def error_line(error: BaseException) -> str:
    """An error in one line, with its type."""
    from .predictor import LoadError

    text = error_text(error)
    shown = text if isinstance(error, LoadError) else "%s: %s" % (type(error).__name__, text)
    return shown.strip().split("\n", 1)[0][:2000]


def format_error(error: BaseException) -> str:
    """The traceback of an error from the first frame of the model on; only its message when no frame is the model's."""
    trace = error.__traceback__
    while trace is not None and _is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        if trace is None:
            return "".join(traceback.format_exception_only(type(error), error))
        depth, last = 0, trace
        while last is not None:
            depth, last = depth + 1, last.tb_next
        # Looking up the lines of a million calls, which a raised recursion limit allows, takes minutes.
        for _ in range(depth - _MAX_CALLS):
            assert trace is not None
            trace = trace.tb_next
        lines = traceback.format_exception(type(error), error, trace)
        if depth > _MAX_CALLS:
            lines.insert(0, "The last %d of %d calls:\n" % (_MAX_CALLS, depth))
        return "".join(lines)
    except Exception:
        return type(error).__name__ + "\n"


def _is_own(path: str) -> bool:
    return path.startswith(_OWN_FOLDER) or path.startswith("<frozen ")


def enter(job: Any) -> None:
    """From now on, the running task writes for `job`."""
    PREDICTION.set(job)
    for source, output in _OUTPUTS.items():
        output.set(job.outputs.get(source))


def leave() -> None:
    """From now on, the running task writes for nobody in particular."""
    PREDICTION.set(None)
    for output in _OUTPUTS.values():
        output.set(None)


class WorkerStream(io.TextIOWrapper):
    """`sys.stdout` or `sys.stderr` of a worker; `attribute_lines` makes it a `TaskStream`, wherever it was stored."""

    source = ""
    output: ContextVar[Any]


class TaskStream(WorkerStream):
    """What a prediction writes goes to its output; all else to the descriptor."""

    def write(self, text: str) -> int:
        output = self.output.get()
        if output is None:
            return super().write(text)
        return output.write(text)  # type: ignore[no-any-return]

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        output = self.output.get()
        if output is not None:
            output.push()
        super().flush()


def attribute_lines() -> dict[str, Callable[[str], int]]:
    """From now on, tell the lines of concurrent predictions apart; what writes to each stream for none of them."""
    # What a prediction forks does not talk to the server: it writes to the descriptors.
    os.register_at_fork(after_in_child=leave)
    plain: dict[str, Callable[[str], int]] = {}
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, WorkerStream):
            plain[stream.source] = super(WorkerStream, stream).write
            stream.output = _OUTPUTS[stream.source]
            stream.__class__ = TaskStream
    return plain
