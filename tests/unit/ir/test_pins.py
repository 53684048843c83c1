"""Which requirements are pins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogc.ir.pins import local_build, pinned_version
from cogc.ir.requirement import Requirement


def package(specifier: str) -> Requirement:
    return Requirement(text=f"torch{specifier}", kind="package", name="torch", specifier=specifier)


@pytest.mark.parametrize(
    ("specifier", "version"),
    [
        ("==2.1.0", "2.1.0"),
        ("==2.1.0+cu121", "2.1.0+cu121"),
        ("===2.1.0.custom", "2.1.0.custom"),
        ("==2.3", "2.3"),
        ("==2.1.0,>=2", "2.1.0"),
        ("==2.1.*", None),
        ("==2.1.0,==2.1.1", None),
        (">=2.1", None),
        ("~=2.1", None),
        ("!=2.1", None),
        ("", None),
        ("not a specifier", None),
    ],
)
def test_a_pin_is_exactly_one_exact_specifier(specifier: str, version: str | None) -> None:
    assert pinned_version(package(specifier)) == version


def test_a_marker_does_not_unpin() -> None:
    assert pinned_version(replace(package("==2.1.0"), marker='sys_platform == "linux"')) == "2.1.0"


def test_a_direct_url_is_no_pin() -> None:
    assert pinned_version(replace(package("==2.1.0"), url="https://example.com/torch.whl")) is None


def test_a_local_artifact_is_no_pin() -> None:
    assert pinned_version(replace(package("==2.1.0"), path="wheels/torch.whl")) is None


@pytest.mark.parametrize(
    ("version", "local"), [("2.1.0+cu121", "cu121"), ("2.1.0+CPU", "cpu"), ("2.1.0", None), ("2.1.0+", None)]
)
def test_the_local_build_is_what_follows_the_plus(version: str, local: str | None) -> None:
    assert local_build(version) == local
