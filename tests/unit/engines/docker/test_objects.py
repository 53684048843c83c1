"""Failures of the docker program, seen through python-on-whales, with a program that says what docker says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from cogc.diagnostics import Diagnostic
from cogc.engines import EngineFailure
from cogc.engines.docker.cli import DockerCli
from cogc.engines.docker.objects import find_image, objects_of, remove_container, translated

Program = Callable[[str], DockerCli]


class Shown:
    """A reporter that keeps the calls it is told of."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def notice(self, text: str) -> None: ...

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None: ...

    def copy(self, data: bytes) -> None: ...

    def program(self, words: Sequence[str], variables: Iterable[tuple[str, str]] = ()) -> None:
        self.calls.append(list(words))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def make(script: str) -> DockerCli:
        path = tmp_path / "docker"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return DockerCli(Shown(), str(path))

    return make


def codes(failure: pytest.ExceptionInfo[EngineFailure]) -> list[str]:
    return [found.code for found in failure.value.diagnostics]


def test_an_image_is_an_object(program: Program) -> None:
    docker = program(
        """echo '[{"Id": "sha256:1", "RepoDigests": ["a@sha256:2"], "RootFS": {"Layers": ["sha256:3"]}}]'"""
    )
    image = find_image(docker, "a")
    assert image is not None
    assert (image.id, image.repo_digests, image.root_fs.layers) == ("sha256:1", ["a@sha256:2"], ["sha256:3"])


def test_an_image_that_is_not_there_is_none(program: Program) -> None:
    docker = program("echo 'Error response from daemon: No such image: a:latest' >&2; exit 1")
    assert find_image(docker, "a") is None


def test_an_engine_that_does_not_answer_is_not_an_absent_image(program: Program) -> None:
    docker = program("echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2; exit 1")
    with pytest.raises(EngineFailure) as failure:
        find_image(docker, "a")
    assert codes(failure) == ["COG621"]
    remove_container(docker, "a")  # which is done on the way out: it must not hide why


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineFailure) as failure:
        find_image(DockerCli(Shown(), str(tmp_path / "docker")), "a")
    assert codes(failure) == ["COG620"]


@pytest.mark.parametrize("answer", ["nonsense", '[{"Id": ["no", "text"]}]'])
def test_an_answer_that_cannot_be_read(program: Program, answer: str) -> None:
    with pytest.raises(EngineFailure) as failure:
        find_image(program(f"echo '{answer}'"), "a")
    assert codes(failure) == ["COG626"]


def test_what_nobody_knows_is_shown_as_it_is(program: Program) -> None:
    docker = program("echo 'the moon is full' >&2; exit 125")
    with (
        pytest.raises(EngineFailure, match=r"`docker image push` failed: the moon is full"),
        translated(docker, "image push"),
    ):
        objects_of(docker).image.push("a", quiet=True)


def test_calls_are_shown_as_our_own_are(program: Program) -> None:
    for script in ("exit 1", "exit 1"):  # the calls go to the reporter of the client at hand
        docker = program(script)
        remove_container(docker, "it's")
        assert isinstance(docker.reporter, Shown)
        assert docker.reporter.calls == [[docker.program, "container", "rm", "--force", "it's"]]


@pytest.mark.parametrize("meanwhile", ["", "raise SystemExit(1)", "import python_on_whales"])
def test_a_command_may_end_while_the_library_is_imported(meanwhile: str) -> None:
    code = f"from cogc.engines.docker.objects import begin_import\nbegin_import()\n{meanwhile}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1 if "raise" in meanwhile else 0, "", "")
