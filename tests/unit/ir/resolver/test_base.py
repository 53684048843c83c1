"""Who brings CUDA, and which base image that leaves."""

from __future__ import annotations

import pytest

from cogc.ir.resolver.base import slim_image
from tests.build_requests import MATRIX, codes, resolved, tiny_matrix


def base(build: str, **options: object) -> str:
    resolution, found = resolved(build, **options)
    assert resolution is not None, found
    return resolution.base_image


@pytest.mark.parametrize(
    "build",
    [
        "run: [nvcc --version]",
        "run: ['ls /usr/local/cuda']",
        "python_packages: ['flash-attn==2.8.3']",
        "python_packages: ['git+https://github.com/vllm-project/vllm@v0.5.0']",
        "python_packages: ['tensorflow==2.12.0']",
        "python_packages: ['onnxruntime-gpu==1.20.0']",
    ],
)
def test_what_looks_for_cuda_outside_of_packages_gets_a_cuda_image(build: str) -> None:
    assert base(f"gpu: true, {build}").startswith("nvidia/cuda:")
    assert base(build).startswith("python:"), "without a GPU nothing does"


@pytest.mark.parametrize(
    "build", ["python_packages: ['vllm==0.11.0']", "python_packages: ['tensorflow[and-cuda]==2.18.0']", "run: [make]"]
)
def test_what_brings_cuda_itself_gets_none(build: str) -> None:
    assert base(f"gpu: true, {build}").startswith("python:")


def test_a_compiler_needs_devel_and_a_library_runtime() -> None:
    assert "-devel-" in base("gpu: true, python_packages: ['torch==2.8.0', 'flash-attn==2.8.3']")
    assert "-runtime-" in base("gpu: true, python_packages: ['onnxruntime-gpu==1.20.0']")


def test_the_compiler_is_that_of_torch() -> None:
    assert base("gpu: true, python_packages: ['torch==2.4.1', 'flash-attn==2.6.3']").startswith("nvidia/cuda:12.1.")


def test_a_full_cudnn_version_rules_images_out() -> None:
    resolution, found = resolved("gpu: true, python_packages: ['tensorflow==2.18.0']")
    assert resolution is not None
    assert resolution.base_image == "nvidia/cuda:12.6.3-cudnn-devel-ubuntu24.04"
    (warning,) = (d for d in found if d.code == "COG229")
    assert "12.6" in warning.message


def test_two_majors_are_a_conflict_with_a_note_for_each() -> None:
    _, found = resolved("gpu: true, python_packages: ['tensorflow==2.12.0', 'onnxruntime-gpu==1.20.0']")
    (conflict,) = (d for d in found if d.code == "COG222")
    assert [note.message for note in conflict.notes if note.span] == [
        "tensorflow 2.12.0 looks for CUDA 11.8 in the image",
        "onnxruntime-gpu 1.20.0 looks for CUDA 12.0 in the image",
    ]


def test_cuda_that_is_set_decides() -> None:
    assert base("gpu: true, cuda: '12.4', python_packages: ['torch==2.8.0']").startswith("nvidia/cuda:12.4.1-")


@pytest.mark.parametrize(("how", "start"), [("true", "nvidia/cuda:12.1."), ("false", "python:"), ("auto", "python:")])
def test_the_flag_for_cuda_images(how: str, start: str) -> None:
    assert base("gpu: true, python_packages: ['torch==2.3.1']", use_cuda_base=how).startswith(start)


def test_without_a_gpu_the_flag_does_nothing() -> None:
    assert base("", use_cuda_base="true").startswith("python:")


def test_a_base_image_is_taken_as_it_is() -> None:
    resolution, _ = resolved("gpu: true, cuda: '11.8'", base_image="registry.example.com/x:1")
    assert resolution is not None
    assert (resolution.base_image, resolution.distribution, resolution.python_source) == (
        "registry.example.com/x:1",
        None,
        "base",
    )


def test_torch_takes_the_best_build_for_the_cuda_that_is_set() -> None:
    resolution, found = resolved("gpu: true, cuda: '12.3', python_packages: ['torch==2.4.0']")
    assert resolution is not None
    assert resolution.packages == (("torch", "2.4.0", "default"),)
    assert codes(found) == ["COG229"]
    assert resolution.cuda == "12.3"


def test_arm64_without_a_gpu_build_is_an_error_that_names_the_first_with_one() -> None:
    _, found = resolved("gpu: true, python_packages: ['torch==2.10.0']", platform="linux/arm64")
    (error,) = (d for d in found if d.code == "COG236")
    assert error.ways[0] == "torch==2.11.0"


def test_arm64_with_an_index_that_nobody_knows_is_a_warning() -> None:
    line = "torch==2.10.0 --extra-index-url=https://wheels.example.com"
    resolution, found = resolved(f"gpu: true, python_packages: ['{line}']", platform="linux/arm64")
    assert resolution is not None
    assert codes(found) == ["COG230", "COG246"]


@pytest.mark.parametrize(
    ("python", "image"),
    [
        ("3.12", ("python:3.12-slim-bookworm", "bookworm")),
        ("3.13", ("python:3.13-slim-trixie", "trixie")),
        ("3.10.4", ("python:3.10.4-slim-bullseye", "bullseye")),
        ("3.99", ("python:3.99-slim", None)),
        ("3.12.99", ("python:3.12.99-slim-bookworm", "bookworm")),
    ],
)
def test_slim_images_name_their_release(python: str, image: tuple[str, str | None]) -> None:
    assert slim_image(python, MATRIX) == image


def test_a_matrix_without_images_says_that_there_is_none() -> None:
    _, found = resolved("gpu: true, cuda: '12.4'", matrix=tiny_matrix())
    assert codes(found) == ["COG223"]
