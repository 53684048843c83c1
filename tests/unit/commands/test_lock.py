"""`cogc lock`, with the real uv and a folder of wheels in place of a package index."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogc.cli import main
from cogc.engines import EngineFailure
from cogc.engines.uv_resolver import find_uv
from tests.locks import docker_that_knows_digests, make_wheel

try:
    find_uv()
except EngineFailure:
    pytest.skip("uv is not installed", allow_module_level=True)

CONFIG = """\
build:
  python_version: "3.12"
  python_requirements: requirements.txt
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


class Project:
    def __init__(self, root: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys, self.url = root, capsys, url
        self.index = root.parent / "index"
        self.write("cog.yaml", CONFIG)
        self.require("apple")
        for version in ("1.0", "1.1"):
            self.publish("apple", version, "core>=1.0")
        self.publish("core", "1.0")

    def publish(self, name: str, version: str, *requires: str, tag: str = "py3-none-any") -> Path:
        return make_wheel(self.index / name, name, version, requires, tag)

    def write(self, path: str, text: str | bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(text if isinstance(text, bytes) else text.encode())

    def require(self, *lines: str) -> None:
        self.write("requirements.txt", "\n".join((f"--index-url {self.url}", *lines)) + "\n")

    def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        self._capsys.readouterr()
        assert main(list(words)) == status, self._capsys.readouterr().err
        printed = self._capsys.readouterr()
        return printed.out, printed.err

    @property
    def lock(self) -> dict[str, Any]:
        return json.loads((self.root / "cog.lock").read_text())

    def versions(self, platform: int = 0) -> dict[str, str]:
        return {each["name"]: each["version"] for each in self.lock["platforms"][platform]["packages"]}

    def digests(self) -> dict[str, str | None]:
        return {each["reference"]: each["digest"] for each in self.lock["platforms"][0]["images"]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    root = tmp_path / "project"
    root.mkdir()
    programs = docker_that_knows_digests(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.delenv("COG_CA_CERT", raising=False)
    monkeypatch.chdir(root)
    # A folder per package, as the server lists it, is what an index is.
    handler = functools.partial(Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Project(root, f"http://127.0.0.1:{server.server_port}", capsys)
        server.shutdown()
        thread.join()


def test_a_first_lock_has_all_packages_with_hashes(project: Project) -> None:
    out, err = project.run("lock")
    assert out == ""
    assert "wrote cog.lock" in err
    assert project.versions() == {"apple": "1.1", "core": "1.0"}
    [apple, _] = project.lock["platforms"][0]["packages"]
    wheel = project.index / "apple" / apple["file"]
    assert apple == {
        "name": "apple",
        "version": "1.1",
        "file": "apple-1.1-py3-none-any.whl",
        "sha256": subprocess.run(["sha256sum", wheel], capture_output=True, text=True).stdout.split()[0],
    } | ({"size_bytes": wheel.stat().st_size} if "size_bytes" in apple else {})
    assert None not in project.digests().values()
    assert list(project.digests()) == ["ghcr.io/astral-sh/uv:0.13", "python:3.12-slim-bookworm"]


def test_locking_again_changes_nothing_and_asks_nobody(project: Project) -> None:
    project.run("lock")
    before = (project.root / "cog.lock").stat()
    project.publish("apple", "1.2", "core")
    _, err = project.run("lock")
    assert err == "cog.lock is up to date\n"
    assert (project.root / "cog.lock").stat().st_mtime_ns == before.st_mtime_ns


def test_what_is_new_is_added_and_the_rest_kept(project: Project) -> None:
    project.run("lock")
    project.publish("apple", "1.2", "core")
    project.publish("pear", "3.0")
    project.require("apple", "pear")
    _, err = project.run("lock")
    assert project.versions() == {"apple": "1.1", "core": "1.0", "pear": "3.0"}
    assert "  pear none → 3.0\n" in err
    assert "apple" not in err


def test_upgrading_one_package_leaves_the_others(project: Project) -> None:
    project.run("lock")
    project.publish("apple", "1.2", "core")
    project.publish("core", "1.5")
    _, err = project.run("lock", "--upgrade", "Core")
    assert project.versions() == {"apple": "1.1", "core": "1.5"}
    assert "  core 1.0 → 1.5\n" in err
    project.run("lock", "--upgrade")
    assert project.versions() == {"apple": "1.2", "core": "1.5"}


def test_a_digest_moves_only_when_asked_to(project: Project) -> None:
    project.run("lock")
    before = project.digests()
    (project.root.parent / "moved").touch()
    project.run("lock")
    assert project.digests() == before
    _, err = project.run("lock", "--upgrade", "python:3.12-slim-bookworm")
    moved = {name for name, digest in project.digests().items() if digest != before[name]}
    assert moved == {"python:3.12-slim-bookworm"}
    assert "  python:3.12-slim-bookworm " in err


def test_an_upgrade_of_nothing_is_an_error_with_a_suggestion(project: Project) -> None:
    project.run("lock")
    _, err = project.run("lock", "--upgrade", "aple", status=1)
    assert "COG503" in err
    assert "did you mean apple?" in err


def test_images_that_nobody_knows_are_said_to_be_open(project: Project) -> None:
    _, err = project.run("lock", "--base-image", "unknown/image:1")
    assert "COG267" in err
    assert project.digests()["unknown/image:1"] is None
    out, _ = project.run("compile", "--locked", "--base-image", "unknown/image:1")
    assert "FROM unknown/image:1 AS base\n" in out


def test_the_dockerfile_installs_the_lock(project: Project) -> None:
    project.run("lock")
    project.publish("apple", "1.2", "core")
    out, err = project.run("compile", "--locked")
    assert err == ""
    assert f"FROM python:3.12-slim-bookworm@{project.digests()['python:3.12-slim-bookworm']} AS base\n" in out
    assert f"from=ghcr.io/astral-sh/uv:0.13@{project.digests()['ghcr.io/astral-sh/uv:0.13']}," in out
    assert "--no-deps --require-hashes" in out
    lines = (project.root / ".cog/build/requirements.txt").read_text().splitlines()
    packages = project.lock["platforms"][0]["packages"]
    assert lines[1:] == [f"{p['name']}=={p['version']} --hash=sha256:{p['sha256']}" for p in packages]
    assert lines[0] == f"--index-url {project.url}"


def test_uv_installs_exactly_the_locked_lines(project: Project, tmp_path: Path) -> None:
    project.run("lock")
    project.run("compile", "--locked")
    project.publish("apple", "1.2", "core")

    def install(target: str) -> subprocess.CompletedProcess[str]:
        options = ["--target", str(tmp_path / target), "--no-deps", "--require-hashes"]
        staged = str(project.root / ".cog/build/requirements.txt")
        return subprocess.run([find_uv(), "pip", "install", *options, "-r", staged], capture_output=True, text=True)

    assert install("one").returncode == 0
    assert (tmp_path / "one/apple.py").read_text() == "VERSION = '1.1'\n"
    project.publish("apple", "1.1", "core>=0")  # again, with other content
    done = install("two")
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()


def test_drift_is_refused_with_what_changed(project: Project) -> None:
    project.run("lock")
    project.require("apple<1.1")
    out, err = project.run("compile", "--locked", status=1)
    assert out == ""
    assert "error[COG262]: cog.lock was made for something else: apple → apple<1.1" in err
    assert "--> requirements.txt:2:1" in err
    assert not (project.root / ".cog").exists()
    assert project.run("lock", "--check", status=1)[1] == err
    project.run("lock")
    assert project.versions()["apple"] == "1.0"
    project.run("compile", "--locked")


def test_a_comment_is_no_drift(project: Project) -> None:
    project.run("lock")
    project.write("cog.yaml", "# ours\n" + CONFIG + "  # theirs\n")
    project.require("# fruit", "apple  # good")
    assert project.run("lock", "--check")[1] == "cog.lock is up to date\n"
    project.run("compile", "--locked")


def test_without_a_lock(project: Project) -> None:
    assert "COG260" in project.run("compile", "--locked", status=1)[1]
    assert "COG260" in project.run("lock", "--check", status=1)[1]
    assert not (project.root / "cog.lock").exists()


def test_a_broken_lock_is_written_anew_only_when_asked(project: Project) -> None:
    project.write("cog.lock", "<<<<<<< HEAD\n")
    assert "COG261" in project.run("lock", status=1)[1]
    assert (project.root / "cog.lock").read_text() == "<<<<<<< HEAD\n"
    project.run("lock", "--upgrade")
    assert project.versions() == {"apple": "1.1", "core": "1.0"}


def test_no_solution_leaves_the_lock_alone(project: Project) -> None:
    project.run("lock")
    before = (project.root / "cog.lock").read_bytes()
    project.require("apple", "core<1.0")
    out, err = project.run("lock", status=1)
    assert out == ""
    assert "error[COG266]: uv cannot resolve the packages: No solution found" in err
    assert "core" in err
    assert (project.root / "cog.lock").read_bytes() == before
    assert sorted(path.name for path in project.root.iterdir()) == ["cog.lock", "cog.yaml", "requirements.txt"]


def test_several_platforms(project: Project) -> None:
    for tag in ("cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_aarch64"):
        project.publish("native", "1.0", tag=tag)
    project.require("native")
    project.run("lock", "--platform", "linux/arm64,linux/amd64")
    lock = project.lock
    assert [entry["platform"] for entry in lock["platforms"]] == ["linux/amd64", "linux/arm64"]
    files = [entry["packages"][0]["file"] for entry in lock["platforms"]]
    assert files == [f"native-1.0-cp312-cp312-manylinux_2_17_{machine}.whl" for machine in ("x86_64", "aarch64")]
    project.run("compile", "--locked", "--platform", "linux/arm64")
    assert project.run("lock")[1] == "cog.lock is up to date\n"  # both platforms
    assert project.run("lock", "--check")[1] == "cog.lock is up to date\n"
    _, err = project.run("lock", "--platform", "linux/amd64")
    assert "  - linux/arm64\n" in err
    assert "COG263" in project.run("compile", "--locked", "--platform", "linux/arm64", status=1)[1]


def test_a_package_without_wheels_needs_permission(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "source/plum-1.0"
    source.mkdir(parents=True)
    proof = tmp_path / "it-ran"
    (source / "setup.py").write_text(
        f"from setuptools import setup\nopen({str(proof)!r}, 'w').close()\nsetup(name='plum', version='1.0')\n"
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: plum\nVersion: 1.0\n")
    shutil.make_archive(str(project.index / "plum/plum-1.0"), "gztar", source.parent, source.name)
    project.require("plum")
    _, err = project.run("lock", status=1)
    assert "COG266" in err
    assert "--allow-builds" in err
    assert not proof.exists()


def test_wheels_of_the_project_are_hashed_and_watched(project: Project) -> None:
    make_wheel(project.root / "my wheels", "local", "1.0", ["core"])
    project.write("cog.yaml", 'build: {python_version: "3.12", python_requirements: sub/requirements.txt}\n')
    project.write("sub/requirements.txt", f"--index-url {project.url}\n../my wheels/local-1.0-py3-none-any.whl\n")
    project.run("lock")
    assert project.versions() == {"core": "1.0", "local": "1.0"}
    [_, local] = project.lock["platforms"][0]["packages"]
    assert local["source"] == "project"
    assert local["location"] == "my wheels/local-1.0-py3-none-any.whl"
    project.run("compile", "--locked")
    make_wheel(project.root / "my wheels", "local", "1.0")
    assert "COG264" in project.run("compile", "--locked", status=1)[1]
    project.run("lock")
    assert project.versions() == {"local": "1.0"}
    project.run("compile", "--locked")


def test_weights_are_hashed_and_watched(project: Project) -> None:
    project.write("weights/a.bin", b"\0" * 10 * 1024 * 1024)
    project.run("lock")
    assert [each["path"] for each in project.lock["weights"]] == ["weights/a.bin"]
    project.run("compile", "--locked")
    with (project.root / "weights/a.bin").open("r+b") as file:
        file.write(b"1")
    assert "weights/a.bin has changed" in project.run("compile", "--locked", status=1)[1]
    assert "weights/a.bin" in project.run("lock")[1]
    project.run("compile", "--locked")


def test_changes_as_a_document(project: Project) -> None:
    document = json.loads(project.run("lock", "--format", "json")[0])
    assert (document["lock"], document["is_new"], document["changes"]) == ("cog.lock", True, ["+ linux/amd64"])
    project.publish("apple", "1.2", "core")
    document = json.loads(project.run("lock", "--upgrade", "--format", "json")[0])
    assert document["changes"] == ["apple 1.1 → 1.2"]
    project.require("nothing")
    document = json.loads(project.run("lock", "--format", "json", status=1)[0])
    assert [found["code"] for found in document["diagnostics"]] == ["COG149", "COG266"]


def test_uv_is_asked_for_when_it_is_missing(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    _, err = project.run("lock", status=1)
    assert "error[COG265]" in err
    assert "pip install uv" in err


def test_another_configuration_has_its_own_lock(project: Project) -> None:
    project.write("small.yaml", 'build: {python_version: "3.12", python_packages: []}\n')
    project.run("lock", "small.yaml")
    assert (project.root / "small.lock").exists()
    assert not (project.root / "cog.lock").exists()
    project.run("compile", "--locked", "small.yaml")


@pytest.mark.parametrize(
    "words", [["--locked"], ["--platform", "linux/amd64,linux/mips"], ["--platform", ""], ["--base-image", "a b"]]
)
def test_wrong_options(project: Project, words: list[str]) -> None:
    status = 0 if words == ["--platform", ""] else 2
    project.run("lock", *words, status=status)
    assert (project.root / "cog.lock").exists() == (status == 0)


def test_hashes_in_the_requirements_choose_the_file(project: Project) -> None:
    first = project.publish("two", "1.0")
    second = project.publish("two", "1.0", tag="py2.py3-none-any")
    for wheel in (first, second):
        digest = subprocess.run(["sha256sum", wheel], capture_output=True, text=True).stdout.split()[0]
        project.require(f"two==1.0 --hash=sha256:{digest}")
        project.run("lock")
        assert project.lock["platforms"][0]["packages"][0]["file"] == wheel.name


def test_what_is_not_from_an_index_is_counted_apart(project: Project) -> None:
    make_wheel(project.root, "local", "1.0")
    project.require("apple", "./local-1.0-py3-none-any.whl", f"pear @ {project.url}/pear/pear-1.0-py3-none-any.whl")
    project.publish("pear", "1.0")
    _, err = project.run("lock")
    assert "linux/amd64: 4 packages (1 from URLs, 1 of the project), 2 of 2 images by digest" in err
    sources = {each["name"]: each.get("source", "index") for each in project.lock["platforms"][0]["packages"]}
    assert sources == {"apple": "index", "core": "index", "local": "project", "pear": "url"}
