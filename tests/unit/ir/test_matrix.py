"""Rows of the tables as typed values."""

from __future__ import annotations

import pytest

from cogc.ir.matrix import Matrix, cuda_tuple
from tests.build_requests import MATRIX, tiny_matrix


def test_releases_are_those_of_the_architecture_oldest_first() -> None:
    releases = MATRIX.releases("torch", "arm64")
    versions = [release.version for release in releases]
    assert versions == sorted(versions)
    assert len(versions) < len(MATRIX.releases("torch", "amd64"))


def test_a_package_without_a_table_has_no_releases() -> None:
    assert MATRIX.releases("no-such-package", "amd64") == ()


def test_a_table_is_read_once_and_when_it_is_needed() -> None:
    read: list[str] = []
    known = tiny_matrix()

    def table(name: str) -> dict[str, object]:
        read.append(name)
        return dict(known._table(name))

    matrix = Matrix("2026.11", table)
    assert read == []
    assert matrix.releases("torch", "amd64") == matrix.releases("torch", "amd64")
    assert matrix.pythons == matrix.pythons
    assert read == ["torch", "python"]


def test_builds_by_their_id() -> None:
    (release,) = tiny_matrix().releases("torch", "amd64")
    assert release.default.id == "default"
    cpu = release.build("cpu")
    assert cpu is not None
    assert cpu.cuda_from == "none"
    assert release.build("cu999") is None


@pytest.mark.parametrize(
    ("date", "is_over"), [("2024-10-07", False), ("2024-10-08", True), ("2024-10", False), ("2024-11-01", True)]
)
def test_end_of_life(date: str, is_over: bool) -> None:
    (python,) = (python for python in MATRIX.pythons if python.version == "3.8")
    assert python.is_over(date) is is_over


def test_images_have_names_that_docker_knows() -> None:
    (image,) = (i for i in MATRIX.cuda_images if i.cuda == "11.8.0" and i.ubuntu == "22.04")
    assert image.reference("devel") == "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04"
    assert image.cudnn_major == 8


def test_a_plain_infix_means_cudnn_9() -> None:
    images = [image for image in MATRIX.cuda_images if image.infix == "cudnn"]
    assert {image.cudnn_major for image in images} == {9}
    assert min(cuda_tuple(image.cuda) for image in images) >= (12, 4)


def test_system_packages_say_where_they_are_missing() -> None:
    row = MATRIX.system_package("libgl1-mesa-glx")
    assert row is not None
    assert MATRIX.system_package("no-such-package") is None
    assert "trixie" in row.absent
    assert dict(row.replacement)["trixie"] == ("libgl1",)


def test_rules_are_there() -> None:
    assert ("flash-attn", False) in MATRIX.rules.compiles_cuda
    assert "nvcc" in MATRIX.rules.commands_that_need_cuda
