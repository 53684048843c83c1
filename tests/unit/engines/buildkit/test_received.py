"""Directories that a daemon sends are written as they are, and nothing is written anywhere else."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cogc.engines.buildkit.context_files import ContextDirectory
from cogc.engines.buildkit.errors import CallFailed
from cogc.engines.buildkit.grpc import Call, Connection
from cogc.engines.buildkit.messages import SERVICES
from cogc.engines.buildkit.received import ReceivedDirectory, UnsafePath
from cogc.engines.buildkit.transport import _Socket

DIRECTORY, LINK = 1 << 31, 1 << 27
Stat = dict[str, Any]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.fixture
def transfer(target: Path) -> Iterator[Callable[[Callable[[Call], None]], ReceivedDirectory]]:
    """Runs `daemon` with its end of a transfer, to the end of both sides."""
    connections = []

    def run(daemon: Callable[[Call], None]) -> ReceivedDirectory:
        ours, theirs = socket.socketpair()
        received, done = ReceivedDirectory(target), threading.Event()

        def serve(call: Call) -> None:
            try:
                received.receive(call)
            finally:
                done.set()

        connections.append(Connection(_Socket(ours), handlers={"/x": serve}))
        connections.append(Connection(_Socket(theirs)))
        call = connections[-1].start("/x")
        with contextlib.suppress(CallFailed):  # when what it sends is refused
            daemon(call)
            call.end()
        assert done.wait(10)
        return received

    yield run
    for connection in connections:
        connection.close()


def sends(*stats: Stat) -> Callable[[Call], None]:
    """A daemon with a list, and `content of PATH` in each of its files."""

    def run(call: Call) -> None:
        for status in [*stats, None]:
            call.send(SERVICES.encode("Packet", {"type": 0, "stat": status}))
        while (message := call.receive()) is not None:
            packet = SERVICES.decode("Packet", message)
            if packet.get("type") == 1:
                number = packet.get("id", 0)
                content = f"content of {stats[number]['path']}".encode()
                for data in (content[:5], content[5:], b""):
                    call.send(SERVICES.encode("Packet", {"type": 2, "id": number, "data": data}))
            else:
                call.send(SERVICES.encode("Packet", {"type": 3}))
                return

    return run


def file(path: str, **more: Any) -> Stat:
    return {"path": path, "mode": 0o644, "size": 1, **more}


def directory(path: str, mode: int = 0o755) -> Stat:
    return {"path": path, "mode": DIRECTORY | mode, "mod_time": 1_600_000_000_000_000_000}


def test_files_directories_and_links_are_as_they_were_sent(transfer: Any, target: Path) -> None:
    time = 1_500_000_000_123_456_789
    received = transfer(
        sends(
            directory("d", 0o555),
            file("d/a\nb", mode=1 << 23 | 0o751, mod_time=time),
            file("d/hard", linkname="d/a\nb"),
            {"path": "d/link", "mode": LINK | 0o777, "linkname": "/etc/passwd"},
            {"path": "pipe", "mode": 1 << 25 | 0o600},
            file("z"),
        )
    )
    assert received.error is None
    made = (target / "d/a\nb").stat()
    assert (target / "d/a\nb").read_text() == "content of d/a\nb"
    assert (stat.S_IMODE(made.st_mode), made.st_mtime_ns, made.st_nlink) == (0o4751, time, 2)
    assert os.readlink(target / "d/link") == "/etc/passwd"
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    above = (target / "d").stat()
    assert (stat.S_IMODE(above.st_mode), above.st_mtime) == (0o555, 1_600_000_000)
    assert (target / "z").read_text() == "content of z"


def test_a_thousand_files_are_asked_for_a_few_at_a_time(transfer: Any, target: Path) -> None:
    assert transfer(sends(*(file(f"{number:05}") for number in range(1000)))).error is None
    assert len(list(target.iterdir())) == 1000


def test_what_we_send_ourselves_comes_back_the_same(transfer: Any, target: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in ("a/b/c", "a/b-c", "x", "ü"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path * 100_000)
    (source / "link").symlink_to("a")
    assert transfer(ContextDirectory(source).send).error is None
    for path in source.rglob("*"):
        there = target / path.relative_to(source)
        assert path.is_dir() or path.read_bytes() == there.read_bytes()
        assert path.lstat().st_mode == there.lstat().st_mode
        assert path.is_symlink() or path.lstat().st_mtime_ns == there.lstat().st_mtime_ns


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_log_of_ours_may_grow(
    transfer: Any, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ours: bool
) -> None:
    (tmp_path / "source").mkdir()
    with (tmp_path / "source/log").open("wb", 0) as log:
        log.write(b"listed")

        class Growing(ContextDirectory):
            def _answer(self, *arguments: Any) -> None:
                log.write(b" and more")
                super()._answer(*arguments)

        if is_ours:
            monkeypatch.setattr("cogc.engines.buildkit.context_files._OUTPUTS", (log.fileno(),))
        source = Growing(tmp_path / "source")
        received = transfer(source.send)
    assert source.problems == ([] if is_ours else ["log has changed while it was sent"])
    assert not is_ours or (received.error is None and (target / "log").read_bytes() == b"listed")


@pytest.mark.parametrize(
    "stats",
    [
        [file("../x")],
        [file("/x")],
        [file("")],
        [file("a//b")],
        [directory("a"), file("a/./b")],
        [directory("a"), file("a/../../x")],
        [file("not/listed")],
        [{"path": "a", "mode": LINK, "linkname": ".."}, file("a/x")],
        [file("a"), file("a/x")],
        [file("a"), file("a")],
        [{"path": "a", "mode": LINK, "linkname": "/etc/passwd"}, file("a")],
        [file("a", linkname="../outside")],
        [{"path": "l", "mode": LINK, "linkname": "../outside"}, file("a", linkname="l")],
        [file("a\0b")],
    ],
)
def test_paths_that_lead_out_are_refused(transfer: Any, target: Path, tmp_path: Path, stats: list[Stat]) -> None:
    (tmp_path / "outside").write_text("as it was")
    received = transfer(sends(*stats))
    assert isinstance(received.error, UnsafePath)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]
    assert (tmp_path / "outside").read_text() == "as it was"


def test_content_that_was_not_asked_for_is_refused(transfer: Any, target: Path) -> None:
    def daemon(call: Call) -> None:
        call.send(SERVICES.encode("Packet", {"type": 0, "stat": directory("d")}))
        call.send(SERVICES.encode("Packet", {"type": 2, "id": 0, "data": b"x"}))

    assert isinstance(transfer(daemon).error, UnsafePath)
