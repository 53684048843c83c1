"""Versions that cogc chooses are those that an installer takes from the package index.

The lines are what public projects ask of packages that the matrix knows. uv resolves them for the same Python and a
platform as that of the base image, against the index that pip is configured to use; only wheels count, so that no code
of a package runs. Builds of PyTorch's own index are compared by their release.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from cogc.diagnostics import has_errors
from cogc.engines import EngineFailure
from cogc.engines.uv_resolver import find_uv
from scripts.collector.index import index_url
from tests.build_requests import resolved

SECONDS = 100


class Choice(NamedTuple):
    """A project as far as it bears on the choice."""

    lines: tuple[str, ...]
    python: str
    cuda: str | None = None
    is_gpu: bool = True


CHOICES = (
    Choice(("torch==1.13.0", "torchvision==0.14.0", "numpy==1.19.4"), "3.8", "11.3"),
    Choice(("torch==2.0.1", "numpy==1.26.0", "torchvision==0.15.2"), "3.11"),
    Choice(("numpy==1.24.2", "torch==2.0.1", "torchvision==0.15.2", "xformers==0.0.22"), "3.11"),
    Choice(("torch==2.0.1", "torchaudio==2.0.2"), "3.11"),
    Choice(("numpy==1.26.4", "torch==2.4.1", "torchvision==0.19.1"), "3.11"),
    Choice(("torch>=2.1.1",), "3.11"),
    Choice(("torch==2.0.1", "torchvision==0.15.2", "torchaudio==2.0.2", "onnxruntime-gpu==1.16.0"), "3.10"),
    Choice(("numpy", "torch", "torchaudio", "torchvision"), "3.10"),
    Choice(("tensorflow==2.11.0",), "3.9.13"),
    Choice(("torch==2.0.0", "torchvision"), "3.10", "11.8"),
    Choice(("torch==1.7.1", "torchvision==0.8.2", "numpy==1.21.1"), "3.8"),
    Choice(("torchaudio>=2.0.2", "torch>=2.0.1"), "3.11"),
    Choice(("torch==2.3.0", "torchvision==0.18.0", "numpy==1.24.4"), "3.8", None, False),
    Choice(("torch==2.4", "numpy", "torchvision"), "3.10", "12.1"),
    Choice(("xformers==0.0.20", "torch==2.0.1"), "3.9", "11.6"),
    Choice(("torch==2.7.1", "torchvision", "torchaudio", "numpy>=1.25.0"), "3.12", "12.1"),
    Choice(("numpy<2", "torch==2.2", "torchvision==0.17.0"), "3.11", "12.1"),
    Choice(("torch>=2.1.0", "torchvision>=0.16.0", "torchaudio>=2.1.0"), "3.11", "12.1"),
    Choice(("torch==2.3.1", "torchvision>=0.15.2", "numpy==1.26.4"), "3.10"),
    Choice(("numpy>=1.21.0,<2.0.0", "torch>=2.0.0,<2.3.0", "torchvision", "torchaudio"), "3.11", "12.1"),
    Choice(("torch>=2.8.0", "numpy"), "3.10"),
    # What others have run into.
    Choice(("tensorflow[and-cuda]==2.20.0", "torch<2.11"), "3.12"),
    Choice(("vllm==0.11.0", "torch>=2.3"), "3.12"),
    Choice(("jax[cuda12]==0.4.31",), "3.11"),
)
REFUSED = (
    Choice(("torch==2.1.2", "torchvision==0.14.0"), "3.11", "11.8"),
    Choice(("torch==2.8.0", "nvidia-cublas-cu12==12.4.5.8"), "3.11"),
    Choice(("tensorflow[and-cuda]==2.19.0", "torch==2.8.0"), "3.12"),
    Choice(("torch==2.1.0",), "3.13"),
    Choice(("vllm==0.11.0", "torchvision==0.22.0"), "3.12"),
)

pytestmark = pytest.mark.network


def cogc_of(choice: Choice) -> tuple[dict[str, str], bool]:
    """The releases that cogc chooses, by package; and whether it refuses."""
    settings = [f"gpu: {str(choice.is_gpu).lower()}", f"python_packages: {json.dumps(choice.lines)}"]
    settings += [f'cuda: "{choice.cuda}"'] if choice.cuda else []
    settings += [f'python_version: "{choice.python}"']
    resolution, found = resolved(", ".join(settings))
    if resolution is None:
        return {}, has_errors(found)
    return {name: version for name, version, _ in (*resolution.packages, *resolution.brought_along)}, False


def uv_of(choice: Choice, folder: Path) -> dict[str, str] | None:
    """The releases that uv takes from the package index; None where it finds none that fit."""
    try:
        uv = find_uv()
    except EngineFailure:
        pytest.skip("uv is not installed")
    # A two-part pin of torch means its newest patch release here.
    lines = [re.sub(r"^(torch)==(\d+\.\d+)$", r"\1==\2.*", line) for line in choice.lines]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
    words = [uv, "pip", "compile", "requirements.txt", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    words += ["--python-version", choice.python, "--python-platform", "x86_64-manylinux_2_36"]
    words += ["--default-index", index_url(), "--no-config", "--quiet"]
    words.append("--no-python-downloads")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_FIND"))}
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the package index did not answer in {SECONDS} seconds")
    if done.returncode != 0:
        told = done.stderr.lower()
        if any(words in told for words in ("failed to fetch", "request failed", "error sending request")):
            pytest.skip("the package index does not answer")
        assert "no solution found" in told, done.stderr
        return None
    pinned = (Requirement(line.strip()) for line in done.stdout.splitlines() if "==" in line)
    return {each.name: str(each.specifier).removeprefix("==") for each in pinned}


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: " ".join(choice.lines))
def test_the_same_as_uv(choice: Choice, tmp_path: Path) -> None:
    ours, is_refused = cogc_of(choice)
    assert not is_refused
    theirs = uv_of(choice, tmp_path)
    assert theirs is not None
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.parametrize("choice", REFUSED, ids=lambda choice: " ".join(choice.lines))
def test_what_is_refused_cannot_be_installed(choice: Choice, tmp_path: Path) -> None:
    assert cogc_of(choice) == ({}, True)
    assert uv_of(choice, tmp_path) is None
