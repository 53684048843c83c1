"""Predictions on this machine, from the command line to the files."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest

from tests.local.harness import CONFIG, HERE, until

HELLO = """
    from cog import BasePredictor, Input
    class Predictor(BasePredictor):
        def setup(self):
            print("setting up")
            self.greeting = "hello"
        def predict(self, text: str = Input(description="Whom to greet"), times: int = Input(default=1, ge=1)) -> str:
            print("log of", text)
            return self.greeting + (" " + text) * times
"""
FILES = """
    from typing import List, Optional
    from cog import BasePredictor, Path
    class Predictor(BasePredictor):
        def predict(self, paths: List[Path]) -> str:
            return "".join(open(path).read() for path in paths)
"""
FAILING = """
    import os, time
    from cog import BasePredictor
    class Predictor(BasePredictor):
        def setup(self):
            if os.environ.get("FAIL") == "setup": raise RuntimeError("no weights today")
            if os.environ.get("FAIL") == "hang": time.sleep(600)
            if os.environ.get("FAIL") == "exit": os._exit(7)
        def predict(self, how: str) -> str:
            if how == "raise": raise ValueError("this is " + how)
            if how == "exit": os._exit(3)
            return how
"""


def test_text_goes_to_standard_output_and_everything_else_to_standard_error(project):
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", "-i", "text=größe", "-i", "times=2")
    assert (done.status, done.out) == (0, "hello größe größe\n")
    assert "setting up" in done.err
    assert "log of größe" in done.err
    assert f"Making an environment of Python {HERE}" in done.err
    assert project.nothing_runs()
    again = project.run("predict", "--engine", "local", "-i", "text=you")
    assert (again.status, again.out) == (0, "hello you\n")
    assert "Making an environment" not in again.err
    assert {path.name for path in project.root.iterdir()} <= {".cog", "__pycache__", "cog.yaml", "predict.py"}


def test_wrong_inputs_are_told_before_anything_is_made(project):
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", "-i", "times=0", "-i", "txt=a")
    assert (done.status, done.out) == (1, "")
    for text in (
        'error[COG711]: unknown input "txt"; valid inputs are: text, times',
        'error[COG710]: invalid input "times": must be at least 1',
        'error[COG712]: missing required input "text"',
    ):
        assert text in done.err
    assert not (project.root / ".cog").exists()


def test_an_output_that_cannot_be_written_is_told_before_anything_is_made(project):
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", "-i", "text=a", "-o", "no/such/file")
    assert done.status == 1
    assert "error[COG501]: Output path is not writable: no/such/file: no/such does not exist" in done.err
    assert not (project.root / ".cog").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-i", "text"], "Failed to parse input 'text', expected format is 'name=value'"),
        (["--json", "{}", "-i", "a=b"], "Must use one of --json or --input to provide model inputs"),
        (["text=a"], "Invalid image name 'text=a'. Did you forget '-i'?"),
        (["--gpus", "many"], 'invalid GPU specification: "many"'),
        (["-e", "1=2"], "--env 1: write NAME=VALUE"),
    ],
)
def test_a_wrong_command_line(words, said, project):
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", *words)
    assert (done.status, done.out) == (2, "")
    assert f"error[COG503]: {said}" in done.err


def test_no_target(project):
    project.write("cog.yaml", f'build: {{python_version: "{HERE}"}}')
    done = project.run("predict", "--engine", "local")
    assert done.status == 1
    assert "error[COG600]: no `predict` is set in cog.yaml" in done.err


def test_a_list_of_files(project):
    project.write("predict.py", FILES)
    project.write("1.txt", "test1\n")
    project.write("2.txt", "test2\n")
    done = project.run("predict", "--engine", "local", "-i", "paths=@1.txt", "-i", "paths=@2.txt")
    assert (done.status, done.out) == (0, "test1\ntest2\n\n")


def test_files_come_out_as_files(project):
    project.write(
        "predict.py",
        """
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def predict(self, image: Path) -> Path:
                with open("/tmp/%s.png" % id(self), "wb") as file:
                    file.write(open(image, "rb").read()[::-1])
                    return Path(file.name)
        """,
    )
    content = os.urandom(300_000)
    project.write("input.jpg", content)
    done = project.run("predict", "--engine", "local", "-i", "image=@input.jpg")
    assert (done.status, done.out) == (0, "")
    assert "Written output to: output.png" in done.err
    assert (project.root / "output.png").read_bytes() == content[::-1]
    done = project.run("predict", "--engine", "local", "-i", "image=@input.jpg", "-o", "elsewhere")
    assert (project.root / "elsewhere").read_bytes() == content[::-1]
    done = project.run("predict", "--engine", "local", "--json", '{"image": "@input.jpg"}', "-o", "result.json")
    document = json.loads((project.root / "result.json").read_text())
    assert (done.status, done.out, document["status"], document["output"]) == (0, "", "succeeded", "result.png")
    assert (project.root / "result.png").read_bytes() == content[::-1]
    assert list(project.root.glob("*.tmp")) == []


def test_json_in_and_out(project):
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", "--json", "@-", stdin='{"text": "a \\"quoted\\" @name"}')
    document = json.loads(done.out)
    assert document["status"] == "succeeded"
    assert document["output"] == 'hello a "quoted" @name'
    assert document["error"] == ""
    assert document["metrics"]["predict_time"] >= 0
    done = project.run("predict", "--engine", "local", "-i", "text=a", "--format", "json")
    assert json.loads(done.out)["output"] == "hello a"
    done = project.run("predict", "--engine", "local", "-i", "times=0", "--format", "json")
    document = json.loads(done.out)
    assert (done.status, [found["code"] for found in document["diagnostics"]]) == (1, ["COG712", "COG710"])


def test_quiet_means_results_alone(project):
    project.write("predict.py", "class Predictor:\n    def predict(self, text: str) -> str:\n        return text\n")
    done = project.run("predict", "--engine", "local", "-i", "text=a", "--progress", "quiet")
    assert (done.status, done.out, done.err) == (0, "a\n", "")


def test_pieces_are_printed_as_they_come(project):
    project.write(
        "predict.py",
        """
        import os, time
        from cog import BasePredictor, ConcatenateIterator
        class Predictor(BasePredictor):
            def predict(self) -> ConcatenateIterator[str]:
                yield "first"
                while not os.path.exists("go on"):
                    time.sleep(0.01)
                yield ", second"
        """,
    )
    with project.start("predict", "--engine", "local") as process:
        assert process.stdout.read(5) == "first"
        project.write("go on", "")
        assert process.stdout.read() == ", second\n"
        process.stderr.read()
        assert process.wait(60) == 0
    done = project.run("predict", "--engine", "local", "-o", "out.txt")
    assert (done.status, done.out) == (0, "")
    assert (project.root / "out.txt").read_text() == "first, second"


def test_a_failed_prediction(project):
    project.write("predict.py", FAILING)
    done = project.run("predict", "--engine", "local", "-i", "how=raise")
    assert (done.status, done.out) == (1, "")
    assert 'error[COG721]: Prediction failed with status "failed": this is raise' in done.err
    assert "Traceback" in done.err
    assert "predict.py" in done.err
    done = project.run("predict", "--engine", "local", "--json", '{"how": "raise"}')
    assert done.status == 1
    assert json.loads(done.out)["error"] == "this is raise"
    done = project.run("predict", "--engine", "local", "-i", "how=exit")
    assert done.status == 1
    assert "exit code 3" in done.err
    assert project.nothing_runs()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("setup", "error[COG720]: Model setup failed"),
        ("exit", "error[COG720]: Model setup failed"),
        ("hang", "error[COG720]: Timed out: the model was not ready after 2 seconds"),
    ],
)
def test_a_model_that_does_not_start(how, said, project):
    project.write("predict.py", FAILING)
    done = project.run("predict", "--engine", "local", "-i", "how=x", "-e", f"FAIL={how}", "--setup-timeout", "2")
    if how != "hang" and "Timed out" in done.err:  # a slow machine
        done = project.run("predict", "--engine", "local", "-i", "how=x", "-e", f"FAIL={how}")
    assert (done.status, done.out) == (1, "")
    assert said in done.err
    if how == "setup":
        assert "no weights today" in done.err
    assert project.nothing_runs()


def test_a_model_that_cannot_be_imported(project):
    project.write("predict.py", "import nosuchpackage\n" + "class Predictor:\n    def predict(self) -> str: ...\n")
    done = project.run("predict", "--engine", "local")
    assert done.status == 1
    assert "error[COG720]: Model setup failed" in done.err
    assert "No module named 'nosuchpackage'" in done.err


def test_an_interface_that_only_the_model_knows(project):
    project.write(
        "predict.py",
        """
        from cog import BasePredictor, Input
        SIZES = list(map(str, range(3)))
        class Predictor(BasePredictor):
            def predict(self, size: str = Input(choices=SIZES)) -> str:
                return size
        """,
    )
    done = project.run("predict", "--engine", "local", "-i", "size=2")
    assert (done.status, done.out) == (0, "2\n")
    done = project.run("predict", "--engine", "local", "-i", "size=9")
    assert (done.status, done.out) == (1, "")
    assert 'error[COG710]: invalid input "size": must be one of: 0, 1, 2' in done.err
    assert project.nothing_runs()


def test_variables(project):
    project.write("cog.yaml", CONFIG + "environment: ['FROM_CONFIG=a b$HOME', 'BOTH=config']\n")
    project.write(
        "predict.py",
        """
        import json, os
        from cog import BasePredictor
        class Predictor(BasePredictor):
            def predict(self, names: str) -> str:
                return json.dumps([os.environ.get(name) for name in names.split()])
        """,
    )
    names = "FROM_CONFIG BOTH GIVEN COPIED ABSENT COG_LOG_LEVEL CUDA_VISIBLE_DEVICES COG_API_TOKEN"
    words = ["-e", "GIVEN=a=b", "-e", "COPIED", "-e", "ABSENT", "-e", "BOTH=given", "-e", "COG_LOG_LEVEL=error"]
    done = project.run(
        "predict", "--engine", "local", "-i", f"names={names}", *words, COPIED="here", COG_API_TOKEN="of the shell"
    )
    assert json.loads(done.out) == ["a b$HOME", "given", "a=b", "here", None, "error", "", None]


def test_weights_of_a_training(project):
    project.write(
        "predict.py",
        """
        from typing import Optional
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def setup(self, weights: Optional[Path] = None):
                self.weights = open(weights).read() if weights else "none"
            def predict(self) -> str:
                return self.weights
        """,
    )
    (project.root / "tuned").write_text("tuned weights")
    path = project.root / "tuned"
    assert project.run("predict", "--engine", "local").out == "none\n"
    done = project.run("predict", "--engine", "local", "-e", f"COG_WEIGHTS={path.name}")
    assert done.out == "tuned weights\n"


def test_a_server_with_a_token(project):
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", "-i", "text=a", "-e", "COG_API_TOKEN=s3cret")
    assert (done.status, done.out) == (0, "hello a\n")


def test_large_inputs_and_outputs(project):
    project.write(
        "predict.py",
        """
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def predict(self, file: Path) -> Path:
                return file
        """,
    )
    content = os.urandom(1 << 20) * 90  # more than a server takes that is reached from everywhere
    project.write("in.bin", content)
    done = project.run("predict", "--engine", "local", "-i", "file=@in.bin")
    assert done.status == 0, done.err
    assert (project.root / "output.bin").read_bytes() == content


def test_what_is_run_is_shown_and_values_are_not(project):
    project.write("predict.py", HELLO)
    done = project.run("--debug", "predict", "--engine", "local", "-i", "text=a", "-e", "TOKEN=hunter2")
    assert (done.status, done.out) == (0, "hello a\n")
    assert "-m cog.server.http --host 127.0.0.1 --port " in done.err
    assert "TOKEN=***" in done.err
    assert "hunter2" not in done.err


def test_a_gpu_that_is_not_there(project):
    if any(name.startswith("nvidia") for name in os.listdir("/dev")):
        pytest.skip("this machine has one")
    project.write("cog.yaml", CONFIG.replace("build:\n", "build:\n  gpu: true\n"))
    project.write("predict.py", HELLO)
    done = project.run("predict", "--engine", "local", "-i", "text=a")
    assert (done.status, done.out) == (0, "hello a\n")
    assert "There is no NVIDIA GPU on this machine" in done.err
    done = project.run("predict", "--engine", "local", "-i", "text=a", "--gpus", "all")
    assert done.status == 1
    assert "error[COG603]: --gpus all: there is no NVIDIA GPU on this machine" in done.err


def test_a_new_project_predicts(project):
    for name in ("cog.yaml",):
        (project.root / name).unlink()
    assert project.run("init").status == 0
    config = (project.root / "cog.yaml").read_text()
    (project.root / "cog.yaml").write_text(config.replace('"3.12"', f'"{HERE}"'))
    project.write("input.png", b"pixels")
    done = project.run("predict", "--engine", "local", "-i", "image=@input.png")
    assert done.status == 0, done.err
    assert (project.root / "output.png").read_bytes() == b"pixels"


def test_other_folders_and_names_of_the_configuration(project):
    project.write("predict.py", HELLO)
    (project.root / "cog.yaml").rename(project.root / "other.yaml")
    below = project.root / "below"
    below.mkdir()
    done = subprocess.run(
        project.command("predict", "--engine", "local", "-f", "other.yaml", "-i", "text=a"),
        cwd=below,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "hello a\n"), done.stderr
    assert list(below.iterdir()) == []


def test_a_reader_that_goes_away(project):
    project.write("predict.py", HELLO)
    with project.start("predict", "--engine", "local", "-i", "text=a") as process:
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(60) == 141, err
    assert project.nothing_runs()


def test_the_state_is_kept_out_of_version_control(project):
    project.write("predict.py", HELLO)
    project.run("predict", "--engine", "local", "-i", "text=a")
    assert (project.root / ".cog/.gitignore").read_text() == "*\n"


def test_a_project_that_cannot_be_written_to(project):
    project.write("predict.py", HELLO)
    project.write(".cog", "a file, where a directory is needed")
    done = project.run("predict", "--engine", "local", "-i", "text=a")
    assert done.status == 1
    assert "error[COG704]:" in done.err
    assert "Traceback" not in done.err


def test_programs_of_the_environment_are_found(project):
    project.write(
        "predict.py",
        """
        import shutil, sys
        from cog import BasePredictor
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return shutil.which("python") + "|" + sys.executable
        """,
    )
    done = project.run("predict", "--engine", "local")
    program, own = done.out.strip().split("|")
    assert program == own
    assert program.startswith(str(project.root / ".cog/local"))
    assert os.stat(program).st_mode & stat.S_IXUSR


def test_nothing_of_ours_is_seen_by_the_model(project):
    project.write(
        "predict.py",
        """
        import sys
        from cog import BasePredictor
        BEFORE = sorted(name for name in ("uvicorn", "msgspec", "aiohttp", "pydantic", "yaml", "cogc")
                        if __import__("importlib.util").util.find_spec(name))
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return repr(BEFORE) + repr([p for p in sys.path if "cogc" in p and not p.endswith("/sdk")])
        """,
    )
    assert project.run("predict", "--engine", "local").out == "[][]\n"


def test_commands_wait_for_each_other(project):
    project.write("predict.py", HELLO)
    processes = [project.start("predict", "--engine", "local", "-i", f"text={number}") for number in range(3)]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert [out for out, _ in results] == ["hello 0\n", "hello 1\n", "hello 2\n"]
    assert sum("Making an environment" in err for _, err in results) == 1
    assert until(lambda: not project.processes(), 15)


def test_no_engine_answers(project):
    project.write("predict.py", HELLO)
    project.environment |= {"DOCKER_HOST": f"unix://{project.root}/no.sock"}
    done = project.run("predict", "-i", "text=a")
    assert (done.status, done.out) == (0, "hello a\n"), done.err
    assert "The model runs on this machine, without a container (--engine local)." in done.err
    done = project.run("predict", "my-model", "-i", "text=a")
    assert done.status == 1
    assert "error[COG601]: the image my-model cannot be used without containers" in done.err
    done = project.run("predict", "--engine", "docker", "-i", "text=a")
    assert (done.status, done.out) == (1, "")
    assert "error[COG621]" in done.err or "error[COG620]" in done.err  # no engine, or no docker program either
