"""`cogc diff`: projects, folders and git revisions; what is printed, and the exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cogc.cli import main
from cogc.ir.lock_document import render_lock
from tests.locks import DIGEST, lock_for, package

CONFIG = "build:\n  python_version: '3.12'\n  python_packages: [six==1.16.0]\npredict: predict.py:Predictor\n"
MODEL = "class Predictor:\n    def predict(self, a: str) -> str: ...\n"
GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"]


class Repository:
    """A model in a folder of a repository, with one commit."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.model = root / "model"
        self._root, self._capsys = root, capsys
        self.write("cog.yaml", CONFIG)
        self.write("predict.py", MODEL)
        self.write(".gitignore", "*.bin\n")
        self.git("init", "--quiet")
        self.commit()

    def write(self, name: str, text: str) -> None:
        path = self.model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *words: str) -> None:
        subprocess.run([*GIT, *words], cwd=self._root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--message=one")

    def diff(self, *words: str, status: int = 0) -> str:
        self._capsys.readouterr()
        assert main(["diff", *words]) == status
        printed = self._capsys.readouterr()
        return printed.err if status == 1 and "--exit-code" not in words else printed.out

    def json(self, *words: str) -> Any:
        return json.loads(self.diff(*words, "--format", "json"))


@pytest.fixture
def repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "repository", capsys)
    monkeypatch.chdir(made.model)
    for name in ("COG_CA_CERT", "COG_OPENAPI_SCHEMA"):
        monkeypatch.delenv(name, raising=False)
    return made


def states(document: Any) -> dict[str, str]:
    return {step["title"]: step["state"] for step in document["steps"] if step["stage"] == "model"}


def test_nothing_has_changed(repository: Repository) -> None:
    assert repository.diff() == "no differences\n"
    assert repository.diff("--exit-code") == "no differences\n"
    assert repository.diff("HEAD", ".") == "no differences\n"
    assert repository.json()["summary"]["rebuilt"] == 0


def test_an_edit_of_the_code(repository: Repository) -> None:
    repository.write("predict.py", MODEL + "# edited\n")
    size = len(CONFIG) + len(MODEL) + len("# edited\n") + len("*.bin\n")
    assert repository.diff().splitlines() == [
        "changed: predict.py",
        "",
        "built again:",
        f"    ~{size} B  model  the project's code",
        f"1 of 12 steps, about {size} B of the image",
    ]
    repository.diff("--exit-code", status=1)


def test_a_requirement(repository: Repository) -> None:
    repository.write("cog.yaml", CONFIG.replace("1.16", "1.17"))
    document = repository.json()
    assert document["changes"] == ["requirement - six==1.16.0", "requirement + six==1.17.0", "changed: cog.yaml"]
    assert states(document)["the project's code"] == "changed"
    assert states(document)["working directory /src"] == "follows"
    assert states(document)["the runtime and its server"] == "cached"
    assert document["is_complete"] is False
    assert document["summary"]["rebuilt"] == sum(step["state"] != "cached" for step in document["steps"])


def test_revisions(repository: Repository) -> None:
    repository.write("predict.py", MODEL + "# edited\n")
    repository.commit()
    assert repository.diff("HEAD") == "no differences\n"
    for words in (["HEAD~1"], ["HEAD~1", "HEAD"], ["HEAD~1:cog.yaml"], ["HEAD~1:", "."], ["HEAD~1", "cog.yaml"]):
        assert repository.diff(*words).startswith("changed: predict.py\n")


