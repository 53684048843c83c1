"""The pages of COG6xx and COG7xx are true: what they show is run, and so is their fix."""

from __future__ import annotations

import os
import re
import socket

import pytest

from cogc.catalogue import CATALOGUE
from tests.local.harness import HERE, Done, Project
from tests.local.test_serve import MODEL, serving
from tests.unit.test_diagnostic_pages import Part, section


def codes(done: Done) -> set[tuple[str, str]]:
    return set(re.findall(r"^(error|warning|info)\[(COG\d+)\]", done.err, re.MULTILINE))


def show(project: Project, part: Part) -> Done:
    """Write the files of a section and run its last command, on this machine."""
    for name, content in part.files.items():
        project.write(name, content.replace("3.12", HERE) if name == "cog.yaml" else content)
    (*_, command) = part.commands
    return project.run(command[0], "--engine", "local", *command[1:])


SHOWN = ["COG600", "COG601", "COG604", "COG710", "COG711", "COG712", "COG713", "COG714", "COG720", "COG721", "COG722",
         "COG723", "COG724", "COG725"]  # fmt: skip


@pytest.mark.parametrize("code", SHOWN)
def test_the_example_reports_the_code_and_the_fix_does_not(code, project):
    before = show(project, section(code, "Example"))
    severity = CATALOGUE[code].severity
    assert (severity, code) in codes(before), before.err
    assert before.status == {"error": 127 if code == "COG604" else 1, "warning": 0}[severity]
    after = show(project, section(code, "Fix"))
    assert (after.status, codes(after)) == (0, set()), after.err
    assert after.out == ('"HELLO"\n' if code == "COG723" else "hello1\n" if code == "COG721" else after.out)
    assert "hello" in after.out.lower()
    assert project.nothing_runs()


def test_port_taken(project):
    project.write("predict.py", MODEL)
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = project.run("serve", "--engine", "local", "-p", str(other.getsockname()[1]))
    assert (done.status, codes(done)) == (1, {("error", "COG602")})
    with serving(project):
        pass


def test_no_gpu(project):
    if any(name.startswith("nvidia") for name in os.listdir("/dev")):
        pytest.skip("this machine has a GPU")
    done = show(project, section("COG603", "Example"))
    assert (done.status, codes(done)) == (1, {("error", "COG603")})
    done = show(project, section("COG603", "Fix"))
    assert (done.status, done.out, codes(done)) == (0, "hello\n", set())


def test_no_python_at_all(project, tmp_path):
    """Even the interpreter of cogc is too old for the model's SDK: played by a program that says so."""
    from cogc.engines import EngineFailure
    from cogc.engines.local import python as local_python
    from tests.unit.engines.local.test_python import Notices

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_python, "_PLACES", ())
        patch.setattr(local_python, "own_python", lambda: local_python.Interpreter("/no/such", (0, 0, 0)))
        with pytest.raises(EngineFailure) as raised:
            local_python.nearest_python("3.12", None, {"PATH": str(tmp_path)}, Notices())
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "COG703"


def test_no_place_for_the_environment(project):
    project.write("predict.py", MODEL)
    blocker = project.write(".cog", "a file")
    done = project.run("predict", "--engine", "local", "-i", "text=a")
    assert (done.status, codes(done)) == (1, {("error", "COG704")})
    blocker.unlink()
    assert project.run("predict", "--engine", "local", "-i", "text=a").status == 0
    environment = {**project.environment, "XDG_CACHE_HOME": "/proc/nowhere"}
    project.environment = environment
    done = project.run("predict", "--engine", "local", "-i", "text=a")
    assert (done.status, codes(done)) == (1, {("error", "COG704")})


# Proven by tests of their own: what is installed, and what is left out.
ELSEWHERE = {"COG602", "COG603", "COG700", "COG701", "COG702", "COG703", "COG704"}


def test_every_code_is_proven():
    ours = {
        code for code in CATALOGUE if code in ("COG600", "COG601", "COG602", "COG603", "COG604") or code >= "COG700"
    }
    assert ours == {*SHOWN, *ELSEWHERE}
