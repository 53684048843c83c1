"""How a running build is shown on standard error: live on a terminal, line by line elsewhere, or not at all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from .build_progress import BuildProgress, BuildStep, Change

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["BuildDisplay", "Mode", "Titles", "display_for", "progress_mode"]

Mode = Literal["tty", "plain", "quiet"]
Titles = Callable[[BuildStep], str | None]
"""A step → what it is called, None when it is not worth showing."""

_TAIL_LINES = 5
_WORTH_SECONDS = 0.5


class BuildDisplay(Protocol):
    """Shows one build while it runs. It is entered before the first change and left after the last."""

    def __enter__(self) -> BuildDisplay: ...

    def __exit__(self, *failure: object) -> None: ...

    def show(self, change: Change) -> None:
        """One thing that happened."""
        ...


def progress_mode(wanted: str) -> Mode:
    """`auto` becomes `tty` on a terminal that can be drawn on, else `plain`; BUILDKIT_PROGRESS is the default."""
    if wanted == "auto":
        wanted = os.environ.get("BUILDKIT_PROGRESS") or "auto"
    if wanted == "quiet":
        return "quiet"
    if wanted == "auto":
        wanted = "tty" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    return "tty" if wanted == "tty" else "plain"


def display_for(mode: Mode, progress: BuildProgress, titles: Titles, heading: str) -> BuildDisplay:
    """The display for a mode of `progress_mode`; `heading` names what is built."""
    if mode == "tty":
        return _Live(progress, titles, heading)
    return _Plain(titles, sys.stderr) if mode == "plain" else _Quiet()


def is_service(step: BuildStep) -> bool:
    """Whether it is the builder's own work or a base image, which is worth a line only when it takes time."""
    return step.is_internal or step.text.startswith("FROM ")


class _Quiet:
    def __enter__(self) -> BuildDisplay:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def show(self, change: Change) -> None:
        pass


class _Plain:
    """A line for every beginning and end of a step, and for every line that it prints."""

    def __init__(self, titles: Titles, stream: TextIO) -> None:
        self._titles = titles
        self._stream = stream
        self._ended: set[int] = set()
        self._began: set[int] = set()

    def __enter__(self) -> BuildDisplay:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stream.flush()

    def show(self, change: Change) -> None:
        step = change.step
        title = self._titles(step)
        if title is None or (is_service(step) and change.kind != "ended"):
            return
        if is_service(step) and step.seconds < _WORTH_SECONDS:
            return
        if step.number not in self._began:
            self._began.add(step.number)
            self._line(step, title)
        if change.kind == "printed":
            self._line(step, f"  {change.line}")
        elif change.kind == "ended" and step.number not in self._ended:
            self._ended.add(step.number)
            self._line(step, _result(step))

    def _line(self, step: BuildStep, text: str) -> None:
        print(f"#{step.number} {text}", file=self._stream, flush=True)


def _result(step: BuildStep) -> str:
    if step.error:
        return "canceled" if "context canceled" in step.error else f"failed after {step.seconds:.1f} s"
    return "cached" if step.is_cached else f"done in {step.seconds:.1f} s"


class _Live:
    """Steps that have ended scroll away; those that run stand below, each with the last lines that it printed."""

    def __init__(self, progress: BuildProgress, titles: Titles, heading: str) -> None:
        from rich.console import Console
        from rich.live import Live

        plain = any(os.environ.get(name) for name in ("NO_COLOR", "COG_NO_COLOR"))
        self._console: Console = Console(stderr=True, highlight=False, no_color=plain or None)
        self._progress = progress
        self._titles = titles
        self._heading = heading
        self._started = time.monotonic()
        self._shown: set[int] = set()
        self._live: Any = Live(
            console=self._console, get_renderable=self._running, refresh_per_second=8, transient=True
        )

    def __enter__(self) -> BuildDisplay:
        self._live.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._live.stop()

    def show(self, change: Change) -> None:
        step = change.step
        if change.kind != "ended" or step.number in self._shown or "context canceled" in step.error:
            return
        title = self._titles(step)
        if title is None or (is_service(step) and step.seconds < _WORTH_SECONDS):
            return
        self._shown.add(step.number)
        self._console.print(self._ended_line(step, title))

    def _ended_line(self, step: BuildStep, title: str) -> RenderableType:
        if step.error:
            return self._row("✗", "red", title, f"{step.seconds:.1f} s")
        return self._row("✓", "green", title, "cached" if step.is_cached else f"{step.seconds:.1f} s")

    def _row(self, sign: str, style: str, title: str, right: str) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(expand=True, padding=(0, 1))
        row.add_column(width=1)
        row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        row.add_column(justify="right", no_wrap=True)
        row.add_row(Text(sign, style), Text(title), Text(right, "dim"))
        return row

    def _running(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic() - self._started
        rows: list[RenderableType] = []
        room = max(self._console.height - 4, 4)
        for step in [step for step in self._progress.steps if step.is_running][: room // 2]:
            title = self._titles(step)
            if title is None:
                continue
            rows.append(self._row("…", "cyan", title, _transferred(step)))
            tail = [line for line in list(step.output) if line.strip()][-_TAIL_LINES:]
            rows += [Text(f"    {line}", "dim", no_wrap=True, overflow="ellipsis") for line in tail]
        head = Text(f"{self._heading}  {now:.0f} s", "bold", no_wrap=True, overflow="ellipsis")
        return Group(head, *rows[: room - 1])


def _transferred(step: BuildStep) -> str:
    """How far the transfers of a step are, such as `12 of 50 MB`; empty where there are none."""
    done = sum(done for done, total in step.transfers.values() if total)
    total = sum(total for _, total in step.transfers.values())
    return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total > 1e6 else ""
