"""What counts as a change of the weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cogc.engines.docker.weights_manifest import MANIFEST, Manifest, make_manifest, read_manifest, write_manifest
from cogc.frontend.dockerignore import Dockerignore
from cogc.ir.nodes import WeightLayer

LAYERS = (
    WeightLayer(source="checkpoints", destination="/src/checkpoints", is_directory=True, size_bytes=1),
    WeightLayer(source="root.bin", destination="/src/root.bin", is_directory=False, size_bytes=1),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints/deep").mkdir(parents=True)
    for name in ("checkpoints/a.bin", "checkpoints/deep/b.txt", "checkpoints/skip.tmp", "root.bin", "other.bin"):
        (tmp_path / name).write_text(name)
    (tmp_path / "checkpoints/link").symlink_to("a.bin")
    return tmp_path


def manifest(root: Path, known: Manifest | None = None) -> Manifest:
    ignored, _ = Dockerignore.parse("**/*.tmp")
    return make_manifest(root, LAYERS, ignored, known or Manifest())


def test_all_files_of_the_weights_are_in_it_and_no_others(root: Path) -> None:
    found = [file[0] for file in manifest(root).files]
    assert found == ["checkpoints/a.bin", "checkpoints/deep/b.txt", "checkpoints/link", "root.bin"]


def test_it_is_kept_and_read_again(root: Path) -> None:
    made = manifest(root)
    write_manifest(root, Manifest(made.files, "m-weights", "sha256:1"))
    read = read_manifest(root)
    assert read.holds(made)
    assert (read.name, read.image) == ("m-weights", "sha256:1")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 2, "files": {}, "name": "", "image": ""}', '{"format": 1}']
)
def test_one_that_cannot_be_read_is_none(root: Path, text: str) -> None:
    (root / MANIFEST).parent.mkdir(parents=True)
    (root / MANIFEST).write_text(text)
    assert read_manifest(root) == Manifest()


def change(root: Path, what: str) -> None:
    path = root / "checkpoints/a.bin"
    if what == "content":
        path.write_text("checkpoints/A.bin")  # of the same size
    elif what == "mode":
        path.chmod(0o600)
    elif what == "new":
        (root / "checkpoints/new").write_text("x")
    elif what == "gone":
        path.unlink()
    elif what == "link":
        (root / "checkpoints/link").unlink()
        (root / "checkpoints/link").symlink_to("deep")


@pytest.mark.parametrize("what", ["content", "mode", "new", "gone", "link"])
def test_change_is_seen(root: Path, what: str) -> None:
    before = manifest(root)
    change(root, what)
    assert not before.holds(manifest(root, before))


def test_time_alone_is_no_change_and_files_with_the_same_time_are_not_read_again(root: Path) -> None:
    before = manifest(root)
    os.utime(root / "root.bin", ns=(1, 1))
    kept = manifest(root, before)
    assert before.holds(kept)
    (root / "root.bin").write_text("ROOT.bin")
    os.utime(root / "root.bin", ns=(1, 1))
    assert kept.holds(manifest(root, kept))
    assert not kept.holds(manifest(root))
