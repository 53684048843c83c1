"""The lines that a lock installs, and the steps that install them."""

from __future__ import annotations

from collections.abc import Sequence

from cogc.ir.lock import LockedPackage
from cogc.ir.lock_document import render_lock
from cogc.ir.nodes import PythonPackages, ResolvedBuild, SshMount
from tests.builds import compiled
from tests.locks import lock_for, package

COMMIT = "c" * 40
GIT = package("greeting", source="git", location="https://example.com/g", commit=COMMIT, subdirectory="python")


def build(text: str, packages: Sequence[LockedPackage], files: dict[str, str] | None = None) -> ResolvedBuild:
    lock = render_lock(lock_for(text, files, packages=packages))
    compilation = compiled(text, files, lock=lock)
    assert compilation.resolved is not None, compilation.diagnostics
    return compilation.resolved


def steps(made: ResolvedBuild) -> list[PythonPackages]:
    return [step for stage in made.stages for step in stage.steps if isinstance(step, PythonPackages)]


def lines(made: ResolvedBuild, path: str = "requirements.txt") -> list[str]:
    return next(file.content for file in made.files if file.path == path).splitlines()


def test_every_package_is_installed_by_hash_and_nothing_else() -> None:
    made = build("build: {python_packages: [requests]}", [package("requests", "2.0"), package("idna", "3.1")])
    [step] = steps(made)
    assert step.options == ("--no-deps", "--require-hashes", "--only-binary", ":all:")
    assert step.constraints_file is None
    digests = {each: package(each).sha256 for each in ("requests", "idna")}
    assert lines(made) == [
        f"requests==2.0 --hash=sha256:{digests['requests']}",
        f"idna==3.1 --hash=sha256:{digests['idna']}",
    ]


def test_options_about_indexes_stay_and_constraints_go() -> None:
    files = {"r.txt": "--extra-index-url https://example.com/simple\n-c c.txt\nsix\n", "c.txt": "six==1.15.0\n"}
    made = build("build: {python_requirements: r.txt}", [package("six", "1.15.0")], files)
    assert lines(made)[0] == "--extra-index-url https://example.com/simple"
    assert [file.path for file in made.files] == ["requirements.txt"]


def test_what_comes_from_git_has_a_step_of_its_own() -> None:
    text = "build: {python_packages: [six, 'greeting @ git+https://example.com/g@v1#subdirectory=python']}"
    made = build(text, [GIT, package("six", "1.16.0")])
    hashed, git = steps(made)
    assert (hashed.requirements_file, git.requirements_file) == ("requirements.txt", "requirements-git.txt")
    assert "--require-hashes" in hashed.options
    assert git.options == ("--no-deps",)
    assert lines(made, git.requirements_file) == [f"greeting @ git+https://example.com/g@{COMMIT}#subdirectory=python"]


def test_only_the_step_with_what_comes_over_ssh_has_an_agent() -> None:
    text = "build: {python_packages: [six, 'tool @ git+ssh://git@example.com/t@v1']}"
    tool = package("tool", source="git", location="ssh://git@example.com/t", commit=COMMIT)
    hashed, git = steps(build(text, [tool, package("six", "1.16.0")]))
    assert hashed.ssh is None
    assert git.ssh == SshMount()
    assert git.ssh is not None
    assert git.ssh.origin is not None
    assert lines(build(text, [tool]), git.requirements_file) == [f"tool @ git+ssh://git@example.com/t@{COMMIT}"]


def test_git_alone() -> None:
    made = build("build: {python_packages: ['greeting @ git+https://example.com/g@v1#subdirectory=python']}", [GIT])
    assert [step.requirements_file for step in steps(made)] == ["requirements-git.txt"]
    assert [file.path for file in made.files] == ["requirements-git.txt"]


def test_no_packages_no_step() -> None:
    assert steps(build("build: {python_packages: ['six ; sys_platform == \"win32\"']}", [])) == []


def test_urls_and_passwords_come_from_the_configuration() -> None:
    url = "https://me:secret@example.com/y-1.0-py3-none-any.whl"
    files = {"r.txt": f"--index-url https://tok@example.org/simple\ny @ {url}\n"}
    locked = package("y", source="url", location=url.replace("me:secret", "***"))
    made = build("build: {python_requirements: r.txt}", [locked], files)
    assert lines(made) == [
        "--index-url https://tok@example.org/simple",
        f"y @ {url} --hash=sha256:{locked.sha256}",
    ]


def test_a_package_of_the_project_is_where_the_build_has_it() -> None:
    files = {"r.txt": "wheels/z-1.0-py3-none-any.whl\n", "wheels/z-1.0-py3-none-any.whl": "z"}
    locked = package("z", source="project", location="wheels/z-1.0-py3-none-any.whl")
    text = "build: {python_requirements: r.txt}"
    assert compiled(text, files, lock=render_lock(lock_for(text, files, packages=[locked]))).resolved is not None
    made = build(text, [locked], files)
    assert lines(made) == [f"/tmp/local_package_artifacts/wheels/z-1.0-py3-none-any.whl --hash=sha256:{locked.sha256}"]
    assert steps(made)[0].artifacts == ("wheels/z-1.0-py3-none-any.whl",)


def test_how_a_package_is_to_be_built_stays() -> None:
    files = {"r.txt": "x==1.0 --config-settings=a=b\n"}
    made = build("build: {python_requirements: r.txt}", [package("x", file="x-1.0.tar.gz")], files)
    assert lines(made)[0].endswith(" --config-settings=a=b")


def test_pip_gets_the_same_options() -> None:
    files = {"r.txt": "--require-hashes\nx==1.0 --hash=sha256:" + "a" * 64 + "\n"}
    made = build("build: {python_requirements: r.txt}", [package("x")], files)
    assert steps(made)[0].installer == "pip"
    assert steps(made)[0].options == ("--no-deps", "--require-hashes", "--only-binary", ":all:")
