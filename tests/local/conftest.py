"""A project for each test, and one cache directory for all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.harness import Project

_FOLDER = os.path.join(Path(__file__).parent, "")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, cache: Path) -> Iterator[Project]:
    root = tmp_path / "my model"  # a space, as in many a home directory
    root.mkdir()
    project = Project(root, cache)
    yield project
    project.kill()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(_FOLDER):
            item.add_marker(pytest.mark.slow)
            if not sys.platform.startswith("linux"):
                item.add_marker(pytest.mark.skip(reason="processes are counted in /proc"))
