"""`cogc build --engine buildkit`: our own client on a real daemon."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile

import pytest

from cogc.backends.llb.schema import LLB
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.transport import connect
from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Image, cogc_program

pytestmark = pytest.mark.engine


def test_nothing_is_staged_and_a_second_build_makes_nothing(engine: Engine, project: MakeProject) -> None:
    made = project("again", HELLO, {"data/words.txt": "one\n"})
    words = ["build", "--engine", "buildkit", "-t", engine.name("again"), "--format", "json", "--progress", "quiet"]
    first, second = (json.loads(made.cogc(*words).stdout) for _ in range(2))
    assert not (made.root / ".cog/build").exists()
    assert second["cached_steps"] == second["steps"] > 5
    assert first["digest"].startswith("sha256:")
    assert [layer["title"] for layer in second["layers"]][-1] == "the project's code"


def test_the_image_serves(engine: Engine, project: MakeProject) -> None:
    made = project("serves", HELLO)
    name = engine.name("serves")
    made.cogc("build", "--engine", "buildkit", "-t", name)
    done = made.cogc("predict", name, "-i", "text=you")
    assert "hello you" in done.stdout


def test_names_of_one_file_stay_what_they_are(project: MakeProject) -> None:
    """Also when the daemon gets only what has changed since the last build; and attributes come along."""
    made = project("hard-links", HELLO, {"a.txt": "one", "d/x.txt": "x"})
    for name in ("b.txt", "d/c.txt"):
        (made.root / name).hardlink_to(made.root / "a.txt")
    with contextlib.suppress(OSError):  # where the file system has none
        os.setxattr(made.root / "d/x.txt", "user.kind", b"kept")
    expected = {"a.txt", "b.txt", "cog.yaml", "d", "d/c.txt", "d/x.txt", "predict.py"}
    found: dict[str, dict[str, tarfile.TarInfo]] = {}
    for engine in ("buildkit", "docker"):
        words = ["build", "--engine", engine, "--progress", "quiet", "-o", "type=tar,dest=../files.tar"]
        for number in range(2):
            (made.root / f"{engine}{number}.txt").write_text("new")
            expected.add(f"{engine}{number}.txt")
            made.cogc(*words)
            with tarfile.open(made.root.parent / "files.tar") as archive:
                members = {entry.name.removeprefix("src/"): entry for entry in archive if entry.name.startswith("src/")}
            assert {name.rstrip("/") for name in members if not name.startswith(".cog")} - {""} == expected
        found[engine] = members
    for name in ("a.txt", "b.txt", "d/c.txt", "d/x.txt"):
        ours, theirs = found["buildkit"][name], found["docker"][name]
        assert (ours.type, ours.linkname, ours.pax_headers) == (theirs.type, theirs.linkname, theirs.pax_headers)


@pytest.mark.parametrize("options", [(), ("--dockerfile", "D")])
def test_builds_at_the_same_time_get_their_own_files(
    engine: Engine, project: MakeProject, options: tuple[str, ...]
) -> None:
    """Projects that differ in a file alone: to the daemon, equal operations of several builds are one."""
    projects = {}
    for number in range(3):
        files = {"D": "FROM python:3.11-slim-bookworm\nCOPY mine.txt /src/\n", "mine.txt": f"{engine.session} {number}"}
        projects[engine.name(f"at-once-{number}")] = project("at-once", HELLO, files)
    words = [cogc_program(), "build", "--engine", "buildkit", "--progress", "quiet", *options, "-t"]
    running = [subprocess.Popen([*words, name], cwd=made.root) for name, made in projects.items()]
    assert [process.wait(300) for process in running] == [0, 0, 0]
    for name, made in projects.items():
        assert Image(engine, name).shell("cat /src/mine.txt") == (made.root / "mine.txt").read_text()


def test_a_step_that_fails_is_reported_at_its_line(project: MakeProject) -> None:
    config = HELLO.replace("build:\n", "build:\n  run:\n    - echo before\n    - echo oh no && exit 7\n")
    made = project("fails", config)
    done = made.cogc("build", "--engine", "buildkit", "-t", "cogc-e2e-fails", "--progress", "quiet", check=False)
    assert done.returncode == 1
    assert "error[COG630]: the command `echo oh no && exit 7` failed with exit code 7" in done.stderr
    assert "cog.yaml:4:7" in done.stderr
    assert "oh no\n" in done.stderr


def test_a_secret_that_is_not_there_stops_the_build(project: MakeProject) -> None:
    mount = "{command: cat /s, mounts: [{type: secret, id: s, target: /s}]}"
    made = project("secretless", HELLO.replace("build:\n", f"build:\n  run:\n    - {mount}\n"))
    done = made.cogc("build", "--engine", "buildkit", "-t", "cogc-e2e-secretless", "--progress", "quiet", check=False)
    assert done.returncode == 1
    assert "COG632" in done.stderr


@pytest.mark.parametrize("builder", [None, "default"])
def test_routes_to_the_daemon(engine: Engine, builder: str | None) -> None:
    connection = Connection(connect(find_address(builder)))
    try:
        assert connection.unary("/moby.buildkit.v1.Control/ListWorkers", b"")
    finally:
        connection.close()


def test_buildctl_reads_the_definition(project: MakeProject) -> None:
    if shutil.which("buildctl") is None:
        pytest.skip("there is no buildctl on the PATH")
    made = project("dumped", HELLO)
    words = (cogc_program(), "compile", "--emit", "llb")
    raw = subprocess.run(words, cwd=made.root, capture_output=True, check=True).stdout
    shown = subprocess.run(["buildctl", "debug", "dump-llb"], input=raw, capture_output=True, check=True).stdout
    digests = [json.loads(line)["Digest"] for line in shown.splitlines() if line.strip()]
    assert len(digests) == len(LLB.decode("Definition", raw)["def"])
