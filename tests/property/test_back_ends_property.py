"""Random projects: the Dockerfile and the graph of LLB say the same, read by a small interpreter of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from cogc._data import runtime_files
from cogc.backends.context import staged_files
from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
from cogc.backends.llb.definition import marshal
from cogc.backends.llb.lower import LlbOptions, lower_build
from cogc.backends.llb.ops import CopyFiles, Exec, FileOp, Output
from cogc.backends.llb.schema import LLB
from cogc.ir.nodes import ResolvedBuild
from tests.builds import compiled
from tests.dockerfile_reader import instructions, labels, variables
from tests.examples import examples
from tests.random_projects import random_commands, random_configs, random_files, random_weights

pytestmark = pytest.mark.property

PREDICT = "class Predictor:\n    def predict(self, x: str) -> str:\n        return x\n"
CONFIGS = random_configs(random_commands, ("ffmpeg", "libgl1", "zstd"))


def dockerfile_of(build: ResolvedBuild) -> str:
    text, found = emit_dockerfile(build, staged_files(build, runtime_files()), DockerfileOptions(version="0.0.0"))
    assert text is not None, found
    return text


def squeezed(text: str) -> str:
    return " ".join(text.split())


def ran(op: Exec) -> str:
    return squeezed(op.arguments[2] if op.arguments[:2] == ("/bin/sh", "-c") else json.dumps(list(op.arguments)))


def chain(output: Output | None) -> list[Any]:
    """The operations that a tree is made of, the last first, through the bases alone."""
    found: list[Any] = []
    while output is not None:
        found.append(output.op)
        op = output.op
        output = op.root if isinstance(op, Exec) else op.base if isinstance(op, FileOp) else (op.inputs or (None,))[0]
    return found


@settings(examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS, random_files, random_weights)
def test_both_back_ends_say_the_same(config: dict[str, Any], more: dict[str, str], large: dict[str, int]) -> None:
    compilation = compiled(json.dumps(config), {"predict.py": PREDICT, **more}, sizes=large)
    build = compilation.resolved
    if build is None:  # a value that cog.yaml does not take: there is nothing to compare
        return
    text = dockerfile_of(build)
    for merges in (True, False):
        lowered = lower_build(build, compilation.staged, LlbOptions(merges=merges))
        definition = marshal(lowered.result, lowered.platform, {"cog.yaml": json.dumps(config).encode()})
        ops = [each.op for each in definition.ops]

        theirs = [squeezed(found.text) for found in instructions(text) if found.keyword == "RUN"]
        assert {ran(op) for op in ops if isinstance(op, Exec)} == set(theirs)
        of_model = [ran(op) for op in reversed(chain(lowered.result)) if isinstance(op, Exec)]
        assert [command for command in theirs if command in of_model] == of_model, "in the same order"

        copied = {
            action.destination
            for op in ops
            if isinstance(op, FileOp)
            for action in op.actions
            if isinstance(action, CopyFiles)
        }
        layers = {layer.destination for layer in build.weight_layers}
        assert layers <= copied
        assert {"/src", "/sbin/tini", "/opt/cogc"} <= copied

        image = lowered.image
        assert dict(image.labels) == labels(text)
        assert variables(text).items() <= dict(image.environment).items()
        users = [found.text for found in instructions(text) if found.keyword == "USER"]
        assert image.user == (users[-1] if users else "")
        assert all(op.metadata["caps"] for op in definition.ops)
        assert LLB.encode("Definition", LLB.decode("Definition", definition.data)) == definition.data
