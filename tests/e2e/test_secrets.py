"""Mounts of `build.run`: secrets leave no trace, caches stay, files of the project are seen but not stored."""

from __future__ import annotations

import hashlib
import json
import uuid

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.images import BuildFailed, Engine, Image, spellings

pytestmark = pytest.mark.engine


def _config(nonce: str) -> str:
    # The nonce keeps the engine from taking the steps from its cache, which does not depend on the secrets.
    return f"""\
build:
  python_version: "3.11"
  run:
    - command: "echo {nonce}; sha256sum < /run/my-secret > /digest; stat -c %a /run/my-secret > /mode"
      mounts:
        - {{type: secret, id: file, target: /run/my-secret}}
    - command: "echo {nonce}; printf %s \\"$TOKEN\\" | sha256sum > /digest-of-variable"
      mounts:
        - {{type: secret, id: variable, env: TOKEN}}
    - command: "echo {nonce}; test ! -e /run/absent; echo ${{ABSENT:-nothing}} > /absent"
      mounts:
        - {{type: secret, id: absent, target: /run/absent, required: false}}
        - {{type: secret, id: absent, env: ABSENT, required: false}}
    - command: "echo {nonce} >> /caches/mine/nonces; cp /caches/mine/nonces /nonces"
      mounts:
        - {{type: cache, id: cogc-e2e, target: /caches/mine, sharing: locked}}
    - command: "echo {nonce}; cp /given/words.txt /words"
      mounts:
        - {{type: bind, source: my data, target: /given}}
predict: predict.py:Predictor
"""


class Secrets:
    def __init__(self) -> None:
        self.nonce = uuid.uuid4().hex
        self.file, self.variable = f"file-{uuid.uuid4()}", f"variable-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture(scope="module")
def with_secrets(
    engine: Engine, project: MakeProject, secrets: Secrets, tmp_path_factory: pytest.TempPathFactory
) -> Image:
    kept = tmp_path_factory.mktemp("secrets") / "file"
    kept.write_text(secrets.file)
    made = project("secrets", _config(secrets.nonce), {"my data/words.txt": "one two\n", ".dockerignore": "nothing\n"})
    options = [f"--secret=id=file,src={kept}", "--secret=id=variable,env=COGC_E2E_VARIABLE"]
    return engine.compile_and_build("secrets", made, build=options, environment={"COGC_E2E_VARIABLE": secrets.variable})


def test_commands_see_the_secrets(with_secrets: Image, secrets: Secrets) -> None:
    for path, value in (("/digest", secrets.file), ("/digest-of-variable", secrets.variable)):
        assert with_secrets.output("cat", path).split()[0] == hashlib.sha256(value.encode()).hexdigest()
    assert with_secrets.output("cat", "/mode").strip() == "400"
    assert with_secrets.output("cat", "/absent").strip() == "nothing"


def test_secrets_are_nowhere_in_the_image(engine: Engine, with_secrets: Image, secrets: Secrets) -> None:
    wanted = [(value, written) for value in (secrets.file, secrets.variable) for written in spellings(value)]
    seen_nonce = False
    for name, blob in with_secrets.blobs():
        seen_nonce |= secrets.nonce.encode() in blob
        for value, written in wanted:
            assert written not in blob, f"{value} is in {name}"
    assert seen_nonce  # the search looks at what it should look at


@pytest.mark.parametrize(
    "command",
    [
        ["image", "inspect"],
        ["history", "--no-trunc"],
        ["buildx", "imagetools", "inspect", "--raw"],
    ],
    ids=lambda command: command[0],
)
def test_secrets_are_not_in_what_the_engine_tells(
    engine: Engine, with_secrets: Image, secrets: Secrets, command: list[str]
) -> None:
    told = engine.docker(*command, with_secrets.reference)
    for value in (secrets.file, secrets.variable):
        for written in spellings(value):
            assert written not in told.stdout + told.stderr


def test_secrets_are_not_in_the_build_cache_nor_the_log(engine: Engine, with_secrets: Image, secrets: Secrets) -> None:
    records = engine.text("buildx", "du", "--verbose") + with_secrets.log
    assert secrets.nonce in records
    assert secrets.file not in records
    assert secrets.variable not in records


def test_mounts_leave_no_files(with_secrets: Image) -> None:
    assert (
        set(with_secrets.tree("/run", "/given", "/caches"))
        & {"/run/my-secret", "/run/absent", "/given/words.txt", "/caches/mine/nonces"}
        == set()
    )
    assert with_secrets.output("cat", "/words") == "one two\n"


def test_configuration_label_names_secrets_without_values(with_secrets: Image) -> None:
    commands = json.loads(with_secrets.labels["run.cog.config"])["build"]["run"]
    assert commands[0]["mounts"] == [{"type": "secret", "id": "file", "target": "/run/my-secret"}]


def test_missing_secret_fails_with_its_name(engine: Engine, project: MakeProject) -> None:
    config = """\
build:
  python_version: "3.11"
  run:
    - {command: cat /etc/pip.conf, mounts: [{type: secret, id: pip, target: /etc/pip.conf}]}
predict: predict.py:Predictor
"""
    with pytest.raises(BuildFailed, match="secret pip: not found"):
        engine.compile_and_build("missing-secret", project("missing-secret", config))


def test_cache_outlives_the_build(engine: Engine, project: MakeProject, with_secrets: Image, secrets: Secrets) -> None:
    config = f"""\
build:
  python_version: "3.11"
  run:
    - command: "echo {uuid.uuid4()}; cp /elsewhere/nonces /nonces"
      mounts: [{{type: cache, id: cogc-e2e, target: /elsewhere, sharing: locked}}]
predict: predict.py:Predictor
"""
    again = engine.compile_and_build("cached", project("cached", config))
    assert secrets.nonce in again.output("cat", "/nonces").split()
