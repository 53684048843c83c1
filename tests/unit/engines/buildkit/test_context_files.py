"""What of a directory is listed for the daemon, in which order, and how it is described."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cogc.engines.buildkit.context_files import list_entries
from cogc.engines.buildkit.messages import SERVICES
from cogc.frontend.dockerignore import Dockerignore


def make(root: Path, *paths: str) -> None:
    for path in paths:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True) if path.endswith("/") else place.write_bytes(path.encode())


def paths(root: Path, excludes: tuple[str, ...] = (), includes: tuple[str, ...] = ()) -> list[str]:
    return [entry.path for entry in list_entries(root, excludes, includes)]


def test_parents_come_first_and_names_are_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    make(tmp_path, "a/x", "a-b", "a.c", "B", "é", "a/y/z", "empty/")
    assert paths(tmp_path) == ["B", "a", "a/x", "a/y", "a/y/z", "a-b", "a.c", "empty", "é"]


def test_what_is_left_out_is_not_listed(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "sub/b.log", "keep/me", "out/deep/x")
    assert paths(tmp_path, ("*.log", "out")) == ["keep", "keep/me", "sub", "sub/b.log"]


def test_a_directory_that_is_left_out_comes_with_what_is_taken_back(tmp_path: Path) -> None:
    make(tmp_path, "d/a", "d/e/f", "d/e/g", "d/h/i", "z")
    assert paths(tmp_path, ("d", "!d/e/f")) == ["d", "d/e", "d/e/f", "z"]
    assert paths(tmp_path, ("**", "!z")) == ["z"]
    assert paths(tmp_path, ("d", "!d/none")) == ["z"]


def test_inclusions_bring_their_parents_and_all_below(tmp_path: Path) -> None:
    make(tmp_path, "w/big", "w/sub/other", "x/y/z", "x/other", "q")
    assert paths(tmp_path, (), ("w", "x/y/z")) == ["w", "w/big", "w/sub", "w/sub/other", "x", "x/y", "x/y/z"]
    assert paths(tmp_path, ("w/sub",), ("w",)) == ["w", "w/big"]


@pytest.mark.parametrize(
    "lines",
    [
        ("*", "!a"),
        ("**/*.pyc",),
        ("a", "!a/b/*.txt", "a/b/no.txt"),
        ("a/*", "!a/b", "a/b/c"),
        ("!a/b", "a"),
        ("?", "**/c"),
        ("a/b/**", "!**/d.txt"),
    ],
)
def test_the_listing_is_what_the_matcher_says_for_each_file(tmp_path: Path, lines: tuple[str, ...]) -> None:
    make(tmp_path, "a/b/c/d.txt", "a/b/no.txt", "a/b/x.txt", "a/b/y.pyc", "a/z", "c/d.txt", "m.pyc", "n/c/o")
    matcher = Dockerignore.of_lines(lines)
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    listed = paths(tmp_path, lines)
    assert {path for path in listed if (tmp_path / path).is_file()} == {f for f in files if not matcher.excludes(f)}
    for path in listed:
        above = path.rpartition("/")[0]
        assert not above or listed.index(above) < listed.index(path)


def test_descriptions(tmp_path: Path) -> None:
    make(tmp_path, "a", "d/")
    (tmp_path / "a").chmod(0o4751)
    (tmp_path / "d").chmod(0o1777)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "l").symlink_to("nowhere\n")
    os.mkfifo(tmp_path / "p")
    (tmp_path / "p").chmod(0o600)
    os.utime(tmp_path / "a", ns=(1, 1_500_000_000_123_456_789))
    found = {entry.path: entry.message for entry in list_entries(tmp_path)}
    assert found["a"] == {"path": "a", "mode": 1 << 23 | 0o751, "size": 1, "mod_time": 1_500_000_000_123_456_789}
    assert found["b"]["linkname"] == "a"
    assert found["b"]["size"] == 1, "as the daemon says of what it has"
    assert found["d"]["mode"] == 1 << 31 | 1 << 20 | 0o777
    assert found["l"]["mode"] == 1 << 27 | 0o777
    assert found["l"]["linkname"] == "nowhere\n"
    assert found["p"]["mode"] == 1 << 25 | 0o600


def test_extended_attributes(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", "d/")
    os.link(tmp_path / "a", tmp_path / "c")
    try:
        for name in ("a", "d"):
            os.setxattr(tmp_path / name, b"user.kind", b"x\xff")
    except OSError as error:
        pytest.skip(f"this file system has none: {error}")
    found = {entry.path: entry.message.get("xattrs") for entry in list_entries(tmp_path)}
    own = {"user.kind": b"x\xff"}
    assert found == {"a": own, "b": None, "c": own, "d": own}
    stat = next(entry.message for entry in list_entries(tmp_path))
    assert SERVICES.decode("Stat", SERVICES.encode("Stat", stat))["xattrs"] == own


def test_sockets_are_passed_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert paths(tmp_path) == []


def test_any_name_that_is_text(tmp_path: Path) -> None:
    names = ["new\nline", " blank ", "!x", "a[1]*", "ü", "-rf", "tab\t"]
    make(tmp_path, *names)
    assert sorted(paths(tmp_path)) == sorted(names)
    for name, pattern in (
        ("a[1]*", r"a\[1\]\*"),
        (" blank ", "[ ]blank[ ]"),
        ("!x", r"\!x"),
        ("new\nline", "new\nline"),
    ):
        assert sorted(paths(tmp_path, (pattern,))) == sorted(set(names) - {name})
        assert paths(tmp_path, (), (pattern,)) == [name]
