"""Configurations of public projects become images that serve, with stand-ins for their code and for their packages.

COGC_CORPUS names the folder that has them. They are built without their commands and their system packages, which need
hosts that are not reached from everywhere, and with Python 3.11, the version that test engines have.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from tests.e2e.images import Engine, Project
from tests.e2e.serving import Receiver, receiving, serving
from tests.e2e.wheels import wheel, wheel_name

pytestmark = pytest.mark.engine

FOLDER = os.environ.get("COGC_CORPUS", "")
PYTHON = "3.11"
COUNT = 20
_LEFT_OUT = ("run", "pre_install", "system_packages")
_UNLISTED = ("pip", "setuptools", "wheel")  # which `pip freeze` leaves out
_CODE = {
    "predict": "class {name}:\n    def predict(self, prompt: str) -> str:\n        return 'hello ' + prompt\n",
    "train": "def {name}(prompt: str) -> str:\n    return prompt\n",
}


def _projects() -> list[Path]:
    """Projects for the wanted Python that have a class for predictions, one of each owner before others of the same."""
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(FOLDER).glob("*/cog.yaml")) if FOLDER else ():
        if "__at_" not in path.parent.name and _is_usable(path.parent, path.read_text()):
            found.setdefault(path.parent.name.partition("__")[0], []).append(path.parent)
    ranked = sorted((rank, one) for owned in found.values() for rank, one in enumerate(owned))
    return sorted(path for _, path in ranked[:COUNT])


def _is_usable(folder: Path, text: str) -> bool:
    requirements = re.search(r"^\s+python_requirements: ['\"]?([^'\"\s]+)", text, re.MULTILINE)
    return bool(
        re.search(rf"python_version: ['\"]?{PYTHON}['\"]?\s", text)
        and re.search(r"^predict:.*:[A-Z]\w*", text, re.MULTILINE)
        and (requirements is None or (folder / requirements[1]).exists())
    )


@pytest.fixture(scope="module")
def index(engine: Engine) -> Iterator[Receiver]:
    """An index of stand-ins, which `_offer` fills."""
    with receiving(engine) as receiver:
        yield receiver


@pytest.mark.skipif(not FOLDER, reason="COGC_CORPUS names no folder of projects")
def test_there_are_enough_projects() -> None:
    assert len(_projects()) == COUNT


@pytest.mark.parametrize("folder", _projects(), ids=lambda path: path.name)
def test_project_becomes_an_image_that_serves(engine: Engine, index: Receiver, folder: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(folder, project.root)
    _adapt(project)
    text = project.compile("--cuda-python", "image", "--no-tools", "--installer", "uv").stdout
    wanted = _replace_packages(project, index)
    project.write("Dockerfile", text)
    name = f"project-{re.sub('[^a-z0-9]+', '-', folder.name.lower())}"
    image = engine.build(name, project.root, *_bases(engine, text))
    try:
        frozen = {line.partition("==")[0].lower().replace("_", "-") for line in image.freeze()}
        assert wanted <= frozen
        with serving(engine, image) as (client, _):
            assert client.predict(prompt="you")["output"] == "hello you"
    finally:
        engine.docker("image", "rm", "--force", image.reference)


def _adapt(project: Project) -> None:
    """Leave out what cannot run here, and write the code of the targets."""
    document = yaml.safe_load((project.root / "cog.yaml").read_text())
    for key in _LEFT_OUT:
        document["build"].pop(key, None)
    document.pop("image", None)
    code: dict[str, str] = {}
    for key, template in _CODE.items():
        if key in document:
            file, _, name = document[key].partition(":")
            code[file] = code.get(file, "") + template.format(name=name)
    for file, content in code.items():
        project.write(file, content)
    project.write("cog.yaml", yaml.safe_dump(document))


def _replace_packages(project: Project, index: Receiver) -> set[str]:
    """Have the staged requirements come from the index of stand-ins; their names, as `pip freeze` has them."""
    staged = project.root / ".cog/build/requirements.txt"
    lines, names = [], set()
    constraints = staged.with_name("constraints.txt")
    limits = dict(_requirements(constraints.read_text())) if constraints.exists() else {}
    for name, requirement in _requirements(staged.read_text()) if staged.exists() else ():
        _offer(index, requirement, requirement.specifier & limits.get(name, requirement).specifier)
        lines.append(f"{requirement.name}{requirement.specifier}")
        if name in _UNLISTED:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"python_version": PYTHON}):
            names.add(name)
    if lines:
        header = f"--index-url http://{index.address}:{index.port}/simple\n"
        staged.write_text(header + "\n".join(lines) + "\n")
    return names


def _requirements(text: str) -> Iterator[tuple[str, Requirement]]:
    for line in text.replace("\\\n", " ").splitlines():
        line = re.split(r"\s+(?:#|--hash)", line)[0].strip()
        if not line or line.startswith(("#", "-")):
            continue
        if url := re.match(r"(?:git\+|https?:)\S*?/([\w.-]+?)(?:\.git|-\d\S*\.whl|\.zip)?(?:[@#]\S*)?$", line):
            line = url[1].partition("-")[0] if line.endswith(".whl") else url[1]
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        requirement.url = None
        yield re.sub(r"[-_.]+", "-", requirement.name).lower(), requirement


def _offer(index: Receiver, requirement: Requirement, specifier: SpecifierSet) -> None:
    """Put a version into the index that satisfies the requirement."""
    versions = [item.version.removesuffix(".*") for item in specifier if item.operator in ("==", "===", "~=", ">=")]
    version = next((one for one in [*versions, "1.0", "0.1"] if specifier.contains(one, prereleases=True)), None)
    assert version is not None, f"no version for {requirement}"
    key = re.sub(r"[-_.]+", "-", requirement.name).lower()
    file = wheel_name(key, version)
    path = f"/simple/{key}/"
    index.files[path] = index.files.get(path, b"") + f'<a href="/files/{file}">{file}</a>\n'.encode()
    index.files[f"/files/{file}"] = wheel(key, version)


def _bases(engine: Engine, text: str) -> list[str]:
    """Options by which base images that are not here are replaced by their like."""
    options = []
    for image in {*re.findall(r"^FROM (nvidia/cuda:\S+)", text, re.MULTILINE)}:
        if not engine.has(image):
            like = "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"
            if not engine.has(like):
                pytest.skip(f"there is no {image} here, and nothing like it")
            options.append(f"--build-context={image}=docker-image://{like}")
    return options


def test_stand_ins_satisfy_requirements_of_every_form() -> None:
    found = dict(_requirements("torch==2.1.1+cu118 \\\n  --hash=sha256:00\n-f x\ngit+https://h/a/whisperX.git@1 # x\n"))
    assert [(name, str(requirement.specifier)) for name, requirement in found.items()] == [
        ("torch", "==2.1.1+cu118"),
        ("whisperx", ""),
    ]
