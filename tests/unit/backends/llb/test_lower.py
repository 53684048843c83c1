"""The graph of a build: it does what the Dockerfile of the same build says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cogc._data import runtime_files
from cogc.backends.context import staged_files
from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
from cogc.backends.llb.definition import Definition, marshal
from cogc.backends.llb.image import read_image
from cogc.backends.llb.lower import LlbOptions, Lowered, lower_build
from cogc.backends.llb.ops import (
    BindFrom,
    CacheDirectory,
    CopyFiles,
    Diff,
    Exec,
    FileOp,
    ImageSource,
    LocalSource,
    MakeDirectory,
    Merge,
    Op,
    SecretFile,
    SecretVariable,
)
from cogc.ir.nodes import ResolvedBuild
from tests.builds import resolved_build
from tests.dockerfile_reader import instructions, labels, variables

PREDICT = {"predict.py": "class Predictor:\n    def predict(self, x: str) -> str: ...\n"}
WEIGHTS = {"w/a.bin": 20_000_000}


def lowered(build: ResolvedBuild, **options: Any) -> tuple[Lowered, Definition]:
    made = lower_build(build, staged_files(build, runtime_files()), LlbOptions(**options))
    return made, marshal(made.result, made.platform, {"cog.yaml": b"build: {}\n"})


def ops(build: ResolvedBuild, kind: type[Op], **options: Any) -> list[Any]:
    return [each.op for each in lowered(build, **options)[1].ops if isinstance(each.op, kind)]


def dockerfile(build: ResolvedBuild) -> str:
    text, found = emit_dockerfile(build, staged_files(build, runtime_files()), DockerfileOptions(version="0.0.0"))
    assert text is not None, found
    return text


MOUNTS = """
predict: predict.py:Predictor
environment: [A=1, "B=x y"]
build:
  python_version: "3.11"
  system_packages: [ffmpeg, "libx=1"]
  python_packages: [numpy==1.26.4]
  run:
    - "echo $HOME && ls /"
    - '["echo", "no shell"]'
    - command: make
      mounts:
        - {type: secret, id: a, target: /a}
        - {type: secret, id: b, env: B, required: false}
        - {type: cache, target: /c, id: d, sharing: locked}
        - {type: bind, source: ./cog.yaml, target: /e}
