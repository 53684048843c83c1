"""The wheel and the sdist: what is in them, and that what is installed from them works away from the checkout."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
OLDEST_SETUPTOOLS = Version("77")  # as in pyproject.toml

# Folder of the checkout, folder of the wheel, and which files of it are shipped.
SHIPPED = (
    ("compiler", "cogc", ("**/*.py", "**/*.j2", "**/*.tmpl", "py.typed")),
    ("compatibility", "cogc/compatibility", ("__init__.py", "*.json", "MATRIX", "schema/*.json")),
    ("schemas", "cogc/schemas", ("__init__.py", "*.json")),
    ("runtime", "cogc/_runtime", ("**/*.py", "**/py.typed", "requirements/*")),
    ("docs/diagnostics", "cogc/_pages", ("__init__.py", "*.md")),
)


def can_build_offline() -> bool:
    """Whether this environment has what pyproject.toml asks for, so that the build fetches nothing."""
    try:
        return Version(importlib.metadata.version("setuptools")) >= OLDEST_SETUPTOOLS
    except importlib.metadata.PackageNotFoundError:
        return False


pytestmark = [pytest.mark.packaging, *([] if can_build_offline() else [pytest.mark.network])]


def execute(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COG_CA_CERT")}, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shipped(checkout: Path) -> dict[str, Path]:
    """Path in the wheel → file of the checkout."""
    return {
        f"{target}/{path.relative_to(checkout / source).as_posix()}": path
        for source, target, patterns in SHIPPED
        for pattern in patterns
        for path in (checkout / source).glob(pattern)
    }


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkout/, a copy of the tree; tree/ with the wheel made from it; sdist/ with the sdist made from
    it and the wheel made from that.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "packages"
    shared.mkdir(exist_ok=True)
    with open(shared / "lock", "w") as lock:  # the first worker builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            _build(shared)
            (shared / "done").touch()
    return shared


def _build(folder: Path) -> None:
    copy = folder / "checkout"  # setuptools writes into the tree that it builds
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "weights")
    shutil.copytree(ROOT, copy, ignore=ignore, symlinks=True)
    build = [sys.executable, "-m", "build", *(["--no-isolation"] if can_build_offline() else [])]
    execute(*build, "--wheel", "--outdir", folder / "tree", copy, cwd=folder)
    for leftover in ("build", "cogc.egg-info"):
        shutil.rmtree(copy / leftover, ignore_errors=True)
    execute(*build, "--outdir", folder / "sdist", copy, cwd=folder)  # the sdist, and a wheel out of it


def wheel_in(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents(wheel: Path) -> Mapping[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_file_that_is_shipped(packages: Path) -> None:
    expected = {name: path.read_bytes() for name, path in shipped(packages / "checkout").items()}
    held = contents(wheel_in(packages / "tree"))
    assert sorted(held) == sorted(expected)
    assert held == expected
    for name in ("backends/dockerfile.j2", "commands/templates/cog.yaml.tmpl", "compatibility/torch.json"):
        assert f"cogc/{name}" in held
    for name in ("schemas/cog.schema.json", "_runtime/cog/__init__.py", "_pages/COG124.md", "py.typed"):
        assert f"cogc/{name}" in held


def test_only_cogc_lands_in_site_packages(packages: Path) -> None:
    with zipfile.ZipFile(wheel_in(packages / "tree")) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"cogc"}
    assert len(top) == 2


def test_the_wheel_has_the_licence_and_one_program(packages: Path) -> None:
    with zipfile.ZipFile(wheel_in(packages / "tree")) as archive:
        metadata = {name.split(".dist-info/")[1]: name for name in archive.namelist() if ".dist-info/" in name}
        assert "licenses/LICENSE" in metadata
        assert archive.read(metadata["entry_points.txt"]).decode().split() == [
            "[console_scripts]",
            *("cogc", "=", "cogc.cli:main"),
        ]


def test_the_sdist_makes_the_same_wheel(packages: Path) -> None:
    assert contents(wheel_in(packages / "sdist")) == contents(wheel_in(packages / "tree"))


def test_the_sdist_can_be_read_by_people(packages: Path) -> None:
    (sdist,) = (packages / "sdist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "compiler/cli.py"} <= names


@pytest.fixture(params=["tree", "sdist"])
def program(request: pytest.FixtureRequest, packages: Path, tmp_path: Path) -> Path:
    """`cogc` installed in an environment of its own, with the libraries of this one: nothing is fetched."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True, symlinks=True)
    python = environment / "bin" / "python"
    execute(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel_in(packages / request.param), cwd=tmp_path)
    found = execute(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path)
    # A plain path: .pth files in it, such as that of an editable cogc, are not read.
    (Path(found.strip()) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = execute(python, "-c", "import cogc; print(cogc.__file__)", cwd=tmp_path)
    assert where.startswith(str(environment))
    return environment / "bin" / "cogc"


def check_that_it_works(program: Path, checkout: Path, folder: Path) -> None:
    """The commands that read files shipped with the package."""
    folder.mkdir()
    facts = json.loads(execute(program, "version", "--format", "json", cwd=folder))
    assert facts["matrix"] == (checkout / "compatibility" / "MATRIX").read_text().strip()
    assert execute(program, "explain", "COG124", cwd=folder) == (checkout / "docs/diagnostics/COG124.md").read_text(
        "utf-8"
    )
    assert json.loads(execute(program, "schema", "cog", cwd=folder))["title"] == "cog.yaml"
    assert "complete -" in execute(program, "completion", "bash", cwd=folder)
    execute(program, "init", "model", "--train", "--ci", "github", cwd=folder)
    assert execute(program, "check", "model/cog.yaml", cwd=folder) == "no problems found\n"
    dockerfile = execute(program, "compile", "model/cog.yaml", cwd=folder)
    assert "\nFROM python:3.12-slim-bookworm AS base\n" in dockerfile
    staged = folder / "model/.cog/build/runtime/sdk/cog/__init__.py"
    assert staged.read_bytes() == (checkout / "runtime/cog/__init__.py").read_bytes()
    (folder / "torch.yaml").write_text("build: {gpu: true, python_packages: [torch==2.3.1]}\n")
    assert "torch" in execute(program, "compile", "torch.yaml", "--emit", "ir", cwd=folder)


def test_what_is_installed_works_elsewhere(program: Path, packages: Path, tmp_path: Path) -> None:
    check_that_it_works(program, packages / "checkout", tmp_path / "elsewhere")


@pytest.mark.network
@pytest.mark.parametrize("tool", ["uv", "pipx"])
def test_tools_that_install_programs(tool: str, packages: Path, tmp_path: Path) -> None:
    path = shutil.which(tool, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if path is None:
        pytest.skip(f"{tool} is not installed")
    programs = tmp_path / "programs"
    wheel = wheel_in(packages / "tree")
    if tool == "uv":
        folders = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(programs)}
        execute(path, "tool", "install", "--python", sys.executable, wheel, cwd=tmp_path, **folders)
    else:
        folders = {"PIPX_HOME": str(tmp_path / "tools"), "PIPX_BIN_DIR": str(programs)}
        execute(path, "install", "--python", sys.executable, wheel, cwd=tmp_path, **folders)
    check_that_it_works(programs / "cogc", packages / "checkout", tmp_path / "elsewhere")
