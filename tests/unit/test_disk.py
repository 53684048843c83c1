"""The project on a real disk, and writing that leaves no half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cogc.disk import ProjectFiles, find_upward, stage_files, write_atomically
from cogc.frontend.files import FileProblem


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "a/b").mkdir(parents=True)
    (project / "a/b/file.txt").write_text("content")
    (project / "a.txt").write_text("")
    (project / "inside").symlink_to("a/b/file.txt")
    (project / "outside").symlink_to("../secret")
    (project / "loop").symlink_to("loop")
    (project / "dangling").symlink_to("nowhere")
    (tmp_path / "secret").write_text("secret")
    os.mkfifo(project / "pipe")
    return project


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.txt", "file"),
        ("a", "directory"),
        (".", "directory"),
        ("inside", "file"),
        ("outside", "outside"),
        ("../secret", "outside"),
        ("..", "outside"),
        ("loop", "missing"),
        ("dangling", "missing"),
        ("nowhere", "missing"),
        ("a.txt/x", "missing"),
        ("pipe", "other"),
        ("x" * 300, "missing"),
        ("a\0b", "missing"),
    ],
)
def test_kinds(root: Path, path: str, kind: str) -> None:
    assert ProjectFiles(root).kind(path) == kind


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a", "is a directory"),
        ("nowhere", "does not exist"),
        ("pipe", "is not a regular file"),
        ("loop", "cannot be accessed: too many levels of symbolic links"),
        ("a\0b", "is not a valid path"),
    ],
)
def test_what_cannot_be_read(root: Path, path: str, reason: str) -> None:
    with pytest.raises(FileProblem) as caught:
        ProjectFiles(root).read(path)
    assert caught.value.reason == reason


def test_huge_files_are_not_read(root: Path) -> None:
    with open(root / "huge", "wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(FileProblem, match="larger than 64 MiB"):
        ProjectFiles(root).read("huge")


def test_walking_is_sorted_has_parents_first_and_follows_no_links(root: Path) -> None:
    for hidden in (".git/objects", ".cog/build", "a/.git", "a/.cog"):
        (root / hidden).mkdir(parents=True)
        (root / hidden / "x").write_text("")
    walked = [(entry.path, entry.kind) for entry in ProjectFiles(root).walk()]
    assert walked == [
        (".cog", "directory"),
        (".git", "directory"),
        ("a", "directory"),
        ("a.txt", "file"),
        ("dangling", "symlink"),
        ("inside", "symlink"),
        ("loop", "symlink"),
        ("outside", "symlink"),
        ("pipe", "other"),
        ("a/.cog", "directory"),
        ("a/.git", "directory"),
        ("a/b", "directory"),
        ("a/.cog/x", "file"),
        ("a/b/file.txt", "file"),
    ]


def test_sizes_are_those_of_files(root: Path) -> None:
    sizes = {entry.path: entry.size_bytes for entry in ProjectFiles(root).walk()}
    assert (sizes["a/b/file.txt"], sizes["a/b"]) == (7, 0)


def test_searching_upward(root: Path) -> None:
    assert find_upward("a.txt", root / "a/b") == root / "a.txt"
    assert find_upward("dangling", root / "a/b") == root / "dangling"
    assert find_upward("no-such-file-anywhere", root / "a/b") is None


def test_writing_replaces_the_whole_file(root: Path) -> None:
    before = (root / "a.txt").stat().st_ino
    write_atomically(root / "a.txt", b"new")
    assert (root / "a.txt").read_bytes() == b"new"
    assert (root / "a.txt").stat().st_ino != before


def test_a_failure_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cogc.disk.os.fsync", broken)
    before = sorted(root.iterdir())
    with pytest.raises(OSError, match="No space"):
        write_atomically(root / "a.txt", b"new")
    assert sorted(root.iterdir()) == before
    assert (root / "a.txt").read_bytes() == b""


def test_staging_makes_the_directory_hold_exactly_the_files(root: Path) -> None:
    staging = root / ".cog/build"
    stage_files(root, ".cog/build", [("a/b.txt", b"1"), ("c.txt", b"2")])
    (staging / "old").mkdir()
    (staging / "old/x").write_text("")
    (staging / "link").symlink_to("/")
    stage_files(root, ".cog/build", [("c.txt", b"3")])
    assert sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*")) == ["c.txt"]
    assert (staging / "c.txt").read_bytes() == b"3"
    assert (root / ".cog/.gitignore").read_bytes() == b"*\n"


def test_staged_files_have_the_same_modes_everywhere(root: Path) -> None:
    stage_files(root, ".cog/build", [("a/b.txt", b"1")])
    (root / ".cog/build/a").chmod(0o700)
    (root / ".cog/build/a/b.txt").chmod(0o600)
    stage_files(root, ".cog/build", [("a/b.txt", b"1"), ("a/c/d.txt", b"2")])
    modes = {path.name: path.stat().st_mode & 0o777 for path in (root / ".cog/build").rglob("*")}
    assert modes == {"a": 0o755, "b.txt": 0o644, "c": 0o755, "d.txt": 0o644}


def test_what_is_in_the_way_of_a_staged_directory_gives_way(root: Path, tmp_path: Path) -> None:
    stage_files(root, ".cog/build", [("a", b"1"), ("c.txt", b"2")])
    (root / ".cog/build/link").symlink_to(tmp_path)
    stage_files(root, ".cog/build", [("a/b.txt", b"1"), ("link/x", b"2")])
    assert (root / ".cog/build/a/b.txt").read_bytes() == b"1"
    assert (root / ".cog/build/link/x").read_bytes() == b"2"
    assert not (root / ".cog/build/link").is_symlink()
    assert not (root / ".cog/build/c.txt").exists()
    assert not (tmp_path / "x").exists()


def test_a_directory_in_the_place_of_a_staged_file_gives_way(tmp_path: Path) -> None:
    (tmp_path / ".cog/build/requirements.txt/inner").mkdir(parents=True)
    stage_files(tmp_path, ".cog/build", [("requirements.txt", b"six\n")])
    assert (tmp_path / ".cog/build/requirements.txt").read_bytes() == b"six\n"
