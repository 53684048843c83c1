"""Blobs that a daemon writes and reads: whole or not at all, by what they are, and nowhere else."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogc.engines import EngineFailure
from cogc.engines.buildkit.caches import Caches
from cogc.engines.buildkit.content_store import CONTENT_SERVICE, ContentStore
from cogc.engines.buildkit.errors import CallFailed
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.messages import SERVICES
from cogc.engines.buildkit.transport import _Socket

NOT_FOUND, EXISTS, FAILED, INVALID = 5, 6, 9, 3
CONTENT = b"some content" * 100_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Daemon:
    """The other side of a store."""

    def __init__(self, store: ContentStore) -> None:
        ours, theirs = socket.socketpair()
        handlers = {f"{CONTENT_SERVICE}/{name}": handler for name, handler in store.handlers().items()}
        self.connections = [Connection(_Socket(ours), handlers=handlers), Connection(_Socket(theirs))]

    def ask(self, method: str, request: str, message: dict[str, Any], answer: str) -> dict[str, Any]:
        data = SERVICES.encode(request, message)
        return SERVICES.decode(answer, self.connections[1].unary(f"{CONTENT_SERVICE}/{method}", data))

    def read(self, **request: Any) -> bytes:
        call = self.connections[1].request(f"{CONTENT_SERVICE}/Read", SERVICES.encode("ReadContentRequest", request))
        found = b""
        while (message := call.receive()) is not None:
            found += SERVICES.decode("ReadContentResponse", message).get("data", b"")
        return found

    def write(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        call = self.connections[1].start(f"{CONTENT_SERVICE}/Write")
        answers = []
        for request in requests:
            call.send(SERVICES.encode("WriteContentRequest", {"ref": "r", **request}))
            answers.append(SERVICES.decode("WriteContentResponse", call.receive() or b""))
        call.end()
        call.receive()
        return answers


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "a/store")


@pytest.fixture
def daemon(store: ContentStore) -> Iterator[Daemon]:
    daemon = Daemon(store)
    yield daemon
    for connection in daemon.connections:
        connection.close()


def pieces(*, expected: str = DIGEST) -> list[dict[str, Any]]:
    half = len(CONTENT) // 2
    return [
        {"action": 0, "total": len(CONTENT), "expected": expected},
        {"action": 1, "data": CONTENT[:half]},
        {"action": 1, "offset": half, "data": CONTENT[half:]},
        {"action": 2, "total": len(CONTENT), "offset": len(CONTENT), "expected": expected},
    ]


def files(store: ContentStore) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def test_a_blob_is_written_and_read(daemon: Daemon, store: ContentStore) -> None:
    answers = daemon.write(*pieces())
    assert [answer.get("offset", 0) for answer in answers] == [0, len(CONTENT) // 2, len(CONTENT), len(CONTENT)]
    assert answers[-1]["digest"] == DIGEST
    assert files(store) == [DIGEST[7:]]
    info = daemon.ask("Info", "ContentDigest", {"digest": DIGEST}, "ContentInfoMessage")["info"]
    assert (info["digest"], info["size"]) == (DIGEST, len(CONTENT))
    assert daemon.read(digest=DIGEST) == CONTENT
    assert daemon.read(digest=DIGEST, offset=10, size=7) == CONTENT[10:17]
    with pytest.raises(CallFailed) as failed:
        daemon.write(*pieces())
    assert failed.value.code == EXISTS


def test_a_blob_that_is_something_else_or_not_finished_is_not_kept(daemon: Daemon, store: ContentStore) -> None:
    other = f"sha256:{'0' * 64}"
    with pytest.raises(CallFailed) as failed:
        daemon.write(*pieces(expected=other))
    assert failed.value.code == FAILED
    daemon.write(*pieces()[:2])
    with pytest.raises(CallFailed):
        daemon.write(pieces()[0], {"action": 1, "offset": 5, "data": b"x"})
    assert files(store) == []


@pytest.mark.parametrize("digest", ["sha256:../../x", "../x", "", "sha256:" + "A" * 64, "sha256:" + "0" * 63])
def test_what_is_no_digest_is_no_file(daemon: Daemon, digest: str) -> None:
    for request in (
        lambda: daemon.read(digest=digest),
        lambda: daemon.ask("Info", "ContentDigest", {"digest": digest}, "ContentInfoMessage"),
    ):
        with pytest.raises(CallFailed) as failed:
            request()
        assert failed.value.code == INVALID


def test_a_blob_that_is_not_there(daemon: Daemon) -> None:
    with pytest.raises(CallFailed) as failed:
        daemon.read(digest=DIGEST)
    assert failed.value.code == NOT_FOUND


class Notices:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


def test_a_cache_in_a_directory_is_found_by_its_tag(tmp_path: Path) -> None:
    said: Any = Notices()
    place = str(tmp_path / "cache")
    writing = Caches.of([], [("local", {"dest": place, "mode": "max", "tag": "t"})], said)
    assert writing.exports == [("local", {"dest": "cache-0", "mode": "max", "tag": "t"})]
    for digest in (f"sha256:{'1' * 64}", DIGEST):  # the second takes the place of the first
        writing.finish({"cache.manifest": json.dumps({"mediaType": "m", "digest": digest, "size": 1})})
    reading = Caches.of([("local", {"src": place, "tag": "t"})], [], said)
    assert reading.imports == [("local", {"src": "cache-0", "tag": "t", "digest": DIGEST})]
    assert list(reading.stores) == ["local:cache-0"]
    assert len(json.loads((tmp_path / "cache/index.json").read_bytes())["manifests"]) == 1
    assert said.texts == []
    assert Caches.of([("local", {"src": place}), ("local", {"src": "no"})], [], said).imports == []
    assert said.texts == [f"there is no cache in {place} yet", "there is no cache in no yet"]


def test_a_broken_cache_is_an_error(tmp_path: Path) -> None:
    said: Any = Notices()
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(EngineFailure) as failed:
        Caches.of([("local", {"src": str(tmp_path)})], [], said)
    assert failed.value.diagnostics[0].code == "COG500"


def test_github_says_where_its_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said: Any = Notices()
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", "t")
    monkeypatch.setenv("ACTIONS_RESULTS_URL", "https://new.example")
    monkeypatch.setenv("ACTIONS_CACHE_SERVICE_V2", "True")
    monkeypatch.delenv("ACTIONS_CACHE_URL", raising=False)
    (kind, attributes), registry = Caches.of([("gha", {"scope": "s"}), ("registry", {"ref": "r"})], [], said).imports
    assert kind == "gha"
    assert attributes == {
        "token": "t",
        "url": "https://new.example",
        "url_v2": "https://new.example",
        "version": "2",
        "scope": "s",
    }
    assert registry == ("registry", {"ref": "r"})
