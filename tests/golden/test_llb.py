"""The examples and some golden cases as text of LLB: llb/NAME.txt is what `cogc compile --emit llb-text` prints.

`pytest tests/golden/test_llb.py --update-golden` writes them anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cogc.backends.llb.schema import LLB
from tests.golden.llb_cases import CASES, compile_case

Case = tuple[str, Callable[[str], str]]
TEXTS = Path(__file__).with_name("llb")


@pytest.fixture(params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Case:
    """The name of a project, and what compiles it."""
    return request.param, compile_case(request.param, tmp_path, monkeypatch, capsys)


def test_the_text_is_as_expected(case: Case, update_golden: bool) -> None:
    name, emitted = case
    text = emitted("llb-text")
    expected = TEXTS / f"{name}.txt"
    if update_golden:
        expected.write_text(text, "utf-8")
    assert expected.exists(), "pytest tests/golden/test_llb.py --update-golden writes it"
    assert text == expected.read_text("utf-8")


def test_the_bytes_are_canonical_complete_and_the_same_again(case: Case) -> None:
    _, emitted = case
    data = base64.b64decode(emitted("llb"))
    assert data == base64.b64decode(emitted("llb"))
    definition = LLB.decode("Definition", data)
    assert LLB.encode("Definition", definition) == data
    document = json.loads(emitted("llb-json"))
    digests = [op["digest"] for op in document["ops"]]
    assert len(set(digests)) == len(digests)
    for place, raw in enumerate(definition["def"]):
        op = LLB.decode("Op", raw)
        assert LLB.encode("Op", op) == raw
        assert {edge["digest"] for edge in op.get("inputs", ())} <= set(digests[:place]), "inputs come first"
        assert definition["metadata"][digests[place]]["caps"], "every operation lists its capabilities"
    *ops, last = digests
    assert set(definition["source"]["locations"]) == set(ops), "every operation points to a line"
    assert last not in definition["source"]["locations"]


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in TEXTS.glob("*.txt")} == set(CASES)
