"""`cogc doctor` on a machine with an engine, and on one without."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine

pytestmark = pytest.mark.engine


def test_engine_is_looked_at(engine: Engine, project: MakeProject) -> None:
    made = project("doctor", HELLO, {".dockerignore": ".git\n"})
    document = json.loads(made.cogc("doctor", "--format", "json").stdout)
    states = {check["name"]: check for check in document["checks"]}
    version = engine.text("version", "--format", "{{.Server.Version}}").strip()
    assert version in states["env-docker"]["remark"]
    assert re.fullmatch(r"buildx \d+\.\d+\S*", states["env-buildx"]["remark"])
    assert states["env-disk"]["state"] in ("ok", "warning", "skipped")
    assert states["env-gpu-runtime"]["state"] == "skipped"


def test_absence_of_an_engine_is_an_error_unless_skipped(engine: Engine, project: MakeProject) -> None:
    made = project("doctor", HELLO)
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    done = made.cogc("doctor", check=False, environment=nowhere)
    assert done.returncode == 1
    assert "✗ env-docker" in done.stdout
    assert "Remediation: start Docker" in done.stdout
    assert "Found 1 error" in done.stdout
    skipped = made.cogc("doctor", environment={**nowhere, "COG_SKIP_DOCKER_CHECK": "1"})
    assert "- env-docker" in skipped.stdout
    assert "no issues found" in skipped.stdout
