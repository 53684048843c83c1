"""Which interpreter is taken, with small programs that say that they are one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cogc.engines import EngineFailure
from cogc.engines.local import python as local_python
from cogc.engines.local.python import Interpreter, is_wanted, nearest_python, own_python, probe, wanted_python


class Notices:
    def __init__(self) -> None:
        self.notices: list[str] = []
        self.programs: list[list[str]] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def program(self, words, variables=()) -> None:
        self.programs.append(list(words))

    def diagnose(self, diagnostics) -> None:
        raise AssertionError

    def copy(self, data: bytes) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def no_other_places(monkeypatch):
    monkeypatch.setattr(local_python, "_PLACES", ("{PYENV_ROOT}/versions/3.*/bin/python",))
    monkeypatch.setattr(local_python, "own_python", lambda: Interpreter("/no/such/python", (0, 0, 0)))


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def python(path: Path, version: str, implementation: str = "cpython") -> Path:
    told = json.dumps([str(path), [int(part) for part in version.split(".")], implementation, True])
    return script(path, f"echo '{told}'")


@pytest.fixture
def machine(tmp_path):
    """(folder on the PATH, environment)"""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder, {"PATH": str(folder), "PYENV_ROOT": str(tmp_path / "pyenv")}


@pytest.mark.parametrize(
    ("version", "wanted", "answer"),
    [
        ((3, 12, 4), "3.12", True),
        ((3, 12, 4), "3.12.4", True),
        ((3, 12, 4), "3.12.5", False),
        ((3, 12, 4), "3.1", False),
        ((3, 1, 4), "3.12", False),
    ],
)
def test_what_is_wanted(version, wanted, answer):
    assert is_wanted(Interpreter("", version), wanted) is answer


def test_the_wanted_one_on_the_path(machine):
    folder, environment = machine
    python(folder / "python3", "3.11.2")
    python(folder / "python3.12", "3.12.4")
    found = nearest_python("3.12", None, environment, Notices())
    assert found == Interpreter(str(folder / "python3.12"), (3, 12, 4))


def test_the_wanted_one_where_an_installer_put_it(machine, tmp_path):
    folder, environment = machine
    python(folder / "python3", "3.11.2")
    place = python(tmp_path / "pyenv/versions/3.9.18/bin/python", "3.9.18")
    assert nearest_python("3.9", None, environment, Notices()).path == str(place)
    assert wanted_python("3.9.18", None, environment, Notices()).path == str(place)
    assert wanted_python("3.8", None, environment, Notices()) is None


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("3.12", "3.11.2"),
        ("3.7", "3.8.1"),
        ("3.10", "3.11.2"),
        ("3.9", "3.8.10"),
        ("3.14", "3.11.2"),
        ("3.11.9", "3.11.2"),
    ],
)
def test_else_the_nearest(wanted, taken, machine):
    folder, environment = machine
    for version in ("3.8.1", "3.11.2"):
        python(folder / f"python{version.rpartition('.')[0]}", version)
    if taken == "3.8.10":  # the newer patch of two
        python(folder / "python", "3.8.10")
    found = nearest_python(wanted, None, environment, Notices())
    assert found.version_text in (taken, "3.8.1") if taken.startswith("3.8") else found.version_text == taken


def test_programs_that_are_no_python_are_passed_over(machine):
    folder, environment = machine
    script(folder / "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    script(folder / "python3", "echo no json")
    python(folder / "python3.13", "3.13.0", "pypy")
    python(folder / "python3.10", "3.10.1")
    assert nearest_python("3.12", None, environment, Notices()).version_text == "3.10.1"


def test_too_old_ones_and_none_at_all(machine):
    folder, environment = machine
    python(folder / "python3", "3.6.9")
    with pytest.raises(EngineFailure) as raised:
        nearest_python("3.12", None, environment, Notices())
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "COG703"


def test_uv_is_asked_first_and_fetches_what_is_missing(machine, tmp_path):
    folder, environment = machine
    python(folder / "python3", "3.11.2")
    fetched = tmp_path / "managed/python3.12"
    uv = script(
        tmp_path / "uv",
        f'case "$*" in *install*) /bin/mkdir -p {fetched.parent}; /bin/cp {tmp_path}/template {fetched};; '
        f"*) test -e {fetched} && echo {fetched};; esac",
    )
    python(tmp_path / "template", "3.12.1")
    notices = Notices()
    assert wanted_python("3.12", str(uv), environment, notices) is None
    found = nearest_python("3.12", str(uv), environment, notices)
    assert found.version_text == "3.12.1"
    assert notices.notices == ["Python 3.12 is not on this machine: uv installs it..."]
    assert [str(uv), "python", "install", "--quiet", "3.12"] in notices.programs
    assert wanted_python("3.12", str(uv), environment, notices) == found


def test_uv_that_cannot_fetch_it(machine, tmp_path):
    folder, environment = machine
    python(folder / "python3", "3.11.2")
    uv = script(tmp_path / "uv", "echo 'error: no network' >&2; exit 2")
    assert nearest_python("3.12", str(uv), environment, Notices()).version_text == "3.11.2"


def test_a_virtual_environment_stands_for_its_base(monkeypatch):
    monkeypatch.undo()
    found = probe(sys.executable, {"PATH": "/usr/bin:/bin"})
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert found.path == own_python().path
