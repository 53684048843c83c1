"""Completion scripts, in the shells themselves where they are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cogc.catalogue import CATALOGUE
from cogc.cli import COMMANDS, main

BASH = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_cogc
printf '%s\\n' "${COMPREPLY[@]}"
"""


def shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", request.param]) == 0
    path = tmp_path / f"cogc.{request.param}"
    path.write_text(capsys.readouterr().out)
    return path


def complete_in_bash(script: Path, *words: str) -> list[str]:
    command = [shell("bash"), "--norc", "-c", BASH, "bash", str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.parent, timeout=30)
    assert done.stderr == ""
    return done.stdout.split()


def complete_in_fish(script: Path, line: str) -> list[str]:
    command = [shell("fish"), "--no-config", "-c", f"source {script}; complete -C {line!r}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.parent, timeout=30)
    assert done.stderr == ""
    return [found.split("\t")[0] for found in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_the_script(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", script)
        assert main([command, "--help-all"]) == 0
        for option in re.findall(r"(?m)^  (?:-\w(?: \S+)?, )?--([a-z-]+)", capsys.readouterr().out):
            assert re.search(rf"-{{0,2}}\b{option}\b", script), (command, option)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_hidden_options_stay_hidden(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    assert "use-cog-base-image" not in capsys.readouterr().out


@pytest.mark.parametrize(("script", "name"), [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")], indirect=["script"])
def test_the_shell_can_parse_it(script: Path, name: str) -> None:
    subprocess.run([shell(name), "-n", str(script)], check=True, timeout=30)


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cogc", "com"], ["compile", "completion"]),
        (["cogc", "--no-color", "sch"], ["schema"]),
        (["cogc", "--ver"], ["--version"]),
        (["cogc", "help", "ini"], ["init"]),
        (["cogc", "compile", "--emit", "do"], ["dockerfile", "dockerignore"]),
        (["cogc", "compile", "--emit", "=", "do"], ["dockerfile", "dockerignore"]),
        (["cogc", "compile", "--installer", "="], ["auto", "uv", "pip"]),
        (["cogc", "check", "cog.yaml", "--fo"], ["--format"]),
        (["cogc", "check", "--use-cuda-base-image", "t"], ["true"]),
        (["cogc", "completion", ""], ["bash", "zsh", "fish"]),
        (["cogc", "explain", "COG12"], [code for code in CATALOGUE if code.startswith("COG12")]),
        (["cogc", "compile", "-o", ""], []),  # nothing of ours: bash offers files
        (["cogc", "nonsense", ""], []),
    ],
)
def test_bash(script: Path, words: list[str], expected: list[str]) -> None:
    assert complete_in_bash(script, *words) == expected


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_offers_directories_to_init(script: Path) -> None:
    (script.parent / "models").mkdir()
    assert complete_in_bash(script, "cogc", "init", "mo") == ["models"]


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish(script: Path) -> None:
    assert set(complete_in_fish(script, "cogc com")) == {"compile", "completion"}
    assert set(complete_in_fish(script, "cogc compile --emit do")) == {"dockerfile", "dockerignore"}
    assert "COG124" in complete_in_fish(script, "cogc explain COG12")


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_can_load_it(script: Path) -> None:
    load = f"autoload -Uz compinit; compinit -u -D; source {script}; print $_comps[cogc]"
    done = subprocess.run([shell("zsh"), "-f", "-c", load], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("_cogc", "")


def test_the_table_of_commands_is_the_folder_of_commands() -> None:
    from cogc.commands.completion import _commands

    assert {command.name for command in _commands()} == set(COMMANDS)


def test_an_unknown_shell_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "tcsh" in capsys.readouterr().err


def test_other_commands_are_not_imported_by_the_command_line() -> None:
    code = (
        "import sys, cogc.cli; cogc.cli.main(['--version']); assert 'cogc.commands.completion' not in sys.modules;"
        " cogc.cli.main(['completion', 'bash']); assert 'yaml' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=30)
