"""The examples and some golden cases as text of LLB: llb/NAME.txt is what `cogc compile --emit llb-text` prints.

`pytest tests/golden/test_llb.py --update-golden` writes them anew.
"""

from __future__ import annotations

import base64
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cogc.backends.llb.schema import LLB
from cogc.cli import main

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
CASES = {
    **{path.parent.name: path.parent for path in sorted(EXAMPLES.glob("*/cog.yaml"))},
    **{
        name.replace("/", "-"): HERE / name
        for name in (
            "cuda/python-from-image",
            "environment/quoting",
            "image/certificate",
            "image/user-with-group",
            "lock/pinned",
            "python/local-wheel",
            "run/mounts",
            "schema/dynamic-default",
            "weights/odd-names",
        )
    },
}


@pytest.fixture(params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Compiles one project: (name, emit) → (exit code, the printed document)."""
    for module in ("cogc", "cogc.driver"):
        monkeypatch.setattr(f"{module}.__version__", "0.0.0")
    runtime = (("cog/__init__.py", b'"""The SDK."""\n'), ("requirements/server.in", b"uvicorn\n"))
    monkeypatch.setattr("cogc.driver.runtime_files", lambda: runtime)
    source = CASES[request.param]
    root = tmp_path / source.name
    shutil.copytree(source, root, ignore=shutil.ignore_patterns("expected", "options.toml", ".cog", "README.md"))
    options = source / "options.toml"
    settings = tomllib.loads(options.read_text("utf-8")) if options.exists() else {}
    for path, size_bytes in settings.get("big_files", {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with open(root / path, "wb") as file:
            file.truncate(size_bytes)
    monkeypatch.delenv("COG_CA_CERT", raising=False)
    for name, value in settings.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)

    def emitted(emit: str) -> str:
        capsys.readouterr()
        status = main(["compile", *settings.get("arguments", ()), "--emit", emit, "--format", "json"])
        printed = json.loads(capsys.readouterr().out)
        assert status == 0, printed
        assert not (root / ".cog").exists(), "the definition holds the generated files, nothing is staged"
        return printed["output"]

    emitted.name = request.param  # type: ignore[attr-defined]
    return emitted


def test_the_text_is_as_expected(case: Any, update_golden: bool) -> None:
    text = case("llb-text")
    expected = HERE / "llb" / f"{case.name}.txt"
    if update_golden:
        expected.write_text(text, "utf-8")
    assert expected.exists(), "pytest tests/golden/test_llb.py --update-golden writes it"
    assert text == expected.read_text("utf-8")


def test_the_bytes_are_canonical_complete_and_the_same_again(case: Any) -> None:
    data = base64.b64decode(case("llb"))
    assert data == base64.b64decode(case("llb"))
    definition = LLB.decode("Definition", data)
    assert LLB.encode("Definition", definition) == data
    document = json.loads(case("llb-json"))
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
    assert {path.stem for path in (HERE / "llb").glob("*.txt")} == set(CASES)
