"""Violations of the JSON Schema: the code, the place, and what the user is told to write instead."""

from __future__ import annotations

import pytest

from cogc.diagnostics import Diagnostic
from cogc.fixes import apply_fixes
from cogc.frontend.parse import parse
from cogc.frontend.schema import check_schema
from cogc.source import SourceFile


def check(text: str) -> list[Diagnostic]:
    root, found = parse(SourceFile("cog.yaml", text))
    assert root is not None, found
    return list(check_schema(root))


def only(text: str) -> Diagnostic:
    (found,) = check(text)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "build:",
        "build: {python_packages: null, system_packages: null, run: null, pre_install: null}",
        "build: {python_version: 3.10, cuda: 11.8, cudnn: 8}",
        "build: {run: [echo hi, {command: x, mounts: [{type: secret, id: a, target: /b}]}]}",
        "build: {run: [{command: x, mounts: [{type: cache, target: /c}, {type: bind, source: a, target: /b}]}]}",
        "concurrency: {max: 1, default_target: 3}",
        "environment: [A=1]",
        "weights: [{name: a, target: /b, source: {uri: x}}, {name: c, target: /d, source: [{uri: x}]}]",
        "build: {user: 1000}",
        "tests: [anything, 3]",
    ],
)
def test_valid_shapes_pass(text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("bild: {}", "1:1", "`bild` is not a key of cog.yaml", "did you mean `build`?"),
        ("gpu: true", "1:1", "`gpu` is not a key of cog.yaml", "`gpu` belongs inside `build`"),
        ("build: {cuda_version: 1}", "1:9", "`cuda_version` is not a key of `build`", "did you mean `cuda`?"),
        ("build: {conda: [a]}", "1:9", "`conda` is not a key of `build`", "did you mean `run`?"),
        ("build: {apt: [git]}", "1:9", "`apt` is not a key of `build`", "did you mean `system_packages`?"),
        ("build: {env: [A=1]}", "1:9", "`env` is not a key of `build`", "`environment` stands at the top level"),
        ("build: {predict: a}", "1:9", "`predict` is not a key of `build`", "`predict` stands at the top level"),
        ("concurrency: {max: 1, x: 2}", "1:23", "`x` is not a key of `concurrency`", "the keys here are"),
        ("build: {run: [{command: a, mount: []}]}", "1:28", "not a key of `build.run[0]`", "did you mean `mounts`?"),
        ("weights: [{name: a, target: /b, uri: c}]", "1:33", "not a key of `weights[0]`", "the keys here are"),
    ],
)
def test_unknown_keys_are_explained_at_the_key(text: str, place: str, message: str, hint: str) -> None:
    found = only(text)
    assert found.code == "COG120"
    assert f"{found.span.line}:{found.span.column}" == place if found.span else False
    assert message in found.message
    assert hint in (found.hint or "")


def test_a_misspelt_key_can_be_mended() -> None:
    text = "build:\n  python_verison: '3.12'\n"
    changed, _ = apply_fixes({"cog.yaml": text}, check(text))
    assert changed == {"cog.yaml": "build:\n  python_version: '3.12'\n"}


def test_a_misspelt_key_is_not_mended_onto_one_that_is_there() -> None:
    assert only("build: {gpu: true, gpus: true}").fix is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("build: {gpu: 'true'}", "`build.gpu` must be `true` or `false`, but it is text"),
        ("build: {gpu: 1}", "`build.gpu` must be `true` or `false`, but it is the number 1"),
        ("build: {python_packages: numpy}", "`build.python_packages` must be a list, but it is text"),
        ("build: {system_packages: [1]}", "`build.system_packages[0]` must be text, but it is the number 1"),
        ("build: []", "`build` must be a mapping, but it is a list"),
        ("image: {}", "`image` must be text, but it is a mapping"),
        ("image: true", "`image` must be text, but it is `true`, which YAML reads as true or false"),
        ("image: ", "`image` must be text, but it is empty"),
        ("concurrency: {max: '1'}", "`concurrency.max` must be a whole number, but it is text"),
        ("environment: {A: 1}", "`environment` must be a list, but it is a mapping"),
        ("environment: [A: 1]", "`environment[0]` must be text, but it is a mapping"),
    ],
)
def test_wrong_types_say_what_is_there(text: str, message: str) -> None:
    found = only(text)
    assert (found.code, found.message) == ("COG121", message)


def test_a_number_where_text_is_wanted_can_be_quoted() -> None:
    text = "build:\n  system_packages: [7zip, 7]\n"
    changed, _ = apply_fixes({"cog.yaml": text}, check(text))
    assert changed == {"cog.yaml": 'build:\n  system_packages: [7zip, "7"]\n'}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("concurrency: {default_target: 1}", "COG122", "`concurrency` needs the key `max`"),
        ("concurrency: {max: 0}", "COG123", "`concurrency.max` must be at least 1"),
        ("build: {run: [{mounts: []}]}", "COG122", "`build.run[0]` needs the key `command`"),
        ("build: {run: [{command: x, mounts: [{id: a}]}]}", "COG122", "`build.run[0].mounts[0]` needs the key `type`"),
        ("build: {run: [{command: x, mounts: [{type: secret, target: /a}]}]}", "COG122", "needs the key `id`"),
        ("build: {run: [{command: x, mounts: [{type: cache}]}]}", "COG122", "needs the key `target`"),
        (
            "build: {run: [{command: x, mounts: [{type: sercet}]}]}",
            "COG123",
            "must be one of `secret`, `ssh`, `cache`, `bind`",
        ),
        ("weights: [{name: a}]", "COG122", "`weights[0]` needs the key `target`"),
        ("weights: [{name: A!, target: /a}]", "COG123", "`weights[0].name` must be lower-case"),
        ("weights: [{name: a, target: /a, source: []}]", "COG123", "`weights[0].source` must not be empty"),
    ],
)
def test_missing_keys_and_wrong_values(text: str, code: str, message: str) -> None:
    found = only(text)
    assert found.code == code
    assert message in found.message


def test_everything_is_reported_at_once() -> None:
    found = check("bild: 1\nimage: 2\nbuild:\n  gpu: 3\n  x: 4\n")
    assert sorted(d.code for d in found) == ["COG120", "COG120", "COG121", "COG121"]
