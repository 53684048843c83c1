"""The smallest image: what is in it, how it is configured, how it starts."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.e2e.images import Engine, Image, Project

pytestmark = pytest.mark.engine


def test_source_is_all_that_the_project_has(hello: Image) -> None:
    expected = {"Dockerfile", "cog.yaml", "predict.py", "run.sh", "data/words.txt", ".cog/openapi_schema.json"}
    assert hello.files("/src") == expected


def test_source_keeps_its_modes_and_belongs_to_root(hello: Image) -> None:
    tree = hello.tree("/src")
    assert tree["/src/run.sh"].mode == "-rwxr-xr-x"
    assert tree["/src/predict.py"].mode == "-rw-r--r--"
    assert {entry.owner for entry in tree.values()} == {(0, 0)}


def test_runtime_is_files_beside_the_packages(hello: Image) -> None:
    files = hello.files("/opt/cogc")
    assert {"bin/tini", "sdk/cog/__init__.py", "sdk/cog/server/http.py"} <= files
    assert hello.output("python", "-c", "import cog; print(cog.__file__)").strip() == "/opt/cogc/sdk/cog/__init__.py"


def test_packages_are_those_of_the_project(engine: Engine, hello: Image) -> None:
    before = Image(engine, "python:3.11-slim-bookworm").freeze()
    assert hello.freeze() - before == {"six==1.16.0"}
    assert before - hello.freeze() == set()


def test_first_process_is_tini(hello: Image) -> None:
    assert hello.output("cat", "/proc/1/comm").strip() == "tini"
    assert hello.tree("/sbin/tini")["/sbin/tini"].mode == "-rwxr-xr-x"
    assert "0.19" in hello.output("/sbin/tini", "--version")


def test_tini_reaps_and_hands_on_signals(engine: Engine, hello: Image) -> None:
    script = "import os, subprocess, time; subprocess.Popen(['sh', '-c', 'sleep 0.1 & exec true']).wait(); time.sleep(0.6); print(sum(open(f'/proc/{p}/stat').read().split()[2] == 'Z' for p in os.listdir('/proc') if p.isdigit()))"
    assert hello.output("python", "-c", script).strip() == "0"
    container = engine.text("run", "--detach", hello.reference, "sleep", "60").strip()
    try:
        assert subprocess.run(["docker", "stop", "--time=8", container], timeout=6, capture_output=True).returncode == 0
        state = json.loads(engine.text("inspect", container))[0]["State"]
        assert state["ExitCode"] == 143
    finally:
        engine.docker("rm", "--force", container)


def test_configuration_of_the_image(hello: Image) -> None:
    config = hello.config
    assert config["Entrypoint"] == ["/sbin/tini", "--"]
    assert config["Cmd"] == ["python", "-m", "cog.server.http"]
    assert config["WorkingDir"] == "/src"
    assert config["ExposedPorts"] == {"5000/tcp": {}}
    assert config["User"] == ""
    assert not config["Volumes"]


def test_environment_is_what_cog_sets(engine: Engine, hello: Image) -> None:
    base = Image(engine, "python:3.11-slim-bookworm").environment
    added = {name: value for name, value in hello.environment.items() if base.get(name) != value}
    assert added == {
        "DEBIAN_FRONTEND": "noninteractive",
        "PYTHONUNBUFFERED": "1",
        "NVIDIA_DRIVER_CAPABILITIES": "all",
        "PYTHONPATH": "/opt/cogc/sdk",
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
    }


def test_label_has_the_resolved_configuration(hello: Image) -> None:
    assert json.loads(hello.labels["run.cog.config"]) == {
        "build": {"python_version": "3.11", "python_packages": ["six==1.16.0"]},
        "image": "cog-hello",
        "predict": "predict.py:Predictor",
    }
    assert hello.labels["run.cog.has_init"] == "true"
    assert hello.labels["run.cogc.matrix"][:2] == "20"


def test_schema_is_the_same_in_the_label_and_in_the_file(hello: Image) -> None:
    schema = json.loads(hello.labels["run.cog.openapi_schema"])
    assert schema["components"]["schemas"]["Input"]["properties"]["text"]["description"] == "Some text"
    assert json.loads(hello.output("cat", "/src/.cog/openapi_schema.json")) == schema


def test_nothing_else_is_in_the_image(engine: Engine, hello: Image) -> None:
    roots = ["/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var"]
    before = Image(engine, "python:3.11-slim-bookworm").tree(*roots)
    after = hello.tree(*roots)
    made_by_the_engine = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
    changed = {path for path in after if before.get(path) != after[path]} - made_by_the_engine
    of_the_linker = {"/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"}
    assert set(before) - of_the_linker <= set(after)
    # Installers run the interpreter, which compiles parts of its own library.
    changed = {path for path in changed if "__pycache__" not in path}
    expected = "/opt/cogc(/|$)|/usr/local/lib/python3.11/site-packages/|/usr/sbin/tini$|/etc/ld.so.conf.d/cog.conf$"
    assert {path for path in changed if not re.match(expected, path)} <= of_the_linker


def test_building_again_changes_nothing(engine: Engine, hello: Image, hello_project: Project) -> None:
    again = engine.compile_and_build("hello-again", hello_project)
    assert again.layers == hello.layers
    assert again.config == hello.config
