"""What counts as the output that an example expects."""

from __future__ import annotations

from typing import Any

import pytest

from cogc.client.comparison import mismatches
from cogc.client.media import data_url

FILES = {"out.txt": b"hello", "raw.bin": b"\x00\xff"}
TEXT = data_url(b"hello", "text/plain")
IMAGE = data_url(b"\x00\xff", "image/png")

HOLDS: list[tuple[Any, dict[str, Any]]] = [
    ("hello", {"output": "hello"}),
    (["hel", "lo"], {"output": "hello"}),
    ([1, {"a": None}], {"output": [1, {"a": None}]}),
    (TEXT, {"output": "hello"}),
    (TEXT, {"output": "@out.txt"}),
    (IMAGE, {"output": "@raw.bin", "media_type": "image/png"}),
    ({"image": IMAGE, "n": 1}, {"output": {"image": "@raw.bin", "n": 1}}),
    ("hello", {"output": "@out.txt"}),
    (True, {"output": True}),
    (None, {"output": None}),
    ("say hello", {"contains": "hello"}),
    ([1, 2], {"contains": 2}),
    ({"a": 1, "b": 2}, {"contains": {"a": 1}}),
    (TEXT, {"contains": "ell"}),
    ("hello", {"matches": "^h.*o$"}),
    ({"a": 1}, {"matches": '"a": 1'}),
    (0.5004, {"close_to": 0.5, "tolerance": 0.001}),
    ([0.1, 0.2], {"close_to": [0.1, 0.2]}),
    ({"x": 1.0, "y": 2}, {"close_to": {"x": 1}}),
    ("hello", {"contains": "hell", "matches": "o$"}),
]
FAILS: list[tuple[Any, dict[str, Any], str]] = [
    ("hello", {"output": "goodbye"}, 'the output is "hello", not "goodbye"'),
    (1, {"output": True}, "the output is 1, not true"),
    (True, {"output": 1}, "the output is true, not 1"),
    ([1], {"output": [1, 2]}, "the output is [1], not [1, 2]"),
    (TEXT, {"output": "@raw.bin"}, "the output is a file of text/plain, 'hello', not \"@raw.bin\""),
    (IMAGE, {"output": "x"}, 'the output is a file of image/png, 2 bytes, not "x"'),
    ({"a": 1, "b": 2}, {"output": {"a": 1}}, 'the output is {"a": 1, "b": 2}, not {"a": 1}'),
    ("hello", {"contains": "x"}, 'the output "hello" does not contain "x"'),
    (5, {"contains": 5.5}, "the output 5 does not contain 5.5"),
    ("hello", {"matches": "^x"}, 'the output "hello" does not match "^x"'),
    (0.51, {"close_to": 0.5, "tolerance": 0.001}, "the output 0.51 is not within 0.001 of 0.5"),
    ("0.5", {"close_to": 0.5}, 'the output "0.5" is not within 1e-06 of 0.5'),
    (True, {"close_to": 1}, "the output true is not within 1e-06 of 1"),
    (TEXT, {"media_type": "image/png"}, "the output is text/plain, not image/png"),
    ("hello", {"media_type": "image/png"}, "the output is no file, not image/png"),
]


@pytest.mark.parametrize(("output", "expected"), HOLDS)
def test_it_holds(output: Any, expected: dict[str, Any]) -> None:
    assert list(mismatches(output, expected, FILES.__getitem__)) == []


@pytest.mark.parametrize(("output", "expected", "message"), FAILS)
def test_it_does_not_hold_and_says_why(output: Any, expected: dict[str, Any], message: str) -> None:
    assert list(mismatches(output, expected, FILES.__getitem__)) == [message]


def test_all_that_is_wrong_is_said_and_long_values_are_cut() -> None:
    found = list(mismatches("x" * 1000, {"contains": "y", "matches": "z"}, FILES.__getitem__))
    assert len(found) == 2
    assert all(len(text) < 400 for text in found)
