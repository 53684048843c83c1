"""How long does `import cog` take, and the names that a model usually imports? The target is 10 ms for the package.

    python benchmarks/imports.py [PYTHON …]

Each measure is the median of fresh interpreters, with compiled files in place, without the start of the interpreter.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
STATEMENTS = ("import cog", "from cog import BasePredictor, Input, Path", "import cog.worker")
PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
begun = time.perf_counter()
%s
print((time.perf_counter() - begun) * 1000)
"""
ROUNDS = 21


def milliseconds(python: str, statement: str) -> float:
    """The median over fresh interpreters; the first one writes the compiled files."""
    command = [python, "-E", "-c", PROGRAM % statement, str(RUNTIME)]
    times = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(ROUNDS)]
    return statistics.median(times[1:])


def main() -> None:
    for python in sys.argv[1:] or [sys.executable]:
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        print(version)
        for statement in STATEMENTS:
            print(f"  {milliseconds(python, statement):8.2f} ms  {statement}")


if __name__ == "__main__":
    main()
