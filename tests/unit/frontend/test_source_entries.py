"""Which paths are copied one by one when some must stay out."""

from __future__ import annotations

import pytest

from cogc.frontend.dockerignore import Dockerignore
from cogc.frontend.files import FileEntry
from cogc.frontend.source_entries import dangling_links, source_entries, source_links
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


@pytest.mark.parametrize(
    ("says", "is_dangling"),
    [
        ("a.txt", False),
        ("./data/../a.txt", False),
        ("/data/w.bin", False),  # the root of the context is that of links
        ("../../a.txt", False),
        ("data", False),
        ("to-data/w.bin", False),
        (".", False),
        ("gone.txt", True),
        ("/etc/passwd", True),
        ("a.txt/b", True),
        ("a.log", True),  # .dockerignore hides it
        ("here", True),  # itself
    ],
)
def test_a_link_dangles_when_the_context_has_not_what_it_leads_to(says: str, is_dangling: bool) -> None:
    ignored, _ = Dockerignore.parse("*.log", ".dockerignore")
    found = [
        FileEntry("a.log", "file"),
        FileEntry("a.txt", "file"),
        FileEntry("data", "directory"),
        FileEntry("data/w.bin", "file"),
        FileEntry("here", "symlink", link_target=says),
        FileEntry("to-data", "symlink", link_target="data"),
    ]
    assert dangling_links((("here", says),), found, ignored, ()) == (("here",) if is_dangling else ())


def test_a_link_to_what_is_left_out_dangles() -> None:
    ignored, _ = Dockerignore.parse("", ".dockerignore")
    found = [
        FileEntry("weights", "directory"),
        FileEntry("weights/w.bin", "file"),
        FileEntry("w", "symlink", link_target="weights/w.bin"),
    ]
    links = (("w", "weights/w.bin"),)
    assert dangling_links(links, found, ignored, ()) == ()
    assert dangling_links(links, found, ignored, ("weights",)) == ("w",)
