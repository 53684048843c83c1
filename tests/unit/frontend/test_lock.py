"""Locks as bytes: every broken one is a diagnostic; and the files that a lock names must be those of the project."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from cogc.frontend.lock import lock_name, read_lock
from cogc.ir.lock import LockedFile
from cogc.ir.lock_document import render_lock
from tests.builds import compiled
from tests.locks import lock_for, package

TEXT = "build: {python_packages: [six==1.16.0]}"
LOCK = render_lock(lock_for(TEXT, packages=[package("six", "1.16.0")]))


@pytest.mark.parametrize(
    ("config", "name"),
    [("cog.yaml", "cog.lock"), ("b/other.yml", "b/other.lock"), ("cog", "cog.lock"), ("a.b", "a.b.lock")],
)
def test_the_name_beside_the_configuration(config: str, name: str) -> None:
    assert lock_name(config) == name


def test_a_good_lock() -> None:
    lock, found = read_lock(LOCK.encode(), "cog.lock")
    assert lock == lock_for(TEXT, packages=[package("six", "1.16.0")])
    assert found == ()


def edited(**changes: Any) -> bytes:
    document = json.loads(LOCK)
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = document
        for parent in parents:
            inner = inner[int(parent) if parent.isdigit() else parent]
        inner[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "cog.lock is not JSON: Expecting value"),
        (b"\xff\xfe", "cog.lock is not UTF-8 text"),
        (LOCK.replace("{", "<<<<<<< HEAD\n{", 1).encode(), "cog.lock is not JSON"),
        (b"[" * 100_000, "cog.lock is nested too deep"),
        (b"1" * 10_000, "cog.lock is nested too deep, or has a number that is too long"),
        (b"[]", "cog.lock has no format"),
        (b"{}", "cog.lock has no format"),
        (edited(format=True), "cog.lock has format True"),
        (edited(format="1"), "cog.lock has format '1'"),
        (edited(format=2), "cog.lock has format 2, and this cogc reads 1"),
        (edited(weights={}), "cog.lock does not have the form of a lock: $.weights: {} is not of type 'array'"),
        (edited(more=1), "cog.lock does not have the form of a lock"),
        (edited(platforms__0__decisions__python=None), "$.platforms[0].decisions.python"),
        (edited(platforms__0__packages__0__sha256="x"), "$.platforms[0].packages[0].sha256"),
        (edited(request__commands=["make"]), "cog.lock was changed by hand"),
    ],
)
def test_a_broken_lock_is_a_diagnostic(raw: bytes, said: str) -> None:
    lock, found = read_lock(raw, "cog.lock")
    assert lock is None
    assert [diagnostic.code for diagnostic in found] == ["COG261"]
    assert said in found[0].message


def test_a_newer_lock_asks_for_a_newer_cogc() -> None:
    assert read_lock(edited(format=7), "cog.lock")[1][0].hint == "a newer cogc wrote it: update cogc"


def test_where_json_ends_to_be_json() -> None:
    found = read_lock(b'{\n  "format": 1,\n  oops\n}', "cog.lock")[1]
    assert str(found[0].span) == "cog.lock:3:3"


def weights(**files: bytes) -> list[LockedFile]:
    return [
        LockedFile(path=f"weights/{name}.bin", size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    ]


class TestFiles:
    BIG = b"\0" * 10 * 1024 * 1024

    def said(self, locked: list[LockedFile], files: dict[str, Any]) -> list[str]:
        made = lock_for("", files, weights=locked)
        compilation = compiled("", files, lock=render_lock(made))
        return [note.message for d in compilation.diagnostics if d.code == "COG264" for note in d.notes]

    def test_the_weights_of_the_lock(self) -> None:
        assert self.said(weights(a=self.BIG), {"weights/a.bin": self.BIG}) == []

    def test_other_weights_of_the_same_size(self) -> None:
        other = b"\1" + self.BIG[1:]
        assert self.said(weights(a=self.BIG), {"weights/a.bin": other}) == ["weights/a.bin has changed"]

    def test_weights_that_came_and_went(self) -> None:
        found = self.said(weights(a=self.BIG), {"weights/b.bin": self.BIG})
        assert found == ["weights/a.bin is gone", "weights/b.bin is new"]

    def test_small_files_beside_weights_are_of_their_layer(self) -> None:
        files = {"weights/a.bin": self.BIG, "weights/config.json": b"{}"}
        assert self.said(weights(a=self.BIG), files) == ["weights/config.json is new"]
        assert self.said([*weights(a=self.BIG)], {**files, ".dockerignore": b"**/*.json\n"}) == []

    def test_another_wheel_of_the_project(self) -> None:
        text, path = "build: {python_packages: [./z-1.0-py3-none-any.whl]}", "z-1.0-py3-none-any.whl"
        locked = package("z", source="project", location=path, sha256=hashlib.sha256(b"one").hexdigest())
        lock = render_lock(lock_for(text, {path: "one"}, packages=[locked]))
        assert not compiled(text, {path: "one"}, lock=lock).has_errors
        found = compiled(text, {path: "two"}, lock=lock).diagnostics
        assert [d.message for d in found if d.code == "COG264"] == [
            f"files are not those of cog.lock: {path} has changed"
        ]
