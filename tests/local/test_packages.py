"""The environment of a project: what is installed, when it is made anew, and what is left out."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.local.harness import CONFIG, HERE, Project

MODEL = """
    import sys
    from cog import BasePredictor
    class Predictor(BasePredictor):
        def predict(self) -> str:
            try:
                import tiny
                return "tiny " + tiny.VERSION
            except ImportError:
                return "nothing"
"""


def wheel(folder: Path, version: str, name: str = "tiny") -> Path:
    """A package with one module, made by hand: no index and no build tools are needed."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)
    return path


def environments(project: Project) -> list[str]:
    return sorted(path.stem for path in (project.root / ".cog/local").glob("*.json"))


@pytest.fixture
def tiny(project):
    project.write("predict.py", MODEL)
    project.write("requirements.txt", "./wheels/tiny-1.0-py3-none-any.whl\n")
    project.write("cog.yaml", CONFIG.replace("build:\n", "build:\n  python_requirements: requirements.txt\n"))
    wheel(project.root / "wheels", "1.0")
    return project


def test_local_wheels_and_changes(tiny):
    """The same project starts at once; another requirement, or another wheel of the same name, does not."""
    first = tiny.run("predict", "--engine", "local")
    assert (first.status, first.out) == (0, "tiny 1.0\n"), first.err
    assert "with 1 package from cog.yaml" in first.err
    again = tiny.run("predict", "--engine", "local")
    assert "Making" not in again.err
    wheel(tiny.root / "wheels", "2.0").replace(tiny.root / "wheels/tiny-2.0-py3-none-any.whl")
    tiny.write("requirements.txt", "./wheels/tiny-2.0-py3-none-any.whl\n")
    changed = tiny.run("predict", "--engine", "local")
    assert changed.out == "tiny 2.0\n", changed.err
    assert len(environments(tiny)) == 2
    tiny.write("requirements.txt", "# nothing\n")
    assert tiny.run("predict", "--engine", "local").out == "nothing\n"
    tiny.write("requirements.txt", "./wheels/tiny-1.0-py3-none-any.whl\n")
    back = tiny.run("predict", "--engine", "local")
    assert (back.out, "Making" in back.err) == ("tiny 1.0\n", False)
    old = environments(tiny)
    (tiny.root / "wheels/tiny-1.0-py3-none-any.whl").write_bytes(
        (tiny.root / "wheels/tiny-1.0-py3-none-any.whl").read_bytes() + b"\0"
    )
    assert "Making" in tiny.run("predict", "--engine", "local").err
    assert len(environments(tiny)) == 3, "three are kept"
    assert len(set(environments(tiny)) & set(old)) == 2


def test_a_package_that_cannot_be_installed(tiny):
    tiny.write("requirements.txt", "--no-index\n\nno-such.package==1.0\n")
    done = tiny.run("predict", "--engine", "local")
    assert (done.status, done.out) == (1, "")
    assert "could not install `no-such.package==1.0`" in done.err
    assert "error[COG702]" in done.err
    assert "requirements.txt:3:1" in done.err
    assert environments(tiny) == []
    tiny.write("requirements.txt", "./wheels/tiny-1.0-py3-none-any.whl\n")
    assert tiny.run("predict", "--engine", "local").out == "tiny 1.0\n"


def test_what_an_interrupted_making_left_is_made_anew(tiny):
    tiny.run("predict", "--engine", "local")
    (key,) = environments(tiny)
    (tiny.root / f".cog/local/{key}.json").unlink()
    shutil.rmtree(tiny.root / f".cog/local/{key}/lib")
    done = tiny.run("predict", "--engine", "local")
    assert done.out == "tiny 1.0\n", done.err


def test_an_environment_whose_python_is_gone_is_made_anew(tiny):
    tiny.run("predict", "--engine", "local")
    (key,) = environments(tiny)
    python = tiny.root / f".cog/local/{key}/bin/python"
    python.unlink()
    python.symlink_to("/no/such/python")
    done = tiny.run("predict", "--engine", "local")
    assert done.out == "tiny 1.0\n", done.err


