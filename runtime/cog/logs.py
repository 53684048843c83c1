"""What the worker's processes write: streams that keep order, tracebacks of the model's own frames, and streams that
tell which of several concurrent predictions wrote a line.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .lines import Lines

__all__ = [
    "PREDICTION",
    "TaskStream",
    "attribute_lines",
    "error_line",
    "error_text",
    "flush",
    "format_error",
    "prepare",
]

MAX_PIECES = 256

PREDICTION: ContextVar[Any] = ContextVar("cog_prediction", default=None)
"""The job that the running code belongs to, in async targets."""

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
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:
        return type(error).__name__ + "\n"


def _is_own(path: str) -> bool:
    return path.startswith(_OWN_FOLDER) or path.startswith("<frozen ")


class WorkerStream(io.TextIOWrapper):
    """`sys.stdout` or `sys.stderr` of a worker; `attribute_lines` makes it a `TaskStream`, wherever it was stored."""

    source = ""
    lines: Lines


class TaskStream(WorkerStream):
    """What a prediction writes goes to the gathered lines when a line is complete; all else to the descriptor."""

    def write(self, text: str) -> int:
        job = PREDICTION.get()
        if job is None or job.is_done or not isinstance(text, str):
            return super().write(text)
        pieces = job.pending[self.source]
        pieces.append(text)
        if ("\n" in text or len(pieces) > MAX_PIECES) and not self.lines.add(job, self.source, pieces):
            super().write("".join(pieces))
            pieces.clear()
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        job = PREDICTION.get()
        if job is not None and not job.is_done:
            pieces = job.pending[self.source]
            if pieces:
                self.lines.add(job, self.source, pieces, is_rest=True)
        super().flush()


def attribute_lines(lines: Lines) -> None:
    """From now on, tell the lines of concurrent predictions apart."""
    # What a prediction forks does not talk to the server: it writes to the descriptors.
    os.register_at_fork(after_in_child=lambda: PREDICTION.set(None))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, WorkerStream):
            stream.lines = lines
            stream.__class__ = TaskStream
