"""What a new lock keeps of the old one: decisions about lines that have not changed."""

from __future__ import annotations

import pytest

from cogc.ir.lock_keep import keep_decisions
from tests.build_requests import request
from tests.locks import lock_for, package

COMMIT = "c" * 40


def kept(old: str, new: str, *upgraded: str, packages: tuple = ()) -> list[str]:
    lock = lock_for(f"build: {{{old}}}", packages=packages)
    made = keep_decisions(request(new), lock, lock.platforms[0], upgraded)
    return [requirement.text for requirement in made.requirements]


def test_the_version_of_a_known_package_that_is_a_range() -> None:
    lock = lock_for("build: {python_packages: ['torch<2.4']}")
    version = {name: version for name, version, _ in lock.platforms[0].resolution.packages}["torch"]
    assert version.startswith("2.3.")
    assert kept("python_packages: ['torch<2.4']", "python_packages: ['torch<2.4', six]") == [f"torch=={version}", "six"]


def test_not_for_a_line_that_has_changed() -> None:
    assert kept("python_packages: ['torch<2.4']", "python_packages: ['torch<2.5']") == ["torch<2.5"]


def test_not_for_a_package_to_upgrade() -> None:
    assert kept("python_packages: ['torch<2.4']", "python_packages: ['torch<2.4']", "torch") == ["torch<2.4"]


def test_extras_and_markers_stay() -> None:
    line = "python_packages: [\"torch[opt-einsum]<2.4 ; python_version > '3'\"]"
    assert kept(line, line)[0].startswith("torch[opt-einsum]==2.3.")
    assert kept(line, line)[0].endswith(' ; python_version > "3"')


def test_the_python_that_nobody_asked_for() -> None:
    lock = lock_for("build: {python_packages: [torch==2.0.1]}")
    made = keep_decisions(request("python_packages: [torch==2.0.1]"), lock, lock.platforms[0], ())
    assert made.python_version == lock.platforms[0].resolution.python


def test_the_python_that_is_written_wins() -> None:
    lock = lock_for("build: {python_version: '3.11'}")
    assert keep_decisions(request("python_version: '3.12'"), lock, lock.platforms[0], ()).python_version == "3.12"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x @ git+https://example.com/a/x", f"x @ git+https://example.com/a/x@{COMMIT}"),
        ("x @ git+https://example.com/a/x@main", f"x @ git+https://example.com/a/x@{COMMIT}"),
        ("x @ git+https://example.com/a/x@feature/b", f"x @ git+https://example.com/a/x@{COMMIT}"),
        ("x[y] @ git+https://example.com/a/x.git@v1", f"x[y] @ git+https://example.com/a/x.git@{COMMIT}"),
        ("x @ git+ssh://git@example.com/a/x@main", f"x @ git+ssh://git@example.com/a/x@{COMMIT}"),
        (
            "git+https://example.com/a/x@main#subdirectory=p&egg=x",
            f"x @ git+https://example.com/a/x@{COMMIT}#subdirectory=p&egg=x",
        ),
        ("git+https://example.com/a/x@main", f"x @ git+https://example.com/a/x@{COMMIT}"),
    ],
)
def test_the_commit_of_a_repository(line: str, expected: str) -> None:
    build = f"python_packages: ['{line}'], system_packages: [git]"
    git = package("x", source="git", location="https://example.com/a/x", commit=COMMIT)
    assert kept(build, build, packages=(git,)) == [expected]
