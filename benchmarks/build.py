"""What builds cost: time, over what the engine itself needs, which layers are made, and the bytes that a push sends.

Run by hand, with a Docker engine and, for the pushes, a registry:

    python benchmarks/build.py [--registry localhost:5000] [--weights-mib 64] [--repeat 3]

The project is small; its packages are those of --packages. Each row is a change of the project of the row before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
CONFIG = """\
build:
  python_version: "3.11"
  python_packages:
{packages}
environment:
  - SESSION={session}
predict: predict.py:Predictor
"""
PREDICT = """\
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return text  # {mark}
"""


@dataclass
class Bench:
    """A project in a folder, the image it is built as, and what was measured."""

    root: Path
    image: str
    registry: str | None
    packages: list[str]
    session: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    pushed: set[str] = field(default_factory=set)
    rows: list[tuple[str, float, float, float | None, str, str]] = field(default_factory=list)

    def write(self, mark: str = "") -> None:
        """cog.yaml as it is now, and code that was never there before."""
        lines = "\n".join(f"    - {package}" for package in self.packages)
        (self.root / "cog.yaml").write_text(CONFIG.format(packages=lines, session=self.session))
        (self.root / "predict.py").write_text(PREDICT.format(mark=mark or uuid.uuid4().hex))

    def write_weights(self, mib: int) -> None:
        """A file of random bytes in a directory of its own."""
        path = self.root / "checkpoints/model.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(mib * MIB))

    def measure(
        self, title: str, change: Callable[[], None], *, repeat: int = 1, options: tuple[str, ...] = ()
    ) -> None:
        """Build after the change, `repeat` times with the change made anew each time, and take the median."""
        seconds, engine, plain = [], [], []
        document: dict[str, object] = {}
        for _ in range(repeat):
            change()
            started = time.monotonic()
            document = self._build(*options)
            seconds.append(time.monotonic() - started)
            engine.append(float(str(document["engine_seconds"])))
        if repeat > 1:  # what docker alone needs for the same change of the same Dockerfile
            for _ in range(repeat):
                change()
                plain.append(self._plain())
        layers = document["layers"]
        assert isinstance(layers, list)
        new = [f"{layer['title']} ({_size(layer['size_bytes'])})" for layer in layers if not layer["cached"]]
        alone = statistics.median(plain) if plain else None
        row = (
            title,
            statistics.median(seconds),
            statistics.median(engine),
            alone,
            self._push(),
            ", ".join(new) or "none",
        )
        self.rows.append(row)

    def _build(self, *options: str) -> dict[str, object]:
        words = ["build", "-t", self.image, "--format", "json", "--progress", "quiet", *options]
        done = subprocess.run([cogc(), *words], cwd=self.root, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def _plain(self) -> float:
        """`docker build` of the Dockerfile that cogc compiles, staged beforehand."""
        subprocess.run(
            [cogc(), "compile", "-o", "Dockerfile.plain"], cwd=self.root, check=True, stderr=subprocess.DEVNULL
        )
        text = (self.root / "Dockerfile.plain").read_bytes()
        (self.root / "Dockerfile.plain").unlink()
        started = time.monotonic()
        words = ["docker", "buildx", "build", "--quiet", "--load", "--file=-", f"--tag={self.image}-plain", "."]
        subprocess.run(words, cwd=self.root, input=text, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - started

    def _push(self) -> str:
        if self.registry is None:
            return "-"
        name = f"{self.registry}/{self.image}"
        subprocess.run(["docker", "tag", self.image, name], check=True)
        subprocess.run(["docker", "push", "--quiet", name], check=True, stdout=subprocess.DEVNULL)
        layers = dict(_layers(name))
        sent = sum(size for digest, size in layers.items() if digest not in self.pushed)
        self.pushed |= set(layers)
        return _size(sent)

    def clean(self) -> None:
        """Remove the images."""
        names = [self.image, f"{self.image}-plain"]
        names += [f"{self.registry}/{self.image}"] if self.registry else []
        subprocess.run(["docker", "image", "rm", "--force", *names], check=False, capture_output=True)


def _layers(name: str) -> Iterator[tuple[str, int]]:
    """Digest and compressed size of every layer of an image in a registry."""
    manifest = _manifest(name)
    for entry in manifest.get("manifests", ()):
        if entry.get("platform", {}).get("os") != "unknown":
            manifest = _manifest(f"{name}@{entry['digest']}")
            break
    for layer in manifest.get("layers", ()):
        yield layer["digest"], layer["size"]


def _manifest(name: str) -> dict:
    words = ["docker", "buildx", "imagetools", "inspect", "--raw", name]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def cogc() -> str:
    beside = Path(sys.executable).with_name("cogc")
    return str(beside) if beside.exists() else shutil.which("cogc") or "cogc"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--registry", default=os.environ.get("COGC_TEST_REGISTRY"), help="where to push; none: no pushes"
    )
    parser.add_argument("--weights-mib", type=int, default=64)
    parser.add_argument("--packages", nargs="*", default=["six==1.16.0", "numpy==1.26.4"])
    parser.add_argument("--repeat", type=int, default=3, help="how often quick rows are measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = f"cogc-bench-{uuid.uuid4().hex[:8]}"
        bench = Bench(Path(folder), image, arguments.registry, list(arguments.packages))
        bench.write_weights(arguments.weights_mib)
        try:
            bench.measure("first build", bench.write)
            bench.measure("nothing changed", lambda: None, repeat=arguments.repeat)
            bench.measure("edit of the code", bench.write, repeat=arguments.repeat)
            bench.packages.append("toml==0.10.2")
            bench.measure("one requirement more", bench.write)
            bench.measure("other weights", lambda: bench.write_weights(arguments.weights_mib))
            bench.measure("edit of the code again", bench.write, repeat=arguments.repeat)
        finally:
            bench.clean()
    print(f"{'change':<24} {'cogc':>7} {'engine':>7} {'docker':>7} {'pushed':>9}  layers made")
    for title, seconds, engine, alone, pushed, new in bench.rows:
        docker = f"{alone:.2f} s" if alone is not None else "-"
        print(f"{title:<24} {seconds:>5.2f} s {engine:>5.2f} s {docker:>7} {pushed:>9}  {new}")
    print(
        "cogc: the whole command; engine: of that, calls of buildx; docker: `docker build` of the same Dockerfile alone"
    )


if __name__ == "__main__":
    main()
