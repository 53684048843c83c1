"""`cogc doctor`: what the checks of a project find, what --fix does, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cogc.cli import main
from cogc.commands._checks_environment import gpu_problem
from cogc.commands._checkup import Check, Skipped, run_check
from cogc.frontend.old_code import find_old_code, find_old_names

CONFIG = 'build:\n  python_version: "3.12"\npredict: "predict.py:Predictor"\n'
PREDICT = """\
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="é")) -> str:
        return text
"""
OLD = """\
from cog import BasePredictor, Path
from cog.types import ExperimentalFeatureWarning
from pydantic import BaseModel, ConfigDict


class Output(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    file: Path


class Predictor(BasePredictor):
    def predict(self, text: str) -> Output:
        return Output(file=Path(text))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cog.yaml").write_text(CONFIG)
    (tmp_path / "predict.py").write_text(PREDICT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COG_SKIP_DOCKER_CHECK", "1")
    monkeypatch.setenv("COG_SKIP_GPU_CHECK", "1")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return tmp_path


def examine(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict[str, Any]], int]:
    """Exit code, checks by name, and how much was fixed."""
    status = main(["doctor", "--format", "json", *words])
    document = json.loads(capsys.readouterr().out)
    return status, {check["name"]: check for check in document["checks"]}, document["fixed"]


def test_sound_project_has_no_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, checks, _ = examine(capsys)
    project = [check for check in checks.values() if check["group"] != "Environment"]
    assert {check["state"] for check in project} == {"ok"}
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cogc doctor is experimental")
    assert "\nConfig\n  ✓ config-parse\n" in said
    assert "- env-docker" in said
    assert "\x1b" not in said


BROKEN = {
    "config-parse": ("cog.yaml", "build: [\n", "error"),
    "config-schema": ("cog.yaml", "build:\n  gpus: true\n", "error"),
    "config-schema: examples": ("cog.yaml", CONFIG + "examples:\n  - input: {text: a}\n", "error"),
    "config-packages": (
        "cog.yaml",
        f"{CONFIG}\n".replace("\npredict", "\n  python_packages: [pytorch==2.0.1]\npredict"),
        "warning",
    ),
    "config-deprecated-fields": (
        "cog.yaml",
        CONFIG.replace("\npredict", "\n  pre_install: [echo a]\npredict"),
        "warning",
    ),
    "config-predict-ref": ("cog.yaml", CONFIG.replace(":Predictor", ":Nothing"), "error"),
    "secret-in-context": (".env", "TOKEN=x\n", "warning"),
    "python-signature": ("predict.py", PREDICT.replace('Input(description="é")', "Input(minimum=1)"), "error"),
    "python-missing-type-annotations": ("predict.py", PREDICT.replace(" -> str", ""), "error"),
    "python-pydantic-basemodel": ("predict.py", OLD, "warning"),
    "python-deprecated-imports": ("predict.py", OLD, "warning"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_problem_is_found_by_its_check(root: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    file, text, level = BROKEN[name]
    name = name.partition(":")[0]
    (root / file).write_text(text)
    status, checks, _ = examine(capsys)
    assert checks[name]["state"] == level, checks[name]
    assert status == (1 if level == "error" else 0)
    others = {check["name"] for check in checks.values() if check["state"] == "error"} - {name}
    assert others == set()


def test_missing_configuration_skips_what_needs_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "cog.yaml").unlink()
    status, checks, _ = examine(capsys)
    assert status == 1
    (finding,) = checks["config-parse"]["findings"]
    assert "cog.yaml not found" in finding["message"]
    assert "cogc init" in finding["remediation"]
    assert {checks[name]["state"] for name in ("config-schema", "secret-in-context", "python-signature")} == {"skipped"}


def test_weights_and_keys_are_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("model.bin", "models/large.bin"):
        (root / name).parent.mkdir(exist_ok=True)
        with (root / name).open("wb") as file:
            file.truncate(10 * 2**20)
    (root / "models/net.py").write_text("x = 1\n")
    (root / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (root / "own.pem").write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    (root / "hidden.pem").write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    (root / ".dockerignore").write_text("hidden.pem\n")
    _, checks, _ = examine(capsys)
    assert {finding["code"] for finding in checks["weights-layout"]["findings"]} == {"COG305", "COG306"}
    assert [finding["message"] for finding in checks["secret-in-context"]["findings"]] == [
        "own.pem is copied into the image with the code"
    ]


def test_fixes_are_applied_and_the_rest_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "cog.yaml").write_text(CONFIG.replace('"3.12"', "3.12") + "image: Not A Name\n")
    (root / "predict.py").write_text(OLD)
    assert main(["doctor", "--fix"]) == 1
    said = capsys.readouterr().out
    # Code is looked at only when the configuration can be read.
    assert "Fixed 1 issue. Found 1 error" in said
    assert 'python_version: "3.12"' in (root / "cog.yaml").read_text()
    (root / "cog.yaml").write_text(CONFIG)
    _, checks, _ = examine(capsys)
    codes = [finding["code"] for check in checks.values() for finding in check["findings"]]
    assert {"COG450", "COG451"} <= set(codes)
    status, checks, fixed = examine(capsys, "--fix")
    assert (status, fixed) == (0, 2)
    text = (root / "predict.py").read_text()
    assert "from cog import BaseModel\nfrom pydantic import ConfigDict\n" in text
    assert "ExperimentalFeatureWarning" not in text
    assert checks["python-pydantic-basemodel"]["state"] == "ok"


def test_migration_is_off_unless_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "predict-to-run-migration" not in examine(capsys)[1]
    _, checks, _ = examine(capsys, "--migrate")
    assert [finding["code"] for finding in checks["predict-to-run-migration"]["findings"]] == ["COG452"]
    assert (root / "predict.py").exists()
    status, checks, fixed = examine(capsys, "--migrate", "--fix")
    assert (status, fixed) == (0, 1)
    assert checks["predict-to-run-migration"]["state"] == "ok"
    assert (root / "cog.yaml").read_text().endswith('run: "run.py:Runner"\n')
    assert not (root / "predict.py").exists()
    text = (root / "run.py").read_text()
    assert "class Runner(BaseRunner):\n    def run(self, text" in text
    assert main(["check", "--strict"]) == 0
    capsys.readouterr()


def test_migration_never_replaces_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "run.py").write_text("mine\n")
    _, checks, fixed = examine(capsys, "--migrate", "--fix")
    assert fixed == 0
    assert (
        checks["predict-to-run-migration"]["findings"][0]["message"] == "predict.py cannot become run.py, which exists"
    )
    assert (root / "run.py").read_text() == "mine\n"
    assert (root / "cog.yaml").read_text() == CONFIG


def test_names_are_renamed_where_they_mean_the_model_and_nowhere_else() -> None:
    source = """\
import cog
from cog import BasePredictor as Base, BasePredictor

# Predictor in a comment
text = "Predictor"


class Predictor(BasePredictor):
    async def predict(self) -> str:
        return "é" + self.predict()

    def predict_all(self): ...


class Other(cog.BasePredictor):
    def predict(self): ...


def predict(): ...
"""
    lines = source.split("\n")
    for edit in reversed(find_old_names(source.encode(), "predict.py")):
        line = lines[edit.span.line - 1]
        lines[edit.span.line - 1] = line[: edit.span.column - 1] + edit.replacement + line[edit.span.end_column - 1 :]
    assert "\n".join(lines) == source.replace(
        "import BasePredictor as Base, BasePredictor", "import BaseRunner as Base, BaseRunner"
    ).replace(
        "class Predictor(BasePredictor):\n    async def predict", "class Runner(BaseRunner):\n    async def run"
    ).replace("self.predict()", "self.run()").replace("cog.BasePredictor", "cog.BaseRunner")


@pytest.mark.parametrize(
    "content", [b"def (", b"\xff\xfe", b"", b"from pydantic import BaseModel\nclass A(BaseModel): ...\n"]
)
def test_nothing_is_said_about_other_code(content: bytes) -> None:
    assert find_old_code(content, "predict.py") == ()
    assert find_old_names(content, "predict.py") == ()


@pytest.mark.parametrize(
    "body",
    [
        "    model_config = ConfigDict(arbitrary_types_allowed=True)",
        "    model_config = {'arbitrary_types_allowed': True}",
        "    class Config:\n        arbitrary_types_allowed = True",
    ],
)
def test_all_ways_to_allow_any_type_are_known(body: str) -> None:
    source = f"from pydantic import BaseModel\n\nclass Output(BaseModel):\n{body}\n    x: int = 1\n"
    assert [found.code for found in find_old_code(source.encode(), "predict.py")] == ["COG450"]
    assert find_old_code(source.replace("True", "False").encode(), "predict.py") == ()


def test_check_that_crashes_is_an_error_and_one_without_a_subject_is_skipped() -> None:
    def crash() -> str:
        raise ValueError("no")

    def skip() -> str:
        raise Skipped("nothing here")

    crashed = run_check(Check("a", "Config", crash))
    assert crashed.state == "error"
    assert "ValueError: no" in crashed.findings[0].message
    assert run_check(Check("b", "Config", skip)).state == "skipped"


def test_gpus_that_a_build_of_torch_has_no_code_for() -> None:
    # Measured kernels of the default wheels: sm_37 to sm_86 in 1.13.1, sm_70 to sm_120 in 2.8.0.
    assert gpu_problem("1.13.1", "default", "11.7", (9, 0)) is not None
    assert gpu_problem("1.13.1", "default", "11.7", (8, 9)) is None  # runs what is made for 8.6
    assert gpu_problem("2.8.0", "default", "12.8", (12, 0)) is None
    assert gpu_problem("2.8.0", "default", "12.8", (6, 0)) is not None
    # No list of kernels: the floors.
    assert gpu_problem("2.3.1", "cu999", "12.1", (12, 0)) == "take torch 2.7.0 or newer, with CUDA 12.8 or newer"
    assert gpu_problem("2.3.1", "cu999", "12.1", (9, 0)) is None
    assert gpu_problem("2.3.1", "cu999", "12.1", (7, 5)) is None


def test_podman_in_dockers_place_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = root / "nothing/docker"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh\n# podman\necho '{"version": {"Version": "5.1"}, "store": {"graphRoot": "/"}}'\n""")
    program.chmod(0o755)
    monkeypatch.delenv("COG_SKIP_DOCKER_CHECK")
    _, checks, _ = examine(capsys)
    assert checks["env-docker"]["remark"] == "Podman 5.1 in Docker's place"
    assert checks["env-buildx"]["state"] == "skipped"
