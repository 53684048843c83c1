"""`--secret` in all its forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogc.commands._secrets import Secret, check_secrets, parse_secret
from tests.builds import compiled


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project/sub").mkdir(parents=True)
    (tmp_path / "project/pip.conf").write_text("x")
    (tmp_path / "project/a,b.conf").write_text("x")
    (tmp_path / "project/two\nlines").write_text("x")
    (tmp_path / "project/sub/here.conf").write_text("x")
    monkeypatch.chdir(tmp_path / "project/sub")
    monkeypatch.setenv("TOKEN", "value")
    return tmp_path / "project"


FILES = {
    "id=pip,src=pip.conf": "pip.conf",
    "id=pip,source=pip.conf": "pip.conf",
    "ID=pip,Source=pip.conf,type=file": "pip.conf",
    "id=pip,src=here.conf": "sub/here.conf",
    'id=pip,"src=a,b.conf"': "a,b.conf",
    "id=pip.conf": "pip.conf",
    "id=pip,src=two\nlines": "two\nlines",
}


@pytest.mark.parametrize(("text", "path"), FILES.items())
def test_files_are_looked_for_here_and_then_in_the_project(root: Path, text: str, path: str) -> None:
    secret, found = parse_secret(text, root)
    assert found == ()
    assert secret is not None
    assert secret.file == root / path
    assert secret.words == (
        f'id={secret.id},"src={root / path}"' if {",", "\n"} & set(path) else f"id={secret.id},src={root / path}"
    )


@pytest.mark.parametrize("text", ["id=pip,env=TOKEN", "id=pip,type=env,src=TOKEN", "id=pip,type=env,env=TOKEN"])
def test_variables_are_named_and_not_read(root: Path, text: str) -> None:
    secret, found = parse_secret(text, root)
    assert (secret, found) == (Secret("pip", variable="TOKEN"), ())
    assert secret.words == "id=pip,env=TOKEN"


WRONG = {
    "pip": "invalid field 'pip' must be a key=value pair",
    "id=pip,from=x": "unexpected key 'from'",
    "id=pip,type=vault,src=x": "unsupported secret type 'vault'",
    "id=pip,src=nothing": "the file nothing does not exist",
    "id=pip,env=NOTHING": "the variable NOTHING is not set",
    "src=pip.conf": "it has no id",
    "": "it names no file",
}


@pytest.mark.parametrize(("text", "why"), WRONG.items())
def test_wrong_values_are_explained(root: Path, text: str, why: str) -> None:
    secret, (problem,) = parse_secret(text, root)
    assert secret is None
    assert (problem.code, problem.message) == ("COG503", f"--secret {text}: {why}")


CONFIG = """\
build:
  run:
    - command: "true"
      mounts:
        - {type: secret, id: pip, target: /etc/pip.conf}
        - {type: secret, id: npm, env: NPM, required: false}
"""


def codes(*ids: str) -> list[tuple[str, int | None]]:
    config = compiled(CONFIG).config
    assert config is not None
    found = check_secrets([Secret(name, variable="X") for name in ids], config)
    return [(problem.code, problem.span.line if problem.span else None) for problem in found]


def test_secrets_and_mounts_must_fit_each_other() -> None:
    assert codes("pip") == []
    assert codes("pip", "npm") == []
    assert codes() == [("COG632", 5)]
    assert codes("pip", "other") == [("COG633", None)]
