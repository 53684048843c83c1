"""`cogc build`: what it builds, what it says, what it builds again, and what it leaves."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HELLO, PREDICT, MakeProject
from tests.e2e.images import Engine, Image, Project, cogc_program, spellings

pytestmark = pytest.mark.engine


def build(project: Project, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Build, and give the document."""
    done = project.cogc("build", "--format", "json", "--progress", "quiet", *arguments, environment=environment)
    return json.loads(done.stdout)


def new_layers(document: dict[str, Any]) -> list[str]:
    return [layer["title"] for layer in document["layers"] if not layer["cached"]]


def config_of(engine: Engine) -> str:
    """HELLO with something that no cache has seen before."""
    return f"{HELLO}environment:\n  - SESSION={engine.session}\n"


class Builds:
    """One project, built four times: anew, the same, after an edit of its code, and with one requirement more."""

    def __init__(self, engine: Engine, made: Project) -> None:
        self.project, self.name = made, engine.name("build")
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1.0"]):
            subprocess.run([*git, *words], cwd=made.root, check=True)
        self.revision = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=made.root, check=True, capture_output=True, text=True
        ).stdout.strip()
        clean = {"GITHUB_SHA": "", "GITHUB_REF_NAME": ""}
        self.first = made.cogc("build", "-t", self.name, "--label", "team=a b", "--legacy-labels", environment=clean)
        self.image = Image(engine, self.name)
        self.labels = self.image.labels
        self.again = build(made, "-t", self.name)
        made.write("predict.py", PREDICT + "# edited\n")
        self.edited = made.cogc("--debug", "build", "-t", self.name, "--format", "json", "--progress", "quiet")
        made.write("cog.yaml", config_of(engine).replace("- six==1.16.0", "- six==1.16.0\n    - toml==0.10.2"))
        self.required = build(made, "-t", self.name)
        self.freeze_after = Image(engine, self.name).labels["run.cog.pip_freeze"]


@pytest.fixture(scope="module")
def builds(engine: Engine, project: MakeProject) -> Builds:
    return Builds(engine, project("hello", config_of(engine), {"data/words.txt": "one\n", ".gitignore": ".cog/\n"}))


def test_image_has_all_labels(builds: Builds) -> None:
    labels = builds.labels
    assert labels["run.cog.pip_freeze"] == "six==1.16.0"
    assert labels["org.opencontainers.image.revision"] == builds.revision
    assert labels["org.opencontainers.image.version"] == "v1.0"
    assert labels["team"] == "a b"
    assert json.loads(labels["run.cog.config"])["predict"] == "predict.py:Predictor"
    assert labels["org.cogmodel.config"] == labels["run.cog.config"]
    assert labels["org.cogmodel.openapi_schema"] == labels["run.cog.openapi_schema"]
    assert {"run.cog.version", "run.cog.has_init", "run.cogc.matrix", "org.cogmodel.deprecated"} <= set(labels)


def test_progress_and_summary_go_to_standard_error(builds: Builds) -> None:
    assert builds.first.stdout == ""
    said = builds.first.stderr
    assert f"Building Docker image from environment in cog.yaml as {builds.name}..." in said
    assert re.search(r"#\d+ the project's code\n(?:#.*\n)*#\d+ done in ", said)
    summary = said[said.index(f"\nImage built as {builds.name}\n") :]
    assert re.search(r"\n +[\d.]+ MB  base image python:3\.11-slim-bookworm\n", summary)
    assert re.search(r"\n +[\d.]+ [kM]B  Python packages \(uv\) ", summary)
    assert re.search(r"\n +[\d.]+ MB in all, \d+ of \d+ steps from the cache, [\d.]+ s\n", summary)


def test_nothing_is_done_twice(builds: Builds) -> None:
    assert new_layers(builds.again) == []
    assert builds.again["cached_steps"] == builds.again["steps"]


def test_code_edit_makes_one_layer_in_one_call_of_the_builder(builds: Builds) -> None:
    document = json.loads(builds.edited.stdout)
    assert new_layers(document) == ["the project's code"]
    assert document["cached_steps"] == document["steps"] - 1
    assert builds.edited.stderr.count("+ docker buildx build ") == 1
    assert document["engine_seconds"] <= document["seconds"]


def test_other_weights_make_their_layer_and_none_of_the_packages(engine: Engine, project: MakeProject) -> None:
    made = project("large", HELLO)
    made.write_large("checkpoints/model.bin", "one")
    name = engine.name("large")
    build(made, "-t", name)
    made.write_large("checkpoints/model.bin", f"two {engine.session}")
    new = new_layers(build(made, "-t", name))
    assert "weights: checkpoints" in new
    assert not {"Python packages (uv)", "the runtime and its server"} & set(new)


