"""The forms of the output give the same image: staged and inline, both dialects, from standard input, with templates."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.e2e.conftest import HELLO, PREDICT, MakeProject
from tests.e2e.images import Engine, Entry, Image, Project

pytestmark = pytest.mark.engine

ROOTS = ("/src", "/opt", "/sbin", "/etc", "/usr/local/lib/python3.11/site-packages")
FILES = {"data/words.txt": "one\n", "data/deep/er.txt": "two\n", "empty/.keep": "", "two blanks.txt": "three\n"}


def _tree(image: Image) -> dict[str, Entry]:
    """What has to be the same in all forms: not the Dockerfile, nor what is made anew in each container or build."""
    left_out = {"/src/Dockerfile", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
    tree = image.tree(*ROOTS)
    return {path: entry for path, entry in tree.items() if path not in left_out and "__pycache__" not in path}


LINKS = ("link", "gone", "to-weights", "round", "part/gone")


def _add_weights_and_links(made: Project) -> None:
    """Weights, one of them beside code, and symbolic links: to a file, to weights, to nothing."""
    made.write_large("large/weights.bin")
    made.write_large("part/deep/weights.bin")
    made.write("part/code.py", "")
    os.symlink("data/words.txt", made.root / "link")
    os.symlink("large/weights.bin", made.root / "to-weights")
    os.symlink("/nowhere/at all", made.root / "gone")
    os.symlink("round", made.root / "round")
    os.symlink("nothing.py", made.root / "part/gone")


@pytest.fixture(scope="module")
def forms_project(project: MakeProject) -> Project:
    made = project("forms", HELLO, FILES)
    _add_weights_and_links(made)
    return made


@pytest.fixture(scope="module")
def staged(engine: Engine, forms_project: Project) -> Image:
    return engine.compile_and_build("staged", forms_project)


def _same_settings(one: Image, other: Image) -> None:
    assert one.config == other.config


def test_inline_gives_the_same_image(
    engine: Engine, project: MakeProject, forms_project: Project, staged: Image
) -> None:
    text = forms_project.compile("--inline").stdout
    inline = engine.build("inline", forms_project.root, "--file=-", stdin=text)
    assert _tree(inline) == _tree(staged)
    _same_settings(inline, staged)
    # Nothing but the project itself is needed.
    bare = project("forms", HELLO, FILES)
    _add_weights_and_links(bare)
    text = bare.compile("--inline").stdout
    assert not (bare.root / ".cog").exists()
    alone = engine.build("inline-alone", bare.root, "--file=-", stdin=text)
    assert _tree(alone) == _tree(staged)


def test_inline_survives_strict_permissions(engine: Engine, forms_project: Project, staged: Image) -> None:
    """A umask of the person who compiles has no bearing on the image."""
    strict = Project(forms_project.root.parent / "strict")
    subprocess.run(["cp", "-a", str(forms_project.root), str(strict.root)], check=True)
    subprocess.run(["rm", "-rf", str(strict.root / ".cog"), str(strict.root / "Dockerfile")], check=True)
    before = os.umask(0o077)
    try:
        text = strict.compile("--image-name", "cog-forms").stdout
    finally:
        os.umask(before)
    built = engine.build("strict", strict.root, "--file=-", stdin=text)
    assert _tree(built) == _tree(staged)


def test_ignored_staging_directory_switches_to_inline(engine: Engine, project: MakeProject, staged: Image) -> None:
    made = project("forms", HELLO, {**FILES, ".dockerignore": ".cog\n.dockerignore\n"})
    _add_weights_and_links(made)
    process = made.compile()
    assert "COG301" in process.stderr
    made.write("Dockerfile", process.stdout)
    built = engine.build("ignored", made.root)
    assert _tree(built) == _tree(staged)
    _same_settings(built, staged)


def test_older_dialect_gives_the_same_image(engine: Engine, forms_project: Project, staged: Image) -> None:
    older = engine.compile_and_build("older", forms_project, "--dockerfile-frontend", "1.4")
    old, new = _tree(older), _tree(staged)
    # Without --exclude each entry has a COPY line, which follows a link instead of copying it: they are made anew.
    for link in LINKS:
        del old[f"/src/{link}"], new[f"/src/{link}"]
    assert old == new
    _same_settings(older, staged)


def test_older_dialect_keeps_links(engine: Engine, forms_project: Project, staged: Image) -> None:
    older = engine.compile_and_build("older", forms_project, "--dockerfile-frontend", "1.4")
    for link in LINKS:
        assert older.tree(f"/src/{link}") == staged.tree(f"/src/{link}")


def test_dockerfile_from_standard_input(engine: Engine, forms_project: Project, staged: Image) -> None:
    text = forms_project.compile().stdout
    built = engine.build("stdin", forms_project.root, "--file=-", stdin=text)
    assert _tree(built) == _tree(staged)


def test_configuration_from_standard_input(forms_project: Project) -> None:
    process = forms_project.compile("-", stdin=HELLO)
    assert process.stdout == forms_project.compile().stdout


def test_annotated_output_builds_the_same_image(engine: Engine, forms_project: Project, staged: Image) -> None:
    text = forms_project.compile("--annotate").stdout
    built = engine.build("annotated", forms_project.root, "--file=-", stdin=text)
    # The project's files, and the links that have to be made anew, are the last two layers; the Dockerfile is one of them.
    assert built.layers[:-2] == staged.layers[:-2]
    assert _tree(built) == _tree(staged)
    _same_settings(built, staged)


def test_configuration_with_another_name(engine: Engine, project: MakeProject) -> None:
    made = project("other-name", "build: {}\n", {"cog-small.yaml": HELLO})
    made.root.joinpath("cog.yaml").unlink()
    built = engine.compile_and_build("other-name", made, "--file", "cog-small.yaml")
    assert built.output("cat", "/src/cog.yaml") == HELLO
    assert built.output("cat", "/src/cog-small.yaml") == HELLO
    made.write("cog.yaml", "build: {}\n")
    built = engine.compile_and_build("other-name-2", made, "--file", "cog-small.yaml")
    assert built.output("cat", "/src/cog.yaml") == HELLO


def test_image_without_the_source(engine: Engine, project: MakeProject) -> None:
    made = project("no-source", HELLO, FILES)
    made.write_large("large/weights.bin")
    built = engine.compile_and_build("no-source", made, "--no-source")
    assert built.files("/src") == {".cog/openapi_schema.json", "large/weights.bin"}
    mounted = built.output("cat", "/src/predict.py", options=[f"--volume={made.root}:/src"])
    assert mounted == PREDICT


TEMPLATE = """\
{% extends "cogc/dockerfile.j2" %}
{% block base_end %}
RUN echo "from the template" > /base-end
{% endblock %}
{% block packages_end %}
RUN python -c "import six; open('/packages-end', 'w').write(six.__version__)"
{% endblock %}
{% block before_source %}
RUN test ! -e /src/predict.py && touch /before-source
{% endblock %}
{% block model_end %}
LABEL com.example.team="vision"
{% endblock %}
"""


def test_template_of_the_project(engine: Engine, project: MakeProject, hello: Image) -> None:
    config = HELLO.replace("build:\n", "build:\n  dockerfile_template: deploy/Dockerfile.j2\n")
    built = engine.compile_and_build("template", project("template", config, {"deploy/Dockerfile.j2": TEMPLATE}))
    assert built.output("cat", "/base-end") == "from the template\n"
    assert built.output("cat", "/packages-end") == "1.16.0"
    assert set(built.tree("/before-source"))
    assert built.labels["com.example.team"] == "vision"
    assert json.loads(built.labels["run.cog.config"])["predict"] == "predict.py:Predictor"


LARGE = """\
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        style: str = Input(description={description!r}, choices={choices!r}, default={default!r}),
    ) -> str:
        return style
"""


def test_schema_longer_than_a_line_of_a_dockerfile_may_be(engine: Engine, project: MakeProject) -> None:
    choices = [f'style number {number}: {"#" * (number % 7)} "{number}" \\ $x' for number in range(4000)]
    predict = LARGE.format(description="#" * 30_000 + "\\" * 9_999, choices=choices, default=choices[0])
    made = project("large-schema", HELLO, {"predict.py": predict})
    for options in ((), ("--inline",)):
        built = engine.compile_and_build("large-schema" + "".join(options), made, *options)
        schema = json.loads(built.labels["run.cog.openapi_schema"])
        assert schema["components"]["schemas"]["style"]["enum"] == choices
        assert json.loads(built.output("cat", "/src/.cog/openapi_schema.json")) == schema
