"""Which steps a builder has in its cache: what each kind of step depends on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogc.ir.build_changes import build_changes
from cogc.ir.cache import BASE, LostStep, Place, keyed_steps, lost_steps
from cogc.ir.nodes import ResolvedBuild
from tests.builds import resolved_build

MIB = 1024 * 1024
CONFIG = """\
build:
  python_version: "3.12"
  python_packages: [six==1.16.0]
  system_packages: [git]
  run:
    - echo one
    - {command: make, mounts: [{type: secret, id: first, target: /run/a}]}
environment: [A=1]
"""
SIZES = {"weights/w.bin": 20 * MIB, "more/w.bin": 20 * MIB}


def build(text: str = CONFIG, **options: object) -> ResolvedBuild:
    return resolved_build(text, {"predict.py": ""}, sizes=SIZES, **options)


def lost(old: ResolvedBuild, new: ResolvedBuild, contents: dict[Place, str] | None = None) -> list[LostStep]:
    return list(lost_steps(keyed_steps(old, {}), keyed_steps(new, contents or {})))


def titles(steps: list[LostStep]) -> list[str]:
    return [step.title for step in steps]


def place_of(build: ResolvedBuild, title: str) -> Place:
    [place] = [step.place for step in keyed_steps(build, {}) if step.title == title]
    return place


AFTER_COMMANDS = ["process 1 (tini)", "working directory /src", "the project's code"]
AFTER_PACKAGES = ["linker cache", "echo one", "make", *AFTER_COMMANDS]


def test_the_same_build_loses_nothing() -> None:
    assert lost(build(), build()) == []


@pytest.mark.parametrize(
    ("old", "new", "first", "follow"),
    [
        ("six==1.16.0", "six==1.15.0", [], []),  # the requirements are a staged file: content
        ("[git]", "[curl]", ["system packages: curl"], ["Python packages (uv)", *AFTER_PACKAGES]),
        ("A=1", "A=2", [], ["system packages: git", "Python packages (uv)", *AFTER_PACKAGES]),
        ("echo one", "echo two", ["echo two"], ["make", *AFTER_COMMANDS]),
        ("id: first", "id: second", ["make"], AFTER_COMMANDS),
        ("target: /run/a", "target: /run/b", ["make"], AFTER_COMMANDS),
    ],
)
def test_an_edit_and_what_follows_from_it(old: str, new: str, first: list[str], follow: list[str]) -> None:
    found = lost(build(), build(CONFIG.replace(old, new)))
    assert titles([step for step in found if step.is_changed]) == first
    assert titles([step for step in found if not step.is_changed]) == follow


def test_settings_cost_nothing() -> None:
    assert lost(build(), build(CONFIG + "concurrency: {max: 2}\nimage: other\n")) == []


def test_content_of_a_step_counts_and_linked_copies_do_not_follow() -> None:
    made = build()
    found = lost(made, made, {place_of(made, "Python packages (uv)"): "other requirements"})
    assert titles(found) == ["Python packages (uv)", *AFTER_PACKAGES]
    assert titles([step for step in found if step.is_changed]) == ["Python packages (uv)"]


def test_other_weights_are_their_own_layer_and_what_is_copied_after_it() -> None:
    made = build()
    found = lost(made, made, {("weights", 1): "other weights"})
    assert [(step.place[0], step.title) for step in found] == [
        ("weights", "weights: weights"),
        ("model", "weights: weights"),
        ("model", "working directory /src"),
        ("model", "the project's code"),
    ]


def test_weights_in_an_image_of_their_own_are_that_image() -> None:
    made = build(separate_weights=True)
    found = lost(made, made, {("weights", BASE): "other weights"})
    assert found[0].place == ("weights", BASE)
    assert "weights: weights" in titles(found)


def test_another_base_image_loses_everything_but_what_is_not_made_on_it() -> None:
    """Process 1 is installed on a distribution that has it, and weights are copied from here."""
    old, new = build(base_image="example.com/a:1"), build(base_image="example.com/a:2")
    places = {step.place for step in lost(old, new)}
    kept = [(step.place[0], step.title) for step in keyed_steps(new, {}) if step.place not in places]
    assert kept == [
        ("init", "base image python:3.12-slim-bookworm"),
        ("init", "process 1 (tini)"),
        ("weights", "weights: more"),
        ("weights", "weights: weights"),
        ("model", "weights: more"),
        ("model", "weights: weights"),
    ]


def test_the_digest_of_uv_is_part_of_what_uses_it() -> None:
    old = replace(build(), digests=(("uv", "sha256:1"),))
    found = titles(lost(old, replace(old, digests=(("uv", "sha256:2"),))))
    assert found[0] == "Python packages (uv)"
    assert "system packages: git" not in found
    assert "packages of the server" in found


# -- what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("one", "one", []),
        ("six==1.16.0", "six==1.15.0", ["requirement - six==1.16.0", "requirement + six==1.15.0"]),
        ("[git]", "[git, curl]", ["system package + curl"]),
        ("A=1", "A=2", ["environment A: 1 → 2"]),
        ("A=1", "B=1", ["environment A: 1 → none", "environment B: none → 1"]),
        ("echo one", "echo two", ["run - echo one", "run + echo two"]),
        (
            "id: first",
            "id: second",
            ["run - make [secret first as /run/a]", "run + make [secret second as /run/a]"],
        ),
        ("A=1]", "A=1]\nimage: x", ["image name cog-project → x"]),
        ("A=1]", "A=1]\nconcurrency: {max: 2}", ["concurrency none → 2"]),
        ("  run:", "  user: me\n  run:", ["step + user me"]),
    ],
)
def test_changes_are_told(old: str, new: str, said: list[str]) -> None:
    assert list(build_changes(build(), build(CONFIG.replace(old, new)))) == said


def test_decisions_are_told() -> None:
    changes = list(build_changes(build(), build(CONFIG.replace("3.12", "3.11"))))
    assert changes[0] == "Python 3.12 → 3.11"
    assert "base image python:3.12-slim-bookworm → python:3.11-slim-bookworm" in changes


def test_passwords_are_not_told() -> None:
    secret = CONFIG.replace("six==1.16.0", "'--extra-index-url=https://me:hunter2@example.com/simple', six")
    assert "hunter2" not in "\n".join(build_changes(build(), build(secret)))
