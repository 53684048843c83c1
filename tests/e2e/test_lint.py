"""The engine's own checks find nothing in the Dockerfiles of the golden files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.images import Engine

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(
    path for path in GOLDEN.rglob("*Dockerfile*") if path.is_file() and not path.name.endswith((".j2", ".py"))
)
KNOWN = "python:3.11-slim-bookworm"
KNOWN_CUDA = "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04"
# The images here may be for another platform than the one that is asked for.
EXPECTED = {"InvalidBaseImagePlatform"}


def _with_known_images(text: str) -> str:
    """The checks need an image to look at, but not which: the engine must not fetch any."""
    text = re.sub(r"(?m)^# ?syntax=.*$", "", text)
    stages = set(re.findall(r"(?m)^FROM .* AS ([\w-]+)$", text)) | {"scratch"}

    def known(match: re.Match[str]) -> str:
        image = KNOWN_CUDA if match[2].startswith("nvidia/cuda:") else KNOWN
        return match[0] if match[2] in stages else f"{match[1]}{image}"

    text = re.sub(r"(?m)^(FROM (?:--platform=\S+ )?)(\S+)", known, text)
    return re.sub(r"(--from=|,from=)([^\s,]+)", known, text)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.relative_to(GOLDEN).as_posix())
def test_no_warnings(engine: Engine, path: Path, tmp_path: Path) -> None:
    text = _with_known_images(path.read_text())
    for reference in (KNOWN, KNOWN_CUDA):
        if reference in text and not engine.has(reference):
            pytest.skip(f"there is no {reference} here")
    process = engine.docker("build", "--check", "--progress=plain", "--file=-", str(tmp_path), stdin=text)
    report = process.stdout.decode() + process.stderr.decode()
    if "unknown flag: --check" in report:
        pytest.skip("this docker client has no checks")
    assert "Check complete" in report, report
    assert set(re.findall(r"(?m)^WARNING: (\w+)", report)) <= EXPECTED, report
    assert "ERROR" not in report, report
