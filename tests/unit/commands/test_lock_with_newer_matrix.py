"""A lock gives the same build with another compatibility matrix installed, while a build without it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogc.cli import main
from cogc.ir.lock_document import render_lock
from tests.locks import lock_for, package

TORCH = Path(__file__).resolve().parents[3] / "compatibility/torch.json"
CONFIG = "build:\n  gpu: true\n  python_packages: ['torch>=2.3,<2.9']\n"


def compiled(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, dict[str, bytes]]:
    """The Dockerfile and the staged files."""
    capsys.readouterr()
    assert main(["compile", *words]) == 0, capsys.readouterr().err
    staged = Path(".cog/build")
    files = {str(path): path.read_bytes() for path in staged.rglob("*") if path.is_file()}
    return capsys.readouterr().out, files


def test_an_old_lock_builds_the_same_with_a_newer_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.delenv("COG_CA_CERT", raising=False)
    (root / "cog.yaml").write_text(CONFIG)
    (root / "cog.lock").write_text(render_lock(lock_for(CONFIG, packages=[package("torch", "2.8.0")])))
    open_before, locked_before = compiled(capsys), compiled(capsys, "--locked")
    assert "FROM python:3.12-slim-bookworm AS base" in open_before[0]
    # Newer tables, in which releases have gone and the others have wheels for another Python.
    table = json.loads(TORCH.read_text())
    table["rows"] = [{**row, "python": ["3.11"]} for row in table["rows"] if row["version"].startswith("2.5")]
    (tmp_path / "torch.json").write_text(json.dumps(table))
    assert main(["matrix", "use", str(tmp_path / "torch.json")]) == 0
    open_after, locked_after = compiled(capsys), compiled(capsys, "--locked")
    assert "FROM python:3.11-slim-bookworm AS base" in open_after[0]
    assert locked_after == locked_before
    assert main(["lock", "--check"]) == 0
