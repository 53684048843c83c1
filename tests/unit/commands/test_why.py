"""`cogc why` and `cogc why-not`: decisions with their reasons, and what would come of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogc.cli import main
from cogc.ir.resolver.reasons import parse_wish

PROJECT = "build:\n  gpu: true\n  python_packages:\n    - torch>=2.3\n    - vllm==0.11.0\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cog.yaml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(list(words))
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    ("subject", "first", "reasons"),
    [
        (
            "torch",
            "torch 2.8.0, build default",
            ["vllm 0.11.0 needs torch 2.8.0  (cog.yaml:5:7)", "not 2.9.0 to 2.15.0"],
        ),
        ("Torch", "torch 2.8.0, build default", ["measured 2026-11-21"]),
        ("python", "Python 3.12", ["first for which everything fits"]),
        ("cuda", "CUDA 12.8", ["Python packages bring it", "525.60.13 or later"]),
        ("base", "python:3.12-slim-bookworm", ["torch 2.8.0 brings CUDA 12.8 itself"]),
    ],
)
@pytest.mark.usefixtures("project")
def test_reasons(subject: str, first: str, reasons: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, "why", subject)
    assert (status, text.splitlines()[0]) == (0, first)
    assert all(reason in text for reason in reasons), text


@pytest.mark.usefixtures("project")
def test_reasons_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, "why", "torch", "--format", "json")
    document = json.loads(text)
    assert (status, document["decision"]) == (0, "torch 2.8.0, build default")
    assert document["facts"][0]["span"] == {"file": "cog.yaml", "line": 4, "column": 7, "end_line": 4, "end_column": 17}


@pytest.mark.usefixtures("project")
def test_what_takes_no_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "pillow"]) == 1
    assert "takes no part" in capsys.readouterr().err


def test_python_that_a_package_rules_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "cog.yaml").write_text("build:\n  gpu: true\n  python_packages: [torch==2.1.0]\n")
    _, text = printed(capsys, "why", "python")
    assert text.startswith("Python 3.11\n")
    assert "not 3.12" in text
    assert "torch 2.1.0 has no wheel for Python 3.12" in text


def test_a_project_that_cannot_be_says_why_not(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "cog.yaml").write_text("build:\n  python_packages: [torch==2.8.0, torchvision==0.22.0]\n")
    assert main(["why", "torch"]) == 1
    assert "COG226" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wish", "status", "said"),
    [
        ("cuda=11.8", 0, "CUDA: 12.8 → 11.8"),
        ("torch==2.9.0", 1, "vllm 0.11.0 needs torch 2.8.0"),
        ("torch=2.8.0", 0, "nothing would change"),
        ("vllm>=0.12", 0, "torch: 2.8.0 → 2.14.0"),
        ("python=3.14", 1, "(cog.yaml:5:7)"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_would_come_of_it(wish: str, status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, text = printed(capsys, "why-not", wish)
    assert found == status
    assert said in text, text


def test_a_wish_takes_the_place_of_lines_with_markers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ("torch==2.6.0; python_version < '3.12'", "torch==2.7.0; python_version >= '3.12'")
    (project / "cog.yaml").write_text(
        "build:\n  gpu: true\n  python_packages:\n" + "".join(f'    - "{x}"\n' for x in lines)
    )
    status, text = printed(capsys, "why-not", "torch==2.8.0")
    assert status == 0
    assert "torch: 2.7.0 → 2.8.0" in text, text


@pytest.mark.usefixtures("project")
def test_what_would_come_of_it_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, "why-not", "torch==2.9.0", "--format", "json")
    document = json.loads(text)
    assert (status, document["is_possible"], document["summary"]["errors"]) == (1, False, 1)


@pytest.mark.parametrize("text", ["nonsense", "cuda=new", "cuda>=11", "python=3", "pillow==9", "torch==x y", "=1", ""])
def test_what_is_no_wish(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_wish(text) is None
    assert main(["why-not", text]) == 2
    assert "write cuda=11.8" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_nothing_is_written(project: Path) -> None:
    main(["why", "torch"])
    main(["why-not", "cuda=11.8"])
    assert [path.name for path in project.iterdir()] == ["cog.yaml"]
