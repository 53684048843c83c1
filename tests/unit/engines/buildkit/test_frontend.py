"""cogc as a frontend, with a daemon that is not there: what it asks for, and what it makes of a build's options."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cogc.backends.llb.definition import Definition
from cogc.backends.llb.ops import Exec, LocalSource, Platform
from cogc.engines.buildkit.client import Solved
from cogc.engines.buildkit.frontend import Refused, _cache_imports, solve_project

CONFIG = 'build:\n  python_version: "3.12"\n  run: [uname]\npredict: predict.py:Predictor\n'
PREDICT = "class Predictor:\n    def predict(self, x: str) -> str:\n        return x\n"
PROJECT = {"cog.yaml": CONFIG, "predict.py": PREDICT}


class Client:
    """A client with `files` as its context, and `own` where the configuration is."""

    build_id = "b"

    def __init__(self, files: Mapping[str, str], own: Mapping[str, str] | None = None) -> None:
        self._trees = {"context": files, "dockerfile": files if own is None else own}
        self.solved: list[Definition] = []

    def solve(self, definition: Definition, *, evaluates: bool = False) -> Solved:
        self.solved.append(definition)
        op = definition.ops[0].op
        return Solved(op.name if isinstance(op, LocalSource) else "the image")

    def read_directory(self, solved: Solved, path: str) -> list[dict[str, Any]]:
        assert path.strip("/") == ""
        return [{"path": name, "mode": 0o644, "size": len(text)} for name, text in self._trees[solved.id].items()]

    def read_file(self, solved: Solved, path: str, offset: int = 0, length: int = 0) -> bytes:
        return self._trees[solved.id][path.strip("/")].encode()[offset:][: length or None]

    def capabilities(self) -> dict[str, bool]:
        return {"mergeop": True}

    def image_config(self, reference: str, platform: Platform, mode: str) -> tuple[str, bytes]:
        return "", b'{"config": {"Env": ["PATH=/bin"]}}'

    def warn(self, digest: str, text: str, detail: str | None = None) -> None:
        pass


Build = Callable[..., Client]


@pytest.fixture
def build() -> Build:
    def run(options: Mapping[str, str] | None = None, client: Client | None = None) -> Client:
        found = client or Client(PROJECT)
        solve_project(found, options or {}, "linux/amd64")  # type: ignore[arg-type]
        return found

    return run


def commands(client: Client) -> list[Exec]:
    return [op.op for op in client.solved[-1].ops if isinstance(op.op, Exec)]


def test_arguments_for_proxies_reach_the_commands(build: Build) -> None:
    client = build({"build-arg:HTTP_PROXY": "http://p:1", "build-arg:no_proxy": "x"})
    assert commands(client)
    assert {op.proxies for op in commands(client)} == {(("http_proxy", "http://p:1"), ("no_proxy", "x"))}
    assert {op.proxies for op in commands(build())} == {()}


def test_the_configuration_may_be_a_link(build: Build) -> None:
    first = build().solved[0].ops[0].op
    assert isinstance(first, LocalSource)
    assert (first.name, first.follows, first.includes) == ("dockerfile", ("cog.yaml", "cog.yaml.dockerignore"), ())


@pytest.mark.parametrize("context", [{"predict.py": PREDICT}, {**PROJECT, "cog.yaml": CONFIG + "# other\n"}])
def test_the_configuration_is_at_the_top_of_the_context(build: Build, context: dict[str, str]) -> None:
    with pytest.raises(Refused, match=r"COG100.*cog\.yaml is not the one at the top"):
        build(client=Client(context, own={"cog.yaml": CONFIG}))


def test_a_configuration_that_is_left_out_of_the_context(build: Build) -> None:
    files = {".dockerignore": "cog.yaml\n", "predict.py": PREDICT}
    assert commands(build(client=Client(files, own={"cog.yaml": CONFIG})))


def test_caches_to_read() -> None:
    caches = [{"Type": "registry", "Attrs": {"ref": "r/x"}}, {"Type": "gha"}]
    assert _cache_imports({"cache-imports": json.dumps(caches)}) == [("registry", {"ref": "r/x"}), ("gha", {})]
    assert _cache_imports({}) == []


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"add-hosts": "a=1.2.3.4"}, "--add-host a=1.2.3.4"),
        ({"force-network-mode": "none"}, "--network none"),
        ({"shm-size": "64"}, "--shm-size"),
        ({"ulimit": "nofile=1:1"}, "--ulimit"),
        ({"cgroup-parent": "x"}, "--cgroup-parent"),
        ({"context": "https://example.com/x.git"}, "not a folder"),
        ({"build-arg:FOO": "1"}, "--build-arg FOO"),
    ],
)
def test_what_it_cannot_do_is_refused(build: Build, option: dict[str, str], told: str) -> None:
    with pytest.raises(Refused, match=told):
        build(option)


@pytest.mark.parametrize("option", [{"force-network-mode": "sandbox"}, {"build-arg:BUILDKIT_INLINE_CACHE": "1"}])
def test_what_makes_no_difference_is_taken(build: Build, option: dict[str, str]) -> None:
    assert commands(build(option))
