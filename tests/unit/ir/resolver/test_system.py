"""System packages by the names of the chosen release, and tools that nobody asked for by name."""

from __future__ import annotations

import pytest

from tests.build_requests import codes, resolved


def packages(build: str, **options: object) -> tuple[tuple[str, ...], list[str]]:
    resolution, found = resolved(build, **options)
    assert resolution is not None
    return resolution.system_packages, codes(found)


@pytest.mark.parametrize(
    ("python", "name", "expected", "found"),
    [
        ("3.12", "libgl1-mesa-glx", ("libgl1-mesa-glx",), []),
        ("3.13", "libgl1-mesa-glx", ("libgl1",), ["COG302"]),
        ("3.12", "never-heard-of", ("never-heard-of",), []),
        ("3.12", "autotrace", ("autotrace",), ["COG303"]),
    ],
)
def test_names_by_release(python: str, name: str, expected: tuple[str, ...], found: list[str]) -> None:
    assert packages(f"python_version: '{python}', system_packages: [{name}]") == (expected, found)


def test_a_rename_to_one_that_is_there_names_it_once() -> None:
    assert packages("python_version: '3.13', system_packages: [libgl1, libgl1-mesa-glx]")[0] == ("libgl1",)


def test_nothing_is_known_about_other_base_images() -> None:
    assert packages("system_packages: [autotrace]", base_image="x:1") == (("autotrace",), [])


@pytest.mark.parametrize(
    ("build", "tools"),
    [
        ("", ()),
        ("gpu: true", ("ca-certificates", "curl", "g++", "git", "make", "wget")),
        ("gpu: true, system_packages: [git]", ("ca-certificates", "curl", "g++", "make", "wget")),
        ("run: ['curl -O https://x']", ("ca-certificates", "curl")),
        ("run: ['ls /usr/lib/curl-config']", ()),
        ("run: ['curl -O https://x'], system_packages: [curl]", ("ca-certificates",)),
    ],
)
def test_tools(build: str, tools: tuple[str, ...]) -> None:
    resolution, _ = resolved(build)
    assert resolution is not None
    assert resolution.tools == tools


def test_git_requirements_need_git() -> None:
    resolution, found = resolved("python_packages: ['git+https://example.com/a.git@0123456']")
    assert resolution is not None
    assert resolution.tools == ("ca-certificates", "git")
    assert codes(found) == ["COG206"]


def test_git_that_is_there_is_not_missed() -> None:
    _, found = resolved("python_packages: ['git+https://example.com/a.git'], system_packages: [git=1:2]")
    assert codes(found) == []


@pytest.mark.parametrize("options", [{"installs_tools": False}, {"base_image": "x:1"}])
def test_tools_can_be_declined(options: dict[str, object]) -> None:
    resolution, _ = resolved("gpu: true", **options)
    assert resolution is not None
    assert resolution.tools == ()


OVER_SSH = "python_packages: ['tool @ git+ssh://git@example.com/a.git']"


@pytest.mark.parametrize(
    ("build", "tools", "warnings"),
    [
        (OVER_SSH, ("ca-certificates", "git", "openssh-client"), 2),
        (f"{OVER_SSH}, system_packages: [git]", ("openssh-client",), 1),
        (f"{OVER_SSH}, system_packages: [git, 'openssh-client=1:9']", (), 0),
        (f"gpu: true, {OVER_SSH}", ("ca-certificates", "curl", "g++", "git", "make", "wget", "openssh-client"), 1),
    ],
)
def test_requirements_over_ssh_need_a_client(build: str, tools: tuple[str, ...], warnings: int) -> None:
    resolution, found = resolved(build)
    assert resolution is not None
    assert resolution.tools == tools
    assert codes(found).count("COG206") == warnings
