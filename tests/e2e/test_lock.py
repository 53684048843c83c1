"""A lock on a real engine: clean builds of it install the same files, and nothing else installs at all."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import BuildFailed, Engine, Entry, Image, Project

pytestmark = [pytest.mark.engine, pytest.mark.network]

CONFIG = """\
build:
  python_version: "3.11"
  python_requirements: requirements.txt
  system_packages: [git]
predict: predict.py:Predictor
"""
PACKAGES = "/usr/local/lib/python3.11/site-packages"
PYTHON = "python:3.11-slim-bookworm"


def installed(image: Image) -> dict[str, Entry]:
    """The packages' files; of compiled Python only the names, because it holds the time when it was made."""
    tree = image.tree(PACKAGES, "/usr/local/bin", "/opt/cogc")
    return {
        path: Entry(entry.mode, entry.owner, 0, "") if path.endswith(".pyc") else entry for path, entry in tree.items()
    }


def lock_of(project: Project) -> dict[str, Any]:
    return json.loads((project.root / "cog.lock").read_text())


@pytest.fixture(scope="module")
def locked(project: MakeProject, distributions: dict[str, bytes], served_repository: str) -> Project:
    """A project with packages from everywhere: wheels, an archive, a wheel of its own, and git."""
    wheel, content = next((name, content) for name, content in distributions.items() if name.endswith(".whl"))
    lines = f"six==1.16.0\nrequests<3\ndocopt==0.6.2\n./{wheel}\ngreeting @ {served_repository}@v1\n"
    made = project("locked", CONFIG, {"requirements.txt": lines, wheel: content})
    assert made.cogc("lock", "--allow-builds").returncode == 0
    return made


def test_two_clean_builds_install_the_same_files(engine: Engine, locked: Project, tmp_path: Path) -> None:
    """From two copies of the project, whose files were not written at the same time."""
    copy = Project(tmp_path / locked.root.name)
    shutil.copytree(locked.root, copy.root, copy_function=shutil.copyfile)
    lock = lock_of(locked)["platforms"][0]
    names = {each["name"]: each for each in lock["packages"]}
    assert {"six", "requests", "urllib3", "docopt", "greeting", "greeting-wheel"} <= set(names)
    assert names["greeting"]["source"] == "git"
    assert names["greeting-wheel"]["source"] == "project"
    assert names["docopt"]["file"].endswith(".tar.gz")
    images = [
        engine.compile_and_build(f"locked-{number}", made, "--locked", build=["--no-cache"])
        for number, made in enumerate((locked, copy))
    ]
    first, second = map(installed, images)
    assert len(first) > 1000
    assert first == second
    bare = Image(engine, PYTHON).freeze()
    added = {line.partition(" @ ")[0].partition("==")[0].replace("_", "-") for line in images[0].freeze() - bare}
    assert added == set(names)
    for image in lock["images"]:
        assert f"{image['reference']}@{image['digest']}" in (locked.root / "Dockerfile").read_text()


def test_the_files_that_are_installed_are_those_of_the_locked_wheels(engine: Engine, locked: Project) -> None:
    image = engine.compile_and_build("locked-files", locked, "--locked")
    code = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    versions = json.loads(image.python(code))
    for each in lock_of(locked)["platforms"][0]["packages"]:
        assert (
            versions[each["name"].replace("-", "_") if each["name"] == "greeting-wheel" else each["name"]]
            == each["version"]
        )
    tree = image.tree(PACKAGES)
    assert any(posixpath.basename(path).startswith("docopt") for path in tree)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_another_file_than_the_locked_one_stops_the_build(engine: Engine, project: MakeProject, installer: str) -> None:
    made = project(f"other-{installer}", CONFIG, {"requirements.txt": "six==1.16.0\n"})
    made.cogc("lock", "--installer", installer)
    good = engine.compile_and_build(f"locked-{installer}", made, "--locked", "--installer", installer)
    assert "six==1.16.0" in good.freeze()
    [six] = lock_of(made)["platforms"][0]["packages"]
    text = (made.root / "cog.lock").read_text()
    made.write("cog.lock", text.replace(six["sha256"], "0" * 64))
    with pytest.raises(BuildFailed, match=r"(?i)hash"):
        engine.compile_and_build(f"locked-other-{installer}", made, "--locked", "--installer", installer)


def test_cogc_build_follows_the_lock(engine: Engine, project: MakeProject) -> None:
    made = project("built-locked", CONFIG, {"requirements.txt": "six>=1.15,<1.17\n"})
    made.cogc("lock")
    reference = engine.name("built-locked")
    text = (made.root / "cog.lock").read_text()
    assert '"version": "1.16.0"' in text
    made.cogc("build", "--locked", "--tag", reference)
    assert "six==1.16.0" in Image(engine, reference).freeze()
    made.write("requirements.txt", "six==1.15.0\n")
    refused = made.cogc("build", "--locked", "--tag", engine.name("built-unlocked"), check=False)
    assert refused.returncode == 1
    assert "error[COG262]" in refused.stderr
    assert not engine.has(engine.name("built-unlocked"))


def test_a_locked_tag_may_move(engine: Engine, project: MakeProject) -> None:
    """The image that the tag named when the lock was made is what is built from."""
    registry = os.environ.get("COGC_TEST_REGISTRY")
    if not registry:
        pytest.skip("COGC_TEST_REGISTRY names no registry to push to")
    made = project("moved", CONFIG.replace("  system_packages: [git]\n", ""), {"requirements.txt": "six==1.16.0\n"})
    tag = f"{registry}/{engine.name('moving-base')}"
    engine.references.append(tag)
    for content in ("one", "two"):
        dockerfile = f"FROM {PYTHON}\nRUN echo {content} > /which\n"
        engine.text("build", "--quiet", f"--tag={tag}", "--file=-", str(made.root), stdin=dockerfile)
        engine.text("push", "--quiet", tag)
        if content == "one":
            made.cogc("lock", "--base-image", tag)
    options = ("--base-image", tag)
    assert engine.compile_and_build("moved-open", made, *options).shell("cat /which") == "two\n"
    assert engine.compile_and_build("moved-locked", made, *options, "--locked").shell("cat /which") == "one\n"
    made.cogc("lock", *options, "--upgrade", tag)
    assert engine.compile_and_build("moved-upgraded", made, *options, "--locked").shell("cat /which") == "two\n"
