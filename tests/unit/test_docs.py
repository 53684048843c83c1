"""The documentation is true where a machine can tell: links, commands, YAML, and lists of what there is."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from cogc.catalogue import CATALOGUE
from cogc.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "docs/diagnostics/*.md", "examples/**/*.md")
    for page in ROOT.glob(pattern)
)
FENCE = re.compile(r"^ *```(\w*) ?([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/cog.yaml"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(page: Path) -> Iterator[str]:
    prose = FENCE.sub("", page.read_text("utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose))


def anchors(page: Path) -> set[str]:
    prose = FENCE.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


# -- commands ------------------------------------------------------------------------------------


def parser_of(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"cogc {name}", allow_abbrev=False, exit_on_error=False)
    import_module(f"cogc.commands.{name.replace('-', '_')}").add_arguments(parser)
    return parser


def commands() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for kind, _, text in FENCE.findall(page.read_text("utf-8")):
            for line in re.findall(r"^\s*\$ (.*)$", text, re.MULTILINE) if kind == "console" else ():
                if re.match(r"cogc\b", line):
                    yield f"{name_of(page)}: {line}", until_the_shell(shlex.split(line, comments=True)[1:])


def until_the_shell(words: list[str]) -> list[str]:
    """The words before a redirection or a pipe."""
    ends = [index for index, word in enumerate(words) if word in ("|", ">", "&&", "<", "2>")]
    return words[: ends[0]] if ends else words


@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in commands()])
def test_commands_are_those_of_the_program(words: list[str]) -> None:
    if words == ["--version"]:
        return
    assert words[0] in COMMANDS
    parser_of(words[0]).parse_args(words[1:])


def test_the_readme_lists_all_commands() -> None:
    listed = re.findall(r"^\| `cogc ([\w-]+)` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    for action in parser_of(name)._actions:
        if action.help != argparse.SUPPRESS and action.option_strings and action.dest not in ("help", "file"):
            assert re.search(rf"(?<![\w-])(?:{'|'.join(action.option_strings)})(?![\w-])", page), action.option_strings


# -- cog.yaml and the template -------------------------------------------------------------------


def documented_configs() -> Iterator[tuple[str, dict[str, str]]]:
    for page in PAGES:
        if page.parent.name == "diagnostics":
            continue  # tests of their own: many are wrong on purpose
        blocks = FENCE.findall(page.read_text("utf-8"))
        templates = {name: text for kind, name, text in blocks if kind == "jinja"}
        for number, (kind, name, text) in enumerate(blocks):
            if kind == "yaml" and name == "cog.yaml":
                yield f"{name_of(page)} {number}", {"cog.yaml": text, **templates}


def stand_ins(config: str) -> dict[str, str]:
    """A small model for each target: pages about cog.yaml do not hold the code."""
    targets = re.findall(r"^(predict|run|train): *\"?(\w+\.py):(\w+)", config, re.MULTILINE)
    return {file: f"class {name}:\n    def {key}(self, a: str) -> str: ...\n" for key, file, name in targets}


@pytest.mark.parametrize("files", [pytest.param(files, id=name) for name, files in documented_configs()])
def test_documented_configurations_compile(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {**stand_ins(files["cog.yaml"]), **files}.items():
        (tmp_path / name).write_text(text)
    assert main(["compile", str(tmp_path / "cog.yaml"), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [d["code"] for d in document["diagnostics"] if d["severity"] == "warning"] == []
    for template in (text for name, text in files.items() if name.endswith(".j2")):
        for _, body in re.findall(r"{% block (\w+) %}\n(.*?){% endblock %}", template, re.DOTALL):
            assert body in document["output"]


def test_the_blocks_of_the_template_are_documented() -> None:
    template = (ROOT / "compiler/backends/dockerfile.j2").read_text("utf-8")
    page = (ROOT / "docs/dockerfile-template.md").read_text("utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(documented) == sorted(re.findall(r"{% block (\w+)", template))
    listed = re.search(r"Blocks: ([\w, ]+)\.", template)
    assert listed is not None
    assert sorted(listed[1].split(", ")) == sorted(documented)


def test_every_key_is_documented() -> None:
    schema = json.loads((ROOT / "schemas/cog.schema.json").read_bytes())
    page = (ROOT / "docs/cog-yaml.md").read_text("utf-8")
    build = schema["$defs"]["build"]["properties"]
    for key in (*schema["properties"], *build, *schema["$defs"]["mount"]["properties"]):
        assert f"`{key}`" in page or f"[`{key}`]" in page or f"| `{key}` |" in page or key in ("build", "type"), key


# -- lists ---------------------------------------------------------------------------------------


def test_the_index_of_diagnostics_is_the_catalogue() -> None:
    page = (ROOT / "docs/diagnostics.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(COG\d+)\]\(diagnostics/\1\.md\) \| (\w+) \| ([\w-]+) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(code, entry.severity, entry.name, entry.summary) for code, entry in CATALOGUE.items()]


def test_the_index_of_decisions_has_all() -> None:
    page = (ROOT / "docs/adr/README.md").read_text("utf-8")
    for path in sorted((ROOT / "docs/adr").glob("0*.md")):
        title = path.read_text("utf-8").splitlines()[0].partition(": ")[2]
        assert f"[{path.name[:4]}]({path.name}) | {title} |" in page


def test_tests_that_the_checklist_names_exist() -> None:
    page = (ROOT / "docs/compatibility-with-cog.md").read_text("utf-8")
    named = set(re.findall(r"`(tests/[^`]+)`", page))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", EXAMPLES, ids=name_of)
def test_examples_are_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"README.md", ".dockerignore", "predict.py"} <= {path.name for path in folder.iterdir()}
    assert f"({folder.name}/README.md)" in (folder.parent / "README.md").read_text("utf-8")
    assert main(["check", str(folder / "cog.yaml"), "--format", "json", "--strict"]) == 0
    codes = {found["code"] for found in json.loads(capsys.readouterr().out)["diagnostics"]}
    assert codes <= {"COG228", "COG233", "COG304"}
