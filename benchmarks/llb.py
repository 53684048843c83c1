"""What the two engines of `cogc build` need for the same changes of the same project, in turns.

Run by hand, with a Docker engine:

    python benchmarks/llb.py [--weights-mib 64] [--assets-mib 64] [--repeat 3]

The project has packages, weights, and files of its own. Every change is new to the cache, so that neither side
gains from the other. The last column is `docker buildx build` of the Dockerfile, staged beforehand, with nothing around
it. A second project has system packages, and Python packages that are installed after them or, when they are wheels for
certain, beside them. Prints Markdown tables of medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

MIB = 1024 * 1024
CONFIG = """\
build:
  python_version: "3.11"
  python_packages:
    - six==1.16.0
    - toml==0.10.2
environment:
  - SESSION={session}
predict: predict.py:Predictor
"""
SYSTEM_AND_PYTHON = """\
build:
  python_version: "3.11"
  system_packages: [ffmpeg]
  python_requirements: requirements.txt
environment:
  - SESSION={session}
predict: predict.py:Predictor
"""
REQUIREMENTS = "numpy==2.2.6\nscipy==1.15.3\npandas==2.2.3\nscikit-learn==1.6.1\n"
ONLY_WHEELS = "--only-binary :all:\n"
PREDICT = """\
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return text  # {mark}
"""
IMAGE = "cogc-benchmark-llb"


class Project:
    """A project in a folder, and its changes."""

    def __init__(self, root: Path, weights_mib: int, assets_mib: int) -> None:
        self.root = root
        self.weights_mib = weights_mib
        self.base()
        self.code()
        self.weights()
        (root / "assets").mkdir()
        for number in range(assets_mib):
            (root / f"assets/{number}.bin").write_bytes(os.urandom(MIB))

    def nothing(self) -> None:
        """No change."""

    def base(self) -> None:
        """A variable that all later steps have."""
        (self.root / "cog.yaml").write_text(CONFIG.format(session=uuid.uuid4().hex))

    def code(self) -> None:
        """An edit of the code."""
        (self.root / "predict.py").write_text(PREDICT.format(mark=uuid.uuid4().hex))

    def weights(self) -> None:
        """Weights of random bytes."""
        path = self.root / "checkpoints/model.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(self.weights_mib * MIB))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights-mib", type=int, default=64)
    parser.add_argument("--assets-mib", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cogc-benchmark-") as directory:
        project = Project(Path(directory), arguments.weights_mib, arguments.assets_mib)
        try:
            measure(project, arguments.repeat)
            measure_side_by_side(Path(directory), arguments.repeat)
        finally:
            subprocess.run(["docker", "image", "rm", "--force", IMAGE], capture_output=True)


def measure(project: Project, repeat: int) -> None:
    for way in WAYS.values():  # base images and the packages of the server are there before
        way(project.root, ())
    print("| change | --engine docker | --engine buildkit | docker buildx alone |")
    print("| --- | --- | --- | --- |")
    rows: list[tuple[str, Callable[[], None], tuple[str, ...]]] = [
        ("nothing", project.nothing, ()),
        ("code", project.code, ()),
        ("weights", project.weights, ()),
        ("a variable of the base", project.base, ()),
        ("everything anew (`--no-cache`)", project.nothing, ("--no-cache",)),
    ]
    for title, change, options in rows:
        taken: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(repeat):
            for name, way in WAYS.items():
                change()
                taken[name].append(way(project.root, options))
        cells = " | ".join(f"{statistics.median(seconds):.1f} s" for seconds in taken.values())
        print(f"| {title} | {cells} |", flush=True)


def measure_side_by_side(root: Path, repeat: int) -> None:
    """System packages and Python packages, both installed anew."""
    root = root / "side-by-side"
    root.mkdir()
    (root / "predict.py").write_text(PREDICT.format(mark=""))
    ways = {
        "--engine docker": ("docker", REQUIREMENTS),
        "--engine buildkit, one after the other": ("buildkit", REQUIREMENTS),
        "--engine buildkit, side by side": ("buildkit", ONLY_WHEELS + REQUIREMENTS),
    }
    taken: dict[str, list[float]] = {title: [] for title in ways}
    for turn in range(repeat + 1):
        for title, (engine, requirements) in ways.items():
            (root / "cog.yaml").write_text(SYSTEM_AND_PYTHON.format(session=uuid.uuid4().hex))
            (root / "requirements.txt").write_text(requirements)
            seconds = cogc(root, engine, ())
            if turn:  # in the first, base images and packages are fetched
                taken[title].append(seconds)
    print("\n| " + " | ".join(ways) + " |\n" + "| --- " * len(ways) + "|")
    print("| " + " | ".join(f"{statistics.median(seconds):.1f} s" for seconds in taken.values()) + " |")


def cogc(root: Path, engine: str, options: tuple[str, ...]) -> float:
    """A whole `cogc build`, from the start of the process."""
    beside = Path(sys.executable).with_name("cogc")
    words = [str(beside), "build", "-t", IMAGE, "--engine", engine, "--progress", "quiet", *options]
    started = time.monotonic()
    subprocess.run(words, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def plain(root: Path, options: tuple[str, ...]) -> float:
    """`docker buildx build` of the Dockerfile that cogc compiles."""
    beside = Path(sys.executable).with_name("cogc")
    done = subprocess.run([str(beside), "compile"], cwd=root, check=True, capture_output=True)
    words = ["docker", "buildx", "build", "--quiet", "--load", "--file=-", f"--tag={IMAGE}", *options, "."]
    started = time.monotonic()
    subprocess.run(words, cwd=root, input=done.stdout, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


WAYS: dict[str, Callable[[Path, tuple[str, ...]], float]] = {
    "docker": lambda root, options: cogc(root, "docker", options),
    "buildkit": lambda root, options: cogc(root, "buildkit", options),
    "plain": plain,
}

if __name__ == "__main__":
    main()