def test_requirement_makes_its_layers_and_the_label_anew(builds: Builds) -> None:
    assert "Python packages (uv)" in new_layers(builds.required)
    assert "the runtime and its server" not in new_layers(builds.required)
    assert builds.freeze_after.splitlines() == ["six==1.16.0", "toml==0.10.2"]


def test_build_leaves_only_the_state_directory(builds: Builds) -> None:
    assert set(os.listdir(builds.project.root)) == {".cog", ".git", ".gitignore", "cog.yaml", "data", "predict.py"}


# -- a Dockerfile of one's own -----------------------------------------------------------------------

OWN = """\
FROM python:3.11-slim-bookworm
ARG WHO
RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=SECRET \\
    echo "$WHO" > /who; cat /run/secrets/file > /dev/null; date +%s%N > /made; \\
    (cat /run/secrets/file; printf %s "$SECRET") | sha256sum > /digest
"""


@pytest.fixture(scope="module")
def own(project: MakeProject) -> Project:
    return project("own", "predict: predict.py:Predictor\n", {"Own.dockerfile": OWN, "secret.txt": "no-one-reads-this"})


def build_own(project: Project, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    secrets = ("--secret", "id=file,src=secret.txt", "--secret", "id=variable,env=TOKEN")
    words = ("--dockerfile", "Own.dockerfile", "-t", name, *secrets, *arguments)
    return project.cogc("--debug", "build", *words, environment={"TOKEN": "nor-this-either"}, check=check)


def test_own_dockerfile_gets_the_labels_and_secrets_stay_secret(engine: Engine, own: Project) -> None:
    name = engine.name("own")
    done = build_own(own, name, "--build-arg", "WHO=somebody")
    made = Image(engine, name)
    assert made.shell("cat /who").strip() == "somebody"
    wanted = hashlib.sha256(b"no-one-reads-this" + b"nor-this-either").hexdigest()
    assert made.shell("cat /digest").split()[0] == wanted
    assert json.loads(made.labels["run.cog.config"])["predict"] == "predict.py:Predictor"
    assert "WHO=***" in done.stderr
    everything = done.stderr.encode() + json.dumps(made.labels).encode() + b"".join(blob for _, blob in made.blobs())
    for value in ("no-one-reads-this", "nor-this-either"):
        assert not any(spelling in everything for spelling in spellings(value))


def test_cached_secrets_are_told_and_no_cache_runs_them(engine: Engine, own: Project) -> None:
    name = engine.name("own-cached")
    build_own(own, name)
    first = Image(engine, name).shell("cat /made")
    assert "No secret was used" in build_own(own, name).stderr
    assert Image(engine, name).shell("cat /made") == first
    again = build_own(own, name, "--no-cache")
    assert "No secret was used" not in again.stderr
    assert Image(engine, name).shell("cat /made") != first


def test_timestamp_gives_the_same_image_each_time(engine: Engine, project: MakeProject) -> None:
    own = project("stamped", "predict: predict.py:Predictor\n", {"D": "FROM debian:13\nRUN echo hi > /hi\n"})
    found = set()
    for number in range(2):
        name = engine.name(f"stamped-{number}")
        own.cogc("build", "--dockerfile", "D", "-t", name, "--timestamp", "1000", "--no-cache", "--provenance=false")
        shown = json.loads(engine.text("image", "inspect", name))[0]
        assert shown["Created"].startswith("1970-01-01T00:16:40")
        found.add(tuple(shown["RootFS"]["Layers"]))
    assert Image(engine, name).shell("stat -c %Y /hi").strip() == "1000"
    assert len(found) == 1


# -- registries and caches -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry() -> str:
    name = os.environ.get("COGC_TEST_REGISTRY")
    if not name:
        pytest.skip("COGC_TEST_REGISTRY names no registry")
    return name


def test_push_and_caches(engine: Engine, project: MakeProject, registry: str, tmp_path: Path) -> None:
    own = project("pushed", "predict: predict.py:Predictor\n", {"D": "FROM debian:13\nRUN date +%s%N > /made\n"})
    name = f"{registry}/cogc-e2e/pushed:{engine.session}"
    engine.references.append(name)
    words = ("build", "--dockerfile", "D", "-t", name, "--push", "--load", "--format", "json", "--progress", "quiet")
    document = json.loads(own.cogc(*words, "--cache-to", f"type=local,dest={tmp_path}/cache").stdout)
    made = Image(engine, name).shell("cat /made")
    engine.text("image", "rm", name)
    assert Image(engine, name).shell("cat /made") == made  # it was pulled
    assert document["digest"] in json.loads(engine.text("image", "inspect", name))[0]["RepoDigests"][0]
    assert (tmp_path / "cache/index.json").exists()
    again = json.loads(own.cogc(*words, "--cache-from", f"type=local,src={tmp_path}/cache").stdout)
    assert again["cached_steps"] == again["steps"]


# -- weights of their own --------------------------------------------------------------------------------


def test_weights_image_is_built_only_when_it_must_be(engine: Engine, project: MakeProject) -> None:
    made = project("apart", HELLO, {".dockerignore": "*.tmp\n"})
    made.write_large("checkpoints/model.bin", "one")
    made.write("checkpoints/config.json", "{}\n")
    name = engine.name("apart")
    engine.references.append(f"{name}-weights")
    words = ("--separate-weights", "-t", name)

    def weights(*more: str) -> bool:
        document = build(made, *words, *more)
        assert document["weights_image"]["name"] == f"{name}-weights"
        return document["weights_image"]["built"]

    assert weights()
    assert Image(engine, name).files("/src") >= {"checkpoints/model.bin", "checkpoints/config.json", "predict.py"}
    files = {item.name for item in Image(engine, f"{name}-weights").exported() if item.isfile()}
    assert files >= {"src/checkpoints/model.bin", "src/checkpoints/config.json"}
    assert "src/predict.py" not in files
    made.write("predict.py", PREDICT + "# edited\n")
    assert not weights()
    os.utime(made.root / "checkpoints/model.bin")
    assert not weights()
    made.write("checkpoints/config.json", '{"new": true}\n')
    assert weights()
    assert json.loads(Image(engine, name).shell("cat /src/checkpoints/config.json")) == {"new": True}
    engine.text("image", "rm", f"{name}-weights")
    assert weights()
    assert not weights()
    told = made.cogc("build", *words).stderr
    assert "Weights unchanged, skip rebuilding and use cached image..." in told
    assert f"Weights image unchanged: {name}-weights" in told


# -- terminals, signals, two at once ---------------------------------------------------------------------


def test_terminal_shows_what_runs_and_what_is_done(engine: Engine, builds: Builds) -> None:
    leader, follower = pty.openpty()
    words = [cogc_program(), "build", "-t", builds.name]
    process = subprocess.Popen(
        words,
        cwd=builds.project.root,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(follower)
    shown = _read_all(leader, process)
    assert process.wait() == 0
    assert f"Building {builds.name}" in shown
    assert re.search(r"✓.*the project's code", shown)
    assert f"Image built as {builds.name}" in shown


def _read_all(leader: int, process: subprocess.Popen[bytes]) -> str:
    raw = b""
    while True:
        ready, _, _ = select.select([leader], [], [], 1)
        try:
            raw += os.read(leader, 65536) if ready else b""
        except OSError:  # the other end is closed
            break
        if not ready and process.poll() is not None:
            break
    os.close(leader)
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", raw.decode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_build_leaves_nothing_that_breaks_the_next(
    engine: Engine, project: MakeProject, tmp_path: Path, number: signal.Signals
) -> None:
    own = project("slow", "predict: predict.py:Predictor\n", {"D": "FROM debian:13\nRUN echo begun && sleep 600\n"})
    name = engine.name(f"slow-{number.name.lower()}")
    words = [cogc_program(), "build", "--dockerfile", "D", "-t", name, "--progress", "plain"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(words, cwd=own.root, stderr=subprocess.PIPE, env=environment, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("  begun\n"):
            break
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "interrupted" in said
    assert os.listdir(tmp_path) == []
    assert not engine.has(name)
    own.write("D", "FROM debian:13\nRUN true\n")
    own.cogc("build", "--dockerfile", "D", "-t", name)
    assert engine.has(name)


def test_two_builds_of_one_project_wait_for_each_other(engine: Engine, project: MakeProject) -> None:
    own = project("twice", "predict: predict.py:Predictor\n", {"D": "FROM debian:13\nRUN sleep 3\n"})
    words = [cogc_program(), "build", "--dockerfile", "D", "--progress", "plain", "-t"]
    names = [engine.name(f"twice-{number}") for number in range(2)]
    running = [subprocess.Popen([*words, name], cwd=own.root, stderr=subprocess.PIPE, text=True) for name in names]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum("another build of this project is running" in text for text in said) == 1
    assert all(engine.has(name) for name in names)


def test_quiet_build_prints_the_name_alone(builds: Builds) -> None:
    done = builds.project.cogc("build", "-t", builds.name, "--progress", "quiet")
    assert (done.stdout, done.stderr) == (f"{builds.name}\n", "")
