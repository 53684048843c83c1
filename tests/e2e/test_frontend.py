"""cogc as a frontend of BuildKit: `docker build -f cog.yaml .` with the image of deploy/frontend."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Image, Project

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def frontend(engine: Engine) -> str:
    """The name of the frontend's image, which is in the engine's store alone."""
    name = engine.name("frontend")
    done = engine.docker("build", "--quiet", "--file", str(ROOT / "deploy/frontend/Dockerfile"), "-t", name, str(ROOT))
    assert done.returncode == 0, done.stderr.decode()
    return name


def build(engine: Engine, made: Project, *options: str) -> subprocess.CompletedProcess[bytes]:
    return engine.docker("build", "--progress=plain", "--file", str(made.root / "cog.yaml"), *options, str(made.root))


@pytest.fixture(scope="module")
def made(frontend: str, project: MakeProject) -> Project:
    files = {
        "data/words.txt": "one\n",
        ".dockerignore": "*.log\n.dockerignore\n",
        "a.log": "no",
        "weights/large.bin": b"",
        "requirements.txt": "six==1.16.0\n",
    }
    config = HELLO.replace("python_packages:\n    - six==1.16.0", "python_requirements: requirements.txt")
    config += "environment: [A=1]\n"
    found = project("fronted", f"# syntax={frontend}\n{config}", files)
    found.write_large("weights/large.bin", "w")
    (found.root / "link").symlink_to("data/words.txt")
    (found.root / "dangling").symlink_to("/nowhere/at all")
    return found


@pytest.fixture(scope="module")
def image(engine: Engine, made: Project) -> Image:
    name = engine.name("fronted")
    done = build(engine, made, "-t", name, "--label", "team=a b")
    assert done.returncode == 0, done.stderr.decode()
    return Image(engine, name, done.stderr.decode())


def test_the_image_is_that_of_the_dockerfile(engine: Engine, made: Project, image: Image) -> None:
    theirs = engine.compile_and_build("fronted-dockerfile", made)
    (made.root / "Dockerfile").unlink()
    left_out = {"/src/Dockerfile"}  # it was there when the other was built
    ours, others = image.tree("/src", "/opt/cogc/sdk", "/sbin/tini"), theirs.tree("/src", "/opt/cogc/sdk", "/sbin/tini")
    assert {path: entry for path, entry in others.items() if path not in left_out} == ours
    assert image.config["Env"] == theirs.config["Env"]
    assert image.config["Cmd"] == theirs.config["Cmd"]
    labels = {name: value for name, value in theirs.labels.items() if name != "run.cog.config"}
    assert image.labels.items() >= labels.items()
    assert image.labels["team"] == "a b"


def test_an_error_points_into_the_configuration(engine: Engine, frontend: str, project: MakeProject) -> None:
    wrong = project("wrong", f"# syntax={frontend}\nbuild:\n  gpus: true\n")
    done = build(engine, wrong)
    log = done.stderr.decode()
    assert done.returncode == 1
    assert "error[COG120]: `gpus` is not a key of `build`" in log
    assert ">>>   gpus: true" in log


def test_a_step_that_fails_points_into_the_configuration(engine: Engine, frontend: str, project: MakeProject) -> None:
    failing = project("failing", f"# syntax={frontend}\n" + HELLO.replace("build:\n", "build:\n  run:\n    - exit 3\n"))
    log = build(engine, failing).stderr.decode()
    assert ">>>     - exit 3" in log
    assert "exit code: 3" in log


def test_without_the_first_line_an_argument_names_the_frontend(
    engine: Engine, frontend: str, project: MakeProject
) -> None:
    plain = project("plain", HELLO)
    done = build(engine, plain, "--build-arg", f"BUILDKIT_SYNTAX={frontend}", "--target", "packages")
    assert done.returncode == 0, done.stderr.decode()
    assert b"COPY . /src" not in done.stderr, "a target stops there"


def test_secrets_come_from_the_command_line(engine: Engine, frontend: str, project: MakeProject) -> None:
    # A command of its own: the cache, which knows nothing of secrets, may have the step of an earlier run.
    mount = f"{{command: 'grep -q hidden /s && echo {engine.session}', mounts: [{{type: secret, id: s, target: /s}}]}}"
    config = f"# syntax={frontend}\n" + HELLO.replace("build:\n", f"build:\n  run:\n    - {mount}\n")
    made = project("secretive", config, {"s.txt": "hidden", ".dockerignore": "s.txt\n"})
    assert build(engine, made).returncode != 0
    done = build(engine, made, "--secret", f"id=s,src={made.root / 's.txt'}")
    assert done.returncode == 0, done.stderr.decode()


def test_arguments_for_proxies(engine: Engine, frontend: str, project: MakeProject) -> None:
    run = f"echo {frontend}, the proxy is $http_proxy, $NO_PROXY"  # which is in no cache
    config = HELLO.replace("predict:", f"  run: [{json.dumps(run)}]\npredict:")
    made = project("fronted-proxies", f"# syntax={frontend}\n{config}")
    words = ["--build-arg", "HTTP_PROXY=http://p:1", "--build-arg", "no_proxy=x"]
    done = build(engine, made, *words, "-o", "type=cacheonly")
    assert done.returncode == 0, done.stderr.decode()
    assert "the proxy is http://p:1, x" in done.stderr.decode()


@pytest.mark.usefixtures("containerd_store")
def test_a_cache_to_read(engine: Engine, made: Project, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = build(engine, made, "--cache-to", f"type=local,dest={cache}", "-o", "type=cacheonly")
    assert done.returncode == 0, done.stderr.decode()
    done = build(engine, made, "--cache-from", f"type=local,src={cache}", "-o", "type=cacheonly")
    assert done.returncode == 0, done.stderr.decode()
    assert "importing cache manifest from local" in done.stderr.decode()


def test_builds_at_once_get_the_files_of_their_own(engine: Engine, frontend: str, project: MakeProject) -> None:
    config = f"# syntax={frontend}\n" + HELLO.replace("  python_packages:\n    - six==1.16.0\n", "")
    names = [engine.name(f"at-once-{number}") for number in range(4)]
    running = []
    for name in names:
        made = project(name, config, {"who.txt": name})
        words = ("docker", "build", "--file", str(made.root / "cog.yaml"), "--tag", name, str(made.root))
        running.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    for build in running:
        _, log = build.communicate(timeout=300)
        assert build.returncode == 0, log.decode()
    assert [Image(engine, name).output("cat", "/src/who.txt") for name in names] == names


# -- other programs that build ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def declared(engine: Engine, frontend: str, project: MakeProject) -> Project:
    """A project that needs a secret, for programs that read from files what is to be built."""
    mount = f"{{command: 'grep -q hidden /s && echo declared {engine.session}', mounts: [{{type: secret, id: s, target: /s}}]}}"
    config = HELLO.replace("build:\n", f"build:\n  run:\n    - {mount}\n")
    return project("declared", config, {"s.txt": "hidden", ".dockerignore": "s.txt\n*.json\n"})


def bake(engine: Engine, made: Project, **target: Any) -> subprocess.CompletedProcess[bytes]:
    """`docker buildx bake` of one target."""
    told = {"context": str(made.root), "dockerfile": "cog.yaml", **target}
    made.write("bake.json", json.dumps({"target": {"default": told}}))
    return engine.docker("buildx", "bake", "--progress=plain", "--allow=fs=*", "--file", str(made.root / "bake.json"))


def test_bake(engine: Engine, frontend: str, declared: Project) -> None:
    name = engine.name("baked")
    options = {"args": {"BUILDKIT_SYNTAX": frontend}, "platforms": ["linux/amd64"], "labels": {"team": "a b"}}
    done = bake(engine, declared, **options, tags=[name], output=["type=docker"])
    assert done.returncode != 0, "there is no secret"
    secret = [f"id=s,src={declared.root / 's.txt'}"]
    done = bake(engine, declared, **options, tags=[name], output=["type=docker"], secret=secret)
    assert done.returncode == 0, done.stderr.decode()
    image = Image(engine, name)
    assert image.labels["team"] == "a b"
    assert image.output("ls", "/src").split() == ["cog.yaml", "predict.py"]
    done = bake(engine, declared, **options, target="packages", output=["type=cacheonly"])
    assert done.returncode == 0, done.stderr.decode()
    assert b"[model" not in done.stderr, "a target stops there"


def test_bake_shows_errors_in_the_configuration(engine: Engine, frontend: str, project: MakeProject) -> None:
    wrong = project("wrongly-baked", "build:\n  gpus: true\n")
    done = bake(engine, wrong, args={"BUILDKIT_SYNTAX": frontend}, output=["type=cacheonly"])
    assert done.returncode == 1
    assert "error[COG120]: `gpus` is not a key of `build`" in done.stderr.decode()
    assert ">>>   gpus: true" in done.stderr.decode()


@pytest.fixture(scope="module")
def compose(engine: Engine) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """`docker compose build` of one service: what `build` says, and what else the service does."""
    if engine.docker("compose", "version").returncode:
        pytest.skip("the docker client has no compose")

    def run(made: Project, build: dict[str, Any], **service: Any) -> subprocess.CompletedProcess[bytes]:
        told = {"context": str(made.root), "dockerfile": "cog.yaml", **build}
        document = {"services": {"model": {"build": told, **service}}, "secrets": {"s": {"file": "./s.txt"}}}
        made.write("compose.json", json.dumps(document))
        words = ("--progress=plain", "--file", str(made.root / "compose.json"), "build")
        return engine.docker("compose", *words)

    return run


def test_compose(
    engine: Engine, frontend: str, declared: Project, compose: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    name = engine.name("composed")
    build = {"args": {"BUILDKIT_SYNTAX": frontend}, "platforms": ["linux/amd64"], "labels": {"team": "a b"}}
    done = compose(declared, {**build, "secrets": ["s"]}, image=name)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    image = Image(engine, name)
    assert image.labels["team"] == "a b"
    assert image.output("ls", "/src").split() == ["cog.yaml", "predict.py"]
    done = compose(declared, {**build, "target": "packages"}, image=name)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    assert image.run("ls", "/src").returncode != 0, "a target stops there"


def test_compose_shows_errors_in_the_configuration(
    frontend: str, project: MakeProject, compose: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    wrong = project("wrongly-composed", f"# syntax={frontend}\nbuild:\n  gpus: true\n", {"s.txt": ""})
    done = compose(wrong, {})
    log = (done.stderr + done.stdout).decode()
    assert done.returncode != 0
    assert "error[COG120]: `gpus` is not a key of `build`" in log
    assert ">>>   gpus: true" in log


@pytest.mark.usefixtures("containerd_store")
def test_provenance(engine: Engine, made: Project, tmp_path: Path) -> None:
    place = tmp_path / "image"
    words = ("--target", "base", "--provenance", "mode=max", "-o", f"type=oci,tar=false,dest={place}")
    done = build(engine, made, *words)
    assert done.returncode == 0, done.stderr.decode()
    blobs = [
        json.loads(path.read_bytes())
        for path in place.glob("blobs/sha256/*")
        if path.stat().st_size < 1 << 20 and path.read_bytes().startswith(b"{")
    ]
    (provenance,) = [blob["predicate"] for blob in blobs if "slsa.dev/provenance" in blob.get("predicateType", "")]
    assert provenance["invocation"]["configSource"]["entryPoint"] == "cog.yaml"
    assert "buildConfig" in provenance, "mode=max tells the steps"


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_a_platform_that_is_asked_for(
    engine: Engine, frontend: str, project: MakeProject, request: pytest.FixtureRequest, architecture: str
) -> None:
    """Up to where no command of the image has to run."""
    if architecture != "amd64":
        request.getfixturevalue("containerd_store")
    made = project(f"for-{architecture}", f"# syntax={frontend}\n{HELLO}")
    name = engine.name(f"for-{architecture}")
    done = build(engine, made, "--platform", f"linux/{architecture}", "--target", "base", "-t", name)
    assert done.returncode == 0, done.stderr.decode()
    found = engine.text("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", name)
    assert found.strip() == f"linux/{architecture}"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--build-arg", "A=1"), "--build-arg A: a cog.yaml has no arguments"),
        (("--target", "nothing"), "--target nothing: the stages are"),
        (("--platform", "linux/s390x"), "the platforms are linux/amd64 and linux/arm64"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(engine: Engine, made: Project, option: tuple[str, ...], told: str) -> None:
    done = build(engine, made, *option)
    assert done.returncode == 1
    assert told in done.stderr.decode()
