"""The lines of the staged requirements file: options first, indexes for chosen builds, the user's order kept."""

from __future__ import annotations

import pytest

from tests.build_requests import resolved

INDEX = "https://download.pytorch.org/whl"


def lines(build: str, files: dict[str, str] | None = None, **options: object) -> tuple[str, ...]:
    resolution, found = resolved(build, files, **options)
    assert resolution is not None, found
    return resolution.requirements


def of(*packages: str, gpu: bool = False, more: str = "") -> tuple[str, ...]:
    listed = ", ".join(f"'{package}'" for package in packages)
    return lines(f"gpu: {str(gpu).lower()}, python_packages: [{listed}]{more}")


@pytest.mark.parametrize(
    ("packages", "gpu", "expected"),
    [
        (("torch==2.3.0", "pandas==1"), False, (f"--extra-index-url {INDEX}/cpu/", "torch==2.3.0", "pandas==1")),
        (("torch==2.3.0",), True, ("torch==2.3.0",)),
        (("torch==2.3",), True, ("torch==2.3.1",)),
        (("torchvision==0.18.0",), False, (f"--extra-index-url {INDEX}/cpu/", "torchvision==0.18.0")),
        (("torchvision==0.18.0",), True, ("torchvision==0.18.0",)),
        (("torch==1.12.1",), True, (f"--extra-index-url {INDEX}/cu116/", "torch==1.12.1")),
        (("torch==2.3.1+cu118",), True, (f"--extra-index-url {INDEX}/cu118/", "torch==2.3.1+cu118")),
        (
            ("torch==1.7.1", "torchvision==0.8.2"),
            False,
            (f"--find-links {INDEX}/torch_stable.html", "torch==1.7.1+cpu", "torchvision==0.8.2+cpu"),
        ),
        (("b", "a", "c>=1"), False, ("b", "a", "c>=1")),
        ((), False, ()),
    ],
)
def test_lines(packages: tuple[str, ...], gpu: bool, expected: tuple[str, ...]) -> None:
    assert of(*packages, gpu=gpu) == expected


def test_the_index_follows_the_cuda_that_is_set() -> None:
    assert of("torch==2.3.1", gpu=True, more=", cuda: '11.8'") == (f"--extra-index-url {INDEX}/cu118/", "torch==2.3.1")


def test_an_index_of_the_user_is_not_added_to() -> None:
    assert of(f"torch==2.0.1 --extra-index-url={INDEX}/cu117") == (f"--extra-index-url {INDEX}/cu117", "torch==2.0.1")


def test_options_come_first_each_once_in_the_order_of_the_user() -> None:
    text = "b\n--find-links https://z\n--extra-index-url https://y\na\n--extra-index-url https://y\n"
    assert lines("python_requirements: r.txt", {"r.txt": text}) == (
        "--find-links https://z",
        "--extra-index-url https://y",
        "b",
        "a",
    )


def test_constraints_are_a_file_of_their_own() -> None:
    resolution, _ = resolved("python_requirements: r.txt", {"r.txt": "-c c.txt\na", "c.txt": "b<3\n"})
    assert resolution is not None
    assert (resolution.requirements, resolution.constraints) == (("a",), ("b<3",))


@pytest.mark.parametrize(
    ("text", "wanted", "installer", "options"),
    [
        ("a", "auto", "uv", ()),
        ("a", "pip", "pip", ()),
        ("--use-feature=truststore\na", "auto", "pip", ()),
        ("--use-feature=truststore\na", "uv", "uv", ()),
        ("--pre\na", "auto", "uv", ("--prerelease", "allow")),
        ("--trusted-host h\na", "auto", "uv", ("--allow-insecure-host", "h")),
        ("--prefer-binary\na", "auto", "uv", ()),
    ],
)
def test_the_installer_and_its_options(text: str, wanted: str, installer: str, options: tuple[str, ...]) -> None:
    resolution, _ = resolved("python_requirements: r.txt", {"r.txt": text}, installer=wanted)
    assert resolution is not None
    assert (resolution.installer, resolution.installer_options) == (installer, options)


def test_options_alone_install_nothing() -> None:
    assert lines("python_requirements: r.txt", {"r.txt": "--pre\n--extra-index-url https://y\n"}) == ()


def test_a_line_twice_is_resolved_once_each() -> None:
    assert of("torch==2.3", "torch==2.3") == (f"--extra-index-url {INDEX}/cpu/", "torch==2.3.1", "torch==2.3.1")
