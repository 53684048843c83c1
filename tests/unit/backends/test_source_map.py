"""Lines of a Dockerfile find the step that they were printed from."""

from __future__ import annotations

from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
from cogc.backends.source_map import SourceMap, instructions_of, without_marks
from cogc.ir.nodes import Copy, PythonPackages, Run, SourceCode, SystemPackages
from tests.builds import resolved_build

CONFIG = """\
build:
  python_version: "3.11"
  system_packages: [cowsay]
  python_packages: [six==1.16.0]
  run:
    - echo one
    - echo two
predict: predict.py:Predictor
"""
PREDICT = {"predict.py": "class Predictor:\n    def predict(self) -> str: ...\n"}


def printed(marks: bool) -> tuple[str, SourceMap]:
    build = resolved_build(CONFIG, PREDICT)
    text, _ = emit_dockerfile(build, (), DockerfileOptions(version="1", marks=marks))
    assert text is not None
    return without_marks(text, build)


def test_marks_leave_no_trace() -> None:
    assert printed(marks=True)[0] == printed(marks=False)[0]
    assert "\x1f" not in printed(marks=True)[0]


def test_every_line_of_a_step_leads_to_it() -> None:
    text, lines = printed(marks=True)
    for number, line in enumerate(text.split("\n"), 1):
        place = lines.at(number)
        step = place[1] if place else None
        if line == "RUN echo two":
            assert isinstance(step, Run)
            assert step.command == "echo two"
            assert step.origin is not None
            assert step.origin.line == 7
        elif line.endswith("cowsay"):
            assert isinstance(step, SystemPackages)
        elif "uv pip install --python /usr/local" in line:
            assert isinstance(step, PythonPackages)
        elif line.startswith("FROM packages"):
            assert place is not None
            assert (place[0].name, step) == ("model", None)
    assert lines.at(0) is None
    assert lines.at(10_000) is None


def test_the_builders_names_lead_to_steps() -> None:
    _, lines = printed(marks=True)
    count = sum(item.stage == "model" and item.keyword in ("RUN", "COPY", "WORKDIR") for item in lines.instructions)
    first, second = (lines.step_of("model", number, count) for number in (1, 2))
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert (first.command, second.command) == ("echo one", "echo two")
    assert isinstance(lines.step_of("model", count, count), SourceCode)
    assert isinstance(lines.step_of("model", 3, count), Copy)
    # FROM counts where the stage starts from an image: base is `[base 1/2] FROM …`, `[base 2/2] RUN …`.
    assert isinstance(lines.step_of("base", 2, 2), SystemPackages)
    assert lines.step_of("base", 1, 2) is None
    assert lines.step_of("nowhere", 1, 1) is None


def test_instructions_pass_over_comments_continuations_and_here_documents() -> None:
    text = """\
# RUN not this
FROM a AS one
RUN b \\
 # a comment inside
 && RUN c
COPY <<"EOF" /x
RUN in the document
EOF
ENV D=1
FROM b
RUN e \\\\
RUN f
"""
    found = [(item.keyword, item.line, item.stage) for item in instructions_of(text.split("\n"))]
    assert found == [
        ("FROM", 2, "one"),
        ("RUN", 3, "one"),
        ("COPY", 6, "one"),
        ("ENV", 9, "one"),
        ("FROM", 10, None),
        ("RUN", 11, None),
        ("RUN", 12, None),
    ]
