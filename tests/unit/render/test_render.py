"""What holds for all formats, and what importing the package costs."""

import subprocess
import sys

import pytest

from cogc.diagnostics import report
from cogc.render import FORMATS, render


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_renders_a_diagnostic_without_a_place(format: str) -> None:
    output = render([report("COG100", "no cog.yaml was found")], {}, format)
    assert "COG100" in output
    assert output.endswith("\n")


@pytest.mark.parametrize("format", ["text", "concise", "github"])
def test_no_diagnostics_are_no_output(format: str) -> None:
    assert render([], {}, format) == ""


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format 'xml': not one of text, concise"):
        render([], {}, "xml")


def _modules_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_import_loads_neither_rich_nor_json() -> None:
    modules = _modules_after("import cogc.render")
    assert "cogc.render" in modules
    assert not modules & {"rich", "json", "cogc.diagnostics"}


def test_text_without_colour_loads_neither_rich_nor_json() -> None:
    modules = _modules_after(
        "from cogc.diagnostics import report\n"
        "from cogc.render import render\n"
        "render([report('COG100', 'm')], {}, 'text')"
    )
    assert "cogc.render.text" in modules
    assert not modules & {"rich", "json"}
