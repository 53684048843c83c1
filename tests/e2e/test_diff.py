"""What `cogc diff` says will be built again, against what the engine builds again, for every kind of edit."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cogc.backends.context import STAGING
from cogc.backends.filters import DockerfileOptions
from cogc.backends.source_map import without_marks
from cogc.commands._comparison import Side, compare, compile_side
from cogc.commands.diff import add_arguments
from cogc.disk import ProjectFiles, stage_files
from cogc.driver import dockerfile_text
from cogc.engines.docker.build_progress import BuildProgress
from cogc.frontend.lower import BuildOptions
from cogc.ir.cache import BASE, LostStep, Place
from cogc.ir.nodes import Copy, ResolvedBuild
from tests.e2e.images import Engine
from tests.locks import make_wheel
from tests.network import patiently

pytestmark = [pytest.mark.engine, pytest.mark.network]

# In the environment and the weights, so that no cache has seen the project before.
SESSION = uuid.uuid4().hex
CONFIG = f"""\
build:
  python_version: "3.11"
  python_packages: [./tiny-1.0-py3-none-any.whl]
  run:
    - echo one > /one
    - command: test -f /run/secrets/key
      mounts: [{{type: secret, id: first, target: /run/secrets/key}}]
environment: [SETTING=1, SESSION={SESSION}]
predict: predict.py:Predictor
"""
PREDICT = """\
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return text
"""


def in_config(old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        assert old in CONFIG
        (root / "cog.yaml").write_text(CONFIG.replace(old, new))

    return edit


def in_file(name: str, content: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(content) and None


EDITS: dict[str, Callable[[Path], None]] = {
    "nothing": lambda root: None,
    "comment": in_config("build:", "# a comment\nbuild:"),
    "code": in_file("predict.py", PREDICT + "# edited\n"),
    "file": in_file("new.txt", "new"),
    "permissions": lambda root: (root / "predict.py").chmod(0o755),
    "permissions of weights": lambda root: (root / "weights/model.bin").chmod(0o600),
    "permissions of folders": lambda root: [(root / name).chmod(0o700) for name in ("weights", "lib/deep")] and None,
    "inputs": in_file("predict.py", PREDICT.replace("text: str", "text: str, more: int = 1")),
    "requirement": in_config("tiny-1.0", "tiny-2.0"),
    "apt": in_config("  run:", "  system_packages: [tree]\n  run:"),
    "env": in_config("SETTING=1", "SETTING=2"),
    "concurrency": in_config("environment:", "concurrency: {max: 1}\nenvironment:"),
    "weights": in_file("weights/model.bin", f"other {SESSION}" + "x" * 11_000_000),
    "secret": in_config("id: first", "id: second"),
    "run": in_config("echo one", "echo two"),
    "python": in_config('"3.11"', '"3.13"'),
}


# What is new itself, and does not only follow.
CHANGED = {
    "comment": {"the project's code"},
    "permissions": {"the project's code"},
    "permissions of weights": {"weights: weights"},
    "requirement": {"Python packages (uv)", "the project's code"},
    "apt": {"system packages: tree", "the project's code"},
    "weights": {"weights: weights"},
    "secret": {"test -f /run/secrets/key"},
    "run": {"echo two > /one"},
}


class Builds:
    """The project before any edit, built once, and beside it a copy that is edited and built."""

    def __init__(self, place: Path) -> None:
        self.old, self.new = place / "old/model", place / "new/model"
        self.parser = argparse.ArgumentParser()
        add_arguments(self.parser)
        self.restore(self.old)
        self.restore(self.new)
        self.before = self.side(self.old)
        self.build(self.side(self.new))

    def restore(self, root: Path) -> None:
        """The project as it is before an edit."""
        content = {
            "cog.yaml": CONFIG,
            "predict.py": PREDICT,
            "lib/deep/a.py": "A = 1\n",
            "weights/model.bin": f"first {SESSION}" + "x" * 11_000_000,
        }
        for path in root.rglob("*"):
            if path.is_file() and str(path.relative_to(root)) not in content and path.suffix != ".whl":
                path.unlink()
        for name, text in content.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if not (root / name).exists() or (root / name).read_text() != text:
                (root / name).write_text(text)
            (root / name).parent.chmod(0o755)
            (root / name).chmod(0o644)
        for version in ("1.0", "2.0"):
            if not (root / f"tiny-{version}-py3-none-any.whl").exists():
                make_wheel(root, "tiny", version)

    def side(self, root: Path, options: BuildOptions | None = None) -> Side:
        with ExitStack() as stack:
            side, found, _ = compile_side(str(root), self.parser.parse_args([]), options or BuildOptions(), stack)
        assert side is not None, found
        return side

    def build(self, side: Side) -> set[Place]:
        """Build, and give the steps that the engine did not have."""
        root, compilation = side.compared.project.root, side.compilation
        assert compilation.resolved is not None
        stage_files(root, STAGING, compilation.staged)
        marked, found = dockerfile_text(compilation, ProjectFiles(root), DockerfileOptions(version="1", marks=True))
        assert marked is not None, found
        text, lines = without_marks(marked, compilation.resolved)
        words = ["docker", "buildx", "build", "--progress=rawjson", "--output=type=cacheonly", "--file=-"]
        secrets = [f"--secret=id={name},src={root / 'cog.yaml'}" for name in ("first", "second")]
        attempts: list[BuildProgress] = []

        def run() -> subprocess.CompletedProcess[bytes]:
            done = subprocess.run(
                [*words, *secrets, str(root)], input=text.encode(), capture_output=True, check=False, timeout=300
            )
            attempts.append(BuildProgress())
            for line in done.stderr.splitlines():
                list(attempts[-1].feed(line) or ())
            return done

        done = patiently(run)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        ran: set[Place] = set()
        # The engine has what the first of several attempts made before it failed.
        for step in (step for progress in attempts for step in progress.instructions.values()):
            assert step.place is not None
            line = lines.line_of(step.stage, *step.place)
            where = lines.at(line or 0)
            assert where is not None, step.name
            stage, node = where
            if not step.is_cached:
                ran.add((stage.name, next(index for index, each in enumerate(stage.steps) if each is node)))
        return ran | set(_linked_weights(compilation.resolved, ran))


def _linked_weights(build: ResolvedBuild, ran: set[Place]) -> Iterator[Place]:
    """Copies of weights that were made: the builder takes their layer from the stage of the weights, as cached."""
    made = {layer.destination for number, layer in enumerate(build.weight_layers) if ("weights", number) in ran}
    for stage in build.stages:
        for number, step in enumerate(stage.steps):
            if isinstance(step, Copy) and step.from_stage == "weights" and step.destination in made:
                yield stage.name, number


def _copies_of_the_server(side: Side) -> set[Place]:
    """Made anew, it mostly has the same files, and the engine then has the layer with their copy."""
    assert side.compilation.resolved is not None
    return {
        (stage.name, number)
        for stage in side.compilation.resolved.stages
        for number, step in enumerate(stage.steps)
        if isinstance(step, Copy) and step.from_stage == "server" and step.is_linked
    }


@pytest.fixture(scope="module")
def builds(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    """A certificate of its own makes every stage one that no other build shares, not even the server's."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    place = tmp_path_factory.mktemp("diff")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=cogc e2e diff"]
    files = ["-keyout", str(place / "key.pem"), "-out", str(place / "ca.crt")]
    subprocess.run([*words, *files], check=True, capture_output=True, timeout=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COG_CA_CERT", str(place / "ca.crt"))
        yield Builds(place)


def check(builds: Builds, after: Side) -> tuple[LostStep, ...]:
    """Build, and compare."""
    lost = compare(builds.before, after).lost
    made, said = builds.build(after), {step.place for step in lost if step.place[1] != BASE}
    assert made | (said & _copies_of_the_server(after)) == said
    return lost


@pytest.mark.parametrize("name", EDITS)
def test_what_is_built_again_is_what_was_said(builds: Builds, name: str) -> None:
    builds.restore(builds.new)
    EDITS[name](builds.new)
    lost = check(builds, builds.side(builds.new))
    assert {step.title for step in lost if step.is_changed} >= CHANGED.get(name, set())


def test_another_base_image(engine: Engine, builds: Builds) -> None:
    builds.restore(builds.new)
    reference = engine.name("diff-base")
    engine.text("build", f"--tag={reference}", "-", stdin="FROM python:3.11-slim-bookworm\nRUN touch /another\n")
    after = builds.side(builds.new, BuildOptions(base_image=reference))
    lost = check(builds, after)
    assert f"base image {reference}" in {step.title for step in lost}
