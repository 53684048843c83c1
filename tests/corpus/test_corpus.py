"""Configurations of real projects: each compiles, or gives diagnostics; and the committed table says what happens.

They are not part of the repository. COGC_CORPUS names a folder with one directory per project.
"""

import os
from pathlib import Path

import pytest

from cogc.diagnostics import Severity
from scripts.corpus_table import compiled, projects, table
from tests.both_back_ends import assert_both_say_the_same

FOLDER = os.environ.get("COGC_CORPUS", "")
PAGE = Path(__file__).parent.parent.parent / "docs" / "corpus.md"
PROJECTS = projects(Path(FOLDER)) if FOLDER else []

pytestmark = pytest.mark.skipif(not PROJECTS, reason="COGC_CORPUS names no folder of projects")


@pytest.mark.parametrize("config", PROJECTS, ids=lambda path: path.parent.name)
def test_project_compiles_or_is_refused_with_errors_that_have_a_place(config: Path) -> None:
    compilation = compiled(config)
    if compilation.resolved is None:
        errors = [d for d in compilation.diagnostics if d.severity is Severity.ERROR]
        assert errors
        assert all(error.span is not None for error in errors)
        return
    assert_both_say_the_same(compilation.resolved, compilation.staged, config.read_bytes())


def test_committed_table_is_up_to_date() -> None:
    assert PAGE.read_text() == table(Path(FOLDER)), f"run scripts/corpus_table.py {FOLDER} > docs/corpus.md"
