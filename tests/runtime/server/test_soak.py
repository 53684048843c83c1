"""A short form of `scripts/soak.py`: a mixed load, after which nothing is lost and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.runtime.server.harness import ROOT


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_left():
    command = [sys.executable, str(ROOT / "scripts" / "soak.py"), "--seconds", "20"]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert "0 problems" in result.stdout
