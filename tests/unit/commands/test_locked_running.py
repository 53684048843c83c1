"""A lock is for images: without containers it is refused, not ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogc.cli import main
from cogc.ir.lock_document import render_lock
from tests.locks import lock_for

CONFIG = 'build:\n  python_version: "3.12"\n'


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cog.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_local_engine_refuses_a_lock(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "cog.lock").write_text(render_lock(lock_for(CONFIG)))
    assert main(["run", "--engine", "local", "--locked", "true"]) == 2
    assert "error[COG503]: --locked: a lock is for images" in capsys.readouterr().err


def test_a_lock_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--engine", "local", "--locked", "true"]) == 1
    assert "error[COG260]" in capsys.readouterr().err
