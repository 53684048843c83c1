"""`cogc build --engine buildkit`: our own client builds the same image as docker does from the Dockerfile."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from cogc.backends.llb.schema import LLB
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.transport import connect
from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Entry, Image, Project

pytestmark = pytest.mark.engine

# Left out: what the engine mounts into every container, and the time-stamped caches of the package manager.
ROOTS = ("/bin", "/etc", "/home", "/lib", "/opt", "/root", "/sbin", "/src", "/tmp", "/usr", "/var")
MOUNTED = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab")
CHANGING = re.compile(r"\.pyc$|^/var/(?:log|cache|lib/(?:apt|dpkg))/|^/etc/ld\.so\.cache$|^/tmp/|^/var/tmp/")

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
            " [{type: bind, source: data/words.txt, target: /mounted}, {type: cache, id: kept, target: /kept}]}\n",
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
}


def make(project: MakeProject, name: str) -> tuple[Project, tuple[str, ...]]:
    config, files, options = PROJECTS[name]
    made = project(name, config, files)
    for path in ("weights/large.bin", "root.bin"):
        if path in files:
            made.write_large(path, path)
    if options:
        made.write("key.txt", "key")
        made.write(".dockerignore", "key.txt\n")
    (made.root / "link").symlink_to("data/words.txt")
    (made.root / "predict.py").chmod(0o750)
    return made, options


class Pair:
    """One project, built by both engines."""

    def __init__(self, engine: Engine, project: MakeProject, name: str) -> None:
        made, options = make(project, name)
        self.project, self.images, self.documents = made, {}, {}
        for which in ("docker", "buildkit"):
            reference = engine.name(f"{which}-{name}")
            words = ["build", "--engine", which, "-t", reference, "--format", "json", "--progress", "quiet", *options]
            done = made.cogc(*words, environment={"THE_TOKEN": "t"})
            self.images[which] = Image(engine, reference)
            self.documents[which] = json.loads(done.stdout)

    def tree(self, which: str) -> dict[str, Entry]:
        found = self.images[which].tree(*ROOTS)
        return {path: _comparable(path, entry) for path, entry in found.items() if path not in MOUNTED}

    def config(self, which: str) -> dict[str, Any]:
        image = self.images[which]
        config = dict(image.config)
        config["Labels"] = {key: value.replace(f"{which}-", "") for key, value in image.labels.items()}
        return {key: value for key, value in config.items() if value}


def _comparable(path: str, entry: Entry) -> Entry:
    """What must be the same: of files that tell the time only that they are there."""
    return Entry(entry.mode, entry.owner, 0, "") if CHANGING.search(path) else entry


@pytest.fixture(scope="module", params=PROJECTS)
def pair(request: pytest.FixtureRequest, engine: Engine, project: MakeProject) -> Pair:
    return Pair(engine, project, request.param)


def test_both_back_ends_give_the_same_files(pair: Pair) -> None:
    theirs, ours = pair.tree("docker"), pair.tree("buildkit")
    assert ours.keys() == theirs.keys()
    assert {path: (ours[path], theirs[path]) for path in ours if ours[path] != theirs[path]} == {}


def test_both_back_ends_give_the_same_configuration(pair: Pair) -> None:
    assert pair.config("buildkit") == pair.config("docker")


def test_nothing_is_staged_and_a_second_build_makes_nothing(engine: Engine, project: MakeProject) -> None:
    made = project("again", HELLO, {"data/words.txt": "one\n"})
    words = ["build", "--engine", "buildkit", "-t", engine.name("again"), "--format", "json", "--progress", "quiet"]
    first, second = (json.loads(made.cogc(*words).stdout) for _ in range(2))
    assert not (made.root / ".cog/build").exists()
    assert second["cached_steps"] == second["steps"] > 5
    assert first["digest"].startswith("sha256:")
    assert [layer["title"] for layer in second["layers"]][-1] == "the project's code"


def test_the_image_serves(engine: Engine, project: MakeProject) -> None:
    made = project("serves", HELLO)
    name = engine.name("serves")
    made.cogc("build", "--engine", "buildkit", "-t", name)
    done = made.cogc("predict", name, "-i", "text=you")
    assert "hello you" in done.stdout


def test_a_step_that_fails_is_reported_at_its_line(project: MakeProject) -> None:
    config = HELLO.replace("build:\n", "build:\n  run:\n    - echo before\n    - echo oh no && exit 7\n")
    made = project("fails", config)
    done = made.cogc("build", "--engine", "buildkit", "-t", "cogc-e2e-fails", "--progress", "quiet", check=False)
    assert done.returncode == 1
    assert "error[COG630]: the command `echo oh no && exit 7` failed with exit code 7" in done.stderr
    assert "cog.yaml:4:7" in done.stderr
    assert "oh no\n" in done.stderr


def test_a_secret_that_is_not_there_stops_the_build(project: MakeProject) -> None:
    mount = "{command: cat /s, mounts: [{type: secret, id: s, target: /s}]}"
    made = project("secretless", HELLO.replace("build:\n", f"build:\n  run:\n    - {mount}\n"))
    done = made.cogc("build", "--engine", "buildkit", "-t", "cogc-e2e-secretless", "--progress", "quiet", check=False)
    assert done.returncode == 1
    assert "COG632" in done.stderr


@pytest.mark.parametrize("builder", [None, "default"])
def test_routes_to_the_daemon(engine: Engine, builder: str | None) -> None:
    connection = Connection(connect(find_address(builder)))
    try:
        assert connection.unary("/moby.buildkit.v1.Control/ListWorkers", b"")
    finally:
        connection.close()


def test_buildctl_reads_the_definition(project: MakeProject) -> None:
    if shutil.which("buildctl") is None:
        pytest.skip("there is no buildctl on the PATH")
    import subprocess

    made = project("dumped", HELLO)
    raw = subprocess.run(["cogc", "compile", "--emit", "llb"], cwd=made.root, capture_output=True, check=True).stdout
    shown = subprocess.run(["buildctl", "debug", "dump-llb"], input=raw, capture_output=True, check=True).stdout
    digests = [json.loads(line)["Digest"] for line in shown.splitlines() if line.strip()]
    assert len(digests) == len(LLB.decode("Definition", raw)["def"])
