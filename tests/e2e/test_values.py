"""Values and paths with every kind of hostile character: the proof of `cogc.backends.quoting` on a real engine."""

from __future__ import annotations

import io
import json
import random
import string
import tarfile

import pytest
import yaml

from tests.e2e.conftest import MakeProject
from tests.e2e.images import MIB, Engine, Image, Project

pytestmark = pytest.mark.engine

VALUES = [
    "plain",
    "",
    " ",
    " leading and trailing ",
    "two  blanks",
    "it's",
    'say "hi"',
    "\"'\"'",
    "$HOME",
    "${HOME}",
    "${HOME:-x}",
    "\\$HOME",
    "$$",
    "$(id)",
    "`id`",
    "\\",
    "\\\\",
    "ends with \\",
    'a\\"b',
    "\\n",
    "# no comment",
    "a # b",
    "#",
    "a=b=c",
    "=",
    "a\tb",
    "\t",
    "\rcarriage\r",
    "\x01\x1b[31m\x7f",
    "\x0b\x0c",
    "ünïcödé",
    "日本語",
    "🙂",
    "a\u0301",
    "\u00a0",
    "\u2028\u2029\x85",
    "\u200b\ufeff",
    "<<EOF",
    "<<'EOF' x",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%s %(x)s",
    "*?[a-z]",
    "~",
    "~root",
    "!history",
    "; rm -rf / &",
    "|>&<",
    "--flag",
    "-",
    "[]",
    '["json", "form"]',
    "null",
    "true",
    "1e3",
    "x" * 30_000,
    "a,b;c:d",
    "".join(chr(code) for code in range(1, 128) if chr(code) != "\n"),
    "".join(random.Random(7).choice(string.punctuation + " \t") for _ in range(400)),
]

CONFIG = 'build: {python_version: "3.11"}\npredict: predict.py:Predictor\n'
# Nothing can be written that means these alone where only some files are fetched: patterns need an ordinary character.
NEEDS_EVERYTHING = ["**", "\\"]

# Names of weights, as files in the project's root and as directories. None is excluded by .dockerignore.
NAMES = [
    "plain",
    "two blanks",
    "it's",
    'say "hi"',
    "a[b]",
    "a[!b]",
    "[",
    "]",
    "st*r",
    *NEEDS_EVERYTHING,
    "qu?stion",
    "$HOME",
    "${HOME}",
    "$",
    "back\\slash",
    "\\[x\\]",
    "-dash",
    "--from=x",
    "#hash",
    "!exclamation",
    " leading",
    "trailing ",
    "tab\tinside",
    "line\nbreak",
    "ünïcödé",
    "<<EOF",
    "{{ 7 * 7 }}",
    "{a,b}",
    "a,b=c;d:e",
    "~",
    "^caret$",
    "(a|b)+",
    "%20",
    "'",
    '"',
    "`id`",
    "...",
]


@pytest.fixture(scope="module")
def values_project(project: MakeProject) -> Project:
    config = {
        "build": {
            "python_version": "3.11",
            "run": ['python -c \'import json, os; json.dump(dict(os.environ), open("/seen", "w"))\''],
        },
        "environment": [f"E{number}={value}" for number, value in enumerate(VALUES)],
        "predict": "predict.py:Predictor",
    }
    described = "".join(value for value in VALUES if len(value) < 1000)
    predict = f"""\
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description={described!a}, choices={VALUES[:20]!a})) -> str:
        return text
"""
    return project("values", yaml.safe_dump(config, width=1_000_000), {"predict.py": predict})


@pytest.fixture(scope="module")
def values(engine: Engine, values_project: Project) -> Image:
    return engine.compile_and_build("values", values_project)


def _given(environment: dict[str, str]) -> list[str]:
    return [environment[f"E{number}"] for number in range(len(VALUES))]


def test_environment_of_the_image_is_exactly_that_of_the_configuration(values: Image) -> None:
    assert _given(values.environment) == VALUES


def test_container_sees_exactly_the_environment(values: Image) -> None:
    assert _given(json.loads(values.python("import json, os; print(json.dumps(dict(os.environ)))"))) == VALUES


def test_commands_of_the_build_see_exactly_the_environment(values: Image) -> None:
    assert _given(json.loads(values.output("cat", "/seen"))) == VALUES


