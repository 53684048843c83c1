"""What all tests share: the flag that rewrites golden files, Hypothesis settings that suit a shared machine, interrupts that
arrive, and another try where a network did not answer."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest

from tests.examples import load_profile
from tests.network import NO_NAMES, PAUSE_SECONDS

load_profile()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Thousands of tests are made and live as long as the process: nobody has to look for garbage among them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected files of golden cases anew")


def pytest_configure(config: pytest.Config) -> None:
    # A shell that runs pytest in the background has it ignore interrupts; what tests start and interrupt would do so too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--update-golden", default=False) and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden is refused where CI is set: golden files are changed by people")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a network is tried again when names had no answer, which says nothing of what is tested."""
    again = pytest.mark.flaky(reruns=2, reruns_delay=PAUSE_SECONDS, only_rerun=[NO_NAMES])
    for item in items:
        if any(item.get_closest_marker(name) for name in ("engine", "network", "packaging", "slow")):
            item.add_marker(again)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether expected files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))
