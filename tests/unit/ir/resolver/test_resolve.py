"""The table of worked examples, with the decision that CUDA images are used only where something needs them."""

from __future__ import annotations

import json

import pytest

from cogc.diagnostics import Severity
from tests.build_requests import MATRIX, codes, request, resolved, tiny_matrix

SLIM = "python:3.12-slim-bookworm"


@pytest.mark.parametrize(
    ("build", "python", "base"),
    [
        ("", "3.12", SLIM),
        ("gpu: true", "3.12", SLIM),
        ("gpu: true, python_packages: ['torch==2.3']", "3.12", SLIM),
        (
            "gpu: true, python_packages: ['tensorflow==2.12.0']",
            "3.11",
            "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04",
        ),
        (
            "gpu: true, cuda: '12.4', python_packages: ['torch==2.4.0']",
            "3.12",
            "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04",
        ),
        ("gpu: true, python_packages: ['torch==2.7.0']", "3.12", SLIM),
        (
            "gpu: true, cuda: '12.1', python_packages: ['torch==1.13.1']",
            "3.11",
            "nvidia/cuda:12.1.1-cudnn8-devel-ubuntu22.04",
        ),
        ("python_packages: ['torch==1.12.1']", "3.10", "python:3.10-slim-bookworm"),
        ("python_version: '3.13'", "3.13", "python:3.13-slim-trixie"),
        ("python_version: '3.10.4'", "3.10.4", "python:3.10.4-slim-bullseye"),
        ("gpu: true, cuda: '11.8'", "3.12", "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"),
        ("gpu: true, cuda: '11.8.0', cudnn: '8'", "3.12", "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"),
    ],
)
def test_worked_examples(build: str, python: str, base: str) -> None:
    resolution, found = resolved(build)
    assert resolution is not None, found
    assert (resolution.python, resolution.base_image) == (python, base)


@pytest.mark.parametrize(
    ("build", "code", "message"),
    [
        (
            "gpu: true, cuda: '11.8', cudnn: '9'",
            "COG222",
            "CUDA 11.8 is incompatible with CuDNN 9: compatible CuDNN versions are: 8",
        ),
        ("gpu: true, cuda: '11.9'", "COG223", "no matching base image for CUDA 11.9"),
        (
            "gpu: true, cuda: '12.1', python_packages: ['tensorflow==2.12.0']",
            "COG222",
            "TensorFlow 2.12.0 is incompatible with CUDA 12.1: TensorFlow 2.12.0 requires CUDA 11.8",
        ),
        (
            "python_packages: ['torch==1.4.0', 'tensorflow==2.20.0']",
            "COG221",
            "no Python version has wheels of torch 1.4.0 and tensorflow 2.20.0",
        ),
    ],
)
def test_contradictions(build: str, code: str, message: str) -> None:
    resolution, found = resolved(build)
    assert resolution is None
    assert (found[-1].code, found[-1].message) == (code, message)


class TestPlaces:
    """Findings stand where they can be changed."""

    @pytest.mark.parametrize(
        ("build", "column"),
        [
            ("gpu: true, cuda: '11.9'", 26),
            ("gpu: true, cuda: '11.8', cudnn: '9'", 41),
            ("python_version: '3.8'", 25),
        ],
    )
    def test_at_the_value(self, build: str, column: int) -> None:
        _, found = resolved(build)
        assert any(d.span is not None and d.span.column == column for d in found)


class TestWhatIsWrittenIsKept:
    """Cases in which the first number of a line was once taken for the version."""

    @pytest.mark.parametrize(
        ("line", "version", "python", "expected"),
        [
            ("torch", "2.15.0", "3.12", ["COG224"]),
            ("torch>=2.3", "2.15.0", "3.12", ["COG224"]),
            ("torch<2.4", "2.3.1", "3.12", ["COG224"]),
            ("torch!=2.15.0", "2.14.1", "3.12", ["COG224"]),
            ("torch==2.4.*", "2.4.1", "3.12", ["COG224"]),
            ("Torch==2.3.0", "2.3.0", "3.12", []),
            ("torch[opt-einsum]==2.3.0", "2.3.0", "3.12", []),
            ("torch==2.3.1+cu118", "2.3.1", "3.12", []),
        ],
    )
    def test_specifiers(self, line: str, version: str, python: str, expected: list[str]) -> None:
        resolution, found = resolved(f"gpu: true, python_packages: ['{line}']")
        assert resolution is not None
        assert resolution.packages[0][:2] == ("torch", version)
        assert resolution.python == python
        assert codes(found) == expected

    def test_extras_say_who_brings_cuda(self) -> None:
        resolution, _ = resolved("gpu: true, python_packages: ['tensorflow[and-cuda]==2.18.0']")
        assert resolution is not None
        assert (resolution.cuda_from, resolution.cuda) == ("packages", "12.5")

    def test_a_version_the_matrix_lacks_is_passed_on_with_a_warning(self) -> None:
        resolution, found = resolved("gpu: true, python_packages: ['torch==99.0.0']")
        assert resolution is not None
        assert resolution.requirements == ("torch==99.0.0",)
        assert codes(found) == ["COG225"]

    def test_a_python_without_wheel_is_an_error_where_that_is_certain(self) -> None:
        _, found = resolved("python_version: '3.13', python_packages: ['torch==2.1.0']")
        assert codes(found) == ["COG235"]
        _, found = resolved("python_version: '3.13', python_packages: ['torch==2.1.0 --extra-index-url=https://x']")
        assert codes(found) == ["COG220", "COG246"]

    def test_companions_that_do_not_fit_are_an_error(self) -> None:
        _, found = resolved("python_packages: ['torch==2.8.0', 'torchvision==0.22.0']")
        assert "COG226" in codes(found)

    def test_companions_that_fit_are_fine(self) -> None:
        _, found = resolved("python_packages: ['torch==2.8.0', 'torchvision==0.23.0', 'torchaudio==2.8.0']")
        assert codes(found) == []