def test_from_a_folder_below(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write("sub/a.txt", "a")
    monkeypatch.chdir(repository.model / "sub")
    assert repository.diff().startswith("added: sub, sub/a.txt\n")


def test_what_git_ignores_is_the_same_in_every_revision(repository: Repository) -> None:
    repository.write("weights/w.bin", "x" * 11_000_000)
    assert repository.diff() == "no differences\n"
    repository.write("new.txt", "not ignored")
    assert repository.diff().startswith("added: new.txt\n")


def test_two_folders(repository: Repository, tmp_path: Path) -> None:
    other = tmp_path / "other/model"
    other.mkdir(parents=True)
    for name in ("cog.yaml", "predict.py", ".gitignore"):
        (other / name).write_text((repository.model / name).read_text())
    assert repository.diff(str(other), ".") == "no differences\n"
    (other / ".gitignore").write_text("*.xyz\n")  # as long as before
    (other / "link").symlink_to("predict.py")
    assert repository.diff(".", str(other / "cog.yaml")).startswith("added: link\nchanged: .gitignore\n")


def test_permissions_of_files(repository: Repository, tmp_path: Path) -> None:
    other = tmp_path / "other/model"
    shutil.copytree(repository.model, other)
    repository.write("sub/a.txt", "a")
    shutil.copytree(repository.model / "sub", other / "sub")
    for name in (".gitignore", "cog.yaml", "predict.py", "sub/a.txt"):
        shutil.copymode(repository.model / name, other / name)
    assert repository.diff(str(other), ".") == "no differences\n"
    (other / "predict.py").chmod(0o600)
    printed = repository.diff(".", str(other))
    assert printed.startswith("other permissions: predict.py\n\nbuilt again:\n")
    assert "the project's code" in printed
    (other / "predict.py").chmod((repository.model / "predict.py").stat().st_mode)
    (other / "sub").chmod(0o700)  # the builder does not look at folders
    assert repository.diff(".", str(other)) == "no differences\n"


def test_permissions_that_git_knows(repository: Repository) -> None:
    (repository.model / "predict.py").chmod(0o600)  # not executable either
    assert repository.diff() == "no differences\n"
    (repository.model / "predict.py").chmod(0o755)
    assert repository.diff().startswith("other permissions: predict.py\n\nbuilt again:\n")
    repository.commit()
    assert repository.diff() == "no differences\n"
    assert repository.diff("HEAD~1", "HEAD").startswith("other permissions: predict.py\n")


def test_a_tag_that_has_moved_is_seen_between_locks(repository: Repository, tmp_path: Path) -> None:
    lock = lock_for(CONFIG, {"predict.py": MODEL}, images=("python:3.12-slim-bookworm",), packages=[package("six")])
    text = render_lock(lock)
    other = tmp_path / "other/model"
    shutil.copytree(repository.model, other)
    repository.write("cog.lock", text)
    (other / "cog.lock").write_text(text)
    assert repository.diff(str(other), ".", "--locked") == "no differences\n"
    (other / "cog.lock").write_text(text.replace(DIGEST, "sha256:" + "e" * 64))
    printed = repository.diff(str(other), ".", "--locked")
    assert "base image python:3.12-slim-bookworm@sha256:dddd" in printed
    assert "the project's code" in printed
    assert repository.json(str(other), ".", "--locked")["summary"] == {"steps": 12, "rebuilt": 12}


def test_what_dockerignore_hides_does_not_count(repository: Repository) -> None:
    repository.write(".dockerignore", "notes\n.dockerignore\n")
    repository.commit()
    repository.write("notes", "a")
    assert repository.diff() == "no differences\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "error[COG500]: nonsense is no file, and no revision either: "),
        (["HEAD:none"], "error[COG500]: HEAD:none: "),
        (["--output=x"], "error[COG500]: "),
        ([".", "none/"], "error[COG500]: none/ is no file"),
    ],
)
def test_what_cannot_be_had(repository: Repository, words: list[str], said: str) -> None:
    if words[0].startswith("--"):
        words = ["--", *words]  # nothing that git would take for an option
    assert said in repository.diff(*words, status=1)


def test_errors_of_a_revision_are_shown_as_its(repository: Repository) -> None:
    repository.write("cog.yaml", "build: {gpus: true}\n")
    repository.commit()
    repository.write("cog.yaml", CONFIG)
    printed = repository.diff(status=1)
    assert "--> HEAD:cog.yaml:1:9" in printed
    assert "build: {gpus: true}" in printed
    repository.git("rm", "--quiet", "--cached", "model/cog.yaml")
    repository.git("commit", "--quiet", "--message=two")
    assert "error[COG500]: there is no commit to compare with" in repository.diff(status=1)
    assert "error[COG500]: HEAD is no file, and no revision either" in repository.diff("HEAD", status=1)


def test_a_budget_is_no_error_here(repository: Repository) -> None:
    repository.write("cog.yaml", CONFIG.replace("build:", "build:\n  budget: 1kB"))
    assert "built again:" in repository.diff()


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Repository) -> None:
    (tmp_path / "cog.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in repository.diff(status=1)
