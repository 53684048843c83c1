"""What a running build tells (`docker buildx build --progress=rawjson`) → the state of its steps.

Each line is a JSON object with lists of `vertexes` (steps that begin and end), `statuses` (how far a transfer is) and
`logs` (output, as base64). Times are those of the builder's clock.

Source: BuildKit's client.SolveStatus, https://github.com/moby/buildkit/blob/master/client/graph.go
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...record import record

__all__ = ["BuildProgress", "BuildStep", "Change"]

_KEPT_LINES = 200
_NAME = re.compile(
    r"\[(?:[\w-]+/[\w/-]+ )?(?:(?P<stage>\S+) )?(?P<number>\d+)/(?P<count>\d+)\] (?P<text>.*)", re.DOTALL
)


@dataclass(slots=True)
class BuildStep:
    """One step of the builder. `number` is its place in order of appearance, from 1.

    `stage` and `place` (number, count) are there for instructions of the Dockerfile. `output` are the last lines that
    it printed. `transfers` are bytes (done, of how many or 0) by name.
    """

    number: int
    name: str
    stage: str | None = None
    place: tuple[int, int] | None = None
    started: datetime | None = None
    completed: datetime | None = None
    seconds: float = 0.0
    is_cached: bool = False
    error: str = ""
    output: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    transfers: dict[str, tuple[int, int]] = field(default_factory=dict)
    rest: str = ""
    stretches: set[tuple[datetime, datetime]] = field(default_factory=set)

    @property
    def is_internal(self) -> bool:
        """Whether it is the builder's own: reading files, asking registries, exporting."""
        return self.place is None

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.started is not None and self.completed is None

    @property
    def text(self) -> str:
        """The name without what stands in brackets, on one line."""
        found = _NAME.fullmatch(self.name)
        return re.sub(r"\s+", " ", found["text"] if found else self.name)


@record(kw_only=False)
class Change:
    """What one line of the builder says about a step: it began, ended, or printed `line` (to stream 1 or 2)."""

    step: BuildStep
    kind: str
    line: str = ""


class BuildProgress:
    """The steps of one build, or of several that share steps, in the order in which they appeared."""

    def __init__(self) -> None:
        self._by_digest: dict[str, BuildStep] = {}

    @property
    def steps(self) -> list[BuildStep]:
        """All steps that have begun."""
        return [step for step in self._by_digest.values() if step.started is not None]

    @property
    def instructions(self) -> dict[tuple[str | None, str], BuildStep]:
        """The steps that make layers, each once, by stage and text: a later build may show one again as cached."""
        found: dict[tuple[str | None, str], BuildStep] = {}
        for step in self.steps:
            if not step.is_internal and not step.text.startswith(("FROM ", "LINK ")):
                found.setdefault((step.stage, step.text), step)
        return found

    @property
    def failed(self) -> BuildStep | None:
        """The step that failed by itself; others end only because that one did."""
        failures = [step for step in self._by_digest.values() if step.error]
        return next((step for step in failures if "context canceled" not in step.error), None)

    def feed(self, line: bytes) -> Iterator[Change] | None:
        """Take in one line; None when it is not part of the progress."""
        if not line.startswith(b"{"):
            return None
        try:
            document = json.loads(line)
        except ValueError:
            return None
        return self.take(document) if isinstance(document, dict) else None

    def take(self, document: dict[str, Any]) -> Iterator[Change]:
        """Take in one such object."""
        for vertex in document.get("vertexes") or ():
            yield from self._vertex(vertex)
        for status in document.get("statuses") or ():
            self._status(status)
        for log in document.get("logs") or ():
            yield from self._log(log)

    def _vertex(self, vertex: dict[str, Any]) -> Iterator[Change]:
        step = self._step(vertex["digest"], vertex.get("name", ""))
        started, completed = _time(vertex.get("started")), _time(vertex.get("completed"))
        if not step.stretches:  # what ran once counts as built, although a later build takes it from the cache
            step.is_cached = step.is_cached or bool(vertex.get("cached"))
        step.error = vertex.get("error") or step.error
        if started is not None:
            begins = step.started is None
            step.started, step.completed = started, completed
            if begins:
                yield Change(step, "began")
        if started is not None and completed is not None and (started, completed) not in step.stretches:
            step.stretches.add((started, completed))
            step.seconds += (completed - started).total_seconds()
            if step.rest:
                yield from self._lines(step, "\n")
            yield Change(step, "ended")

    def _step(self, digest: str, name: str) -> BuildStep:
        step = self._by_digest.get(digest)
        if step is None:
            found = _NAME.fullmatch(name)
            place = (int(found["number"]), int(found["count"])) if found else None
            step = BuildStep(len(self._by_digest) + 1, name, found["stage"] if found else None, place)
            self._by_digest[digest] = step
        return step

    def _status(self, status: dict[str, Any]) -> None:
        step = self._by_digest.get(status.get("vertex", ""))
        if step is None:
            return
        name = str(status.get("id", ""))
        step.transfers[name] = (int(status.get("current") or 0), int(status.get("total") or 0))

    def _log(self, log: dict[str, Any]) -> Iterator[Change]:
        step = self._by_digest.get(log.get("vertex", ""))
        if step is not None:
            yield from self._lines(step, base64.b64decode(log.get("data") or "").decode("utf-8", "replace"))

    def _lines(self, step: BuildStep, text: str) -> Iterator[Change]:
        *lines, step.rest = (step.rest + text).split("\n")
        for line in lines:
            # A carriage return draws over what stood there: only the last state counts.
            shown = line.rstrip("\r").rpartition("\r")[2]
            step.output.append(shown)
            yield Change(step, "printed", shown)


def _time(text: Any) -> datetime | None:
    """A moment as RFC 3339 with up to nine digits of a second, of which six are kept."""
    if not isinstance(text, str):
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
