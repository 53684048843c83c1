"""Python packages: options of requirements files, local packages, packages from git."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import BuildFailed, Engine, Image

pytestmark = pytest.mark.engine

FILE = """\
build:
  python_version: "3.11"
  python_requirements: requirements/all.txt
predict: predict.py:Predictor
"""
LINES = {
    "requirements/all.txt": """\
# a comment
-c limits.txt
-r more/extra.txt
six
backports.zoneinfo; python_version < "3.9"
toml==0.10.2 ; sys_platform == "linux" and \\
    python_version >= "3.9"
colorama; sys_platform == "win32"
""",
    "requirements/limits.txt": "six==1.15.0\npysocks==1.7.1\n",
    "requirements/more/extra.txt": "urllib3[socks]==2.2.1\n",
}
SIX_WHEEL = "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
SIX_ARCHIVE = "1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c4c4c926"
HASHED = """\
six==1.16.0 \\
    --hash=sha256:{0} \\
    --hash=sha256:{1}
"""

INSTALLERS = pytest.mark.parametrize("installer", ["uv", "pip"])


def _added(image: Image) -> set[str]:
    return image.freeze() - Image(image.engine, "python:3.11-slim-bookworm").freeze()


@INSTALLERS
def test_constraints_extras_markers_and_includes(image: Callable[..., Image], installer: str) -> None:
    made = image(f"lines-{installer}", FILE, LINES, "--installer", installer)
    assert _added(made) == {"six==1.15.0", "urllib3==2.2.1", "PySocks==1.7.1", "toml==0.10.2"}
    # Bytecode that names the hash of its source, and is held against it: valid whatever times the files are given.
    flags = "import six; print(open(six.__cached__, 'rb').read(8)[4:])"
    assert made.output("python", "-c", flags) == "b'\\x03\\x00\\x00\\x00'\n"


@INSTALLERS
def test_hashes_are_checked(image: Callable[..., Image], installer: str) -> None:
    lines = {"requirements/all.txt": HASHED.format(SIX_WHEEL, "0" * 64)}
    made = image(f"hashes-{installer}", FILE, lines, "--installer", installer)
    assert _added(made) == {"six==1.16.0"}
    wrong = {"requirements/all.txt": HASHED.format("1" * 64, "0" * 64)}
    with pytest.raises(BuildFailed, match=r"(?i)hash"):
        image(f"wrong-hash-{installer}", FILE, wrong, "--installer", installer)


FOLDERS = {"wheels": "pip", "my wheels": "uv", "räder, und 'so'": "pip", "日本 語": "uv"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_local_packages(image: Callable[..., Image], distributions: dict[str, bytes], folder: str) -> None:
    files: dict[str, str | bytes] = {f"{folder}/{name}": content for name, content in distributions.items()}
    files["requirements/all.txt"] = "six==1.16.0\n" + "".join(f"../{path}\n" for path in list(files))
    made = image(f"local-{list(FOLDERS).index(folder)}", FILE, files, "--installer", FOLDERS[folder])
    packages = {line.partition(" @ ")[0].partition("==")[0].replace("_", "-") for line in _added(made)}
    assert packages == {"six", "greeting-wheel", "greeting-archive"}
    assert made.output("greeting-wheel") == made.output("greeting-archive") == "hello from greeting\n"
    assert "local_package_artifacts" not in "".join(made.tree("/tmp"))


@INSTALLERS
def test_package_from_git(image: Callable[..., Image], served_repository: str, installer: str) -> None:
    config = f"""\
build:
  python_version: "3.11"
  python_packages:
    - six==1.16.0
    - greeting @ {served_repository}@v1
predict: predict.py:Predictor
"""
    made = image(f"git-{installer}", config, {}, "--installer", installer)
    assert made.output("greet") == "hello from greeting\n"
    assert {line.partition(" @ ")[0] for line in _added(made)} == {"six==1.16.0", "greeting"}
    assert made.output("git", "--version").startswith("git version")


def test_cog_in_the_requirements_is_left_out(project: MakeProject, engine: Engine) -> None:
    config = 'build: {python_version: "3.11", python_packages: ["cog==0.9.0", "six==1.16.0"]}\npredict: predict.py:Predictor\n'
    made = engine.compile_and_build("managed", project("managed", config))
    assert _added(made) == {"six==1.16.0"}
