"""`cogc size`: a table for people, a document for programs, the lock where it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cogc.cli import main
from cogc.ir.lock_document import render_lock
from tests.locks import lock_for, package

CONFIG = "build:\n  gpu: true\n  python_version: '3.12'\n  python_packages: [torch==2.8.0, numpy]\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cog.yaml").write_text(CONFIG)
    (tmp_path / "predict.py").write_text("x" * 5000)
    monkeypatch.delenv("COG_CA_CERT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_for_each_part_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "   ~6.8 GB  packages  torch 2.8.0 with what it needs" in lines
    assert "         ?  packages  numpy: known after `cogc lock`" in lines
    assert lines[-1].startswith("    7.2 GB  image     in all, without 1 that is not known; the biggest: torch 2.8.0")


def document(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["size", "--format", "json", *words]) == status
    return json.loads(capsys.readouterr().out)


def test_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    made = document(capsys)
    assert made["total_bytes"] == sum(part["size_bytes"] or 0 for part in made["parts"])
    assert made["total_bytes"] == sum(stage["size_bytes"] for stage in made["stages"])
    assert made["is_complete"] is False
    assert made["biggest"] == "torch 2.8.0 with what it needs"
    assert {part["certainty"] for part in made["parts"]} == {"exact", "estimated", "guessed", "unknown"}


def test_over_budget_everything_is_still_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", "--budget", "6GB"]) == 1
    printed = capsys.readouterr()
    assert "torch 2.8.0" in printed.out
    assert "error[COG270]: the image will have about 7.2 GB or more, and its budget is 6 GB" in printed.err
    assert "note: 6.8 GB: torch 2.8.0 with what it needs" in printed.err
    made = document(capsys, "--budget", "6GB", status=1)
    assert [found["code"] for found in made["diagnostics"] if found["severity"] == "error"] == ["COG270"]
    assert main(["size", "--budget", "8GB"]) == 0


def test_a_budget_stops_other_commands_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--budget", "6GB", "-o", "Dockerfile"]) == 1
    assert "COG270" in capsys.readouterr().err
    assert sorted(path.name for path in project.iterdir()) == ["cog.yaml", "predict.py"]


@pytest.mark.parametrize("size", ["", "0", "much", "-1GB"])
def test_what_is_no_size(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", f"--budget={size}"]) == 2
    assert "COG503" in capsys.readouterr().err


def test_the_lock_is_used_while_it_fits(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = lock_for(CONFIG, packages=[package("numpy", "2.0", size_bytes=1_000_000), package("torch", "2.8.0")])
    (project / "cog.lock").write_text(render_lock(lock))
    parts = {part["what"]: part["size_bytes"] for part in document(capsys)["parts"]}
    assert parts["numpy 2.0"] == 7_000_000
    (project / "cog.yaml").write_text(CONFIG.replace("numpy", "scipy"))
    made = document(capsys)
    assert "scipy: known after `cogc lock`" in {part["what"] for part in made["parts"]}
    assert [found["code"] for found in made["diagnostics"] if found["severity"] == "error"] == []
    made = document(capsys, "--locked", status=1)
    assert [found["code"] for found in made["diagnostics"] if found["severity"] == "error"] == ["COG262"]


def test_small_parts_are_listed_when_asked_for(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packages = [package(f"p{number}", size_bytes=1000 * number + 1000) for number in range(10)]
    (project / "cog.lock").write_text(render_lock(lock_for(CONFIG, packages=packages)))
    assert main(["size"]) == 0
    few = capsys.readouterr().out
    assert " packages  4 more\n" in few
    assert main(["size", "--all"]) == 0
    everything = capsys.readouterr().out
    assert all(f"p{number} 1.0" in everything for number in range(10))


def test_a_broken_configuration(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "cog.yaml").write_text("build: {gpu: maybe}")
    assert main(["size"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "COG121" in printed.err
