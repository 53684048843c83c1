"""Whether the Dockerfile and the graph of LLB of a build say the same, read by a small interpreter of each."""

from __future__ import annotations

import json
from typing import Any

from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
from cogc.backends.llb.definition import marshal
from cogc.backends.llb.lower import LlbOptions, lower_build
from cogc.backends.llb.ops import CopyFiles, Exec, FileOp, Output
from cogc.backends.llb.schema import LLB
from cogc.ir.nodes import ResolvedBuild
from tests.dockerfile_reader import instructions, labels, variables


def assert_both_say_the_same(build: ResolvedBuild, staged: tuple[tuple[str, bytes], ...], config: bytes) -> None:
    """The commands in their order, the files, and what the image sets; with and without merging.

    `staged` are the generated files, `config` is the text of cog.yaml.
    """
    text, found = emit_dockerfile(build, staged, DockerfileOptions(version="0.0.0"))
    assert text is not None, found
    for merges in (True, False):
        lowered = lower_build(build, staged, LlbOptions(merges=merges))
        definition = marshal(lowered.result, lowered.platform, {"cog.yaml": config})
        ops = [each.op for each in definition.ops]

        theirs = [_squeezed(each.text) for each in instructions(text) if each.keyword == "RUN"]
        assert {_ran(op) for op in ops if isinstance(op, Exec)} == set(theirs)
        of_model = [_ran(op) for op in reversed(_chain(lowered.result)) if isinstance(op, Exec)]
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
        known = dict(image.environment)
        for name, value in variables(text).items():
            before, mark, after = value.partition(f"${name}")  # what the base sets, which may be nothing
            assert known[name].startswith(before)
            assert known[name].endswith(after) if mark else known[name] == value
        users = [each.text for each in instructions(text) if each.keyword == "USER"]
        assert image.user == (users[-1] if users else "")
        assert all(op.metadata["caps"] for op in definition.ops)
        assert LLB.encode("Definition", LLB.decode("Definition", definition.data)) == definition.data


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _ran(op: Exec) -> str:
    return _squeezed(op.arguments[2] if op.arguments[:2] == ("/bin/sh", "-c") else json.dumps(list(op.arguments)))


def _chain(output: Output | None) -> list[Any]:
    """The operations that a tree is made of, the last first, through the bases alone."""
    found: list[Any] = []
    while output is not None:
        found.append(output.op)
        op = output.op
        output = op.root if isinstance(op, Exec) else op.base if isinstance(op, FileOp) else (op.inputs or (None,))[0]
    return found
