"""What cogc says about versions, word for word: each `*.txt` here is a project and what `cogc check` prints of it.

A file holds parts that begin with `=== NAME`: the files of the project, `options` (arguments, where there are any), and
`says`. Remarks (info) are left out. `pytest tests/messages --update-golden -k <case>` writes `says` anew.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from cogc.cli import main

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in HERE.glob("*.txt"))
WORKED = ("no-wheel-for-python", "companion", "pinned-libraries", "cuda-too-old", "no-gpu-build-for-arm64")


@dataclass(frozen=True)
class Case:
    """The parts of one file, by name."""

    parts: dict[str, str]

    @property
    def options(self) -> list[str]:
        return shlex.split(self.parts.get("options", ""))

    @property
    def files(self) -> dict[str, str]:
        return {name: text for name, text in self.parts.items() if name not in ("options", "says")}


def read(name: str) -> Case:
    text = (HERE / f"{name}.txt").read_text("utf-8")
    parts = re.split(r"^=== (.+)\n", text, flags=re.MULTILINE)
    return Case(dict(zip(parts[1::2], parts[2::2], strict=True)))


def lay_out(case: Case, root: Path) -> None:
    for name, text in case.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")


@pytest.mark.parametrize("name", CASES)
def test_message(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    update_golden: bool,
) -> None:
    case = read(name)
    lay_out(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    main(["check", *case.options])
    blocks = capsys.readouterr().out.split("\n\n")
    said = "\n\n".join(block for block in blocks if block.startswith(("error[", "warning["))) + "\n"
    if update_golden:
        parts = {**case.parts, "says": said}
        text = "".join(f"=== {part}\n{body}" for part, body in parts.items())
        (HERE / f"{name}.txt").write_text(text, "utf-8")
        return
    assert said == case.parts.get("says"), f"if that is right: pytest tests/messages --update-golden -k {name}"


@pytest.mark.parametrize("name", CASES)
def test_every_side_has_a_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error about versions says where each side stands, and which matrix it comes from."""
    case = read(name)
    lay_out(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    main(["check", *case.options, "--format", "json"])
    for found in json.loads(capsys.readouterr().out)["diagnostics"]:
        if found["severity"] != "error":
            continue
        assert found["span"] is not None
        is_from_the_project = found["code"] == "COG239" or ".whl" in found["message"]
        assert is_from_the_project or any("matrix " in note["message"] for note in found["notes"])


def test_the_worked_examples_are_there() -> None:
    assert set(WORKED) <= set(CASES)


def test_there_are_many() -> None:
    assert len(CASES) >= 30
