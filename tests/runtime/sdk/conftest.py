"""Puts the SDK on the path, here only: the compiler never imports it."""

# Runs on Python 3.8 as well.
# ruff: noqa: E402

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
for folder in (ROOT, ROOT / "runtime"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from tests.runtime.sdk.harness import Worker, start


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path, monkeypatch):
    """Files that nobody removes here, for there is no server, go with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def worker(tmp_path):
    """Start workers for sources: `worker("def predict() -> str: ...", "predict")`."""
    started = []

    def make(source: str, name: str = "Predictor", **options: object) -> Worker:
        found = start(tmp_path, source, name, **options)
        started.append(found)
        return found

    yield make
    for found in started:
        found.close()


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load targets of sources in this process: `load(source, "Predictor")`."""
    from textwrap import dedent

    from cog.predictor import load_target

    monkeypatch.chdir(tmp_path)
    path = list(sys.path)

    def forget():
        """Drop what earlier sources have imported from the folder."""
        for name, module in list(sys.modules.items()):
            if str(tmp_path) in str(vars(module).get("__file__")):
                del sys.modules[name]

    def make(source: str, name: str = "Predictor", mode: str = "predict", others=()):
        for other, text in dict(others).items():
            (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / other).write_text(dedent(text))
        (tmp_path / "predict.py").write_text(dedent(source))
        forget()
        return load_target("predict.py:" + name, mode)

    yield make
    sys.path[:] = path
    forget()
