"""How the engines that do not answer are told of."""

from __future__ import annotations

import pytest

from cogc.diagnostics import report
from cogc.engines import EngineFailure
from cogc.engines.choice import _sentence


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("no engine answers", "No engine answers."),
        ("no engine answers.", "No engine answers."),
        ("no engine answers. Is it running?", "No engine answers. Is it running?"),
    ],
)
def test_a_failure_is_one_sentence_or_more(message: str, sentence: str) -> None:
    assert _sentence(EngineFailure(report("COG621", message))) == sentence