def test_what_is_left_out_is_said_once(tiny):
    tiny.write(
        "cog.yaml",
        CONFIG.replace(
            "build:\n",
            "build:\n  system_packages: [ffmpeg, libgl1]\n  run:\n    - touch ran-on-this-machine\n    - exit 1\n",
        ),
    )
    done = tiny.run("predict", "--engine", "local")
    assert (done.status, done.out) == (0, "nothing\n")
    assert done.err.count("COG701") == 1
    text = "the local engine leaves out the system packages (ffmpeg, libgl1) and 2 commands of `build.run`"
    assert f"warning[COG701]: {text}" in done.err
    assert "cog.yaml:2:" in done.err
    assert not (tiny.root / "ran-on-this-machine").exists()


def test_a_python_that_the_machine_does_not_have(tiny):
    tiny.write("cog.yaml", CONFIG.replace(HERE, "3.99"))
    done = tiny.run("predict", "--engine", "local")
    assert (done.status, done.out) == (0, "nothing\n"), done.err
    assert "warning[COG700]: Python 3.99 is not on this machine; the model runs on Python 3." in done.err
    assert "cog.yaml:2:" in done.err
    again = tiny.run("predict", "--engine", "local")
    assert "COG700" in again.err
    assert "Making" not in again.err


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13", "3.14"])
def test_models_on_other_pythons_than_the_servers(version, project):
    if _interpreter(version) is None:
        pytest.skip(f"Python {version} is not on this machine")
    project.write("cog.yaml", CONFIG.replace(HERE, version))
    project.write(
        "predict.py",
        """
        import sys
        from cog import BasePredictor, Input
        class Predictor(BasePredictor):
            def predict(self, text: str = Input(default="a")) -> str:
                return text + "%d.%d" % sys.version_info[:2]
        """,
    )
    done = project.run("predict", "--engine", "local", "-i", "text=on ")
    assert done.status == 0, done.err
    assert done.out == f"on {version}\n"
    assert "COG700" not in done.err


def _interpreter(version: str) -> str | None:
    from cogc.engines.local.python import wanted_python

    class Silent:
        def __getattr__(self, name: str):
            return lambda *arguments: None

    found = wanted_python(version, None, os.environ, Silent())
    return found.path if found else None


# -- with the package index -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory that has uv."""
    found = shutil.which("uv")
    if found:
        return os.path.dirname(found)
    folder = tmp_path_factory.mktemp("uv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", "uv"], check=True)
    return str(folder / "bin")


@pytest.mark.network
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_packages_of_the_index(installer, project, uv, monkeypatch):
    if installer == "uv":
        only = project.root.parent / "only-uv"
        only.mkdir()
        (only / "uv").symlink_to(Path(uv) / "uv")
        project.environment["PATH"] = f"{only}{os.pathsep}{project.environment['PATH']}"
    project.write("constraints.txt", "six<1.17\n")
    project.write("requirements.txt", "-c constraints.txt\nsix\n")
    project.write("cog.yaml", CONFIG.replace("build:\n", "build:\n  python_requirements: requirements.txt\n"))
    project.write("predict.py", "import six\ndef predict() -> str:\n    return six.__version__\n")
    project.write("cog.yaml", (project.root / "cog.yaml").read_text().replace("Predictor", "predict"))
    done = project.run("--debug", "predict", "--engine", "local")
    assert (done.status, done.out) == (0, "1.16.0\n"), done.err
    assert (f"{only}/uv pip install" if installer == "uv" else "-I -m pip install") in done.err
    project.write("requirements.txt", "six==99\n")
    done = project.run("predict", "--engine", "local")
    assert done.status == 1
    assert f"error[COG702]: {installer} could not install `six==99`" in done.err
    assert "requirements.txt:1:1" in done.err


@pytest.mark.network
def test_the_servers_own_environment_is_made_once(project, tmp_path):
    del project.environment["COGC_SERVER_PYTHON"]
    project.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    project.write("predict.py", MODEL)
    done = project.run("predict", "--engine", "local")
    assert (done.status, done.out) == (0, "nothing\n"), done.err
    assert f"Installing the HTTP server, once for all projects, in {tmp_path}/cache/cogc/server/" in done.err
    again = project.run("predict", "--engine", "local")
    assert (again.out, "Installing" in again.err) == ("nothing\n", False)
    other = Project(tmp_path / "other", tmp_path / "cache")
    other.write("predict.py", MODEL)
    del other.environment["COGC_SERVER_PYTHON"]
    done = other.run("predict", "--engine", "local")
    assert (done.out, "Installing" in done.err) == ("nothing\n", False), done.err
