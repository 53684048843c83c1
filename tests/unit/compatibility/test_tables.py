"""What must hold in the tables of `compatibility/`, whatever release they describe."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from cogc.frontend.matrix_table import check_table
from cogc.ir.matrix_text import render_table
from scripts.build_matrix import changes_of_old_rows

Record = dict[str, Any]

FOLDER = Path(__file__).resolve().parents[3] / "compatibility"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
OWN_SCHEMA = {"cuda", "cuda-images", "python", "rules", "sizes", "system-packages"}
PACKAGES = [name for name in NAMES if name not in OWN_SCHEMA]

# Built for CUDA 12.3 with cuDNN 8, a pair no image ever had: only the extra can work.
TENSORFLOW_WITHOUT_IMAGE = {"2.16.1", "2.16.2", "2.17.0", "2.17.1"}


@cache
def table(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@cache
def schema(name: str) -> Any:
    return json.loads((FOLDER / "schema" / f"{name}.schema.json").read_text("utf-8"))


def citations(value: Any) -> set[str]:
    """All values of `src` and `*_src` members, at any depth."""
    if isinstance(value, list):
        return set().union(*map(citations, value))
    if isinstance(value, dict):
        own = {v for k, v in value.items() if k == "src" or k.endswith("_src")}
        return own.union(*map(citations, value.values()))
    return set()


def test_there_is_a_table_for_every_important_package() -> None:
    wanted = {"torch", "torchvision", "torchaudio", "tensorflow", "vllm", "xformers", "flash-attn"}
    assert wanted | {"onnxruntime-gpu"} <= set(PACKAGES)


@pytest.mark.parametrize("name", ["matrix", *sorted(OWN_SCHEMA)])
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_table_follows_its_schema(name: str) -> None:
    validator = Draft202012Validator(schema(name if name in OWN_SCHEMA else "matrix"))
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(table(name))]
    assert errors == []


@pytest.mark.parametrize("name", NAMES)
def test_table_is_of_the_matrix_version(name: str) -> None:
    assert table(name)["matrix"] == (FOLDER / "MATRIX").read_text("utf-8").strip()


@pytest.mark.parametrize("name", NAMES)
def test_every_cited_source_exists_and_every_source_is_cited(name: str) -> None:
    lists = {key: value for key, value in table(name).items() if isinstance(value, list)}
    assert citations(lists) == set(table(name)["sources"])


@pytest.mark.parametrize("name", PACKAGES)
def test_rows_are_sorted_and_unique(name: str) -> None:
    keys = [(Version(row["version"]), row["arch"]) for row in table(name)["rows"]]
    assert keys == sorted(set(keys))
    assert table(name)["package"] == name


@pytest.mark.parametrize("name", PACKAGES)
def test_build_ids_are_unique_in_a_row_and_the_index_comes_first(name: str) -> None:
    for row in table(name)["rows"]:
        ids = [build["id"] for build in row["builds"]]
        assert len(ids) == len(set(ids)), row["version"]
        assert ids[0] in {"default", "source"}, row["version"]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_build_without_cuda_names_nobody_who_brings_it(name: str) -> None:
    for row in table(name)["rows"]:
        for build in row["builds"]:
            brings_none = build["cuda_from"] in {"none", "torch", "source"}
            assert (build["cuda"] is None) == brings_none, (row["version"], build["id"])


@pytest.mark.parametrize("name", PACKAGES)
def test_pythons_are_oldest_first(name: str) -> None:
    for row in table(name)["rows"]:
        assert row["python"] == sorted(row["python"], key=Version), row["version"]


def test_specifiers_can_be_read() -> None:
    for name in PACKAGES:
        for row in table(name)["rows"]:
            groups = [row.get("with", {}), row.get("requires", {})]
            groups += [build.get("pins", {}) for build in row["builds"]]
            for group in groups:
                for specifier in group.values():
                    SpecifierSet(specifier)


@pytest.mark.parametrize("companion", ["torchvision", "torchaudio"])
def test_every_companion_of_torch_exists_and_agrees(companion: str) -> None:
    rows = [(row["arch"], Version(row["version"]), row) for row in table(companion)["rows"]]
    for row in table("torch")["rows"]:
        wanted = row.get("with", {}).get(companion)
        if wanted is None:
            continue
        found = [r for arch, v, r in rows if arch == row["arch"] and v in SpecifierSet(wanted)]
        assert found, (row["version"], row["arch"], wanted)
        for other in found:
            demanded = SpecifierSet(other.get("requires", {}).get("torch", ""))
            assert row["version"] in demanded, (row["version"], other["version"])


def meets(image: Record, build: Record) -> bool:
    """Same CUDA major and no older minor; same cuDNN major and no older full version."""
    have, need = Version(image["cuda"]), Version(build["cuda"])
    if image["cudnn_version"] is None or have.major != need.major or have < need:
        return False
    have, need = Version(image["cudnn_version"]), Version(build["cudnn"])
    return have.major == need.major and have >= need


@pytest.mark.parametrize("name", ["tensorflow", "onnxruntime-gpu"])
def test_every_system_build_has_an_image(name: str) -> None:
    images = table("cuda-images")["rows"]
    without_image = {
        row["version"]
        for row in table(name)["rows"]
        for build in row["builds"]
        if build["cuda_from"] == "system"
        and (name != "tensorflow" or Version(row["version"]) >= Version("2.4"))
        and not any(meets(image, build) for image in images)
    }
    assert without_image == (TENSORFLOW_WITHOUT_IMAGE if name == "tensorflow" else set())


def test_images_are_sorted_and_unique() -> None:
    keys = [(Version(r["cuda"]), Version(r["ubuntu"])) for r in table("cuda-images")["rows"]]
    assert keys == sorted(set(keys))


def test_lists_of_cuda_are_sorted() -> None:
    for name, key in [("toolkit", "cuda"), ("cudnn", "cudnn"), ("drivers", "cuda")]:
        versions = [Version(row[key]) for row in table("cuda")[name]]
        assert versions == sorted(versions), name


def test_the_default_debian_of_a_python_has_its_slim_image() -> None:
    for row in table("python")["rows"]:
        assert row["debian"] in row["slim"], row["python"]
        for debian, last in row["slim_last"].items():
            assert Version(row["slim"][debian]) <= Version(last), row["python"]


def test_system_packages_are_sorted_and_say_what_replaces_a_missing_one() -> None:
    rows = table("system-packages")["rows"]
    names = [row["name"] for row in rows]
    assert names == sorted(set(names))
    for row in rows:
        missing = {r for r, status in row["releases"].items() if status in {"absent", "choice"}}
        assert missing <= set(row.get("replacement", {})), row["name"]


def test_a_replacement_is_not_itself_missing() -> None:
    rows = {row["name"]: row for row in table("system-packages")["rows"]}
    for row in rows.values():
        for release, names in row.get("replacement", {}).items():
            for name in names or ():
                status = rows.get(name, {}).get("releases", {}).get(release)
                assert status not in {"absent", "choice"}, (row["name"], release, name)


def test_opengl_for_opencv_is_renamed_on_trixie() -> None:
    rows = {row["name"]: row for row in table("system-packages")["rows"]}
    row = rows["libgl1-mesa-glx"]
    assert row["releases"]["bookworm"] == "present"
    assert row["releases"]["trixie"] == "absent"
    assert row["replacement"]["trixie"] == ["libgl1"]


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_one_build_or_row_per_line(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text("utf-8") == render_table(table(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_row_says_where_it_is_known_from(name: str) -> None:
    lists = [value for value in table(name).values() if isinstance(value, list)]
    for row in (row for rows in lists for row in rows):
        assert row["src"] in table(name)["sources"]
        for build in row.get("builds", ()):
            assert build["src"] in table(name)["sources"]


@pytest.mark.parametrize("name", NAMES)
def test_the_check_of_tables_finds_nothing(name: str) -> None:
    assert check_table((FOLDER / f"{name}.json").read_bytes(), name, name) == ()


def test_which_packages_are_known_on_arm64() -> None:
    on_arm = {name for name in PACKAGES if any(row["arch"] == "arm64" for row in table(name)["rows"])}
    assert set(PACKAGES) - on_arm == {"tensorflow-cpu", "tensorflow-gpu", "xformers"}


def test_torch_brings_cuda_on_arm64_from_2_11_on() -> None:
    rows = [row for row in table("torch")["rows"] if row["arch"] == "arm64"]
    with_cuda = {row["version"] for row in rows if row["builds"][0]["cuda"]}
    assert with_cuda == {row["version"] for row in rows if Version(row["version"]) >= Version("2.11")}


def test_a_name_of_a_gpu_means_one_architecture() -> None:
    rows = table("cuda")["gpus"]
    names = [name.lower() for row in rows for name in (*row["models"], *row.get("also", ()))]
    assert len(names) == len(set(names))
    assert len(names) >= 120


@pytest.mark.parametrize(
    ("version", "extra", "build", "cuda_from"),
    [
        ("0.4.20", "cuda12-pip", "cuda12-pip", "extra"),
        ("0.4.20", "cuda11-local", "cuda11-local", "system"),
        ("0.4.20", "cuda11-cudnn86", "cuda11-local", "system"),
        ("0.4.25", "cuda12", "cuda12", "extra"),
        ("0.4.31", "cuda12-pip", "cuda12", "extra"),
        ("0.5.0", "cuda12-local", "cuda12-local", "system"),
        ("0.6.0", "cuda", "cuda12", "extra"),
    ],
)
def test_extras_of_jax(version: str, extra: str, build: str, cuda_from: str) -> None:
    row = next(row for row in table("jax")["rows"] if row["version"] == version and row["arch"] == "amd64")
    (found,) = [b for b in row["builds"] if extra in (b.get("extra"), *b.get("also", ()))]
    assert (found["id"], found["cuda_from"]) == (build, cuda_from)


def test_what_was_withdrawn_is_no_choice() -> None:
    rows = {row["version"]: row for row in table("torchvision")["rows"] if row["arch"] == "amd64"}
    assert [v for v in rows if rows[v].get("yanked") and Version(v) >= Version("0.3")] == ["0.11.0", "0.15.0"]


def test_rows_that_would_change_are_named(tmp_path: Path) -> None:
    (tmp_path / "torch.json").write_bytes((FOLDER / "torch.json").read_bytes())
    rows = [row for row in table("torch")["rows"] if row["version"] != "1.0.0"]
    rows[-1] = {**rows[-1], "python": ["3.15"]}
    changed = render_table({**table("torch"), "rows": [*rows, {**rows[-1], "version": "99.0"}]})
    version = f"{rows[-1]['version']} {rows[-1]['arch']}"
    found = changes_of_old_rows({"torch.json": changed, "new.json": "{}"}, tmp_path)
    assert found[0].startswith(f"torch {version}: python: ")
    assert found[1:] == ["torch 1.0.0 amd64: removed"]
