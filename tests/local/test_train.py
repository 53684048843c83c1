"""Trainings on this machine: functions and classes, and what becomes of their results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.local.harness import HERE

ROOT = Path(__file__).resolve().parents[2]


def test_a_function_that_returns_a_file(project):
    project.write("cog.yaml", f'build:\n  python_version: "{HERE}"\ntrain: "train.py:train"\n')
    project.write(
        "train.py",
        """
        from cog import BasePredictor, File
        import io

        def train(param: str) -> File:
            return io.StringIO("hello " + param)
        """,
    )
    done = project.run("train", "--engine", "local", "-i", "param=train")
    assert (done.status, done.out) == (0, ""), done.err
    assert "Written output to: weights" in done.err
    assert (project.root / "weights").read_text() == "hello train"
    done = project.run("train", "--engine", "local", "-i", "param=again", "-o", "elsewhere.txt")
    assert (project.root / "elsewhere.txt").read_text() == "hello again"
    done = project.run("predict", "--engine", "local", "-i", "param=train")
    assert done.status == 1
    assert "error[COG600]: no `predict` is set in cog.yaml" in done.err


def test_a_class_with_several_outputs(project):
    for path in (ROOT / "examples/trainer").iterdir():
        shutil.copy(path, project.root / path.name)
    config = (project.root / "cog.yaml").read_text()
    project.write("cog.yaml", config.replace("3.12", HERE))
    project.write("data.jsonl", '{"x": 1, "y": 2}\n{"x": 2, "y": 4}\n')
    words = ["-i", "train_data=@data.jsonl", "-i", "learning_rate=0.1", "-i", "num_epochs=50"]
    done = project.run("train", "--engine", "local", *words)
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert document["weights"] == "weights"
    assert document["steps"] == 100
    assert "epoch 49: loss" in done.err
    assert abs(json.loads((project.root / "weights").read_text())["slope"] - 2) < 0.01
    (project.root / "weights").rename(project.root / "tuned")  # or they are found without being named
    done = project.run("predict", "--engine", "local", "-e", "COG_WEIGHTS=tuned", "-i", "x=21")
    assert abs(float(done.out) - 42) < 0.5
    assert project.run("predict", "--engine", "local", "-i", "x=21").out == "21.0\n"


def test_wrong_inputs_and_a_directory_called_weights(project):
    project.write("cog.yaml", f'build:\n  python_version: "{HERE}"\ntrain: "train.py:train"\n')
    project.write("train.py", "def train(steps: int) -> str:\n    return 'a' * steps\n")
    (project.root / "weights").mkdir()
    done = project.run("train", "--engine", "local", "-i", "steps=x")
    assert done.status == 1
    assert 'error[COG710]: invalid input "steps": expected integer, got string' in done.err
    assert "error[COG501]: Output path is not writable: weights is a directory" in done.err
    assert not (project.root / ".cog").exists()


def test_a_training_that_fails(project):
    project.write("cog.yaml", f'build:\n  python_version: "{HERE}"\ntrain: "train.py:train"\n')
    project.write("train.py", "def train() -> str:\n    raise ValueError('no data')\n")
    done = project.run("train", "--engine", "local")
    assert (done.status, done.out) == (1, "")
    assert 'error[COG721]: Training failed with status "failed": no data' in done.err
    assert not (project.root / "weights").exists()
    done = project.run("train", "--engine", "local", "--json", "{}")
    assert done.status == 1
    assert json.loads(done.out)["status"] == "failed"
