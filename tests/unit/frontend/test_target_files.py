"""Files of targets: what is an error, what something else may bring, and what .dockerignore hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogc.diagnostics import Diagnostic, Severity
from cogc.disk import ProjectFiles
from cogc.driver import Source, bundled_matrix, compile_project, read_schema
from cogc.frontend.lower import BuildOptions
from tests.memory_files import MemoryFiles

MODEL = "class P:\n    def predict(self, s: str) -> str: ...\n"


def found_in(
    config: str, files: dict[str, str] | None = None, ignored: str = "", **options: object
) -> list[Diagnostic]:
    """Findings of a compilation besides remarks."""
    everything = {"cog.yaml": config, ".dockerignore": ignored, **(files or {})}
    return compiled(config, MemoryFiles(everything), **options)


def compiled(config: str, files: object, **options: object) -> list[Diagnostic]:
    source = Source(config=config.encode(), name="cog.yaml", directory="project", files=files)  # type: ignore[arg-type]
    compilation = compile_project(source, BuildOptions(**options), bundled_matrix())  # type: ignore[arg-type]
    return [found for found in compilation.diagnostics if found.severity is not Severity.INFO]


def only(*args: object, **options: object) -> Diagnostic:
    (diagnostic,) = found_in(*args, **options)  # type: ignore[arg-type]
    return diagnostic


def test_a_file_that_is_there_is_fine() -> None:
    assert found_in("predict: predict.py:P", {"predict.py": MODEL}) == []


def test_a_missing_file_is_an_error_at_the_target() -> None:
    found = only("build: {}\npredict: predict.py:P")
    assert (found.code, found.severity) == ("COG300", "error")
    assert found.message == "`predict` names predict.py, which does not exist"
    assert found.hint == "paths are relative to cog.yaml"
    assert str(found.span) == "cog.yaml:2:10"


@pytest.mark.parametrize("key", ["predict", "run", "train"])
def test_each_key_is_checked(key: str) -> None:
    assert only(f"{key}: a.py:P").message.startswith(f"`{key}` names a.py")


def test_both_targets_are_reported() -> None:
    assert [found.code for found in found_in("predict: a.py:P\ntrain: b.py:t")] == ["COG300", "COG300"]


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"src/predict.py": MODEL}, "did you mean `src/predict.py:P`?"),
        ({"a/b/predict.py": MODEL, "c/predict.py": MODEL}, "did you mean `c/predict.py:P`?"),
        ({"predictor.py": MODEL}, "did you mean `predictor.py:P`?"),
        ({"Predict.py": MODEL}, "did you mean `Predict.py:P`?"),
        ({"predict.txt": MODEL, "train_lora.py": MODEL}, "paths are relative to cog.yaml"),
    ],
)
def test_the_file_that_was_meant_is_named(files: dict[str, str], hint: str) -> None:
    assert only("predict: predict.py:P", files).hint == hint


def test_files_that_are_not_copied_are_not_suggested() -> None:
    found = only("predict: predict.py:P", {"old/predict.py": MODEL}, "old\n")
    assert found.hint == "paths are relative to cog.yaml"


def test_a_directory_is_an_error_whatever_else_there_is() -> None:
    files = {"predict.py/model.py": MODEL}
    assert only("predict: predict.py:P", files).message == "`predict` names predict.py, which is a directory"
    assert only("predict: predict.py:P", files, with_source=False).code == "COG300"


def test_something_that_is_no_file_is_an_error() -> None:
    found = compiled("predict: predict.py:P", MemoryFiles({"cog.yaml": ""}, others=("predict.py",)))
    assert [(one.code, one.message) for one in found] == [
        ("COG300", "`predict` names predict.py, which is not a regular file")
    ]


@pytest.mark.parametrize(
    "command",
    [
        "git clone https://example.com/model.git /src/model",
        "wget https://example.com/predict.py",
        "cd / && mkdir src && mv predict.py src",
    ],
)
def test_a_command_may_write_the_file(command: str) -> None:
    found = only(f"build: {{run: ['{command}']}}\npredict: model/predict.py:P")
    assert (found.code, found.severity) == ("COG313", "warning")
    assert found.message == "`predict` names model/predict.py, which does not exist in the project"
    assert found.hint == "a command of build.run may write it"


def test_a_command_that_runs_a_script_may_write_the_file() -> None:
    command = "{command: sh /tmp/get.sh, mounts: [{type: bind, source: get.sh, target: /tmp/get.sh}]}"
    assert only(f"build: {{run: [{command}]}}\npredict: predict.py:P", {"get.sh": ""}).code == "COG313"


@pytest.mark.parametrize("command", ["pip install cowsay", "git clone https://example.com/model.git /opt/model"])
def test_other_commands_do_not(command: str) -> None:
    assert only(f"build: {{run: ['{command}']}}\npredict: predict.py:P").code == "COG300"


def test_an_image_of_the_users_own_may_have_the_file() -> None:
    found = only("predict: predict.py:P", base_image="registry.example.com/base:1")
    assert (found.code, found.hint) == ("COG313", "the base image may have it")


def test_code_that_is_mounted_may_have_the_file() -> None:
    found = only("predict: predict.py:P", with_source=False)
    assert found.code == "COG313"
    assert found.hint is not None
    assert "--no-source" in found.hint


def test_a_template_may_bring_the_file() -> None:
    config = "build: {dockerfile_template: Dockerfile.j2}\npredict: predict.py:P"
    template = '{% extends "cogc/dockerfile.j2" %}{% block model_end %}RUN true\n{% endblock %}'
    assert only(config, {"Dockerfile.j2": template}).code == "COG313"


def test_a_link_that_leaves_the_project_is_left_to_the_image() -> None:
    found = compiled("predict: predict.py:P", MemoryFiles({"cog.yaml": ""}, outside=("predict.py",)))
    assert [(one.code, one.severity) for one in found] == [("COG313", "warning")]


def test_a_file_that_dockerignore_hides_is_a_warning() -> None:
    found = only("predict: src/predict.py:P", {"src/predict.py": MODEL}, "src/*\n")
    assert (found.code, found.severity) == ("COG314", "warning")
    assert found.hint == "add an exception to .dockerignore: !src/predict.py"
    assert str(found.span) == "cog.yaml:1:10"


def test_hidden_files_do_not_matter_where_something_else_brings_them() -> None:
    assert found_in("predict: predict.py:P", {"predict.py": MODEL}, "*.py\n", with_source=False) == []


def test_the_schema_needs_the_file_as_well() -> None:
    source = Source(config=b"predict: predict.py:P", name="cog.yaml", directory="project", files=MemoryFiles())
    document, config, found = read_schema(source)
    assert (document, config) == (None, None)
    assert [one.code for one in found] == ["COG300"]


# -- on a disk -----------------------------------------------------------------------------------


def on_disk(root: Path, config: str = "predict: predict.py:P") -> list[tuple[str, str]]:
    (root / "cog.yaml").write_text(config)
    return [(one.code, one.message) for one in compiled(config, ProjectFiles(root))]


def test_a_link_to_nothing_in_the_project_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "predict.py").symlink_to("model/predict.py")
    assert on_disk(tmp_path) == [("COG300", "`predict` names predict.py, which does not exist")]


@pytest.mark.parametrize("target", ["/opt/model/predict.py", "../shared/predict.py"])
def test_a_link_to_nothing_outside_may_lead_somewhere_in_the_image(tmp_path: Path, target: str) -> None:
    (tmp_path / "predict.py").symlink_to(target)
    assert [code for code, _ in on_disk(tmp_path)] == ["COG313"]


def test_links_of_directories_count_as_well(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("/opt/model")
    assert [code for code, _ in on_disk(tmp_path, "predict: model/predict.py:P")] == ["COG313"]


def test_a_link_in_a_circle_says_so(tmp_path: Path) -> None:
    (tmp_path / "predict.py").symlink_to("predict.py")
    ((code, message),) = on_disk(tmp_path)
    assert code == "COG300"
    assert "symbolic links" in message


def test_a_link_within_the_project_is_fine(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "predict.py").symlink_to("model.py")
    assert on_disk(tmp_path) == []


class Unreadable(ProjectFiles):
    """A file that may not be read, also not by root."""

    def read(self, path: str) -> bytes:
        from cogc.frontend.files import FileProblem

        if path == "predict.py":
            raise FileProblem(path, "cannot be accessed: permission denied")
        return super().read(path)


def test_a_file_that_may_not_be_read_is_an_error_at_the_target(tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text(MODEL)
    (found,) = compiled("predict: predict.py:P", Unreadable(tmp_path))
    assert (found.code, found.severity) == ("COG300", "error")
    assert "permission denied" in found.message
    assert str(found.span) == "cog.yaml:1:10"
