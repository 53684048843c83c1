"""What uv resolved → the one file of each package that the image's Python takes."""

from __future__ import annotations

import pytest

from cogc.frontend.pylock import TargetSystem, read_pylock
from cogc.ir.lock import LockedPackage

AMD64 = TargetSystem(python="3.12", architecture="amd64", glibc_minor=36)
ARM64 = TargetSystem(python="3.12", architecture="arm64", glibc_minor=36)
OLD = TargetSystem(python="3.8", architecture="amd64", glibc_minor=17)


def digest(name: str) -> str:
    return name.encode().hex().ljust(64, "0")[:64]


def entry(name: str, *files: str, sdist: str | None = None, hashed: bool = True) -> str:
    def file(each: str) -> str:
        hashes = f'sha256 = "{digest(each)}"' if hashed else 'md5 = "0"'
        return f'{{ url = "https://example.com/p/{each}", size = 10, hashes = {{ {hashes} }} }}'

    lines = ["[[packages]]", f'name = "{name}"', 'version = "1.0"']
    lines += [f"sdist = {file(sdist)}"] if sdist else []
    lines += [f"wheels = [{', '.join(map(file, files))}]"] if files else []
    return "\n".join(lines) + "\n"


def read(text: str, target: TargetSystem = AMD64, **hashes: frozenset[str]) -> LockedPackage:
    packages, problems = read_pylock(text, target, hashes)
    assert problems == ()
    [package] = packages
    return package


WHEELS = (
    "a-1.0-py3-none-any.whl",
    "a-1.0-cp37-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "a-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "a-1.0-cp312-cp312-manylinux_2_34_x86_64.whl",
    "a-1.0-cp312-cp312-manylinux_2_40_x86_64.whl",
    "a-1.0-cp312-cp312-manylinux2014_aarch64.whl",
    "a-1.0-cp312-cp312-musllinux_1_2_x86_64.whl",
    "a-1.0-cp312-cp312t-manylinux_2_34_x86_64.whl",
    "a-1.0-cp312-cp312-win_amd64.whl",
    "a-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (AMD64, "a-1.0-cp312-cp312-manylinux_2_34_x86_64.whl"),
        (ARM64, "a-1.0-cp312-cp312-manylinux2014_aarch64.whl"),
        (OLD, "a-1.0-cp37-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        (TargetSystem(python="3.12", architecture="amd64", glibc_minor=28), WHEELS[2]),
        (TargetSystem(python="3.12", architecture="amd64", glibc_minor=40), WHEELS[4]),
        (TargetSystem(python="3.13.1", architecture="amd64", glibc_minor=36), WHEELS[9]),
        (TargetSystem(python="3.7", architecture="arm64", glibc_minor=36), WHEELS[0]),
    ],
)
@pytest.mark.parametrize("wheels", [WHEELS, WHEELS[::-1]], ids=["", "reversed"])
def test_the_best_wheel(wheels: tuple[str, ...], target: TargetSystem, expected: str) -> None:
    assert read(entry("a", *wheels), target) == LockedPackage(
        name="a", version="1.0", file=expected, sha256=digest(expected), size_bytes=10
    )


def test_the_archive_where_no_wheel_fits() -> None:
    package = read(entry("a", "a-1.0-cp312-cp312-win_amd64.whl", sdist="a-1.0.tar.gz"))
    assert package.file == "a-1.0.tar.gz"
    assert package.is_built


def test_only_files_that_the_user_allows() -> None:
    text = entry("a", *WHEELS, sdist="a-1.0.tar.gz")
    assert read(text, a=frozenset({digest(WHEELS[0])})).file == WHEELS[0]
    assert read(text, a=frozenset({digest("a-1.0.tar.gz")})).file == "a-1.0.tar.gz"


def test_names_in_one_spelling_and_order() -> None:
    packages, _ = read_pylock(
        entry("Zope.Interface", "zope_interface-1.0-py3-none-any.whl") + entry("a", WHEELS[0]), AMD64, {}
    )
    assert [package.name for package in packages] == ["a", "zope-interface"]


def test_file_names_are_unquoted() -> None:
    text = entry("torch", "torch-2.3.1%2Bcpu-cp312-cp312-linux_x86_64.whl")
    assert read(text).file == "torch-2.3.1+cpu-cp312-cp312-linux_x86_64.whl"


@pytest.mark.parametrize("text", [entry("a", WHEELS[0], hashed=False), entry("a", WHEELS[8]), entry("a")])
def test_a_package_without_a_file_is_a_problem(text: str) -> None:
    assert read_pylock(text, AMD64, {}) == ((), ("a 1.0 has no file with a SHA-256 for this platform",))


def test_packages_that_are_in_no_index() -> None:
    text = f"""
[[packages]]
name = "g"
version = "1.0"
vcs = {{ type = "git", url = "https://tok:x@example.com/g", commit-id = "{"a" * 40}", subdirectory = "python" }}
[[packages]]
name = "p"
version = "1.0"
archive = {{ path = "wheels/p-1.0-py3-none-any.whl", hashes = {{ sha256 = "{"b" * 64}" }} }}
[[packages]]
name = "u"
version = "1.0"
archive = {{ url = "https://me:pw@example.com/u-1.0%2B1.tar.gz", hashes = {{ sha256 = "{"c" * 64}" }} }}
"""
    packages, problems = read_pylock(text, AMD64, {})
    assert problems == ()
    assert packages == (
        LockedPackage(
            name="g",
            version="1.0",
            source="git",
            location="https://***@example.com/g",
            commit="a" * 40,
            subdirectory="python",
        ),
        LockedPackage(
            name="p", version="1.0", source="project", location="wheels/p-1.0-py3-none-any.whl", sha256="b" * 64
        ),
        LockedPackage(
            name="u",
            version="1.0",
            source="url",
            file="u-1.0+1.tar.gz",
            location="https://***@example.com/u-1.0%2B1.tar.gz",
            sha256="c" * 64,
        ),
    )
    assert [package.is_built for package in packages] == [True, False, True]
