"""`cogc run` and `cogc exec`: streams, terminals, signals, exit codes, arguments."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.local.harness import CONFIG, HERE, until

SHOW = "import json,os,sys; print(json.dumps([sys.argv[1:], os.getcwd(), sys.version_info[:2], sys.prefix]))"


@pytest.fixture
def run(project):
    project.write("predict.py", "class Predictor:\n    def predict(self) -> str:\n        return 'x'\n")
    return lambda *words, **options: project.run("run", "--engine", "local", *words, **options)


def test_arguments_folder_and_interpreter(run, project):
    done = run("python", "-c", SHOW, "-i", "--debug", "--json", "a b", "--", "-p")
    words, folder, version, prefix = json.loads(done.out)
    assert words == ["-i", "--debug", "--json", "a b", "--", "-p"]
    assert folder == str(project.root)
    assert version == [int(part) for part in HERE.split(".")]
    assert prefix.startswith(str(project.root / ".cog/local"))
    assert "Running 'python' in this project..." in done.err
    assert json.loads(run("--", "python", "-c", SHOW, "x").out)[0] == ["x"]
    assert project.run("exec", "--engine", "local", "python", "-c", "print(1)").out == "1\n"


def test_the_sdk_is_there(run):
    assert run("python", "-c", "import cog; print(cog.BasePredictor.__name__)").out == "BasePredictor\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise SystemExit(0)", 0), ("raise SystemExit(42)", 42), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_the_exit_code_is_the_programs(code, status, run):
    assert run("python", "-c", code).status == status


def test_programs_that_are_not_there_or_are_none(run, project):
    done = run("nosuchprogram")
    assert done.status == 127
    assert "error[COG604]: there is no program `nosuchprogram` in the environment" in done.err
    project.write("script", "no program")
    done = run("./script")
    assert done.status == 127
    assert "error[COG604]: `./script` cannot be run: permission denied" in done.err


def test_standard_input_and_output_are_the_programs(run):
    code = "import sys; print(sys.stdin.read().upper()); print('log', file=sys.stderr)"
    done = run("python", "-c", code, stdin="größe")
    assert (done.out, "log" in done.err) == ("GRÖSSE\n", True)


def test_variables(run):
    code = "import os; print(os.environ.get('A'), os.environ.get('B'), os.environ.get('LOG_FORMAT'))"
    assert run("-e", "A=1", "-e", "B", "python", "-c", code, B="2").out == "1 2 console\n"


def test_a_project_without_a_target(project):
    project.write("cog.yaml", CONFIG.partition("predict")[0])
    assert project.run("run", "--engine", "local", "python", "-c", "print(1)").out == "1\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which program?"),
        (["-p", "x", "python"], 'invalid port "x": it is not a number'),
        (["-p", "0", "python"], 'invalid port "0": it is not between 1 and 65535'),
        (["-p", "65536", "python"], 'invalid port "65536": it is not between 1 and 65535'),
        (["-p", "::1:80", "python"], 'invalid port "::1:80": write PORT, HOST:PORT or [ADDRESS]:PORT'),
        (["-i", "a=b", "my-model"], "hint: cogc predict my-model"),
    ],
)
def test_a_wrong_command_line(words, said, run):
    done = run(*words)
    assert done.status == 2
    assert said in done.err


def test_without_a_program_and_with_inputs_it_is_a_prediction(run, project):
    project.write("predict.py", "class Predictor:\n    def predict(self, text: str) -> str:\n        return text\n")
    for words in (["-i", "text=a"], ["--json", '{"text": "a"}']):
        done = run(*words)
        assert done.status == 0, done.err
        assert "note: `cogc run` with inputs and no program is read as `cogc predict`" in done.err
    assert done.out.count('"output": "a"') == 1
    assert run("-i", "text=a", "-o", "out").out == ""
    assert (project.root / "out").read_text() == "a"


def test_ports_are_the_programs_own(run):
    done = run("-p", "8888", "-p", "[::1]:8000", "python", "-c", "print(1)")
    assert (done.status, done.out) == (0, "1\n")
    assert "-p has no effect" in done.err


def test_a_terminal_stays_one(project):
    project.write("predict.py", "class Predictor:\n    def predict(self) -> str:\n        return 'x'\n")
    code = "import sys; print('terminal', [s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr)]); print(input())"
    terminal = project.in_terminal("run", "--engine", "local", "python", "-c", code)
    terminal.type(b"typed\n")
    assert terminal.end() == 0, terminal.shown
    assert b"terminal [True, True, True]" in terminal.shown
    assert terminal.shown.count(b"typed") == 2  # what was typed, and what the program printed


WAITING = """
import signal, sys, time
def stop(number, frame):
    print("signal", number)
    sys.exit(9)
signal.signal(int(sys.argv[1]), stop)
open("waiting", "w").close()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)]
)
def test_signals_are_the_programs_business(number, to_group, project):
    project.write("predict.py", "class Predictor:\n    def predict(self) -> str:\n        return 'x'\n")
    words = ("run", "--engine", "local", "python", "-c", WAITING, str(int(number)))
    with project.start(*words) as process:
        assert until((project.root / "waiting").exists)
        if to_group:  # as Ctrl-C does
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (9, f"signal {int(number)}\n"), err
    assert project.nothing_runs()


def test_modules_of_the_project_do_not_get_in_the_way_of_ours(project):
    project.write("predict.py", "class Predictor:\n    def predict(self) -> str:\n        return 'x'\n")
    for name in ("pip", "venv", "logging", "json"):
        project.write(f"{name}.py", "raise RuntimeError('imported by accident')\n")
    done = project.run("run", "--engine", "local", "true")
    assert done.status == 0, done.err
