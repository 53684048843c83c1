"""How fast and how large is cogc? Cold processes, a warm process per stage; against the targets of the design.

    python benchmarks/compile.py [--runs N]

Prints a table. Times of cold processes are the minimum of N runs, and beside them the time of `python -c pass`
in the same round, because the interpreter's own start is not ours.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cogc import __version__
from cogc._data import load_table
from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
from cogc.disk import ProjectFiles
from cogc.driver import Source, bundled_matrix, compile_project, read_config
from cogc.frontend.lower import BuildOptions
from cogc.frontend.signature import analyse_target
from cogc.ir.resolver import resolve

CONFIG = """\
build:
  gpu: true
  python_version: "3.11"
  system_packages: [ffmpeg, libgl1, libglib2.0-0]
  python_packages:
    - torch==2.4.1
    - torchvision==0.19.1
    - transformers==4.44.2
    - diffusers>=0.30
    - accelerate
    - numpy==1.26.4
    - pillow==10.4.0
  run:
    - curl -o /usr/local/bin/tool -L https://example.com/tool
predict: predict.py:Predictor
"""
PREDICTOR = """\
from cog import BasePredictor, Input, Path

SCHEDULERS = ["ddim", "euler", "dpm"]

class Predictor(BasePredictor):
    def setup(self) -> None: ...

    def predict(
        self,
        prompt: str = Input(description="What to draw"),
        steps: int = Input(description="Steps", default=30, ge=1, le=100),
        scheduler: str = Input(default="ddim", choices=SCHEDULERS),
        image: Path = Input(description="Start image", default=None),
    ) -> list[Path]:
        return []
"""


def main() -> None:
    """Make a typical project and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "cog.yaml").write_text(CONFIG)
        (root / "predict.py").write_text(PREDICTOR)
        (root / "long.py").write_text(PREDICTOR + "\n\ndef f(x):\n    return [x + 1, {'a': x}]\n" * 750)
        cold(root, runs)
        warm(root, runs)


def cold(root: Path, runs: int) -> None:
    """Whole processes."""
    commands = {
        "cogc --version": ["-m", "cogc", "--version"],
        "cogc --help": ["-m", "cogc", "--help"],
        "cogc compile": ["-m", "cogc", "compile"],
        "cogc check": ["-m", "cogc", "check"],
    }
    print(f"cogc {__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores, minimum of {runs} runs\n")
    print(f"{'cold process':<18}{'wall ms':>9}{'cpu ms':>8}{'over bare cpu':>15}{'peak MB':>9}   target")
    targets = {
        "cogc --version": "<= 40 ms of CPU over bare",
        "cogc --help": "<= 40 ms of CPU over bare",
        "cogc compile": "<= 150 ms wall, <= 60 MB",
    }
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ("python -c pass", *commands)}
    for _ in range(runs):  # interleaved, so that a busy moment hits all alike
        samples["python -c pass"].append(_process(["-c", "pass"], root))
        for name, arguments in commands.items():
            samples[name].append(_process(arguments, root))
    bare = min(cpu for _, cpu, _ in samples["python -c pass"])
    for name, found in samples.items():
        wall, cpu, peak = min(s[0] for s in found), min(s[1] for s in found), min(s[2] for s in found)
        target = targets.get(name, "")
        print(f"{name:<18}{wall * 1e3:>9.0f}{cpu * 1e3:>8.0f}{(cpu - bare) * 1e3:>15.0f}{peak:>9.0f}   {target}")


def _process(arguments: list[str], root: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of one process."""
    start = time.perf_counter()
    # As on a user's machine: bytecode is written by the first run and read by the others.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if process.stderr is not None:
        process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} failed with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def warm(root: Path, runs: int) -> None:
    """Stages in one process."""
    files = ProjectFiles(root)
    source = Source(config=CONFIG.encode(), name="cog.yaml", directory="project", files=files)
    matrix = bundled_matrix()
    options = BuildOptions()
    first = compile_project(source, options, matrix)
    assert first.build is not None
    assert first.resolved is not None
    request, resolved, staged = first.build.request, first.resolved, first.staged
    spelling = DockerfileOptions(version=__version__)

    def with_tables() -> None:
        """As a process does it once: the tables that the request needs are read and their rows made."""
        load_table.cache_clear()
        resolve(request, bundled_matrix())

    def whole() -> None:
        done = compile_project(source, options, matrix)
        assert done.resolved is not None
        emit_dockerfile(done.resolved, done.staged, spelling)

    stages: dict[str, tuple[Callable[[], object], str]] = {
        "read configuration": (lambda: read_config(source), ""),
        "resolve": (lambda: resolve(request, matrix), ""),
        "resolve, tables read": (with_tables, "<= 15 ms more"),
        "signature, 20 lines": (lambda: analyse_target(files, "predict.py", "Predictor", mode="predict"), ""),
        "signature, 3000 lines": (lambda: analyse_target(files, "long.py", "Predictor", mode="predict"), "<= 50 ms"),
        "emit Dockerfile": (lambda: emit_dockerfile(resolved, staged, spelling), ""),
        "whole project": (whole, ">= 300 per second"),
    }
    print(f"\n{'warm process':<24}{'cpu ms':>10}{'per second':>12}   target")
    for name, (stage, target) in stages.items():
        stage()
        times = []
        for _ in range(max(runs, 10)):
            start = time.process_time()  # other work on the machine does not count
            stage()
            times.append(time.process_time() - start)
        median = statistics.median(times)
        print(f"{name:<24}{median * 1e3:>10.2f}{1 / median:>12.0f}   {target}")
    print(f"\npeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
