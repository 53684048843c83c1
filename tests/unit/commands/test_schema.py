"""`cogc schema`: of the source, by an import, of a file; and what changed between two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cogc.cli import main

CONFIG = "environment: [STEPS=7]\npredict: predict.py:Predictor\n"
MODEL = """
print("noise of the model")
from cog import BasePredictor, Input
class Predictor(BasePredictor):
    def predict(self, n: int = Input({argument})) -> str: ...
"""
TOLD = MODEL.replace("{argument}", "default=3, le=9")
OPEN = MODEL.replace("{argument}", "default=int(__import__('os').environ['STEPS'])")


class Run:
    """What a command gave."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def default(self) -> int:
        return self.json["components"]["schemas"]["Input"]["properties"]["n"]["default"]


class Project:
    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self.write("cog.yaml", CONFIG)
        self.write("predict.py", TOLD)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *words: str) -> Run:
        self._capsys.readouterr()
        status = main(["schema", *words])
        return Run(status, *self._capsys.readouterr())


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    for name in ("COG_OPENAPI_SCHEMA", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return Project(root, capsys)


# -- of the source -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [[], ["model"], ["cog.yaml"], ["model", "cog.yaml"], ["model", "."], ["-f", "cog.yaml"]]
)
def test_the_document_of_the_source(project: Project, words: list[str]) -> None:
    found = project.run(*words)
    assert (found.status, found.err, found.default) == (0, "", 3)


def test_a_configuration_of_another_name(project: Project) -> None:
    project.write("model", CONFIG)  # a file called like the word
    assert project.run("./model").default == 3


def test_what_the_source_leaves_open_is_an_error_with_a_way_out(project: Project) -> None:
    project.write("predict.py", OPEN)
    found = project.run()
    assert (found.status, found.out) == (1, "")
    assert "warning[COG410]" in found.err
    assert "error[COG441]" in found.err
    assert "cogc schema --import" in found.err


def test_published_schemas(project: Project) -> None:
    for name in ("cog", "ir", "openapi"):
        assert "$schema" in project.run(name).json


@pytest.mark.parametrize("words", [["a", "b"], ["model", "a", "b"], ["diff"], ["diff", "a"], ["diff", "a", "b", "c"]])
def test_words_that_make_no_sense(project: Project, words: list[str]) -> None:
    found = project.run(*words)
    assert (found.status, found.out) == (2, "")
    assert "COG503" in found.err


# -- by an import ----------------------------------------------------------------------------------


def test_an_import_tells_what_the_source_leaves_open(project: Project) -> None:
    project.write("predict.py", OPEN)
    found = project.run("--import", "--python", sys.executable)
    assert (found.status, found.err, found.default) == (0, "", 7)
    assert sorted(path.name for path in project.root.rglob("*")) == ["cog.yaml", "predict.py"], "nothing is left behind"


def test_an_import_gives_what_the_source_tells(project: Project) -> None:
    assert project.run("model", "--import", "--python", sys.executable).json == project.run().json


def test_an_import_of_both_targets(project: Project) -> None:
    project.write("cog.yaml", CONFIG + "train: train.py:train\n")
    project.write("train.py", "def train(m: int) -> str: ...\n")
    found = project.run("--import", "--python", sys.executable)
    assert {"Input", "TrainingInput"} <= set(found.json["components"]["schemas"])


def test_of_ours_the_model_sees_the_sdk_alone(project: Project) -> None:
    project.write("predict.py", TOLD + "import cog_server\n")
    found = project.run("--import", "--python", sys.executable)
    assert "No module named 'cog_server'" in found.err


def test_an_import_that_fails_shows_the_end_of_the_models_traceback(project: Project) -> None:
    project.write("helper.py", "def load():\n    raise RuntimeError('no GPU')\n")
    project.write("predict.py", "import helper\nhelper.load()\n")
    found = project.run("--import", "--python", sys.executable)
    assert (found.status, found.out) == (1, "")
    assert "error[COG440]: the model cannot be imported: RuntimeError: no GPU" in found.err
    assert "--> helper.py:2:1" in found.err
    assert 'predict.py", line 2, in <module>' in found.err
    assert "cog/command" not in found.err