def test_label_of_the_configuration_is_exact(values: Image) -> None:
    environment = json.loads(values.labels["run.cog.config"])["environment"]
    assert sorted(environment) == sorted(f"E{number}={value}" for number, value in enumerate(VALUES))


def test_label_of_the_schema_is_exact(values: Image) -> None:
    schema = json.loads(values.labels["run.cog.openapi_schema"])
    assert schema["components"]["schemas"]["text"]["enum"] == VALUES[:20]
    field = schema["components"]["schemas"]["Input"]["properties"]["text"]
    assert field["description"] == "".join(value for value in VALUES if len(value) < 1000)


# Docker reads flags as Latin-1, so these cannot be excluded by name: each entry of the project is copied by itself.
WIDE_NAMES = ["日本 語", "🙂", "плюс*", "a\u0301", *(name for name in NAMES if name not in NEEDS_EVERYTHING)]


@pytest.fixture(scope="module")
def names_project(project: MakeProject) -> Project:
    return _named(project("names", CONFIG), NAMES, as_files=False)


@pytest.fixture(scope="module")
def wide_project(project: MakeProject) -> Project:
    return _named(project("wide", CONFIG), WIDE_NAMES, as_files=True)


def _named(made: Project, names: list[str], *, as_files: bool) -> Project:
    for name in names:
        if as_files:
            made.write_large(f"{name}.bin", name)
        else:
            made.write_large(f"{name}/weights.bin", name)
            made.write(f"{name}/small file", name)
        made.write(f"code/{name}/{name}.txt", name)
    # A directory that has to be taken apart when paths are copied one by one.
    made.write_large("mixed/in [side]/weights.bin")
    for name in names:
        made.write(f"mixed/{name}", name)
    return made


@pytest.fixture(scope="module")
def names(engine: Engine, names_project: Project) -> Image:
    return engine.compile_and_build("names", names_project)


@pytest.fixture(scope="module")
def wide(engine: Engine, wide_project: Project) -> Image:
    return engine.compile_and_build("wide", wide_project)


def test_all_names_are_weights(names_project: Project) -> None:
    lines = names_project.compile("--emit", "weights-dockerfile").stdout.splitlines()
    assert sum(line.startswith("COPY") for line in lines) == len(NAMES) + 1


def test_files_arrive_at_exactly_their_paths(names: Image, names_project: Project) -> None:
    assert names.files("/src") == _expected(names_project)


def test_files_arrive_with_their_content(names: Image) -> None:
    code = """
import json, sys
for name in json.loads(sys.argv[1]):
    for path in (f"{name}/weights.bin", f"{name}/small file", f"code/{name}/{name}.txt", f"mixed/{name}"):
        assert open(f"/src/{path}", "rb").read(len(name.encode())) == name.encode(), path
print("fine")
"""
    assert names.python(code, json.dumps(NAMES)) == "fine\n"


@pytest.mark.parametrize("which", ["names", "wide"])
def test_weights_are_in_layers_of_their_own(which: str, request: pytest.FixtureRequest) -> None:
    image = request.getfixturevalue(which)
    layers = [_files(blob) for _, blob in image.blobs() if blob[257:262] == b"ustar"]
    weights = [path for layer in layers for path, size in layer.items() if path.startswith("src/") and size >= 10 * MIB]
    assert len(weights) == len(NAMES if which == "names" else WIDE_NAMES) + 1
    assert len(weights) == len(set(weights))
    code = next(layer for layer in layers if "src/predict.py" in layer)
    assert max(code.values()) < MIB


def _files(layer: bytes) -> dict[str, int]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return {member.name: member.size for member in archive if member.isfile()}


def test_names_that_a_flag_cannot_say_arrive_too(wide: Image, wide_project: Project) -> None:
    assert wide.files("/src") == _expected(wide_project)


def test_dialect_without_exclude_gives_the_same_files(engine: Engine, wide: Image, wide_project: Project) -> None:
    older = engine.compile_and_build("wide-1.4", wide_project, "--dockerfile-frontend", "1.4")
    assert older.tree("/src") == wide.tree("/src")


def _expected(project: Project) -> set[str]:
    kept = {path.relative_to(project.root).as_posix() for path in project.root.rglob("*") if path.is_file()}
    return {path for path in kept if not path.startswith(".cog/")} | {".cog/openapi_schema.json"}
