"""Folders that are complete or not there: keys, locks, interruption, sweeping."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from cogc.engines.local.store import Lease, Store, key_of


def make(text: str = "made"):
    def making(folder: Path) -> dict[str, object]:
        folder.mkdir()
        (folder / "content").write_text(text)
        return {"text": text}

    return making


def never(folder: Path) -> NoReturn:
    raise AssertionError("it is there already")


def is_there(folder: Path, facts: object) -> bool:
    return (folder / "content").exists()


def silence() -> None:
    pass


def lease(store: Store, making, recipe=None, **options) -> Lease:
    return store.lease(recipe or {"a": 1}, making, is_usable=is_there, on_wait=silence, **options)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.suffix != ".lock"}


def test_it_is_made_once(tmp_path):
    store = Store(tmp_path / "deep/store")
    with lease(store, make()) as first:
        assert (first.folder / "content").read_text() == "made"
        assert first.facts == {"text": "made"}
        assert first.folder.name == key_of({"a": 1})
    with lease(store, never) as again:
        assert again.facts == {"text": "made"}


def test_everything_in_the_recipe_is_in_the_key():
    recipes = [{}, {"a": 1}, {"a": "1"}, {"a": [1]}, {"b": 1}, {"a": 1, "b": None}, {"a": "\udcff"}]
    assert len({key_of(recipe) for recipe in recipes}) == len(recipes)
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_nothing(error, tmp_path):
    def fail(folder: Path) -> NoReturn:
        make()(folder)
        raise error("half way")

    store = Store(tmp_path)
    with pytest.raises(error):
        lease(store, fail)
    assert names(tmp_path) == set()
    with lease(store, make()) as found:
        assert is_there(found.folder, None)


def test_what_a_killed_process_left_is_replaced(tmp_path):
    folder = tmp_path / key_of({"a": 1})
    folder.mkdir()
    (folder / "half").write_text("")
    (tmp_path / f"{folder.name}.lock").write_text("")
    with lease(Store(tmp_path), make()):
        assert not (folder / "half").exists()
        assert is_there(folder, None)


@pytest.mark.parametrize(
    "marker", [b"", b"{", b"[]", b'{"format": 99, "facts": {}}', b'{"format": 1, "facts": 3}', b"\xff"]
)
def test_a_damaged_marker_counts_as_none(marker, tmp_path):
    with lease(Store(tmp_path), make()) as found:
        path = found.folder.with_suffix(".json")
    assert json.loads(path.read_bytes())["recipe"] == {"a": 1}
    path.write_bytes(marker)
    with lease(Store(tmp_path), make("anew")) as found:
        assert found.facts == {"text": "anew"}


def test_what_is_no_longer_usable_is_made_anew(tmp_path):
    with lease(Store(tmp_path), make()) as found:
        (found.folder / "content").unlink()
    with lease(Store(tmp_path), make("anew")) as found:
        assert found.facts == {"text": "anew"}
    with lease(Store(tmp_path), make("asked for"), remakes=True) as found:
        assert found.facts == {"text": "asked for"}


def test_several_may_use_it_at_once_but_not_while_it_is_made(tmp_path):
    store = Store(tmp_path)
    entered, may_go_on, waited = threading.Event(), threading.Event(), threading.Event()

    def slow(folder: Path) -> dict[str, object]:
        entered.set()
        assert may_go_on.wait(30)
        return make()(folder)

    found: list[Lease] = []
    maker = threading.Thread(target=lambda: found.append(lease(store, slow)))
    maker.start()
    assert entered.wait(30)
    other = threading.Thread(
        target=lambda: found.append(store.lease({"a": 1}, never, is_usable=is_there, on_wait=waited.set))
    )
    other.start()
    assert waited.wait(30)
    assert found == []
    may_go_on.set()
    maker.join(30)
    other.join(30)
    assert [one.facts for one in found] == [{"text": "made"}] * 2
    for one in found:
        one.close()


def _race(directory: str, results: multiprocessing.Queue) -> None:
    def making(folder: Path) -> dict[str, object]:
        return make(str(os.getpid()))(folder)

    with lease(Store(Path(directory)), making) as found:
        results.put((os.getpid(), found.facts["text"], (found.folder / "content").read_text()))


def test_processes_that_race_get_the_same(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_race, args=(str(tmp_path), results)) for _ in range(4)]
    for process in processes:
        process.start()
    told = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    assert len({text for _, text, _ in told}) == 1
    assert all(text == content for _, text, content in told)


def test_only_the_last_used_are_kept(tmp_path):
    store = Store(tmp_path, kept=2)
    for number in range(4):
        lease(store, make(str(number)), {"n": number}).close()
        marker = tmp_path / f"{key_of({'n': number})}.json"
        os.utime(marker, (number, number))
    kept = {key_of({"n": 2}), key_of({"n": 3})}
    assert names(tmp_path) == kept | {f"{key}.json" for key in kept}


def test_what_is_in_use_is_not_swept(tmp_path):
    store = Store(tmp_path, kept=1)
    used = lease(store, make("used"), {"n": 0})
    lease(store, make(), {"n": 1}).close()
    assert is_there(used.folder, None)
    used.close()
    used.close()
    lease(store, make(), {"n": 2}).close()
    assert not used.folder.exists()
    with lease(store, make("back"), {"n": 0}) as back:
        assert back.facts == {"text": "back"}


def test_files_that_are_not_ours_are_left_alone(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.json").write_text("mine")
    store = Store(tmp_path, kept=1)
    for number in range(3):
        lease(store, make(), {"n": number}).close()
    assert (tmp_path / "notes.json").read_text() == "mine"
    assert (tmp_path / "notes").is_dir()