def test_a_package_that_is_missing_has_a_hint(project: Project) -> None:
    project.write("predict.py", "import no_such_package\n")
    found = project.run("--import", "--python", sys.executable, "--format", "json")
    (diagnostic,) = found.json["diagnostics"]
    assert (diagnostic["code"], diagnostic["span"]["file"], diagnostic["span"]["line"]) == ("COG440", "predict.py", 1)
    assert "--python" in diagnostic["hint"]


def test_a_model_that_contradicts_itself_is_refused_with_the_reason(project: Project) -> None:
    project.write("predict.py", OPEN.replace("Input(", "Input(le=5, "))
    found = project.run("--import", "--python", sys.executable)
    assert "is imported, but not accepted: the default 7 of the input 'n' is greater than its maximum 5" in found.err


def test_an_import_that_takes_too_long_is_ended(project: Project) -> None:
    project.write("predict.py", "import time\ntime.sleep(99)\n")
    found = project.run("--import", "--python", sys.executable, "--time-limit", "1")
    assert found.status == 1
    assert "did not end within 1 seconds" in found.err


def test_a_process_that_dies_is_told(project: Project) -> None:
    project.write("predict.py", "import os\nos._exit(9)\n")
    assert "exit code 9" in project.run("--import", "--python", sys.executable).err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--python", "/nowhere/python"], "--python /nowhere/python does not exist"),
        (["--time-limit", "0"], "--time-limit 0"),
        (["--time-limit", "-3"], "--time-limit -3"),
    ],
)
def test_wrong_options_of_the_import(project: Project, words: list[str], text: str) -> None:
    found = project.run("--import", *words)
    assert found.status == 2
    assert text in found.err


def test_something_that_is_no_python_is_told(project: Project) -> None:
    script = project.write("../python", "#!/bin/sh\necho this is no Python\nexit 3\n")
    script.chmod(0o755)
    found = project.run("--import", "--python", str(script))
    assert found.status == 1
    assert "ended with the exit code 3" in found.err
    assert "this is no Python" in found.err


def test_the_interpreter_of_the_active_environment_is_taken(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = tmp_path / "env" / "bin" / "python"
    chosen.parent.mkdir(parents=True)
    chosen.write_text(f'#!/bin/sh\nSTEPS_OF=chosen exec "{sys.executable}" "$@"\n')
    chosen.chmod(0o755)
    project.write("predict.py", OPEN + "import os\nassert os.environ.get('STEPS_OF') == 'chosen'\n")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path / "env"))
            assert project.run("--import").default == 7


def test_a_missing_file_is_an_error_before_anything_is_imported(project: Project) -> None:
    (project.root / "predict.py").unlink()
    assert "error[COG300]" in project.run("--import").err


# -- a document by hand ----------------------------------------------------------------------------


def by_hand(project: Project, **properties: Any) -> Path:
    document = {
        "openapi": "3.0.2",
        "info": {"title": "mine", "version": "1"},
        "paths": {},
        "components": {"schemas": {"Input": {"type": "object", "properties": properties}}},
    }
    return project.write("mine.json", json.dumps(document))


