"""Builds that fail: the diagnostic, the line that caused it, and what the failing step said."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine, Project

pytestmark = pytest.mark.engine


def failure(project: Project, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The first error of a build that fails."""
    words = ("build", "--format", "json", "--progress", "quiet", *arguments)
    done = project.cogc(*words, environment=environment, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    errors = [found for found in json.loads(done.stdout)["diagnostics"] if found["severity"] == "error"]
    return errors[0]


def codes(document: str) -> set[str]:
    return {found["code"] for found in json.loads(document)["diagnostics"]}


def section(*lines: str) -> str:
    inner = "\n".join(f"  {line}" for line in ('python_version: "3.11"', *lines))
    return f"build:\n{inner}\npredict: predict.py:Predictor\n"


STEPS = {
    "command": (
        section("run:", "  - echo fine", "  - cowsay hello"),
        5,
        "the command `cowsay hello` failed with exit code 127",
        "cowsay: not found",
        "there is no program `cowsay` in the image at this point: `build.system_packages` installs it",
    ),
    "python": (
        section("python_packages:", "  - six==1.16.0", "  - cogc-no-such-package==1.0"),
        5,
        "installing the Python packages failed with exit code 1",
        "cogc-no-such-package was not found",
        "no version fits: check names, pins and the Python version",
    ),
    "system": (
        section("system_packages:", "  - cowsay", "  - cogc-no-such-package"),
        5,
        "installing the system packages failed with exit code 100",
        "Unable to locate package cogc-no-such-package",
        "look for the name at packages.debian.org",
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_failing_step_is_reported_at_its_line_with_its_output(engine: Engine, project: MakeProject, name: str) -> None:
    config, line, message, output, hint = STEPS[name]
    found = failure(project("failing", config), "-t", engine.name("failing"))
    assert (found["code"], found["message"], found["hint"]) == ("COG630", message, hint)
    assert (found["span"]["file"], found["span"]["line"]) == ("cog.yaml", line)
    assert output in found["notes"][0]["message"]


def test_requirement_that_cannot_be_had_is_found_in_its_file(engine: Engine, project: MakeProject) -> None:
    config = section("python_requirements: needs.txt")
    made = project("failing", config, {"needs.txt": "six==1.16.0\n# more\nCogc_No.Such-Package==2\n"})
    found = failure(made, "-t", engine.name("failing"))
    assert (found["code"], found["span"]["file"], found["span"]["line"]) == ("COG630", "needs.txt", 3)


def test_failure_is_shown_with_the_line_in_a_terminals_text(engine: Engine, project: MakeProject) -> None:
    done = project("failing", STEPS["command"][0]).cogc("build", "-t", engine.name("failing"), check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "  --> cog.yaml:5:7\n" in done.stderr
    assert "           /bin/sh: 1: cowsay: not found\n" in done.stderr
    assert "Image built" not in done.stderr


def test_hidden_file_is_missing_in_the_context(engine: Engine, project: MakeProject) -> None:
    mount = "- {type: bind, source: setup.sh, target: /tmp/setup.sh}"
    config = section("run:", "  - command: sh /tmp/setup.sh", "    mounts:", f"      {mount}")
    made = project("failing", config, {"setup.sh": "true\n", ".dockerignore": "*.sh\n"})
    found = failure(made, "-t", engine.name("failing"))
    assert found["code"] == "COG631"
    assert found["message"] == "`setup.sh` is not in the build context"
    assert found["span"]["line"] == 4


def test_wrong_dockerfile_of_ones_own_is_named_by_line(engine: Engine, project: MakeProject) -> None:
    made = project("failing", "predict: predict.py:Predictor\n", {"D": "FROM debian:13\nCOPI a b\n"})
    found = failure(made, "--dockerfile", "D", "-t", engine.name("failing"))
    assert found["code"] == "COG631"
    assert found["message"].startswith(
        "the build stopped at line 2: dockerfile parse error on line 2: unknown instruction"
    )


def test_secrets_are_checked_before_anything_runs(project: MakeProject) -> None:
    config = section("run:", "  - command: 'true'", "    mounts:", "      - {type: secret, id: pip, target: /x}")
    made = project("failing", config, {"pip.conf": "x"})
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    found = failure(made, environment=nowhere)
    assert (found["code"], found["span"]["line"]) == ("COG632", 6)
    words = ("build", "--format", "json")
    done = made.cogc(*words, "--secret", "id=other,src=pip.conf", check=False, environment=nowhere)
    assert "COG633" in codes(done.stdout)
    done = made.cogc(*words, "--secret", "id=pip,src=pip.conf", check=False, environment=nowhere)
    assert "COG633" not in codes(done.stdout)


ENGINES = {
    "COG621": {"DOCKER_HOST": "unix:///nowhere.sock"},
    "COG620": {"PATH": "/nowhere"},
}


@pytest.mark.parametrize("code", ENGINES)
def test_engine_that_is_not_there(project: MakeProject, code: str) -> None:
    found = failure(project("failing", section()), environment=ENGINES[code])
    assert found["code"] == code
    assert found["hint"]


def test_project_without_targets_is_refused_before_the_engine_is_asked(project: MakeProject) -> None:
    made = project("failing", 'build:\n  python_version: "3.11"\n')
    environment = {"PATH": "/nowhere"}
    found = failure(made, environment=environment)
    assert found["code"] == "COG634"
    document = made.cogc("build", "--format", "json", environment=environment, check=False).stdout
    assert codes(document) == {"COG634"}  # and no remark on the same besides
    assert "predict" in found["message"]


def test_builder_and_base_image_that_do_not_exist(engine: Engine, project: MakeProject) -> None:
    made = project("failing", section())
    assert failure(made, "--builder", "cogc-no-such-builder")["code"] == "COG621"
    found = failure(made, "--base-image", "cogc.example.invalid/base:1", "-t", engine.name("failing"))
    assert found["code"] == "COG641"


def test_registry_that_does_not_have_the_base_image(engine: Engine, project: MakeProject) -> None:
    registry = os.environ.get("COGC_TEST_REGISTRY")
    if not registry:
        pytest.skip("COGC_TEST_REGISTRY names no registry")
    found = failure(project("failing", section()), "--base-image", f"{registry}/cogc-e2e/nothing:1")
    assert found["code"] == "COG642"


def test_image_without_pip_has_no_list_of_packages(engine: Engine, project: MakeProject) -> None:
    base = engine.name("no-pip")
    made = project(
        "no-pip",
        section(),
        {"D": "FROM python:3.11-slim-bookworm\nRUN rm -rf /usr/local/lib/python3*/site-packages/pip*\n"},
    )
    engine.text("build", "--tag", base, "--file", str(made.root / "D"), str(made.root))
    name = engine.name("without-pip")
    done = made.cogc("build", "-t", name, "--base-image", base, "--format", "json", "--progress", "quiet")
    assert "COG635" in codes(done.stdout)
    assert "run.cog.pip_freeze" not in json.loads(engine.text("image", "inspect", name))[0]["Config"]["Labels"]
