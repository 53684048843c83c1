"""The tables of Cog 0.22.0 against ours, row by row: the same facts and choices, but for the differences listed here.

They are in the source archive of the package `cog`, which is read from the package index that pip is configured to use;
nothing of it is built or run.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from cogc.ir.matrix import Release, cuda_tuple
from scripts.collector.index import Index, index_url
from tests.build_requests import MATRIX, resolved

pytestmark = pytest.mark.network

REFERENCE = Version("0.22.0")
Rows = list[dict[str, Any]]

# Its highest CUDA is not that of the wheel which the package index serves; ours is. (release: its CUDA, ours)
OTHER_CUDA = {
    **dict.fromkeys(("2.0.0", "2.0.1"), ("11.8", "11.7")),
    **dict.fromkeys(("2.4.0", "2.4.1"), ("12.4", "12.1")),
    "2.6.0": ("12.6", "12.4"),
    **dict.fromkeys(("2.7.0", "2.7.1"), ("12.8", "12.6")),
    "2.8.0": ("12.9", "12.8"),
    **dict.fromkeys(("2.9.0", "2.9.1", "2.10.0"), ("13.0", "12.8")),
}
# In its table, and not in the release matrix of PyTorch.
OTHER_BUILDS = {("2.11.0", "cu129")}
# (release: the image that its tables lead to, ours). cuDNN 8 was never combined with CUDA 12.3; the image of
# CUDA 12.5 has cuDNN 9.2, and these releases need 9.3.
OTHER_IMAGE = {
    **dict.fromkeys(("2.16.1", "2.17.0"), (None, "12.2.2-cudnn8-devel-ubuntu22.04")),
    **dict.fromkeys(
        ("2.18.0", "2.19.0", "2.20.0", "2.21.0"), ("12.5.1-cudnn-devel-ubuntu22.04", "12.6.3-cudnn-devel-ubuntu24.04")
    ),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """The three tables, by the first word of their name."""
    index = Index(index_url(), tmp_path_factory.mktemp("index"))
    try:
        files = index.releases("cog", str(REFERENCE)).get(REFERENCE, [])
        archive = next((file for file in files if file.name.endswith(".tar.gz")), None)
        if archive is None:
            pytest.skip(f"the package index has no source archive of cog {REFERENCE}")
        raw, _ = index.part(archive.url, 0, index.size(archive) - 1)
    except OSError as error:
        pytest.skip(f"the package index does not answer: {error}")
    found: dict[str, Rows] = {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as members:
        for name in ("torch", "tf", "cuda"):
            member = members.extractfile(f"cog-{REFERENCE}/pkg/config/{name}_compatibility.json")
            assert member is not None
            found[name] = json.load(member)
    return found


def torch_rows(tables: dict[str, Rows]) -> dict[str, Rows]:
    """The rows of each release of torch; the part after `+` is a build of it."""
    rows: dict[str, Rows] = defaultdict(list)
    for row in tables["torch"]:
        rows[row["Torch"].partition("+")[0]].append(row)
    return rows


def release_of(package: str, version: str) -> Release:
    found = MATRIX.release(package, "amd64", Version(version))
    assert found is not None, f"{package} {version} has no row"
    return found


def highest(versions: Iterable[str]) -> str:
    return max(versions, key=cuda_tuple)


def test_the_archive_has_the_tables_that_this_test_was_written_for(tables: dict[str, Rows]) -> None:
    assert {name: len(rows) for name, rows in tables.items()} == {"torch": 96, "tf": 18, "cuda": 83}
    assert len(torch_rows(tables)) == 27


def test_builds_of_torch(tables: dict[str, Rows]) -> None:
    missing = {
        (version, build)
        for version, rows in torch_rows(tables).items()
        for build in (row["Torch"].partition("+")[2] or "default" for row in rows)
        if release_of("torch", version).build(build) is None
    }
    assert missing == OTHER_BUILDS


def test_pythons(tables: dict[str, Rows]) -> None:
    for version, rows in torch_rows(tables).items():
        theirs = {python for row in rows for python in row["Pythons"]}
        assert theirs <= set(release_of("torch", version).python), version
    for row in tables["tf"]:
        assert set(row["Pythons"]) == set(release_of("tensorflow", row["TF"]).python), row["TF"]


def test_companions_of_torch(tables: dict[str, Rows]) -> None:
    for version, rows in torch_rows(tables).items():
        companions = dict(release_of("torch", version).companions)
        for row in rows:
            for name in ("Torchvision", "Torchaudio"):
                assert row[name].partition("+")[0] in SpecifierSet(companions[name.lower()]), (version, name)


def test_the_cuda_of_torch(tables: dict[str, Rows]) -> None:
    has_image = {".".join(row["CUDA"].split(".")[:2]) for row in tables["cuda"]}
    different = {}
    for version, rows in torch_rows(tables).items():
        theirs = highest(row["CUDA"] for row in rows if row["CUDA"] in has_image)
        resolution, _ = resolved(f'gpu: true, python_packages: ["torch=={version}"]')
        assert resolution is not None
        assert resolution.cuda is not None
        if resolution.cuda != theirs:
            different[version] = (theirs, resolution.cuda)
    assert different == OTHER_CUDA


def test_cuda_and_cudnn_of_tensorflow(tables: dict[str, Rows]) -> None:
    for row in tables["tf"]:
        build = release_of("tensorflow", row["TF"]).default
        assert (build.cuda, build.cudnn) == (row["CUDA"], row["CuDNN"]), row["TF"]


def test_the_image_of_tensorflow(tables: dict[str, Rows]) -> None:
    different = {}
    for row in tables["tf"]:
        fitting = [
            image
            for image in tables["cuda"]
            if image["CUDA"].startswith(f"{row['CUDA']}.") and image["CuDNN"] == row["CuDNN"].partition(".")[0]
        ]
        newest = max(fitting, key=lambda image: (Version(image["CUDA"]), image["Ubuntu"]), default=None)
        resolution, _ = resolved(f'gpu: true, python_packages: ["tensorflow=={row["TF"]}"]')
        assert resolution is not None
        ours = resolution.base_image.removeprefix("nvidia/cuda:")
        theirs = newest["Tag"] if newest is not None else None
        if ours != theirs:
            different[row["TF"]] = (theirs, ours)
    assert different == OTHER_IMAGE


def test_every_image_is_known(tables: dict[str, Rows]) -> None:
    ours = {image.reference("devel").removeprefix("nvidia/cuda:") for image in MATRIX.cuda_images}
    assert {row["Tag"] for row in tables["cuda"]} <= ours
