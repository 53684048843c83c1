"""A lock is good for the configuration that it was made for, whatever matrix is installed; else it says what changed."""

from __future__ import annotations

from dataclasses import replace

from cogc.diagnostics import Diagnostic
from cogc.ir.lock import Lock
from cogc.ir.lock_drift import locked_decisions
from tests.build_requests import MATRIX, request, tiny_matrix
from tests.locks import lock_for, package

BUILD = "python_packages: [torch==2.3.1, six==1.16.0]"
LOCK = lock_for(f"build: {{{BUILD}}}", packages=[package("six", "1.16.0"), package("torch", "2.3.1")])


def drift(build: str, lock: Lock = LOCK, **options: str) -> Diagnostic:
    entry, found = locked_decisions(lock, request(build, **options), MATRIX, "cog.lock")
    assert entry is None
    assert len(found) == 1
    return found[0]


def notes(diagnostic: Diagnostic) -> list[str]:
    return [note.message for note in diagnostic.notes]


def test_the_same_configuration_has_the_decisions_of_the_lock() -> None:
    assert locked_decisions(LOCK, request(BUILD), MATRIX, "cog.lock") == (LOCK.platforms[0], ())


def test_another_matrix_changes_nothing() -> None:
    empty = tiny_matrix(torch={"rows": []})
    assert locked_decisions(LOCK, request(BUILD), empty, "cog.lock") == (LOCK.platforms[0], ())


def test_a_changed_pin_is_shown_with_its_place_and_what_it_decides() -> None:
    problem = drift("python_packages: [torch==2.4.1, six==1.16.0]")
    assert problem.code == "COG262"
    assert problem.message == "cog.lock was made for something else: torch==2.3.1 → torch==2.4.1"
    assert str(problem.span) == "cog.yaml:1:27"
    assert notes(problem) == [
        "changed: torch==2.3.1 → torch==2.4.1",
        "decides: torch 2.3.1 (build cpu) → 2.4.1 (build cpu)",
    ]


def test_a_change_that_moves_the_base_image_says_so() -> None:
    problem = drift(f"gpu: true, cuda: '12.1', {BUILD}")
    assert problem.message.endswith("cuda: not set → 12.1, and 1 more")
    base = [note for note in notes(problem) if "base image" in note]
    assert base == [
        "decides: base image python:3.12-slim-bookworm → nvidia/cuda:12.1.1-cudnn8-devel-ubuntu22.04",
    ]


def test_a_change_that_cannot_be_built_says_why() -> None:
    problem = drift("python_packages: [torch==2.3.1, torchvision==0.22.0]")
    assert (
        notes(problem)[-1] == "it cannot be built: torchvision 0.22.0 needs torch 2.7.0, but torch 2.3.1 is asked for"
    )


def test_a_command_that_decides_nothing_does_not_count() -> None:
    assert locked_decisions(LOCK, request(BUILD + ", run: [echo hello]"), MATRIX, "cog.lock") == (LOCK.platforms[0], ())


def test_a_command_that_decides_something_does() -> None:
    problem = drift(BUILD + ", run: ['curl https://example.com']")
    assert notes(problem) == [
        "changed: + curl https://example.com",
        "decides: tool + ca-certificates",
        "decides: tool + curl",
    ]


def test_a_platform_that_the_lock_lacks() -> None:
    problem = drift(BUILD, platform="linux/arm64")
    assert problem.code == "COG263"
    assert problem.message == "cog.lock was not made for linux/arm64: it has linux/amd64"
    assert problem.hint == "cogc lock --platform linux/amd64,linux/arm64"


def test_a_lock_of_two_platforms_serves_both() -> None:
    other = replace(LOCK.platforms[0], platform="linux/arm64", packages=())
    both = replace(LOCK, platforms=(LOCK.platforms[0], other))
    entry, found = locked_decisions(both, request(BUILD, platform="linux/arm64"), MATRIX, "cog.lock")
    assert (entry, found) == (other, ())


def test_many_changes_are_cut() -> None:
    many = ", ".join(f"p{number}" for number in range(40))
    assert notes(drift(f"python_packages: [{many}]"))[20] == "changed: 22 more"
