"""Each directory `<topic>/<case>` is one project, compiled and compared with its `expected/` files.

A case holds cog.yaml and whatever else the project has, and may hold options.toml, which is no part of it:

    arguments = ["--inline"]                  of `cogc compile`
    environment = { COG_CA_CERT = "ca.pem" }
    big_files = { "weights/w.bin" = 20971520 }
    errors = ["COG503"]                       errors that no line of a file can be blamed for

Errors are written beside the line that causes them, as `# error: COG120` in cog.yaml or a file it names; so are
warnings, where a case wants to pin them down. `pytest tests/golden --update-golden -k <case>` writes expected/.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cogc.cli import main
from cogc.commands import compile as compile_command
from cogc.commands._project import build_options, load_project, source_of
from cogc.driver import bundled_matrix, compile_project
from cogc.ir.passes.resolve_build import resolve_build
from cogc.ir.pipeline import passes
from cogc.ir.verify import verify

HERE = Path(__file__).parent
CASES = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.glob("*/*/expected"))
CASES += sorted({path.parent.relative_to(HERE).as_posix() for path in HERE.glob("*/*/*.yaml")} - set(CASES))
VERSION = "0.0.0"


@dataclass(frozen=True)
class Outcome:
    """What one run of `cogc compile` gave: the exit code, the output, and all diagnostics as JSON values."""

    status: int
    text: str
    diagnostics: list[dict[str, Any]]

    def of(self, severity: str) -> Iterator[dict[str, Any]]:
        return (found for found in self.diagnostics if found["severity"] == severity)


class Project:
    """A copy of a case's inputs in a directory of the case's name, and ways to compile it."""

    def __init__(self, case: Path, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.case, self.root, self._capture = case, root, capture
        written = case / "options.toml"
        self.options: dict[str, Any] = tomllib.loads(written.read_text("utf-8")) if written.exists() else {}
        self.arguments: list[str] = self.options.get("arguments", [])
        shutil.copytree(case, root, symlinks=True, ignore=shutil.ignore_patterns("expected", "options.toml"))
        for path, size_bytes in self.options.get("big_files", {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            with open(root / path, "wb") as file:
                file.truncate(size_bytes)

    def compile(self, *more: str) -> Outcome:
        self._capture.readouterr()
        status = main(["compile", *self.arguments, *more, "--format", "json"])
        printed = self._capture.readouterr()
        if not printed.out:  # the command line itself is wrong: there is no document
            return Outcome(status, "", [_read(line) for line in printed.err.splitlines() if line.startswith("error")])
        document = json.loads(printed.out)
        return Outcome(status, document.get("output", ""), document["diagnostics"])

    def expected(self) -> dict[str, str]:
        return {path.name: path.read_text("utf-8") for path in sorted((self.case / "expected").glob("*"))}


def _read(line: str) -> dict[str, Any]:
    found = re.match(r"(\w+)\[(\w+)\]: (.*)", line)
    assert found is not None, line
    return {"severity": found[1], "code": found[2], "message": found[3], "span": None}


@pytest.fixture
def project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    case = HERE / request.param
    for module in ("cogc", "cogc.driver"):
        monkeypatch.setattr(f"{module}.__version__", VERSION)  # a release changes no golden file
    # Nor does a change of the runtime, whose files stand in what --inline writes.
    runtime = (("cog/__init__.py", b'"""The SDK."""\n'), ("requirements/server.in", b"uvicorn\n"))
    monkeypatch.setattr("cogc.driver.runtime_files", lambda: runtime)
    for name in ("COG_CA_CERT", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    project = Project(case, tmp_path / case.name, capsys)
    for name, value in project.options.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    return project


every_case = pytest.mark.parametrize("project", CASES, indirect=True)


@every_case
def test_what_comes_out(project: Project, update_golden: bool) -> None:
    """The files, where the errors are, and that compiling again gives the same: all of one compilation."""
    outcome = project.compile()
    _compare_files(project, outcome, update_golden)
    _compare_places(project, outcome)
    inline = project.compile("--inline")
    assert project.compile() == outcome, "compiling again gives something else"
    assert inline.status == outcome.status
    assert "source=.cog/build/" not in inline.text


def _compare_files(project: Project, outcome: Outcome, update_golden: bool) -> None:
    actual = {"diagnostics.txt": "".join(f"{_concise(found)}\n" for found in outcome.diagnostics)}
    if outcome.status == 0:
        actual |= {"Dockerfile": outcome.text, "resolved.txt": project.compile("--emit", "ir").text}
    if update_golden:
        shutil.rmtree(project.case / "expected", ignore_errors=True)
        (project.case / "expected").mkdir()
        for name, text in actual.items():
            (project.case / "expected" / name).write_text(text, "utf-8")
    expected = project.expected()
    command = f"pytest tests/golden --update-golden -k {project.case.relative_to(HERE)}"
    missing, leftover = actual.keys() - expected.keys(), expected.keys() - actual.keys()
    assert not missing | leftover, (
        f"expected/ lacks {missing or 'nothing'}, has needlessly {leftover or 'nothing'}: {command}"
    )
    for name, text in actual.items():
        assert text == expected[name], f"{name} differs; if that is right: {command}"


def _compare_places(project: Project, outcome: Outcome) -> None:
    """Errors, and warnings where any are annotated, are where the annotations say."""
    placeless = {("", 0, code) for code in project.options.get("errors", ())}
    errors = {_place(diagnostic) for diagnostic in outcome.of("error")}
    assert errors == {*_annotations(project.root, "error"), *placeless}
    if warnings := set(_annotations(project.root, "warning")):
        assert {_place(diagnostic) for diagnostic in outcome.of("warning")} == warnings
    wrong = 2 if project.options.get("errors") == ["COG503"] else 1
    assert outcome.status == (wrong if errors else 0)
    staged = project.root / ".cog"
    assert not (outcome.status and staged.exists()), "nothing is staged when there are errors"


@every_case
def test_the_build_is_valid_after_every_pass(project: Project) -> None:
    parser = argparse.ArgumentParser()
    compile_command.add_arguments(parser)
    arguments = parser.parse_args(project.arguments)
    options, _ = build_options(arguments)
    loaded, _ = load_project(arguments)
    source = source_of(loaded)[0] if loaded else None
    if options is None or source is None:
        return
    matrix = bundled_matrix()
    build = compile_project(source, options, matrix).build
    resolved = resolve_build(build, matrix)[0] if build else None
    if resolved is None:
        return
    verify(resolved)
    for step in passes(VERSION):
        resolved = step(resolved)
        verify(resolved)


def _annotations(root: Path, severity: str) -> Iterator[tuple[str, int, str]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stat().st_size < 1_000_000 and ".cog" not in path.parts:
            for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), 1):
                for codes in re.findall(rf"# {severity}: ((?:COG\d+[, ]*)+)", line):
                    yield from ((path.relative_to(root).as_posix(), number, code) for code in re.findall(r"\w+", codes))


def _place(diagnostic: dict[str, Any]) -> tuple[str, int, str]:
    span = diagnostic["span"] or {"file": "", "line": 0}
    return span["file"], span["line"], diagnostic["code"]


def _concise(diagnostic: dict[str, Any]) -> str:
    span = diagnostic["span"]
    place = f"{span['file']}:{span['line']}:{span['column']}: " if span else ""
    return f"{place}{diagnostic['severity']}[{diagnostic['code']}]: {diagnostic['message']}"