def test_the_option_wins_over_the_variable_and_that_over_the_source(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.write("predict.py", OPEN)
    given = by_hand(project, n={"type": "integer", "default": 1})
    other = project.write("../other.json", given.read_text().replace("mine", "other"))
    monkeypatch.setenv("COG_OPENAPI_SCHEMA", str(other))
    assert project.run().json["info"]["title"] == "other"
    assert project.run("--openapi-schema", "mine.json").json["info"]["title"] == "mine"
    monkeypatch.setenv("COG_OPENAPI_SCHEMA", "")
    assert project.run().status == 1


def compiled(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["compile", *words])
    return status, *capsys.readouterr()


def test_the_image_gets_the_document_as_label_and_file(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("predict.py", OPEN)
    by_hand(project, n={"type": "integer", "default": 1})
    status, out, err = compiled(capsys, "--openapi-schema", "mine.json")
    assert (status, err) == (0, "")
    assert '\\"title\\":\\"mine\\"' in out
    assert "cog.command.openapi_schema" not in out
    staged = json.loads((project.root / ".cog/build/openapi_schema.json").read_text())
    assert staged == json.loads((project.root / "mine.json").read_text())


@pytest.mark.parametrize("command", ["compile", "check", "ir", "explain"])
def test_a_document_that_is_not_sound_stops_everything(
    project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    by_hand(project, n={"type": "integer", "minimum": 2, "default": 1})
    assert main([command, "--openapi-schema", "mine.json"]) == 1
    printed = capsys.readouterr()
    assert "COG442" in printed.out + printed.err
    assert "the default 1 is less than its minimum 2" in printed.out + printed.err
    assert "mine.json:1:" in printed.out + printed.err


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_a_document_that_cannot_be_read(project: Project, capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, out, err = compiled(capsys, "--openapi-schema", name)
    assert (status, out) == (1, "")
    assert f"error[COG500]: --openapi-schema {name}" in err


def test_the_source_is_asked_for_the_target_alone(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    by_hand(project, n={"type": "integer"})
    project.write("predict.py", "class Predictor:\n    def predict(self, n): ...\n")  # no types at all
    assert compiled(capsys, "--openapi-schema", "mine.json")[0] == 0
    project.write("predict.py", "class Predicter:\n    def predict(self, n): ...\n")
    status, _, err = compiled(capsys, "--openapi-schema", "mine.json")
    assert status == 1
    assert "COG400" in err


def test_a_secret_stays_one(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    source = "from typing import List\nfrom cog import Secret\nclass Predictor:\n"
    project.write("predict.py", source + "    def predict(self, key: Secret, more: List[Secret], n: int) -> str: ...\n")
    texts = {"type": "array", "items": {"type": "string"}}
    by_hand(project, key={"type": "string"}, more=texts, n={"type": "integer"})
    status, _, err = compiled(capsys, "--openapi-schema", "mine.json")
    assert status == 0
    assert err.count("warning[COG443]") == 2
    staged = json.loads((project.root / ".cog/build/openapi_schema.json").read_text())
    properties = staged["components"]["schemas"]["Input"]["properties"]
    assert properties["key"]["x-cog-secret"] is properties["more"]["items"]["x-cog-secret"] is True
    assert "x-cog-secret" not in properties["n"]


def test_a_document_of_another_model_is_a_warning(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("cog.yaml", CONFIG + "train: train.py:train\n")
    project.write("train.py", "def train(m: int) -> str: ...\n")
    by_hand(project)
    status, _, err = compiled(capsys, "--openapi-schema", "mine.json")
    assert status == 0
    assert "has no component `TrainingInput`" in err


# -- differences -----------------------------------------------------------------------------------


def test_two_documents(project: Project) -> None:
    old = project.write("old.json", project.run().out)
    new = project.write("new.json", old.read_text().replace('"maximum": 9', '"maximum": 8'))
    found = project.run("diff", "old.json", "new.json")
    path = "$.components.schemas.Input.properties.n.maximum"
    assert (found.status, found.err) == (1, "")
    assert found.out == f"breaking    {path}: lowered from 9 to 8\n1 breaking\n"
    back = project.run("diff", str(new), str(old))
    assert (back.status, back.out) == (0, f"compatible  {path}: raised from 8 to 9\n1 compatible\n")
    same = project.run("diff", "old.json", "old.json")
    assert (same.status, same.out) == (0, "no differences\n")


def test_differences_as_json(project: Project) -> None:
    old = project.write("old.json", project.run().out)
    project.write("new.json", old.read_text().replace('"maximum": 9', '"maximum": 8').replace('"Cog"', '"Mine"'))
    found = project.run("diff", "old.json", "new.json", "--format", "json")
    assert found.status == 1
    assert found.json == {
        "version": 1,
        "changes": [
            {
                "kind": "breaking",
                "path": "$.components.schemas.Input.properties.n.maximum",
                "message": "lowered from 9 to 8",
                "old": 9,
                "new": 8,
            },
            {"kind": "docs", "path": "$.info.title", "message": "changed", "old": "Cog", "new": "Mine"},
        ],
        "summary": {"breaking": 1, "compatible": 0, "docs": 1},
    }


def test_projects_and_their_configurations(project: Project) -> None:
    project.write("../other/cog.yaml", CONFIG)
    project.write("../other/predict.py", TOLD.replace("le=9", "le=9, ge=1"))
    for first, second in ((".", "../other"), ("cog.yaml", "../other/cog.yaml")):
        found = project.run("diff", first, second)
        assert found.status == 1
        assert "minimum 1 added" in found.out


def test_projects_that_have_to_be_imported(project: Project) -> None:
    old = project.write("old.json", project.run().out)
    project.write("predict.py", OPEN)
    assert "error[COG441]" in project.run("diff", str(old), ".").err
    found = project.run("diff", str(old), ".", "--import", "--python", sys.executable)
    assert "default changed from `3` to `7`" in found.out


def test_the_variable_names_a_schema_for_one_project_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    old = project.write("old.json", project.run().out)
    project.write("predict.py", TOLD.replace("le=9", "le=8"))
    monkeypatch.setenv("COG_OPENAPI_SCHEMA", str(old))
    assert project.run("diff", "old.json", ".").status == 1


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("nowhere.json", "COG500"),
        ("nowhere", "COG500"),
        ("broken.json", "COG442"),
        ("broken", "COG101"),
        ("bytes.json", "COG500"),
    ],
)
def test_something_that_has_no_document(project: Project, first: str, code: str) -> None:
    project.write("broken.json", "{")
    project.write("broken", "a: [")
    (project.root / "bytes.json").write_bytes(b"\xff\xfe{}")
    found = project.run("diff", first, ".")
    assert (found.status, found.out) == (1, "")
    assert f"error[{code}]" in found.err


def git(root: Path, *words: str) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *words], cwd=root, check=True, env=environment, stdout=subprocess.DEVNULL)


@pytest.fixture
def repository(project: Project) -> Project:
    project.write("schema.json", project.run().out)
    git(project.root, "init", "-q")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "first")
    project.write("predict.py", TOLD.replace("le=9", "le=8"))
    return project


@pytest.mark.parametrize("old", ["HEAD:cog.yaml", "HEAD:", "HEAD:.", "HEAD:schema.json"])
def test_revisions_of_git(repository: Project, old: str) -> None:
    found = repository.run("diff", old, ".")
    assert (found.status, found.err) == (1, "")
    assert "lowered from 9 to 8" in found.out


def test_revisions_are_relative_to_the_current_directory(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write("models/one/cog.yaml", CONFIG)
    repository.write("models/one/predict.py", TOLD)
    git(repository.root, "add", ".")
    git(repository.root, "commit", "-qm", "second")
    repository.write("models/one/predict.py", TOLD.replace("le=9", "le=7"))
    assert "lowered from 9 to 7" in repository.run("diff", "HEAD:models/one", "models/one").out
    monkeypatch.chdir(repository.root / "models")
    assert "lowered from 9 to 7" in repository.run("diff", "HEAD:one/cog.yaml", "one").out
    monkeypatch.chdir(repository.root / "models" / "one")
    assert "lowered from 9 to 7" in repository.run("diff", "HEAD:", ".").out


def test_links_out_of_a_revision_are_not_followed(repository: Project, tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text(TOLD)
    (repository.root / "predict.py").unlink()
    (repository.root / "predict.py").symlink_to(tmp_path / "secret.py")
    git(repository.root, "add", ".")
    git(repository.root, "commit", "-qm", "second")
    found = repository.run("diff", "HEAD:", "schema.json")
    assert (found.status, found.out) == (1, "")
    assert "COG313" in found.err or "COG300" in found.err


@pytest.mark.parametrize("old", ["nowhere:cog.yaml", "HEAD:nowhere", "--output=x:cog.yaml"])
def test_revisions_that_are_not_there(repository: Project, old: str) -> None:
    found = repository.run("diff", "--", old, ".")
    assert (found.status, found.out) == (1, "")
    assert "error[COG500]" in found.err
    assert not (repository.root / "x:cog.yaml").exists()


def test_a_folder_without_git(project: Project) -> None:
    assert "not a git repository" in project.run("diff", "HEAD:cog.yaml", ".").err
