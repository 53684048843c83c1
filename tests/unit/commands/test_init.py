"""`cogc init`: what it writes, what it leaves alone, and that the result is a clean project."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from cogc.cli import main

FORMS = [(), ("--train",), ("--runner",), ("--train", "--runner"), ("--ci", "github")]


def names_in(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_writes_the_usual_files(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert names_in(tmp_path) == {"cog.yaml", "predict.py", "requirements.txt", ".dockerignore"}
    config = yaml.safe_load((tmp_path / "cog.yaml").read_text("utf-8"))
    assert config == {
        "build": {"gpu": False, "python_version": "3.12", "python_requirements": "requirements.txt"},
        "predict": "predict.py:Predictor",
    }


def test_makes_the_directory(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "a" / "b")]) == 0
    assert (tmp_path / "a" / "b" / "cog.yaml").is_file()


def test_train_adds_a_file_and_a_key(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "--train"]) == 0
    assert yaml.safe_load((tmp_path / "cog.yaml").read_text("utf-8"))["train"] == "train.py:train"
    assert (tmp_path / "train.py").is_file()


def test_runner_uses_the_newer_names(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "--runner"]) == 0
    config = yaml.safe_load((tmp_path / "cog.yaml").read_text("utf-8"))
    assert config["run"] == "run.py:Runner"
    assert "predict" not in config
    assert not (tmp_path / "predict.py").exists()
    assert "class Runner(BaseRunner):" in (tmp_path / "run.py").read_text("utf-8")


@pytest.mark.parametrize("flags", FORMS, ids=" ".join)
def test_the_project_has_no_problems_and_compiles(
    tmp_path: Path, flags: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path), *flags]) == 0
    capsys.readouterr()
    config = str(tmp_path / "cog.yaml")
    assert main(["check", config, "--strict", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["diagnostics"] == []
    assert main(["compile", config, "-o", str(tmp_path / "Dockerfile")]) == 0
    assert capsys.readouterr().err.startswith("wrote ")
    assert (tmp_path / ".cog" / "build" / "openapi_schema.json").is_file()
    assert main(["compile", config, "--check", str(tmp_path / "Dockerfile")]) == 0


@pytest.mark.parametrize("flags", FORMS, ids=" ".join)
def test_the_code_is_python(tmp_path: Path, flags: Sequence[str]) -> None:
    assert main(["init", str(tmp_path), *flags]) == 0
    for path in tmp_path.glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


def test_existing_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "predict.py").write_text("# mine\n")
    (tmp_path / ".dockerignore").symlink_to("nowhere")
    assert main(["init", str(tmp_path), "--format", "json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["skipped"] == ["predict.py", ".dockerignore"]
    assert done["created"] == ["cog.yaml", "requirements.txt"]
    assert (tmp_path / "predict.py").read_text() == "# mine\n"
    assert not (tmp_path / "nowhere").exists()


def test_a_second_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path), "--train", "--ci", "github"]) == 0
    before = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)}
    capsys.readouterr()
    assert main(["init", str(tmp_path), "--train", "--ci", "github"]) == 0
    out = capsys.readouterr().out
    assert "created" not in out
    assert out.count("skipped") == len(before)
    assert {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)} == before


def test_a_file_instead_of_the_directory_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "COG501" in captured.err


def test_the_workflow_runs_commands_that_exist(tmp_path: Path) -> None:
    from cogc.cli import COMMANDS

    assert main(["init", str(tmp_path), "--ci", "github"]) == 0
    workflow = yaml.safe_load((tmp_path / ".github/workflows/cogc.yaml").read_text("utf-8"))
    runs = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    ours = [run.split()[1] for run in runs if run.startswith("cogc ")]
    assert ours == ["check", "compile"]
    assert set(ours) <= set(COMMANDS)
