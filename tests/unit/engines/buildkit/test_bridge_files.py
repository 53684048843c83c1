"""The files of a result, as the front end sees them: links are followed inside the tree only."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from cogc.engines.buildkit.bridge_files import BridgeFiles
from cogc.engines.buildkit.client import Solved
from cogc.frontend.files import FileProblem

DIRECTORY, LINK, PIPE = 1 << 31 | 0o755, 1 << 27 | 0o777, 1 << 25
TREE: dict[str, tuple[int, str]] = {
    "a.py": (0o644, "code"),
    "dir": (DIRECTORY, ""),
    "dir/deep.txt": (0o600, "deep"),
    "dir/up": (LINK, "../a.py"),
    "to-dir": (LINK, "dir"),
    "out": (LINK, "../../etc"),
    "absolute": (LINK, "/etc"),
    "loop": (LINK, "loop"),
    "pipe": (PIPE, ""),
    ".git": (DIRECTORY, ""),
    ".git/config": (0o644, "x"),
    "big.bin": (0o644, "b" * 5_000_000),
}


class Tree:
    """A daemon that has TREE."""

    def read_directory(self, solved: Solved, path: str) -> list[dict[str, Any]]:
        inside = path.strip("/")
        found = [name for name in TREE if name.rpartition("/")[0] == inside]
        return [self._stat(name) for name in found]

    def _stat(self, name: str) -> dict[str, Any]:
        mode, text = TREE[name]
        stat = {"path": name.rpartition("/")[2], "mode": mode}
        return stat | ({"linkname": text} if mode == LINK else {"size": len(text)})

    def read_file(self, solved: Solved, path: str, offset: int, length: int) -> bytes:
        return TREE[path.strip("/")][1].encode()[offset : offset + length]


@pytest.fixture
def files() -> BridgeFiles:
    return BridgeFiles(Tree(), Solved("x"), {".dockerignore": b"*.log"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.py", "file"),
        ("dir", "directory"),
        ("", "directory"),
        ("to-dir/deep.txt", "file"),
        ("to-dir/up", "file"),
        ("dir/../a.py", "file"),
        ("out", "outside"),
        ("absolute/passwd", "outside"),
        ("../x", "outside"),
        ("loop", "outside"),
        ("nothing", "missing"),
        ("pipe", "other"),
        (".dockerignore", "file"),
    ],
)
def test_kinds(files: BridgeFiles, path: str, kind: str) -> None:
    assert files.kind(path) == kind


def test_contents(files: BridgeFiles) -> None:
    assert files.read("to-dir/up") == b"code"
    assert files.read(".dockerignore") == b"*.log"
    assert files.read("big.bin") == b"b" * 5_000_000
    assert files.digest("big.bin") == hashlib.sha256(b"b" * 5_000_000).hexdigest()
    for path in ("dir", "nothing", "out", "pipe"):
        with pytest.raises(FileProblem):
            files.read(path)


def test_the_walk_is_in_order_and_passes_over_what_is_hidden(files: BridgeFiles) -> None:
    found = [entry.path for entry in files.walk()]
    assert found == [
        ".git",
        "a.py",
        "absolute",
        "big.bin",
        "dir",
        "loop",
        "out",
        "pipe",
        "to-dir",
        "dir/deep.txt",
        "dir/up",
    ]
