"""Both back ends make the same image: every kind of project, and some random ones, built by docker and by buildkit."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.certificates import Authority
from tests.e2e.comparison import assert_equal, build_definition
from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Image, Project
from tests.e2e.serving import CONFIG as SERVING
from tests.e2e.serving import FILES as SERVED
from tests.e2e.test_bases import CUDA, OWN_BASE
from tests.e2e.test_completed_schema import CONFIG as COMPLETED
from tests.e2e.test_completed_schema import FILES as COMPLETED_FILES
from tests.e2e.test_lock import CONFIG as LOCKED
from tests.e2e.test_options import NATIVE
from tests.e2e.test_packages import FILE as LINES_CONFIG
from tests.e2e.test_packages import HASHED, LINES, SIX_WHEEL
from tests.e2e.test_system import CONFIG as TRIXIE
from tests.e2e.test_values import VALUES
from tests.random_projects import random_configs, random_files, random_weights, words

pytestmark = pytest.mark.engine

PYTHON = "python:3.11-slim-bookworm"
NUMBERS = itertools.count()
SAID = st.builds(lambda text: f"echo {shlex.quote(text)} >> /opt/said", words).filter(lambda text: "<<" not in text)
SCHEMA = json.dumps(
    {
        "openapi": "3.0.2",
        "info": {"title": "given", "version": "0.1.0"},
        "paths": {},
        "components": {
            "schemas": {
                "Input": {"type": "object", "properties": {"text": {"type": "string", "title": "Text", "x-order": 0}}},
                "Output": {"type": "string"},
            }
        },
    }
)

PROJECTS: dict[str, tuple[str, Mapping[str, str | bytes], tuple[str, ...]]] = {
    "hello": (HELLO, {"data/words.txt": "one\n", "odd/a b": "", "odd/-x": "", "odd/ü": "ü", "odd/[1]*": ""}, ()),
    "weights-and-ignored": (
        HELLO,
        {
            "data/words.txt": "one\n",
            "weights/large.bin": b"",
            "root.bin": b"",
            ".dockerignore": "*.log\nsecret/**\n!secret/keep.txt\nweights/*.tmp\n",
            "a.log": "no",
            "sub/b.log": "yes",
            "secret/no.txt": "no",
            "secret/keep.txt": "yes",
            "weights/no.tmp": "no",
        },
        (),
    ),
    "user-and-commands": (
        HELLO.replace(
            "build:\n",
            "build:\n  user: app:staff\n  run:\n"
            "    - echo made > /opt/made && ln -s made /opt/link && chmod 600 /opt/made\n"
            '    - \'["touch", "/opt/no shell"]\'\n'
            "    - {command: 'sha256sum /key $(env | grep -c TOKEN) > /opt/seen || true', mounts:"
            " [{type: secret, id: key, target: /key}, {type: secret, id: token, env: TOKEN}]}\n"
            "    - {command: 'cp /mounted /opt/mounted && touch /kept/x', mounts:"
            " [{type: bind, source: data/words.txt, target: /mounted}, {type: cache, id: kept, target: /kept}]}\n"
            "    - {command: 'test ! -e /absent && echo ${ABSENT:-nothing} > /opt/absent', mounts:"
            " [{type: secret, id: absent, target: /absent, required: false},"
            " {type: secret, id: absent, env: ABSENT, required: false}]}\n",
        )
        + "environment: [A=1, 'B=$x \"y\"', 'PATH_LIKE=a:b']\n",
        {"data/words.txt": "one\n"},
        ("--secret", "id=key,src=key.txt", "--secret", "id=token,env=THE_TOKEN", "--label", "team=a b"),
    ),
    "imported-schema": (
        HELLO,
        {
            "data/words.txt": "one\n",
            "choices.py": "import random\nNAMES = sorted(['a', 'b'])\n",
            "predict.py": "import os\nfrom cog import BasePredictor, Input\nfrom choices import NAMES\n"
            "class Predictor(BasePredictor):\n"
            "    def predict(self, x: str = Input(choices=[n.upper() for n in NAMES + os.environ.get('X', 'c').split()]))"
            " -> str:\n        return x\n",
        },
        (),
    ),
    "wheels-beside-system-packages": (
        HELLO.replace("python_packages:\n    - six==1.16.0", "python_requirements: r.txt").replace(
            "build:\n", "build:\n  system_packages: [zstd, file]\n"
        ),
        {"r.txt": "--only-binary :all:\nsix==1.16.0\nhttpie==3.2.2\nsetuptools\n"},
        (),
    ),
    "lines-and-local-packages": (
        LINES_CONFIG + "train: predict.py:train\n",
        {
            **LINES,
            "predict.py": "from cog import BasePredictor\nclass Predictor(BasePredictor):\n"
            "    def predict(self, x: int) -> int:\n        return x\n"
            "def train(n: int) -> str:\n    return str(n)\n",
        },
        ("--installer", "pip"),
    ),
    "numbers-and-values": (
        HELLO.replace("build:\n", 'build:\n  user: "1234:5678"\n  run: [touch /made-by-root]\n')
        + yaml.safe_dump({"environment": [f"V{number}={value}" for number, value in enumerate(VALUES)]}),
        {"data/words.txt": "one\n", "weights/large.bin": b""},
        ("--legacy-labels",),
    ),
    "on-a-base-of-ones-own": (
        HELLO.replace("build:\n", "build:\n  system_packages: [cowsay]\n"),
        {},
        ("--base-image", "python:3.11-slim-bookworm", "--no-source"),
    ),
    "cuda": (
        'build:\n  gpu: true\n  cuda: "12.4"\n  python_version: "3.11"\n  python_packages: [six==1.16.0]\n'
        "predict: predict.py:Predictor\n",
        {"schema.json": SCHEMA},
        ("--use-cuda-base-image", "true", "--cuda-python", "image", "--openapi-schema", "schema.json"),
    ),
    "separate-weights": (HELLO, {"weights/large.bin": b"", "root.bin": b""}, ("--separate-weights",)),
    # Weights beside code and beside small files, below others, and ignored.
    "kinds-of-weights": (
        HELLO.replace("build:\n", "build:\n  user: nobody\n"),
        {
            **dict.fromkeys(
                ("large/a.bin", "large/deep/b.bin", "models/mixed.bin", "old/x.bin", "with blank/ü.bin"), b""
            ),
            "large/readme.txt": "small\n",
            "models/code.py": "x = 1\n",
            ".dockerignore": "old\n*.tmp\n",
        },
        (),
    ),
    "packages-with-hashes": (LINES_CONFIG, {"requirements/all.txt": HASHED.format(SIX_WHEEL, "0" * 64)}, ()),
    "serving": (SERVING.format(python="3.11", packages="six==1.16.0"), SERVED, ()),
    "schema-of-the-import": (COMPLETED, COMPLETED_FILES, ("--user", "nobody")),
    "python-of-another-release": (TRIXIE, {}, ()),
    "cuda-with-python-of-the-system": (CUDA, {}, ("--use-cuda-base-image=true", "--cuda-python", "apt")),
}


BASES = {
    "python-of-another-release": ("python:3.13-slim-trixie",),
    "cuda": ("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04",),
    "cuda-with-python-of-the-system": ("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04",),
}


def make(
    project: MakeProject, name: str, config: str, files: Mapping[str, str | bytes], options: Sequence[str]
) -> Project:
    made = project(name, config, files)
    for path, content in files.items():
        if content == b"":
            made.write_large(path, path)
    if options:
        made.write("key.txt", "key")
        made.write(".dockerignore", "key.txt\n")
    (made.root / "link").symlink_to("data/words.txt")
    (made.root / "predict.py").chmod(0o750)
    return made


def both(
    engine: Engine,
    project: MakeProject,
    name: str,
    config: str,
    files: Mapping[str, str | bytes],
    options: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> tuple[Image, Image]:
    """One project, built by both engines, after the command `before`."""
    made = make(project, name, config, files, options)
    if before:
        made.cogc(*before, environment=environment)
    images = []
    for which in ("buildkit", "docker"):
        reference = engine.name(f"{which}-{name}")
        words = ["build", "--engine", which, "-t", reference, "--progress", "quiet", *options]
        made.cogc(*words, environment={"THE_TOKEN": "t", **(environment or {})})
        images.append(Image(engine, reference))
    return images[0], images[1]


@pytest.mark.parametrize("name", PROJECTS)
def test_both_back_ends_make_the_same_image(engine: Engine, project: MakeProject, name: str) -> None:
    for image in BASES.get(name, ()):
        if not engine.has(image):
            pytest.skip(f"there is no {image} here")
    assert_equal(*both(engine, project, name, *PROJECTS[name]))


def test_a_base_with_a_python_of_the_system(engine: Engine, project: MakeProject, tmp_path: Path) -> None:
    """And with a shell of its own, in which commands run."""
    (tmp_path / "Dockerfile").write_text(OWN_BASE + 'SHELL ["/bin/bash", "-c"]\n')
    base = engine.build("own-base", tmp_path)
    run = 'echo "$0 $BASH_VERSION" > /opt/shell'
    config = HELLO.replace("build:\n", f"build:\n  system_packages: [cowsay]\n  run: ['{run}']\n")
    assert_equal(*both(engine, project, "own-base", config, {}, ("--base-image", base.reference)))


def test_locked_packages_and_an_authority(
    engine: Engine, project: MakeProject, served_repository: str, tmp_path: Path
) -> None:
    """Wheels, an archive and a repository, behind a certificate authority of one's own."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    authority = {"COG_CA_CERT": str(Authority(tmp_path / "authority").root / "ca.pem")}
    files = {"requirements.txt": f"six==1.16.0\ndocopt==0.6.2\ngreeting @ {served_repository}@v1\n"}
    before = ("lock", "--allow-builds")
    assert_equal(*both(engine, project, "locked", LOCKED, files, ("--locked",), environment=authority, before=before))


def test_a_written_definition(engine: Engine, project: MakeProject) -> None:
    """What `cogc compile` writes, with options that `cogc build` has not, as `buildctl` would have it built."""
    options = ("--strip", "--precompile", "--no-source")
    made = make(project, "written", NATIVE, {"data/words.txt": "one\n"}, ())
    theirs = engine.compile_and_build("written-docker", made, *options)
    assert_equal(build_definition(engine, made, "written-buildkit", options, images=[PYTHON]), theirs)


@settings(
    max_examples=3,
    derandomize=True,  # the same sample each time, so that the engine's cache has most of it
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(config=random_configs(SAID, ("file", "zstd")), more=random_files, large=random_weights)
def test_random_projects(
    engine: Engine, project: MakeProject, config: dict[str, Any], more: dict[str, str], large: dict[str, int]
) -> None:
    name = f"random-{next(NUMBERS)}"
    files = {**more, **dict.fromkeys(large, b"")}
    options = ("--secret", "id=s,src=key.txt", "--secret", "id=t,env=THE_TOKEN")
    assert_equal(*both(engine, project, name, json.dumps(config, ensure_ascii=False), files, options))
