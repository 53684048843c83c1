"""What is said about an image's size before it is built: only what is known, and how well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cogc._data import load_table
from cogc.driver import Compilation, Source, bundled_matrix, compile_project
from cogc.frontend.lower import BuildOptions
from cogc.frontend.project_size import check_budget
from cogc.ir.lock_document import render_lock
from cogc.ir.quantities import parse_size
from cogc.ir.size import SizePart, stage_totals, total_bytes
from tests.builds import compiled
from tests.locks import lock_for, package
from tests.memory_files import MemoryFiles

MIB = 1024 * 1024
GPU = "gpu: true, python_version: '3.12'"


def measured(
    text: str, files: dict[str, str] | None = None, sizes: dict[str, int] | None = None, lock: str | None = None
) -> Compilation:
    raw = text.encode()
    source = Source(
        config=raw,
        name="cog.yaml",
        directory="project",
        files=MemoryFiles({"cog.yaml": raw, **(files or {})}, sizes=sizes),
        lock=None if lock is None else (lock.encode(), "cog.lock"),
    )
    return compile_project(source, BuildOptions(), bundled_matrix(), measures=True)


def part(compilation: Compilation, start: str) -> SizePart:
    [found] = [part for part in compilation.sizes if part.what.startswith(start)]
    return found


def test_files_of_the_project_are_exact() -> None:
    made = measured(
        "",
        {"a.py": "x" * 100, "sub/b.py": "y" * 50, "secret.env": "z" * 1000, ".dockerignore": "secret.env\n"},
        {"weights/w.bin": 20 * MIB, "weights/small.json": 30, "root.bin": 11 * MIB},
    )
    assert part(made, "the project's code") == SizePart(
        stage="model", what="the project's code", size_bytes=150 + len("secret.env\n"), certainty="exact"
    )
    assert part(made, "weights: weights").size_bytes == 20 * MIB + 30
    assert part(made, "weights: root.bin").size_bytes == 11 * MIB
    assert stage_totals(made.sizes)["weights"] == 31 * MIB + 30


def test_without_code_there_is_none() -> None:
    source = Source(config=b"", name="cog.yaml", directory="p", files=MemoryFiles({"a.py": "x"}))
    made = compile_project(source, BuildOptions(with_source=False), bundled_matrix(), measures=True)
    assert [each for each in made.sizes if each.what == "the project's code"] == []


def test_a_package_of_the_tables_with_all_that_it_needs() -> None:
    made = measured(f"build: {{{GPU}, python_packages: [torch==2.8.0, numpy, Pillow]}}")
    torch = part(made, "torch 2.8.0")
    assert (torch.certainty, torch.stage) == ("estimated", "packages")
    assert torch.size_bytes == 6459 * MIB
    assert part(made, "numpy, pillow").size_bytes is None


def packages(*lines: str, build: str = GPU) -> list[tuple[str, str, int | None]]:
    """What is said about Python packages: the text, how well it is known, the size in MiB."""
    made = measured(f"build: {{{build}, python_packages: {json.dumps(lines)}}}")
    parts = [part for part in made.sizes if part.stage == "packages" and not part.what.startswith(("base", "the "))]
    return [(part.what, part.certainty, None if part.size_bytes is None else part.size_bytes // MIB) for part in parts]


def row(package: str, version: str, build: str = "default") -> dict[str, Any]:
    rows = load_table("sizes")["packages"]
    wanted = (package, version, build, "amd64")
    [found] = [row for row in rows if (row["package"], row["version"], row["build"], row["arch"]) == wanted]
    return found


def test_packages_that_share_what_they_need_are_counted_once() -> None:
    whole, own = row("torch", "2.8.0")["installed_mib"], row("tensorflow", "2.20.0", "and-cuda")["own_mib"]
    assert packages("tensorflow[and-cuda]==2.20.0", "torch==2.8.0") == [
        ("torch 2.8.0 with what it needs", "estimated", whole),
        ("tensorflow 2.20.0", "estimated", own),
    ]


def test_what_a_package_brings_is_counted_with_it() -> None:
    vision = row("torchvision", "0.23.0")
    assert vision["with"] == ["torch"]
    assert packages("torch==2.8.0", "torchvision==0.23.0", "six") == [
        ("torch 2.8.0, torchvision 0.23.0 with what they need", "estimated", vision["installed_mib"]),
        ("six: known after `cogc lock`", "unknown", None),
    ]
    [alone] = packages("torchvision==0.23.0")
    assert alone == ("torchvision 0.23.0 with what it needs", "estimated", vision["installed_mib"])


def test_what_a_package_brings_for_the_cpu_is_not_what_the_tables_count() -> None:
    own = row("torchvision", "0.23.0")["own_mib"]
    first, second = packages("torch==2.8.0", "torchvision==0.23.0", build="python_version: '3.12'")
    assert first[:2] == ("torch 2.8.0 with what it needs", "guessed")
    assert second == ("torchvision 0.23.0", "estimated", own)


def test_a_build_for_the_cpu_is_a_guess() -> None:
    torch = part(measured("build: {python_packages: [torch==2.8.0]}"), "torch 2.8.0")
    assert torch.certainty == "guessed"
    assert 500_000_000 < (torch.size_bytes or 0) < 1_000_000_000


def test_what_nobody_knows_is_listed_and_not_counted() -> None:
    text = "build: {python_packages: [six], system_packages: [ffmpeg], run: [make]}"
    made = measured(text)
    unknown = {each.what for each in made.sizes if each.size_bytes is None}
    assert unknown == {"six: known after `cogc lock`", "system packages: ffmpeg", "make"}
    assert total_bytes(made.sizes) < 200_000_000


@pytest.mark.parametrize(
    ("build", "image", "low", "high"),
    [
        ("python_version: '3.12'", "python:3.12-slim-bookworm", 0.1, 0.2),
        ("gpu: true, cuda: '12.1'", "nvidia/cuda:12.1.1-cudnn8-devel", 7, 12),
        ("gpu: true, python_packages: [onnxruntime-gpu==1.20.0]", "nvidia/cuda:12", 2, 6),
    ],
)
def test_base_images_are_guesses(build: str, image: str, low: float, high: float) -> None:
    base = part(measured(f"build: {{{build}}}"), f"base image {image}")
    assert base.certainty == "guessed"
    assert low * 1e9 < (base.size_bytes or 0) < high * 1e9


def test_a_base_image_of_the_user_is_not_known() -> None:
    raw = b"build: {python_version: '3.12'}"
    source = Source(config=raw, name="cog.yaml", directory="p", files=MemoryFiles({"cog.yaml": raw}))
    options = BuildOptions(base_image="example.com/python:3.12-slim")
    made = compile_project(source, options, bundled_matrix(), measures=True)
    assert part(made, "base image").size_bytes is None


def test_a_lock_knows_every_package() -> None:
    text = "build: {python_packages: [a, b, c]}"
    packages = [
        package("a", size_bytes=1000),
        package("b", file="b-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", size_bytes=1000),
        package("nvidia-cublas-cu12", file="n-1.0-py3-none-manylinux_2_17_x86_64.whl", size_bytes=1000),
        package("c", file="c-1.0.tar.gz", size_bytes=1000),
        package("d", size_bytes=None),
    ]
    made = measured(text, lock=render_lock(lock_for(text, packages=packages)))
    sizes = {name: part(made, f"{name} 1.0").size_bytes for name in ("a", "b", "nvidia-cublas-cu12", "c", "d")}
    assert sizes == {"a": 7000, "b": 3800, "nvidia-cublas-cu12": 1550, "c": None, "d": None}


# -- CUDA twice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("gpu: true, cuda: '12.1', python_packages: [torch==2.3.1]", "and so has torch 2.3.1"),
        ("gpu: true, python_packages: [torch==2.3.1]", None),
        ("gpu: true, python_packages: [onnxruntime-gpu==1.20.0]", None),
        ("gpu: true, cuda: '12.1', python_packages: [six]", None),
        ("python_packages: [torch==2.3.1]", None),
    ],
)
def test_cuda_twice_is_a_warning(build: str, said: str | None) -> None:
    messages = [d.message for d in measured(f"build: {{{build}}}").diagnostics if d.code == "COG271"]
    assert len(messages) == (said is not None)
    assert said is None or said in messages[0]


def test_a_lock_says_how_much_of_it() -> None:
    text = "build: {gpu: true, cuda: '12.1', python_version: '3.12', python_packages: [torch==2.3.1]}"
    cublas = package("nvidia-cublas-cu12", file="n-1.0-py3-none-manylinux_2_17_x86_64.whl", size_bytes=1_000_000_000)
    made = measured(text, lock=render_lock(lock_for(text, packages=[cublas, package("torch", "2.3.1")])))
    [message] = [d.message for d in made.diagnostics if d.code == "COG271"]
    assert message.endswith("torch 2.3.1, 1.6 GB of it")


# -- budget --------------------------------------------------------------------------------------


def budget_of(text: str, **options: int) -> list[str]:
    found = compiled(text, sizes={"weights/w.bin": 900 * MIB}, **options).diagnostics
    return [f"{d.span}: {d.message}" for d in found if d.code == "COG270"]


def test_a_budget_that_is_exceeded_is_an_error_where_it_is_written() -> None:
    text = "build:\n  python_version: '3.12'\n  budget: 1GB\n"
    assert budget_of(text) == ["cog.yaml:3:11: the image will have about 1.1 GB, and its budget is 1 GB"]


def test_a_budget_that_is_kept_says_nothing() -> None:
    assert budget_of("build: {python_version: '3.12', budget: 2GB}") == []
    assert compiled("build: {budget: 2GB}").sizes != ()
    assert compiled("").sizes == ()


def test_the_command_line_wins() -> None:
    assert budget_of("build: {python_version: '3.12', budget: 1GB}", budget=2_000_000_000) == []
    [message] = budget_of("build: {python_version: '3.12', budget: 2GB}", budget=1_000_000_000)
    assert message.startswith("None: ")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GB", 6_000_000_000),
        ("6 GB", 6_000_000_000),
        ("6g", 6_000_000_000),
        ("500mb", 500_000_000),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("1000", 1000),
        ("1000 B", 1000),
        ("2TB", 2_000_000_000_000),
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert compiled(f"build: {{budget: {json.dumps(text)}}}").config.build.budget.value == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "6 XB", "1e9", "6GB6", "six", "6,5GB", "9" * 40, "٦GB", "0GBB"])
def test_what_is_no_size(text: str) -> None:
    assert parse_size(text) is None
    if text:
        assert [
            d.code for d in compiled(f"build: {{budget: {json.dumps(text)}}}").diagnostics if d.severity == "error"
        ] == ["COG123"]


def test_sizes_are_known_for_both_architectures() -> None:
    known = {(row.name, row.architecture) for row in bundled_matrix().sizes.packages}
    names = ("torch", "tensorflow", "onnxruntime-gpu")
    assert {(name, architecture) for name in names for architecture in ("amd64", "arm64")} <= known
    assert ("tensorflow-cpu", "amd64") in known


def test_a_budget_that_is_exceeded_by_little_is_told_with_the_difference() -> None:
    parts = (SizePart(stage="model", what="the project's code", size_bytes=6_008_000_000, certainty="exact"),)
    (found,) = check_budget(parts, 6_000_000_000, None)
    assert found.message == "the image will have about 6 GB, 8 MB over its budget of 6 GB"
