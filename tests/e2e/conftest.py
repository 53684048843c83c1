"""Fixtures of the end-to-end tests. Images are built once for all tests that look at them, and removed at the end."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.e2e.images import Engine, Image, Project

PREDICT = """\
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="Some text")) -> str:
        return "hello " + text
"""

MakeProject = Callable[..., Project]

_used: list[Engine] = []


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine that the docker client talks to; without one the tests are skipped."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on the PATH")
    engine = Engine(uuid.uuid4().hex[:12])
    answer = engine.docker("info", "--format", "{{.ServerVersion}} {{.ServerErrors}}")
    version = answer.stdout.decode().strip()
    if answer.returncode or not version[:1].isdigit():
        pytest.skip(f"no container engine answers: {answer.stderr.decode().strip() or version}")
    if engine.docker("buildx", "version").returncode:
        pytest.skip("the docker client has no buildx, which `docker build` needs for BuildKit")
    _used.append(engine)
    yield engine
    engine.clean()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> MakeProject:
    """Makes a project from a name and its files; `cog.yaml` and `predict.py` are there unless given."""

    def make(name: str, config: str, files: Mapping[str, str | bytes] | None = None) -> Project:
        made = Project(tmp_path_factory.mktemp("project") / name)
        for path, content in {"cog.yaml": config, "predict.py": PREDICT, **(files or {})}.items():
            made.write(path, content)
        return made

    return make


@pytest.fixture(scope="session")
def image(engine: Engine, project: MakeProject) -> Callable[..., Image]:
    """Builds an image from a name, a configuration and files, as a user does; keywords go to the build."""

    def make(name: str, config: str, files: Mapping[str, str | bytes] | None = None, *options: str, **more) -> Image:
        return engine.compile_and_build(name, project(name, config, files), *options, **more)

    return make


HELLO = """\
build:
  python_version: "3.11"
  python_packages:
    - six==1.16.0
predict: predict.py:Predictor
"""


@pytest.fixture(scope="session")
def hello_project(project: MakeProject) -> Project:
    return project("hello", HELLO, {"data/words.txt": "one\n", "run.sh": "#!/bin/sh\n"})


@pytest.fixture(scope="session")
def hello(engine: Engine, hello_project: Project) -> Image:
    (hello_project.root / "run.sh").chmod(0o755)
    return engine.compile_and_build("hello", hello_project)


def pytest_terminal_summary(terminalreporter) -> None:
    for engine in _used:
        terminalreporter.section("image builds (seconds)")
        for name, seconds in engine.timings:
            terminalreporter.line(f"{seconds:7.2f}  {name}")