def test_the_matrix_is_an_argument() -> None:
    resolution, _ = resolved("gpu: true, python_packages: ['torch==9.0.0']", matrix=tiny_matrix())
    assert resolution is not None
    assert (resolution.python, resolution.cuda, resolution.cuda_from) == ("3.11", "12.8", "packages")
    assert resolution.packages == (("torch", "9.0.0", "default"),)


def test_the_same_request_has_the_same_answer() -> None:
    build = "gpu: true, python_packages: ['torch==2.3', 'flash-attn']"
    assert resolved(build) == resolved(build)


@pytest.mark.parametrize(
    "build",
    [
        "",
        "gpu: true",
        "gpu: true, python_packages: ['torch==2.3']",
        "gpu: true, python_packages: ['tensorflow==2.12.0']",
    ],
)
def test_every_decision_has_a_cause(build: str) -> None:
    resolution, _ = resolved(build)
    assert resolution is not None
    assert resolution.because


def test_what_the_resolution_says_about_the_matrix() -> None:
    resolution, _ = resolved("")
    assert resolution is not None
    assert resolution.matrix == MATRIX.version


def test_requests_are_values() -> None:
    assert hash(request("gpu: true")) == hash(request("gpu: true"))


@pytest.mark.parametrize(
    "lines",
    [
        ("xformers", "vllm", "torchvision!=0.27.1"),
        ("jax[cuda12]", "vllm"),
        ("onnxruntime-gpu[cuda,cudnn]<=1.28.0", "xformers<=0.0.27.post1"),
        ("torch", "vllm", "flash-attn!=2.7.0.post2"),
    ],
)
def test_the_order_of_open_lines_does_not_matter(lines: tuple[str, ...]) -> None:
    """Each of these comes out otherwise when the packages are decided in the order of the lines."""
    chosen = []
    for ordered in (lines, lines[::-1]):
        resolution, _ = resolved(f"gpu: true, python_packages: {json.dumps(ordered)}")
        assert resolution is not None
        chosen.append((sorted(resolution.packages), sorted(resolution.brought_along), resolution.python))
    assert chosen[0] == chosen[1]


WHEEL = "https://download.pytorch.org/whl/cu126/torch-2.8.0%2Bcu126-cp312-cp312-manylinux_2_28_x86_64.whl"


def found_for(*packages: str, python: str = "3.12") -> list[tuple[str, str]]:
    listed = ", ".join(f"'{package}'" for package in packages)
    _, found = resolved(f"gpu: true, python_version: '{python}', python_packages: [{listed}]")
    return [(each.code, each.message) for each in found if each.severity is not Severity.INFO]


def test_a_wheel_whose_url_is_quoted_is_the_release_that_it_names() -> None:
    assert found_for(WHEEL) == []
    ((code, message),) = found_for(WHEEL, python="3.11")
    assert code == "COG235"
    assert message.startswith("the wheel torch-2.8.0+cu126-cp312-cp312-manylinux_2_28_x86_64.whl is for Python 3.12")


@pytest.mark.parametrize("line", [WHEEL, f"torch @ {WHEEL}"])
def test_a_wheel_has_to_be_the_release_that_others_demand(line: str) -> None:
    assert found_for(line, "torchvision==0.23.0") == []
    message = "torchvision 0.22.0 needs torch 2.7.0, but torch 2.8.0 is asked for"
    assert found_for(line, "torchvision==0.22.0") == [("COG226", message)]


def test_a_pin_that_its_own_line_excludes_admits_nothing() -> None:
    assert found_for("torch==2.8.0,>=2.7,!=2.8.1") == []
    assert [code for code, _ in found_for("torch==2.8.0,<2.8")] == ["COG237"]


@pytest.mark.parametrize("line", ["torch>=2.5", "vllm", "onnxruntime-gpu>=1.19", "jax[cuda12]"])
def test_what_decides_about_cuda_is_to_be_pinned(line: str) -> None:
    ((code, message), *_) = found_for(line)
    assert code == "COG224"
    assert message.startswith(f"`{line}` ")


def test_the_pin_that_is_advised_keeps_the_extras() -> None:
    _, found = resolved("gpu: true, python_packages: ['tensorflow[and-cuda]>=2.18,<2.19']")
    (guess,) = (each for each in found if each.code == "COG224")
    assert guess.hint is not None
    assert guess.hint.endswith(" tensorflow[and-cuda]==2.18.1")
