"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "compiler"
WITH_EXAMPLES = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py")) if ">>> " in path.read_text("utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples_are_true(path: Path) -> None:
    names = ["cogc", *path.with_suffix("").parts]
    module = importlib.import_module(".".join(names).removesuffix(".__init__"))
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
