"""The progress of a build, from lines as buildx 0.29 writes them."""

from __future__ import annotations

import base64
import json
from typing import Any

from cogc.engines.docker.build_progress import BuildProgress, Change


def line(**content: Any) -> bytes:
    return json.dumps(content).encode() + b"\n"


def vertex(
    digest: str, name: str, started: int | None = None, completed: int | None = None, **more: Any
) -> dict[str, Any]:
    times = {"started": started, "completed": completed}
    shown = {key: f"2026-11-26T02:59:{second:02}.123456789Z" for key, second in times.items() if second is not None}
    return {"digest": digest, "name": name, **shown, **more}


def log(digest: str, text: str) -> dict[str, Any]:
    return {"vertex": digest, "stream": 1, "data": base64.b64encode(text.encode()).decode()}


def feed(progress: BuildProgress, *lines: bytes) -> list[Change]:
    return [change for item in lines for change in progress.feed(item) or ()]


def test_step_begins_prints_and_ends() -> None:
    progress = BuildProgress()
    name = "[packages 2/3] RUN  a \\\n && b"
    changes = feed(
        progress,
        line(vertexes=[vertex("x", name)]),
        line(vertexes=[vertex("x", name, 1)]),
        line(logs=[log("x", "one\ntw")]),
        line(logs=[log("x", "o\nprogress 1%\rprogress 100%\nrest")]),
        line(vertexes=[vertex("x", name, 1, 3)]),
    )
    assert [(change.kind, change.line) for change in changes] == [
        ("began", ""),
        *(("printed", text) for text in ("one", "two", "progress 100%", "rest")),
        ("ended", ""),
    ]
    (step,) = progress.steps
    assert (step.stage, step.place, step.text, step.seconds) == ("packages", (2, 3), "RUN a \\ && b", 2.0)
    assert not step.is_internal
    assert not step.is_cached


def test_stretches_of_one_step_add_up_and_are_counted_once() -> None:
    progress = BuildProgress()
    once = line(vertexes=[vertex("x", "[1/2] FROM a", 1, 2)])
    feed(progress, once, once, line(vertexes=[vertex("x", "[1/2] FROM a", 5, 8)]))
    assert progress.steps[0].seconds == 4.0


def test_step_that_ran_is_not_cached_when_a_later_build_shows_it_again() -> None:
    progress = BuildProgress()
    feed(progress, line(vertexes=[vertex("x", "[a 1/2] RUN b", 1, 2)]))
    feed(progress, line(vertexes=[vertex("x", "[a 1/2] RUN b", 4, 4, cached=True)]))
    feed(progress, line(vertexes=[vertex("y", "[a 1/2] RUN b", 4, 4, cached=True)]))
    feed(progress, line(vertexes=[vertex("z", "[a 2/2] RUN c", 4, 4, cached=True)]))
    steps = progress.instructions
    assert {text: step.is_cached for (_, text), step in steps.items()} == {"RUN b": False, "RUN c": True}


def test_the_step_that_failed_is_not_one_that_was_stopped_because_of_it() -> None:
    progress = BuildProgress()
    feed(
        progress,
        line(vertexes=[vertex("x", "[a 1/2] RUN b", 1, 2, error="process: context canceled")]),
        line(vertexes=[vertex("y", "[a 2/2] RUN c", 1, 2, error="exit code: 3")]),
    )
    assert progress.failed is not None
    assert progress.failed.text == "RUN c"


def test_names_of_all_forms() -> None:
    progress = BuildProgress()
    names = ["[internal] load .dockerignore", "exporting to image", "[4/4] COPY . /src", "[linux/arm64 a 1/2] RUN b"]
    feed(progress, line(vertexes=[vertex(str(number), name, 1) for number, name in enumerate(names)]))
    found = [(step.is_internal, step.stage, step.place) for step in progress.steps]
    assert found == [(True, None, None), (True, None, None), (False, None, (4, 4)), (False, "a", (1, 2))]


def test_what_is_not_progress_is_left_to_the_caller() -> None:
    progress = BuildProgress()
    for text in (b"ERROR: no\n", b"{not json\n", b"{}\n"[:1], b"\xff\n"):
        assert progress.feed(text) is None
    assert list(progress.feed(b"{}\n") or ()) == []
    assert feed(progress, line(logs=[log("unknown", "x")], statuses=[{"vertex": "unknown", "id": "y"}])) == []
