"""Which paths are copied one by one when some must stay out."""

from __future__ import annotations

import pytest

from cogc.frontend.dockerignore import Dockerignore
from cogc.frontend.files import FileEntry
from cogc.frontend.source_entries import source_entries, source_links
from tests.memory_files import MemoryFiles

FILES = MemoryFiles(
    {
        "cog.yaml": "",
        "predict.py": "",
        "src/a.py": "",
        "data/labels.txt": "",
        "data/weights/w.bin": "",
        "data/more/x.txt": "",
        ".cog/build/x": "",
        ".git/HEAD": "",
    },
    outside=("link",),
    others=("pipe",),
)


def entries(*left_out: str, ignore: str = "") -> list[str]:
    ignored, _ = Dockerignore.parse(ignore, ".dockerignore")
    return [path for path, _ in source_entries(FILES.walk(), ignored, left_out)]


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ((), [".cog", ".git", "cog.yaml", "data", "predict.py", "src"]),
        ((".cog",), [".git", "cog.yaml", "data", "predict.py", "src"]),
        (("data",), [".cog", ".git", "cog.yaml", "predict.py", "src"]),
        (
            ("data/weights",),
            [".cog", ".git", "cog.yaml", "data/labels.txt", "data/more", "predict.py", "src"],
        ),
        (("cog.yaml", "nowhere"), [".cog", ".git", "data", "predict.py", "src"]),
    ],
)
def test_only_directories_with_something_to_leave_out_are_taken_apart(
    left_out: tuple[str, ...], expected: list[str]
) -> None:
    assert entries(*left_out) == expected


def test_what_dockerignore_hides_is_not_listed() -> None:
    assert entries(ignore=".git\n*.py\nsrc") == [".cog", "cog.yaml", "data"]


def test_a_hidden_directory_with_an_exception_below_is_listed() -> None:
    assert "src" in entries(ignore="src\n!src/a.py")


def test_directories_are_told_from_files() -> None:
    ignored, _ = Dockerignore.parse("", ".dockerignore")
    kinds = dict(source_entries(FILES.walk(), ignored, ("data/weights",)))
    assert (kinds["src"], kinds["data/more"], kinds["data/labels.txt"]) == (True, True, False)


def test_links_are_told_apart_because_a_copy_by_name_follows_them() -> None:
    ignored, _ = Dockerignore.parse("hidden", ".dockerignore")
    found = [
        FileEntry("data", "directory"),
        FileEntry("data/inner", "symlink", link_target="w"),
        FileEntry("hidden", "symlink", link_target="x"),
        FileEntry("link", "symlink", link_target="data"),
    ]
    assert source_links(found, ignored, ()) == (("link", "data"),)
    assert source_links(found, ignored, ("data/w",)) == (("data/inner", "w"), ("link", "data"))
    assert source_entries(found, ignored, ()) == (("data", True),)
