"""Regular expressions of models, applied to what clients send: none may keep the server from anything else.

Some patterns, such as `(a+)+$`, need exponential time for texts that nearly fit. Python's matcher holds the
interpreter's lock, so that no thread would help; but in the main thread it looks for signals now and then, and ends
when a handler raises. The timer counts time of the processor: a busy machine refuses nothing.
"""

from __future__ import annotations

import re
import signal
import threading
from typing import Any, Pattern

__all__ = ["TooSlow", "compile_pattern", "is_found"]

SECONDS = 0.1
CHARACTERS_PER_SECOND = 5_000_000


class TooSlow(Exception):
    """A text takes too long to be searched."""


_is_searching = False


def _on_timer(*_: Any) -> None:
    if _is_searching:
        raise TooSlow


def compile_pattern(pattern: str) -> "Pattern[str]":
    """The expression, and the means to stop a search. Errors: `re.error`, `TypeError`."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGVTALRM, _on_timer)
    return re.compile(pattern)


def is_found(pattern: "Pattern[str]", text: str) -> bool:
    """Whether the pattern fits somewhere in the text. Errors: TooSlow."""
    global _is_searching
    if threading.current_thread() is not threading.main_thread():
        return pattern.search(text) is not None
    try:
        _is_searching = True
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS + len(text) / CHARACTERS_PER_SECOND)
        return pattern.search(text) is not None
    finally:
        _is_searching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
