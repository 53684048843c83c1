"""The readable form of the IR."""

from __future__ import annotations

from cogc.ir.node import Cause
from cogc.ir.nodes import Env, Run, SecretMount, StagedFile, SystemPackages, Variable
from cogc.ir.text import render_ir
from cogc.source import Span

SPAN = Span("cog.yaml", 3, 5, 3, 9)


def test_a_node_is_a_line_with_its_place_and_its_causes() -> None:
    cause = Cause(kind="config", text="build.run", span=SPAN)
    assert render_ir(Run(command="make", origin=SPAN, because=(cause,))) == (
        'Run command="make"  @ cog.yaml:3:5\n  # config: build.run @ cog.yaml:3:5\n'
    )


def test_nodes_inside_are_indented() -> None:
    run = Run(command="make", mounts=(SecretMount(id="a", target="/a"), SecretMount(id="b", env="B")))
    assert render_ir(run) == (
        'Run command="make"\n  mounts:\n    SecretMount id="a" target="/a"\n    SecretMount id="b" env="B"\n'
    )


def test_defaults_are_left_out_and_other_values_are_not() -> None:
    assert "is_required" not in render_ir(SecretMount(id="a"))
    assert "is_required=false" in render_ir(SecretMount(id="a", is_required=False))


def test_text_of_several_lines_is_a_block_that_keeps_its_end() -> None:
    assert render_ir(StagedFile(path="r.txt", content="a\nb\n")) == (
        'StagedFile path="r.txt"\n  content:\n    | a\n    | b\n    | \n'
    )
    assert render_ir(StagedFile(path="r.txt", content="a\nb")) != render_ir(StagedFile(path="r.txt", content="a\nb\n"))


def test_control_characters_and_line_separators_are_escaped() -> None:
    assert "\x1b" not in render_ir(Env(variables=(Variable(name="A", value="\x1b[0m"),)))


def test_one_item_and_the_same_text_twice_differ() -> None:
    one = render_ir(SystemPackages(packages=("a b",), cache_id="x"))
    two = render_ir(SystemPackages(packages=("a", "b"), cache_id="x"))
    assert one != two
