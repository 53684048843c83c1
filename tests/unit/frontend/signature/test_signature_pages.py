"""The pages of the codes: the first example has the finding, the second has none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cogc.catalogue import CATALOGUE
from tests.unit.frontend.signature.support import codes

PAGES = Path(__file__).parents[4] / "docs" / "diagnostics"
CODES = [code for code in CATALOGUE if "COG400" <= code <= "COG439"]
# A file of megabytes, and syntax that depends on the Python that runs the test.
NOT_RUNNABLE = {"COG405", "COG430"}


def examples(code: str) -> list[str]:
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def findings(source: str) -> list[str]:
    return codes(source, "predict" if "\ndef predict" in source else "Predictor")


@pytest.mark.parametrize("code", CODES)
def test_page_has_the_name_of_the_code_and_two_examples(code: str) -> None:
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {code}: {CATALOGUE[code].name}\n")
    assert len(examples(code)) == 2


@pytest.mark.parametrize("code", [code for code in CODES if code not in NOT_RUNNABLE])
def test_failing_example_has_exactly_this_finding(code: str) -> None:
    assert set(findings(examples(code)[0])) == {code}


@pytest.mark.parametrize("code", CODES)
def test_fixed_example_has_no_finding(code: str) -> None:
    assert findings(examples(code)[1]) == []
