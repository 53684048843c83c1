"""Options of `cogc build` that go to the docker program: platform, builder, labels, records of the build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine, Project

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def own(project: MakeProject) -> Project:
    """A project whose image has one file."""
    return project("flags", "predict: predict.py:Predictor\n", {"D": "FROM scratch\nCOPY D /\n"})


def _documents(image: Path) -> list[dict[str, Any]]:
    """All documents of an image in files."""
    texts = [path.read_bytes() for path in (image / "blobs/sha256").iterdir()]
    return [json.loads(text) for text in texts if text.startswith(b"{")]


def test_platform_builder_label_and_provenance(engine: Engine, own: Project, tmp_path: Path) -> None:
    words = ("build", "--dockerfile", "D", "-t", engine.name("flags"), "--progress", "quiet")
    options = ("--platform", "linux/arm64", "--builder", "default", "--label", "team=a b", "--provenance", "true")
    own.cogc(*words, *options, "-o", f"type=oci,tar=false,dest={tmp_path}/image")
    documents = _documents(tmp_path / "image")
    (config,) = [found for found in documents if found.get("architecture") == "arm64" and "rootfs" in found]
    assert config["config"]["Labels"]["team"] == "a b"
    assert any("slsa.dev/provenance" in found.get("predicateType", "") for found in documents)

    own.cogc(*words, "--provenance", "false", "-o", f"type=oci,tar=false,dest={tmp_path}/without")
    assert not any("predicateType" in found for found in _documents(tmp_path / "without"))


def test_list_of_contents_is_asked_of_its_generator(engine: Engine, own: Project) -> None:
    words = ("build", "--dockerfile", "D", "-t", engine.name("flags"), "--format", "json", "-o", "type=cacheonly")
    failed = own.cogc(*words, "--sbom", "generator=localhost:1/no-such-scanner", check=False)
    assert failed.returncode == 1
    errors = [found for found in json.loads(failed.stdout)["diagnostics"] if found["severity"] == "error"]
    assert "localhost:1/no-such-scanner" in errors[0]["message"]
