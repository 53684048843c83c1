"""The IR as JSON: what is written reads back as the same value, and other documents are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cogc.ir.document import FORMAT, InvalidDocument, from_document, to_document
from tests.builds import compiled

CONFIG = """
build:
  gpu: true
  python_packages: [torch==2.3, "x @ git+https://example.com/x"]
  system_packages: [ffmpeg]
  run:
    - command: make
      mounts:
        - {type: secret, id: pip, target: /etc/pip.conf}
        - {type: cache, target: /c}
        - {type: bind, source: cog.yaml, target: /b}
environment: [A=1, "B=ü"]
"""


def document(stage: str = "resolved") -> dict[str, Any]:
    compilation = compiled(CONFIG, sizes={"w/a.bin": 20_000_000}, certificate="PEM\n", user="model")
    build = compilation.build if stage == "build" else compilation.resolved
    assert build is not None
    return to_document(build)


@pytest.mark.parametrize("stage", ["build", "resolved"])
def test_a_build_survives_json(stage: str) -> None:
    written = document(stage)
    again = from_document(json.loads(json.dumps(written)))
    assert to_document(again) == written


@pytest.mark.parametrize("stage", ["build", "resolved"])
def test_reading_gives_an_equal_value(stage: str) -> None:
    compilation = compiled(CONFIG)
    build = compilation.build if stage == "build" else compilation.resolved
    assert build is not None
    assert from_document(json.loads(json.dumps(to_document(build)))) == build


def test_places_and_causes_are_in_the_document() -> None:
    text = json.dumps(document())
    assert '"because"' in text
    assert '"end_column"' in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": FORMAT + 1}, "newer than this cogc reads"),
        ({"format": "x"}, "not known"),
        ({"format": None}, "not known"),
        ({"node": "Nothing"}, "Nothing"),
        ({"node": "Env", "variables": []}, "Env"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_other_documents_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument, match=message):
        from_document({**document(), **change})