"""
BUILDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("predict: predict.py:Predictor", {}),
    "mounts": (MOUNTS, {}),
    "weights": ("predict: predict.py:Predictor", {"sizes": WEIGHTS}),
    "user": ("build: {user: app:staff}\npredict: predict.py:Predictor", {}),
    "user-id": ("build: {user: '1234'}", {}),
    "certificate": ("build: {}", {"certificate": "PEM\n"}),
    "pip": ("build: {python_packages: [numpy==1.26.4]}", {"installer": "pip"}),
    "cuda-uv": ("build: {gpu: true, cuda: '12.1'}", {}),
    "cuda-apt": ("build: {gpu: true, cuda: '12.1'}", {"cuda_python": "apt"}),
    "cuda-image": ("build: {gpu: true, cuda: '12.1'}", {"cuda_python": "image"}),
    "strip": ("build: {python_packages: [numpy==1.26.4]}", {"strips": True, "precompiles": True}),
    "own-base": ("build: {}", {"base_image": "example.com/mine:1"}),
}


@pytest.fixture(params=BUILDS)
def build(request: pytest.FixtureRequest) -> ResolvedBuild:
    config, options = BUILDS[request.param]
    return resolved_build(config, PREDICT, **options)


def commands_of(text: str) -> Iterator[str]:
    for instruction in instructions(text):
        if instruction.keyword == "RUN":
            yield " ".join(instruction.text.split())


def command_of(op: Exec) -> str:
    words = op.arguments
    return " ".join((words[2] if words[:2] == ("/bin/sh", "-c") else json.dumps(words)).split())


def test_the_commands_are_those_of_the_dockerfile(build: ResolvedBuild) -> None:
    assert sorted(map(command_of, ops(build, Exec))) == sorted(set(commands_of(dockerfile(build))))


def ordered(build: ResolvedBuild) -> Iterator[str]:
    """What is below the command that installs the Python packages."""
    commands = {command_of(op): op for op in ops(build, Exec)}
    below = next(
        op.root.op for command, op in commands.items() if "pip install" in command and "/opt/cogc" not in command
    )
    while isinstance(below, Exec):
        yield command_of(below)
        below = below.root.op


WHEELS = "--only-binary :all:\nsix==1.16.0\na @ https://example.com/a-1-py3-none-any.whl\n"


@pytest.mark.parametrize(
    ("requirements", "system", "options", "is_beside"),
    [
        (WHEELS, "zstd", {}, True),
        ("six==1.16.0\n", "zstd", {}, False),
        (WHEELS + "b @ https://example.com/b.zip\n", "zstd", {}, False),
        (WHEELS + "--no-binary six\n", "zstd", {}, False),
        (WHEELS + "-e git+https://example.com/c\n", "zstd", {}, False),
        (WHEELS, "ca-certificates", {}, False),
        (WHEELS, "zstd", {"strips": True}, False),
        (WHEELS, "zstd", {"base_image": "example.com/mine:1"}, False),
    ],
)
def test_wheels_are_unpacked_beside_the_system_packages(
    requirements: str, system: str, options: dict[str, Any], is_beside: bool
) -> None:
    config = f"build: {{python_version: '3.11', python_requirements: r.txt, system_packages: [{system}]}}"
    build = resolved_build(config, {**PREDICT, "r.txt": requirements}, **options)
    assert any("apt-get install" in command and system in command for command in ordered(build)) is not is_beside
    differences = ops(build, Diff)
    assert bool(differences) is is_beside
    assert not ops(build, Diff, merges=False)
    for difference in differences:
        (merge,) = (op for op in ops(build, Merge) if isinstance(op.layers[1].op, Diff))
        assert system in command_of(merge.layers[0].op), "the system packages are below"
        assert "six" not in command_of(merge.layers[0].op)
        assert difference.upper.op.root.op is difference.lower.op


def test_the_mounts_are_those_of_the_dockerfile(build: ResolvedBuild) -> None:
    written = {
        " ".join(found.text.split()): sorted(
            dict(part.split("=", 1) for part in flag.removeprefix("--mount=").split(",")).get("target", "")
            for flag in found.flags
        )
        for found in instructions(dockerfile(build))
        if found.keyword == "RUN"
    }
    for op in ops(build, Exec):
        targets = [getattr(mount, "target", "") for mount in op.mounts]
        assert sorted(targets) == written[command_of(op)]


def test_the_image_is_that_of_the_dockerfile(build: ResolvedBuild) -> None:
    image, text = lowered(build)[0].image, dockerfile(build)
    assert dict(image.labels) == labels(text)
    last = {found.keyword: found.text for found in instructions(text)}
    assert json.loads(last["ENTRYPOINT"]) == list(image.entrypoint or ())
    assert json.loads(last["CMD"]) == list(image.command or ())
    assert image.directory == last["WORKDIR"]
    assert image.user == last.get("USER", "")
    assert image.ports == ("5000/tcp",)


def test_variables_are_those_of_the_dockerfile() -> None:
    build = resolved_build(MOUNTS, PREDICT)
    image = lowered(build)[0].image
    assert variables(dockerfile(build)).items() <= dict(image.environment).items()


def test_every_operation_has_a_name_that_counts_and_a_place(build: ResolvedBuild) -> None:
    made, definition = lowered(build)
    for op in definition.ops[:-1]:
        assert op.note.spans
        if op.note.name.startswith("[") and not op.note.name.startswith("[internal]"):
            stage, place = op.note.name[1:].split("]")[0].rsplit(" ", 1)
            number, count = map(int, place.split("/"))
            assert 1 <= number <= count
            if number > 1:
                assert made.steps.step_of(stage, number, count) is not None, op.note.name


def test_all_kinds_of_mounts() -> None:
    (op,) = (op for op in ops(resolved_build(MOUNTS, PREDICT), Exec) if op.arguments[-1] == "make")
    assert [mount for mount in op.mounts if not isinstance(mount, BindFrom)] == [
        SecretFile("a", "/a"),
        SecretVariable("b", "B", is_required=False),
        CacheDirectory("d", "/c", "locked"),
    ]
    (bound,) = (mount for mount in op.mounts if isinstance(mount, BindFrom))
    assert (bound.selector, bound.target) == ("/cog.yaml", "/e")
    assert isinstance(bound.source.op, LocalSource)
    assert bound.source.op.includes == ("cog.yaml",)
    message = op.message["exec"]
    assert [mount["dest"] for mount in message["mounts"]] == ["/", "/a", "/c", "/e"]
    assert message["secretenv"] == [{"id": "b", "name": "B", "optional": True}]
    assert {"exec.secretenv", "exec.mount.secret", "exec.mount.cache.sharing", "exec.mount.selector"} <= op.capabilities


def test_the_environment_of_the_base_is_in_every_command_and_in_the_image() -> None:
    base = read_image(b'{"config": {"Env": ["PATH=/p", "X=1", "A=0"], "WorkingDir": "/w", "StopSignal": "INT"}}')
    build = resolved_build("environment: [A=2]\nbuild: {run: [x]}")
    images = (("python:3.12-slim-bookworm", base),)
    (op,) = (op for op in ops(build, Exec, images=images) if op.arguments[-1] == "x")
    assert op.directory == "/w"
    assert dict(op.environment)["X"] == "1"
    image = lowered(build, images=images)[0].image
    assert list(dict(image.environment))[:3] == ["PATH", "X", "A"]
    assert dict(image.environment)["A"] == "2"
    assert image.other == {"StopSignal": "INT"}


def test_commands_run_in_the_shell_of_the_base() -> None:
    base = read_image(b'{"config": {"Shell": ["/bin/bash", "-c"]}}')
    build = resolved_build('build: {run: [x, \'["y", "z"]\']}')
    found = [op.arguments for op in ops(build, Exec, images=(("python:3.12-slim-bookworm", base),))]
    assert ("/bin/bash", "-c", "x") in found
    assert ("y", "z") in found
    assert ("/bin/sh", "-c", "x") in [op.arguments for op in ops(build, Exec)]


def test_weights_and_code_are_different_selections_of_the_context() -> None:
    build = resolved_build("predict: predict.py:Predictor", PREDICT, sizes=WEIGHTS)
    found = {op.part: op for op in ops(build, LocalSource, ignored=("*.log", "!a.log"))}
    assert found["code"].excludes == ("*.log", "!a.log", ".cog", "w")
    assert found["weights"].includes == ("w",)
    assert found["weights"].excludes == ("*.log", "!a.log")


def test_builds_have_sources_of_their_own() -> None:
    """To a daemon, equal operations of two builds are one, with the files of either."""
    build = resolved_build("predict: predict.py:Predictor", PREDICT)
    first, second, printed = (lowered(build, build_id=name)[1] for name in ("one", "two", ""))
    digests = [{each.digest for each in made.ops if isinstance(each.op, LocalSource)} for made in (first, second)]
    assert digests[0].isdisjoint(digests[1])
    for made, unique in ((first, "one"), (printed, None)):
        (source,) = [each.op for each in made.ops if isinstance(each.op, LocalSource)]
        assert source.message["source"]["attrs"].get("local.unique") == unique
        assert ("source.local.unique" in source.capabilities) is (unique is not None)


def test_linked_layers_are_merged_or_copied() -> None:
    build = resolved_build("predict: predict.py:Predictor", PREDICT, sizes=WEIGHTS)
    assert len(ops(build, Merge)) == 4  # the runtime, the weights, the schema, the code
    assert not ops(build, Merge, merges=False)
    copied = {
        action.destination
        for op in ops(build, FileOp, merges=False)
        for action in op.actions
        if isinstance(action, CopyFiles)
    }
    assert {"/opt/cogc", "/src/w"} <= copied


@pytest.mark.parametrize("config", ["build: {user: app}", "build: {run: ['ln -s /data /src']}"])
def test_code_is_no_branch_where_that_could_give_another_image(config: str) -> None:
    build = resolved_build(f"{config}\npredict: predict.py:Predictor", PREDICT)
    copies = [op for op in ops(build, FileOp) if isinstance(op.actions[0], CopyFiles)]
    into_project = [op for op in copies if op.actions[0].destination.startswith("/src")]
    assert len(into_project) == 2  # the schema and the code
    assert all(op.base is not None for op in into_project)


def test_the_same_image_is_one_operation() -> None:
    build = resolved_build("build: {python_packages: [six]}")
    references = [op.reference for op in ops(build, ImageSource)]
    assert len(references) == len(set(references))


def test_the_code_of_another_user_is_his() -> None:
    build = resolved_build("build: {user: app}\npredict: predict.py:Predictor", PREDICT)
    (copy,) = (a for op in ops(build, FileOp) for a in op.actions if isinstance(a, CopyFiles) and a.path == "/")
    assert copy.owner.user == "app"
    assert copy.owner.message(0) == {"user": {"by_name": {"name": "app", "input": 0}}}


def test_generated_files_have_fixed_modes_and_times() -> None:
    for op in ops(resolved_build("build: {}"), FileOp):
        for action in op.actions:
            if isinstance(action, MakeDirectory):
                assert action.mode == 0o755


def test_no_cache_marks_what_runs() -> None:
    definition = lowered(resolved_build("build: {run: [x]}"), ignores_cache=True)[1]
    assert all(op.metadata.get("ignore_cache") for op in definition.ops if isinstance(op.op, Exec))
