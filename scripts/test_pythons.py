"""Run the runtime's tests on every supported Python that this machine has, and say which are missing.

    python scripts/test_pythons.py [3.8 3.14 …] [--only sdk|server]

For each version an interpreter is looked for on the PATH, among those of pyenv, and as the image python:X.Y-slim of a
Docker engine. There `tests/runtime/sdk` run in the interpreter itself; then the pinned libraries of
runtime/requirements/server-pyXY.txt are installed, by hash, and `tests/runtime/server` run with a server and a model
of that version. Environments are kept in .pythons/. Exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis")
# Models of both major versions of pydantic are outputs, and numpy's values.
OF_MODELS = {"3.8": ("numpy", "pydantic<2"), "3.9": ("numpy", "pydantic<2")}
OTHERS = ("numpy", "pydantic>=2")
LIBRARIES = "uvloop, httptools, msgspec, aiohttp, redis.asyncio"
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2")

Run = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the commands of one version run: `folder` for environments and `root` as seen there."""

    name: str
    python: str
    folder: str
    root: str
    tests_python: str
    run: Run


def run_here(command: Sequence[str], environment: dict[str, str] | None = None) -> int:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(command, cwd=ROOT, env={**clean, **(environment or {})}).returncode


def run_in(container: str) -> Run:
    def run(command: Sequence[str], environment: dict[str, str] | None = None) -> int:
        variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        return subprocess.run(["docker", "exec", "--workdir=/cogc", *variables, container, *command]).returncode

    return run


def interpreter(version: str) -> str | None:
    """The path of an interpreter on this machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which("python" + version), *sorted(pyenv.glob(version + ".*/bin/python"), reverse=True)]
    for candidate in candidates:
        if candidate is None:
            continue
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        found = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        if found.returncode == 0 and found.stdout.strip() == version:
            return str(candidate)
    return None


def container(version: str) -> str | None:
    """A running container of python:X.Y-slim with the repository at /cogc, read-only."""
    image = f"python:{version}-slim"
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode
    ):
        return None
    command = ["docker", "run", "--detach", "--rm", "--init", f"--volume={ROOT}:/cogc:ro", image, "sleep", "3600"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def check(place: Place, version: str, only: str | None) -> dict[str, str]:
    """What to say about the version: part → result."""
    model = f"{place.folder}/{version}-model"
    tools = (*TOOLS, *OF_MODELS.get(version, OTHERS))
    result = {}

    def step(part: str, *commands: tuple[Sequence[str], dict[str, str]]) -> None:
        begun = time.monotonic()
        passed = all(place.run(command, environment) == 0 for command, environment in commands)
        result[part] = f"{'passed' if passed else 'FAILED'} ({time.monotonic() - begun:.0f} s)"

    quiet = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    no_bytecode = {"PYTHONDONTWRITEBYTECODE": "1"}
    make_model = (
        ([place.python, "-m", "venv", model], {}),
        ([f"{model}/bin/python", *quiet, *tools], {}),
    )
    step("environment", *make_model)
    if only != "server":
        step("sdk", ([f"{model}/bin/python", *PYTEST, f"{place.root}/tests/runtime/sdk"], no_bytecode))
    if only == "sdk":
        return result
    server = f"{place.folder}/{version}-server"
    pins = f"{place.root}/runtime/requirements/server-py{version.replace('.', '')}.txt"
    step(
        "server's libraries",
        ([place.python, "-m", "venv", server], {}),
        ([f"{server}/bin/python", *quiet, "--require-hashes", "-r", pins], {}),
        ([f"{server}/bin/python", "-c", "import " + LIBRARIES], {}),
    )
    both = {"COGC_SERVER_PYTHON": f"{server}/bin/python", "COGC_MODEL_PYTHON": f"{model}/bin/python", **no_bytecode}
    tests_python = place.tests_python or f"{model}/bin/python"
    step("server", ([tests_python, *PYTEST, f"{place.root}/tests/runtime/server"], both))
    return result


def check_version(version: str, only: str | None) -> dict[str, str] | None:
    """The results of a version, None if there is no interpreter."""
    found = interpreter(version)
    if found is not None:
        folder = ROOT / ".pythons"
        folder.mkdir(exist_ok=True)
        return check(Place(found, found, str(folder), str(ROOT), sys.executable, run_here), version, only)
    name = container(version)
    if name is None:
        return None
    try:
        return check(Place(name, "python", "/tmp/pythons", "/cogc", "", run_in(name)), version, only)
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="VERSION")
    parser.add_argument("--only", choices=("sdk", "server"))
    options = parser.parse_args(arguments)
    results = {}
    for version in options.versions:
        print(f"== Python {version}", flush=True)
        results[version] = check_version(version, options.only)
    print()
    for version, result in results.items():
        shown = "not on this machine" if result is None else ", ".join(f"{k} {v}" for k, v in result.items())
        print(f"{version}: {shown}")
    return int(any("FAILED" in text for result in results.values() if result for text in result.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
