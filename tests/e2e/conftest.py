"""Fixtures of the end-to-end tests. Images are built once for all tests that look at them, and removed at the end."""

from __future__ import annotations

import fcntl
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.comparison import ComparingEngine
from tests.e2e.images import Engine, Image, Project
from tests.e2e.serving import CONFIG, FILES

PREDICT = """\
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="Some text")) -> str:
        return "hello " + text
"""

HELLO = """\
build:
  python_version: "3.11"
  python_packages:
    - six==1.16.0
predict: predict.py:Predictor
"""

MakeProject = Callable[..., Project]

_FOLDER = Path(__file__).parent

_used: list[Engine] = []


# The files that take longest come first, so that no worker is left with one of them at the end.
_LONGEST = (
    "test_back_ends.py",
    "test_build.py",
    "test_running.py",
    "test_bases.py",
    "test_diff.py",
    "test_projects.py",
    "test_walkthroughs.py",
    "test_buildkit_options.py",
    "test_buildkit_outputs.py",
    "test_buildkit_digests.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of an image waits for its build, and for what that fetches."""
    ours = [item for item in items if item.path.is_relative_to(_FOLDER)]
    for item in ours:
        item.add_marker(pytest.mark.timeout(900))
    if len(ours) == len(items):
        rank = {name: number for number, name in enumerate(_LONGEST)}
        items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine that the docker client talks to; without one the tests are skipped."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on the PATH")
    # With it, every project that tests build is built by the other back end as well.
    kind = ComparingEngine if os.environ.get("COGC_TEST_BOTH") else Engine
    engine = kind(uuid.uuid4().hex[:12])
    if isinstance(engine, ComparingEngine):
        Project.built = engine.compare_built
    answer = engine.docker("info", "--format", "{{.ServerVersion}} {{.ServerErrors}}")
    version = answer.stdout.decode().strip()
    if answer.returncode or not version[:1].isdigit():
        pytest.skip(f"no container engine answers: {answer.stderr.decode().strip() or version}")
    if engine.docker("buildx", "version").returncode:
        pytest.skip("the docker client has no buildx, which `docker build` needs for BuildKit")
    _used.append(engine)
    if "PYTEST_XDIST_WORKER" in os.environ:
        _fill_cache(engine, tmp_path_factory.getbasetemp())
    yield engine
    engine.clean()


def _fill_cache(engine: Engine, folder: Path) -> None:
    """Build what most images have in common, in the first worker that gets here, while the others wait.

    Where two builds make the same step at the same time, each has a result of its own, and later builds take the one
    that was ready last: then layers differ which tests compare.
    """
    project = Project(folder / "common")
    with (folder.parent / "cache.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock.fileno()).st_size:
            return
        project.write("cog.yaml", HELLO)
        project.write("predict.py", PREDICT)
        for back_end in ("docker", "buildkit"):
            # A failure is for the tests to tell.
            project.cogc("build", "--engine", back_end, "--tag", engine.name(f"common-{back_end}"), check=False)
        lock.write("it is filled\n")


@pytest.fixture(scope="session")
def containerd_store(engine: Engine) -> None:
    """For what Docker's older image store cannot do."""
    if not engine.has_containerd_store:
        pytest.skip("the engine does not keep its images in the containerd image store")


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


@pytest.fixture(scope="session")
def hello_project(project: MakeProject) -> Project:
    return project("hello", HELLO, {"data/words.txt": "one\n", "run.sh": "#!/bin/sh\n"})


@pytest.fixture(scope="session")
def hello(engine: Engine, hello_project: Project) -> Image:
    (hello_project.root / "run.sh").chmod(0o755)
    return engine.compile_and_build("hello", hello_project)


@pytest.fixture(scope="session")
def model(image: Callable[..., Image]) -> Image:
    """A model whose containers the tests run."""
    return image("serving", CONFIG.format(python="3.11", packages="six==1.16.0"), FILES)


# -- packages to install ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package `greeting`, as in someone's repository."""
    root = tmp_path_factory.mktemp("package")
    (root / "greeting").mkdir()
    (root / "greeting/__init__.py").write_text('def greet():\n    print("hello from greeting")\n')
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "greeting"\nversion = "1.2.3"\n[project.scripts]\ngreet = "greeting:greet"\n'
        '[tool.setuptools]\npackages = ["greeting"]\n'
    )
    return root


@pytest.fixture(scope="session")
def distributions(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A wheel and a source archive of it, with different names so that both can be installed."""
    target = tmp_path_factory.mktemp("dist")
    work = tmp_path_factory.mktemp("work")
    made = {}
    for name, kind in (("greeting-wheel", "--wheel"), ("greeting-archive", "--sdist")):
        tree = work / name
        shutil.copytree(source_tree, tree)
        project = (tree / "pyproject.toml").read_text()
        module = name.replace("-", "_")
        (tree / "greeting").rename(tree / module)
        project = (
            project.replace('"greeting"', f'"{module}"')
            .replace("greeting:", f"{module}:")
            .replace("greet =", f"{name} =")
        )
        (tree / "pyproject.toml").write_text(project)
        command = [sys.executable, "-m", "build", kind, "--outdir", str(target), str(tree)]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            pytest.skip(f"the package cannot be built here: {process.stderr.strip().splitlines()[-1:]}")
    for path in target.iterdir():
        made[path.name] = path.read_bytes()
    return made


@pytest.fixture(scope="session")
def served_git(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare git repository of it, with the tag v1."""
    if shutil.which("git") is None:
        pytest.skip("there is no git here to make a repository with")
    served = tmp_path_factory.mktemp("served")
    identity = {
        f"GIT_{who}_{what}": "tester@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=source_tree, env=environment, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=one")
    git("tag", "v1")
    git("clone", "--quiet", "--bare", ".", str(served / "greeting.git"))
    git("--git-dir", str(served / "greeting.git"), "update-server-info")
    return served / "greeting.git"


@pytest.fixture(scope="session")
def served_repository(engine: Engine, served_git: Path) -> Iterator[str]:
    """The URL of a git repository that builds can reach."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    gateway = json.loads(engine.text("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]
    try:
        server = http.server.ThreadingHTTPServer(
            (gateway, 0), functools.partial(Quiet, directory=str(served_git.parent))
        )
    except OSError:
        pytest.skip(f"the engine's network is not on this machine: {gateway}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"git+http://{gateway}:{server.server_port}/greeting.git"
    server.shutdown()
    thread.join()
    server.server_close()


def pytest_terminal_summary(terminalreporter) -> None:
    for engine in _used:
        terminalreporter.section("image builds (seconds)")
        for name, seconds in engine.timings:
            terminalreporter.line(f"{seconds:7.2f}  {name}")
        if isinstance(engine, ComparingEngine):
            terminalreporter.section(f"{len(engine.compared)} projects compared")
            for name, reason in engine.left_out:
                terminalreporter.line(f"{name}: not compared: {reason}")
