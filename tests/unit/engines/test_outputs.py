"""Outputs take their place whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cogc.engines.outputs import Output, placed


def write(output: Output, *, fails: bool = False, files: tuple[str, ...] = ("new", "sub/new")) -> None:
    with placed([output]) as ((_, path),):
        assert path is not None
        if output.is_directory:
            for name in files:
                (path / name).parent.mkdir(exist_ok=True)
                (path / name).write_text("new")
        else:
            path.write_text("new")
        if fails:
            raise KeyboardInterrupt


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_a_file_keeps_its_mode_and_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    write(Output("tar", {}, str(tmp_path / "link")))
    assert (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    assert names(tmp_path) == ["link", "real"]


def test_after_a_failure_everything_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "there").mkdir()
    for output in (
        Output("oci", {}, str(tmp_path / "file")),
        Output("oci", {}, str(tmp_path / "other")),
        Output("local", {}, str(tmp_path / "there")),
        Output("local", {}, str(tmp_path / "not/there")),
        Output("oci", {"tar": "false"}, str(tmp_path / "layout")),
    ):
        with pytest.raises(KeyboardInterrupt):
            write(output, fails=True)
    assert names(tmp_path) == ["file", "there"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_directory_is_made_or_filled(tmp_path: Path) -> None:
    write(Output("local", {}, str(tmp_path / "a/b")))
    assert names(tmp_path / "a/b") == ["new", "sub", "sub/new"]
    there = tmp_path / "there"
    (there / "sub").mkdir(parents=True)
    (there / "old").write_text("old")
    (there / "sub/old").write_text("old")
    (there / "new").write_text("old")
    write(Output("local", {}, str(there)))
    assert names(there) == ["new", "old", "sub", "sub/new", "sub/old"]
    assert (there / "new").read_text() == "new"
    assert names(tmp_path) == sorted(
        [*(f"a/{name}" for name in ["b", "b/new", "b/sub", "b/sub/new"]), "a", "there"]
        + [f"there/{name}" for name in names(there)]
    )


def test_a_link_in_the_directory_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/sub").symlink_to(tmp_path / "outside")
    write(Output("local", {}, str(tmp_path / "there")))
    assert names(tmp_path / "outside") == []
    assert (tmp_path / "there/sub/new").read_text() == "new"


def test_a_directory_in_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there/new").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write(Output("local", {}, str(tmp_path / "there")), files=("a", "new"))
    assert names(tmp_path) == ["there", "there/new"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(Output("tar", {}, str(tmp_path / "pipe")))
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("output", [Output("tar", {}, "no/x"), Output("tar", {}, "."), Output("local", {}, "f")])
def test_places_that_cannot_be(output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_text("")
    with pytest.raises(OSError):
        write(output)
    assert names(tmp_path) == ["f"]
