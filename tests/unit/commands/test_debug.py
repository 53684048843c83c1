"""`cogc debug`: the Dockerfile of a build, and both of them with separate weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cogc.cli import main

CONFIG = "build:\n  python_packages: [six==1.16.0]\npredict: predict.py:Predictor\n"
PREDICT = "class Predictor:\n    def predict(self) -> str: ...\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cog.yaml").write_text(CONFIG)
    (tmp_path / "predict.py").write_text(PREDICT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_what_compile_prints_and_stages_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["debug"]) == 0
    printed = capsys.readouterr().out
    assert not (project / ".cog").exists()
    assert main(["compile"]) == 0
    assert capsys.readouterr().out == printed


def test_separate_weights_are_three_sections(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "checkpoints").mkdir()
    with (project / "checkpoints/model.bin").open("wb") as file:
        file.truncate(10 * 1024 * 1024)
    assert main(["debug", "--separate-weights", "--image-name", "resnet"]) == 0
    sections = re.findall(r"^=== ([^\n]+):\n(.*?)^===$", capsys.readouterr().out, re.MULTILINE | re.DOTALL)
    assert [title for title, _ in sections] == [
        "Weights Dockerfile contents",
        "Runner Dockerfile contents",
        "Weights exclude patterns",
    ]
    weights, runner, patterns = (text for _, text in sections)
    assert "COPY checkpoints /src/checkpoints" in weights
    assert "FROM resnet-weights AS weights" in runner
    assert patterns == "checkpoints\ncheckpoints/**/*\n"


def test_errors_print_no_dockerfile(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "cog.yaml").write_text("build:\n  gpus: true\n")
    assert main(["debug"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "COG120" in captured.err
