"""Fixtures: a server for each test or module, and a receiver."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.server.harness import LIBRARIES, MODEL_PYTHON, SERVER_PYTHON, Receiver, Server, running_server, until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SERVER_PYTHON is None:
        reason = f"the server's libraries are not installed ({LIBRARIES}); set COGC_SERVER_PYTHON"
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server for `model`; it ends with the test."""
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def start(model: str, *arguments: str, **options: Any) -> Server:
            folder = tmp_path / f"project{next(count)}"
            return stack.enter_context(running_server(folder, model, *arguments, **options))

        yield start


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a module's MODEL, with its ENVIRONMENT and ARGUMENTS if it has them."""
    module = request.module
    with running_server(
        tmp_path_factory.mktemp("shared"),
        module.MODEL,
        *getattr(module, "ARGUMENTS", ()),
        environment=getattr(module, "ENVIRONMENT", None),
        config=getattr(module, "CONFIG", 'predict: "predict.py:Predictor"\n'),
    ) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until


@pytest.fixture
def model_python() -> str:
    return MODEL_PYTHON
