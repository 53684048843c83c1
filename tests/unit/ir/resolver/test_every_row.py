"""Every row of the tables is of use: it resolves alone on its Pythons, and so does every pair that is said to fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from cogc.ir.matrix import Release
from cogc.ir.nodes import Request
from cogc.ir.requirement import Requirement
from cogc.ir.resolver import resolve
from cogc.ir.resolver.demands import KNOWN
from tests.build_requests import MATRIX

# torchvision of these demands a build of torch that the package index does not have; both were withdrawn.
DEMANDING_A_BUILD = {"0.11.0", "0.15.0"}


def pinned(release: Release) -> Requirement:
    specifier = f"=={release.version}"
    return Requirement(text=f"{release.package}{specifier}", kind="package", name=release.package, specifier=specifier)


def usable(release: Release, architecture: str = "amd64") -> list[str]:
    """The Pythons on which there also is a torch that the release demands: wheels for a stable ABI say nothing of it."""
    pythons = [python for python in release.python if Version(python) >= Version("3.8")]
    demanded = dict(release.requires).get("torch")
    if demanded is None:
        return pythons
    rows = [row for row in MATRIX.releases("torch", architecture) if row.version in SpecifierSet(demanded)]
    return [python for python in pythons if any(python in row.python for row in rows)]


def problems(*releases: Release, python: str, architecture: str, gpu: bool = False) -> list[str]:
    request = Request(
        is_gpu=gpu,
        python_version=python,
        architecture="arm64" if architecture == "arm64" else "amd64",
        requirements=tuple(map(pinned, releases)),
    )
    resolution, found = resolve(request, MATRIX)
    if resolution is None:
        return [found_one.message for found_one in found]
    chosen = {name: version for name, version, _ in resolution.packages}
    return [] if all(chosen[each.package] == str(each.version) for each in releases) else [str(chosen)]


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("package", KNOWN)
def test_every_row_resolves_alone(package: str, architecture: str) -> None:
    wrong = {
        f"{release.version} on {python}": found
        for release in MATRIX.releases(package, architecture)
        for python in sorted({*usable(release, architecture)[:1], *usable(release, architecture)[-1:]})
        if str(release.version) not in DEMANDING_A_BUILD
        if (found := problems(release, python=python, architecture=architecture))
    }
    assert wrong == {}


def pairs(architecture: str) -> Iterator[tuple[Release, Release]]:
    for torch in MATRIX.releases("torch", architecture):
        for name, specifier in torch.companions:
            for companion in MATRIX.releases(name, architecture):
                if companion.version in SpecifierSet(specifier):
                    yield torch, companion


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_every_pair_resolves_both_ways(architecture: str) -> None:
    wrong = []
    for torch, companion in pairs(architecture):
        common = [python for python in usable(torch) if python in companion.python]
        if not common or str(companion.version) in DEMANDING_A_BUILD:
            continue
        for both in ((torch, companion), (companion, torch)):
            if found := problems(*both, python=common[-1], architecture=architecture):
                wrong.append((str(torch.version), str(companion.version), found))
    assert wrong == []


def test_every_release_of_tensorflow_is_known() -> None:
    """A patch release is a row of its own, and none of them needs `cuda` to be set."""
    versions = [each for each in MATRIX.versions("tensorflow", "amd64") if each >= Version("2.4")]
    assert len(versions) >= 52
    for version in versions:
        release = MATRIX.release("tensorflow", "amd64", version)
        assert release is not None
        if usable(release):
            assert not problems(release, python=usable(release)[-1], architecture="amd64", gpu=True), version


def test_every_release_of_torch_has_the_cuda_of_its_usual_wheel() -> None:
    """From CUDA 11 on; for older ones a better build is taken."""
    for release in MATRIX.releases("torch", "amd64"):
        cuda = release.default.cuda
        if not usable(release) or cuda is None or Version(cuda) < Version("11"):
            continue
        request = Request(is_gpu=True, python_version=usable(release)[-1], requirements=(pinned(release),))
        resolution, found = resolve(request, MATRIX)
        assert resolution is not None, found
        assert resolution.cuda == cuda
        assert resolution.packages == (("torch", str(release.version), "default"),)


def test_no_release_of_torch_on_arm64_brings_cuda_before_2_11() -> None:
    for release in MATRIX.releases("torch", "arm64"):
        if not usable(release):
            continue
        found = problems(release, python=usable(release)[-1], architecture="arm64", gpu=True)
        assert bool(found) == (release.version < Version("2.11")), release.version
