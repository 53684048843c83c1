"""Which Python is chosen when none is written, and what is said about one that is."""

from __future__ import annotations

import pytest

from tests.build_requests import codes, resolved, tiny_matrix


@pytest.mark.parametrize(
    ("packages", "python"),
    [
        ("numpy", "3.12"),
        ("torch", "3.12"),
        ("torch>=1.0", "3.12"),
        ("torch==2.3", "3.12"),
        ("torch==2.1.0", "3.11"),
        ("torch==1.12.1", "3.10"),
        ("torch==1.7.1", "3.9"),
        ("tensorflow==2.12.0", "3.11"),
        ("torch==2.8.0; python_version < '3'", "3.12"),
    ],
)
def test_the_newest_usual_one_that_pinned_packages_have_wheels_for(packages: str, python: str) -> None:
    resolution, found = resolved(f'python_packages: ["{packages}"]')
    assert resolution is not None, found
    assert resolution.python == python


def test_several_packages_narrow_it_together() -> None:
    resolution, _ = resolved("python_packages: ['torch==2.3.0', 'tensorflow==2.12.0']")
    assert resolution is not None
    assert resolution.python == "3.11"
    assert any("tensorflow 2.12.0 has wheels for Python" in cause.text for cause in resolution.because)


@pytest.mark.parametrize(("python", "code"), [("3.8", "COG131"), ("3.9", "COG131"), ("3.12", None), ("3.99", "COG132")])
def test_remarks_on_a_python_that_is_written(python: str, code: str | None) -> None:
    resolution, found = resolved(f"python_version: '{python}'")
    assert resolution is not None
    assert codes(found) == ([code] if code else [])


def test_end_of_life_is_judged_by_the_date_of_the_matrix() -> None:
    rows = [dict(row) for row in _pythons()]
    rows[0]["end_of_life"] = "2026-10-31"
    _, over = resolved("python_version: '3.11'", matrix=tiny_matrix(python={"rows": rows}))
    rows[0]["end_of_life"] = "2026-11-30"
    _, alive = resolved("python_version: '3.11'", matrix=tiny_matrix(python={"rows": rows}))
    assert (codes(over), codes(alive)) == (["COG131"], [])


def test_a_python_that_works_is_named() -> None:
    _, found = resolved("python_version: '3.13', python_packages: ['torch==2.1.0']")
    assert found[0].ways[0] == 'python_version: "3.11"'
    _, found = resolved("python_version: '3.13', python_packages: ['torch==2.1.0 --find-links=https://x']")
    assert found[0].hint == 'python_version: "3.11"'


def _pythons() -> list[dict[str, object]]:
    return [
        {
            "python": "3.11",
            "end_of_life": "",
            "released": "2022-10-24",
            "debian": "bookworm",
            "slim": {"bookworm": "3.11.0"},
            "slim_last": {},
            "ubuntu_apt": None,
        }
    ]
