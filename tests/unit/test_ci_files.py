"""action.yml and .pre-commit-hooks.yaml: what they run is right, and does what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cogc.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
CONFIG = 'build:\n  python_version: "3.12"\npredict: predict.py:Predictor\n'
PREDICT = "from cog import BasePredictor\n\n\nclass Predictor(BasePredictor):\n    def predict(self) -> str:\n        return ''\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "cog.yaml").write_text(CONFIG)
    (folder / "predict.py").write_text(PREDICT)
    monkeypatch.chdir(tmp_path)
    return folder


def run_action(**inputs: str) -> subprocess.CompletedProcess[str]:
    """The steps that run cogc, as a runner does it: one after the other until one fails."""
    values = {name: inputs.get(name.replace("-", "_"), given["default"]) for name, given in ACTION["inputs"].items()}
    done = subprocess.CompletedProcess[str]([], 0, "", "")
    for step in ACTION["runs"]["steps"]:
        script = step.get("run", "")
        if not script.startswith("cogc ") or ("if" in step and not values["dockerfile"]):
            continue
        environment = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: values[m[1]], text)
            for name, text in step["env"].items()
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = subprocess.run(command, env={**os.environ, **environment, "PATH": path}, capture_output=True, text=True)
        if done.returncode:
            break
    return done


def test_inputs_reach_scripts_as_variables_only() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    assert not any("${{" in step.get("run", "") for step in ACTION["runs"]["steps"])


def test_sound_project_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(project), "-o", str(project / "Dockerfile")]) == 0
    capsys.readouterr()
    assert run_action(file="model", dockerfile="model/Dockerfile").returncode == 0


def test_problem_becomes_an_annotation(project: Path) -> None:
    (project / "cog.yaml").write_text("build:\n  gpus: true\n")
    done = run_action(file="model")
    assert done.returncode == 1
    assert "::error file=model/cog.yaml,line=2," in done.stdout


def test_warnings_fail_when_strict(project: Path) -> None:
    (project / "cog.yaml").write_text(CONFIG.replace('"3.12"', "3.12"))
    assert run_action(file="model").returncode == 0
    assert run_action(file="model", strict="true").returncode == 1


def test_dockerfile_that_is_out_of_date_fails(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    done = run_action(file="model", dockerfile="model/Dockerfile", compile_args="--inline")
    assert done.returncode == 1
    assert "-FROM scratch" in done.stdout


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_run_commands_of_cogc_when_the_project_changes(hook: dict[str, Any]) -> None:
    words = shlex.split(hook["entry"])
    assert words[0] == "cogc"
    assert words[1] in COMMANDS
    for name in ("cog.yaml", "models/a/cog.yaml", "cog-gpu.yml", "requirements.txt", "predict.py", ".dockerignore"):
        assert re.search(hook["files"], name), name
    for name in ("README.md", "image.png", "weights.bin"):
        assert not re.search(hook["files"], name), name


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_do_what_they_say(hook: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    words = shlex.split(hook["entry"])[1:]
    assert main(["compile", "-o", "Dockerfile"]) == 0
    assert main(words) == 0
    (project / "cog.yaml").write_text(CONFIG.replace("3.12", "3.13" if words[0] == "compile" else "2.7"))
    assert main(words) == 1
