"""`cogc test`: examples of cog.yaml that hold and that do not, on the local engine and on a server that runs."""

from __future__ import annotations

import json

import pytest

from tests.runtime.server.harness import free_port

PREDICT = """
    from cog import BasePredictor, Input, Path
    class Predictor(BasePredictor):
        def predict(self, text: str = Input(max_length=9), file: Path = Input(default=None)) -> str:
            if not text: raise ValueError("no text was given")
            return (file.read_text() if file else "hello") + " " + text
"""
HOLDS = """\
examples:
  - name: greets
    input: {text: you}
    output: hello you
  - name: reads
    input: {text: you, file: "@data/in.txt"}
    contains: from a file
    matches: you$
  - name: refuses
    input: {text: ""}
    error: no text
"""
FAILS = """\
examples:
  - name: other
    input: {text: you}
    output: goodbye you
  - input: {text: you}
    error: never
  - name: wrong error
    input: {text: ""}
    error: kein Wört
  - name: wrong input
    input: {text: far too long for it}
    output: x
  - name: fine
    input: {text: you}
    output: hello you
"""


@pytest.fixture
def model(project):
    project.write("predict.py", PREDICT)
    project.write("data/in.txt", "from a file")
    return project


def test_examples_hold_in_process_and_on_a_server(model):
    config = (model.root / "cog.yaml").read_text()
    model.write("cog.yaml", config + HOLDS)
    done = model.run("test", "--engine", "local")
    assert done.status == 0, done.err
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [
        "✓ greets",
        "✓ reads",
        "✓ refuses",
        "3 examples passed",
    ]
    port = str(free_port())
    with model.start("serve", "--engine", "local", "-p", port) as process:
        for line in process.stderr:
            if "The model is ready" in line:
                break
        done = model.run("test", f"http://127.0.0.1:{port}", "-k", "ree")
        process.terminate()
        process.communicate(timeout=60)
    assert (done.status, done.out.splitlines()[-1]) == (0, "1 example passed"), done.err
    gone = model.run("test", f"http://127.0.0.1:{port}")
    assert gone.status == 1
    assert "error[COG725]" in gone.err
    assert model.run("test", "http://127.0.0.1:port").status == 2


def test_what_does_not_hold_is_reported_at_its_place(model):
    config = (model.root / "cog.yaml").read_text()
    model.write("cog.yaml", config + FAILS)
    first = len(config.splitlines()) + 2
    done = model.run("test", "--engine", "local", "--format", "json")
    assert done.status == 1
    document = json.loads(done.out)
    assert [(one["name"], one["passed"]) for one in document["examples"]] == [
        ("other", False),
        ("example 2", False),
        ("wrong error", False),
        ("wrong input", False),
        ("fine", True),
    ]
    found = [(one["code"], one["span"]["line"]) for one in document["diagnostics"]]
    assert found == [("COG650", first), ("COG650", first + 3), ("COG650", first + 5), ("COG650", first + 8)]
    missed = 'wrong error: the error "no text was given" does not contain "kein Wört"'
    assert document["diagnostics"][2]["message"] == missed
    assert document["diagnostics"][0]["message"] == 'other: the output is "hello you", not "goodbye you"'
    text = model.run("test", "--engine", "local", "-k", "other")
    assert text.status == 1
    assert "✗ other" in text.out
    assert text.out.endswith("1 of 1 example failed\n")
    assert "error[COG650]" in text.err


def test_no_examples_is_an_error(model):
    done = model.run("test", "--engine", "local")
    assert done.status == 1
    assert '"COG652"' in model.run("test", "--engine", "local", "--format", "json").out
    assert "error[COG652]: cog.yaml has no `examples`" in done.err
