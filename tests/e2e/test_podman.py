"""Podman in docker's place builds and runs models. Skipped where Podman is not installed or cannot run containers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine

pytestmark = pytest.mark.engine

IMAGES = ("python:3.11-slim-bookworm", "ghcr.io/astral-sh/uv:0.13")
NAME = "localhost/cogc-e2e-podman"


@pytest.fixture(scope="module")
def environment(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables with which `docker` is Podman, that has the base images of the engine."""
    podman = shutil.which("podman")
    if podman is None:
        pytest.skip("there is no podman")
    folder = tmp_path_factory.mktemp("bin")
    (folder / "docker").write_text(f'#!/bin/sh\nexec {podman} "$@"\n')
    (folder / "docker").chmod(0o755)
    (folder / "config.json").write_text("{}")
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    variables = {"PATH": path, "DOCKER_CONFIG": str(folder), "DOCKER_HOST": ""}
    for image in IMAGES:
        podman_says(variables, "load", stdin=engine.docker("save", image).stdout)
    tried = podman_says(variables, "run", "--rm", IMAGES[0], "true")
    if tried.returncode:
        pytest.skip(f"podman cannot run containers here: {tried.stderr.decode().strip().splitlines()[-1:]}")
    yield variables
    podman_says(variables, "image", "rm", "--force", NAME, "cog-podman-base")


def podman_says(variables: dict[str, str], *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["podman", *words], input=stdin, env={**os.environ, **variables}, capture_output=True)


def test_a_model_is_built_and_predicts(environment: dict[str, str], project: MakeProject) -> None:
    made = project("podman", HELLO)
    built = made.cogc("build", "-t", NAME, environment=environment)
    assert f"Image built as {NAME}" in built.stderr
    facts = made.cogc("inspect", NAME, environment=environment).stdout
    assert "predict.py:Predictor" in facts
    listed = made.cogc("inspect", NAME, "--format=json", environment=environment).stdout
    assert "six==1.16.0" in listed  # the label with the packages
    on_image = made.cogc("predict", NAME, "-i", "text=image", environment=environment)
    assert on_image.stdout.strip() == "hello image"
    on_project = made.cogc("predict", "-i", "text=project", environment=environment)
    assert on_project.stdout.strip() == "hello project"
    assert b"cogc-" not in podman_says(environment, "ps", "--all", "--format={{.Names}}").stdout


def test_a_failing_step_is_reported_at_its_line(environment: dict[str, str], project: MakeProject) -> None:
    made = project("podman-fails", HELLO.replace("predict:", "  run:\n    - echo said && exit 7\npredict:"))
    failed = made.cogc("build", "-t", NAME, environment=environment, check=False)
    assert failed.returncode == 1
    assert "error[COG630]" in failed.stderr
    assert "failed with exit code 7\n  --> cog.yaml:6:7" in failed.stderr
    assert "said" in failed.stderr


def test_what_needs_buildkit_is_refused(environment: dict[str, str], project: MakeProject) -> None:
    failed = project("podman-sbom", HELLO).cogc("build", "--sbom", environment=environment, check=False)
    assert failed.returncode == 1
    assert "error[COG503]: --sbom: `docker` is Podman here" in failed.stderr
