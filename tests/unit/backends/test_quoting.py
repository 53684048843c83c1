"""Each place in a Dockerfile has its own rules; awkward text must come out as it went in."""

from __future__ import annotations

import subprocess

import pytest

from cogc.backends.quoting import copy_arguments, env_value, exec_form, shell_word
from tests.dockerfile_reader import words

AWKWARD = [
    *("", " ", "a b", "$HOME", "${HOME}", "$(id)", "`id`", "a'b", 'a"b', "a\\b", "\\", "\\\\", "a\\", "#x", "a=b"),
    *("-x", "--x", "*", "?", "[a]", "~", "!", "a;b", "a&b", "a|b", "a>b", "{a,b}", "%s", "ü", "\u2028", "\t", "'", '"'),
    *("$'x'", "'$x'", '"$x"', "\\$x", "\\'", '\\"', "<<EOF", "a\rb", "🙂"),
]


def test_shell_words_survive_a_real_shell() -> None:
    script = "printf '%s\\0' " + " ".join(shell_word(text) for text in AWKWARD)
    printed = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert printed.decode().split("\0")[:-1] == AWKWARD


@pytest.mark.parametrize("text", AWKWARD)
def test_env_values_survive(text: str) -> None:
    assert words(f"NAME={env_value(text)}") == [f"NAME={text}"]


@pytest.mark.parametrize("text", ["3.12", "/usr/bin:/bin", "a@b.c", "100%", "a=b,c+d-e_f"])
def test_plain_values_stay_bare(text: str) -> None:
    assert env_value(text) == text


@pytest.mark.parametrize(
    "text", [text for text in AWKWARD if text and not set(text) & set("*?[]\\") and text != "<<EOF"]
)
def test_names_survive_copy(text: str) -> None:
    source, destination = words(copy_arguments([text], f"/src/{text}"))
    assert destination == f"/src/{text}"
    assert source.replace("[", "").replace("]", "") == text  # a class of one character is that character


@pytest.mark.parametrize("text", AWKWARD)
def test_destinations_survive_copy(text: str) -> None:
    assert words(copy_arguments(["a"], f"/src/{text}")) == ["a", f"/src/{text}"]


def test_plain_paths_are_written_plainly() -> None:
    assert copy_arguments(["a", "b/c.bin"], "/src/") == "a b/c.bin /src/"


def test_exec_form_is_json() -> None:
    assert exec_form(["a b", 'c"d', "é"]) == '["a b", "c\\"d", "é"]'
