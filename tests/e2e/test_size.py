"""What `cogc size` says beforehand, against the layers of the image that is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine

pytestmark = [pytest.mark.engine, pytest.mark.network]

CONFIG = """\
build:
  python_version: "3.11"
  python_packages: [requests==2.32.3, pillow==11.2.1]
predict: predict.py:Predictor
"""
MIB = 1024 * 1024


def _is_near(measured: int, predicted: Mapping[str, Any]) -> bool:
    """Files are exact but for blocks and directories of the file system; estimates are good to a factor of 1.6."""
    size = predicted["size_bytes"]
    if predicted["certainty"] == "exact":
        return abs(measured - size) < 0.02 * size + 100_000
    return size / 1.6 < measured < size * 1.6


def test_predicted_and_measured_sizes_agree(engine: Engine, project: MakeProject) -> None:
    made = project("sized", CONFIG, {"data.txt": "x" * 3_000_000, "sub/more.txt": "y" * 1_000_000})
    made.write("weights/a.bin", bytes(range(256)) * (15 * MIB // 256))
    made.cogc("lock")
    predicted = json.loads(made.cogc("size", "--format", "json").stdout)
    built = json.loads(
        made.cogc("build", "--locked", "--format", "json", "--progress", "quiet", "--tag", engine.name("sized")).stdout
    )
    parts = {part["what"]: part for part in predicted["parts"]}
    layers = {layer["title"]: layer["size_bytes"] for layer in built["layers"]}
    # The base images of this engine need not be the published ones, so that theirs is not compared.
    checked = ["the project's code", "weights: weights", "the runtime and its server"]
    wrong = {name: (parts[name], layers[name]) for name in checked if not _is_near(layers[name], parts[name])}
    assert wrong == {}
    of_packages = [part for part in predicted["parts"] if part["stage"] == "packages"]
    assert all(part["size_bytes"] for part in of_packages)
    together = {"size_bytes": sum(part["size_bytes"] for part in of_packages), "certainty": "estimated"}
    assert _is_near(layers["Python packages (uv)"], together), (together, layers)
    assert predicted["is_complete"]
    known = predicted["total_bytes"] - parts["base image python:3.11-slim-bookworm"]["size_bytes"]
    total = sum(layer["size_bytes"] for layer in built["layers"] if layer["stage"] is not None)
    assert known / 1.4 < total < known * 1.4
