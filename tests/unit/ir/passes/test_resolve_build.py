from __future__ import annotations

import pytest

from cogc.ir.nodes import (
    Env,
    ImageBase,
    InstallPython,
    LinkerCache,
    PythonPackages,
    ServerEnvironment,
    Stage,
    SystemPackages,
)
from tests.builds import compiled, resolved_build


def stage(text: str, name: str, **options: object) -> Stage:
    return next(stage for stage in resolved_build(text, **options).stages if stage.name == name)


def variables(of: Stage) -> dict[str, str]:
    return {v.name: v.value for step in of.steps if isinstance(step, Env) for v in step.variables}


def test_nothing_is_open_afterwards() -> None:
    build = resolved_build("build: {gpu: true, python_packages: [torch], system_packages: [git], run: [x]}")
    kinds = {type(step).__name__ for stage in build.stages for step in stage.steps}
    assert not any(kind.startswith(("Wanted", "Open")) for kind in kinds)


def test_errors_leave_no_build() -> None:
    compilation = compiled("build: {gpu: true, cuda: '11.9'}")
    assert compilation.build is not None
    assert compilation.resolved is None
    assert compilation.has_errors


@pytest.mark.parametrize(
    ("source", "interpreter"),
    [("uv", "/opt/python/bin/python"), ("apt", "/opt/python/bin/python"), ("image", "/usr/local/bin/python")],
)
def test_cuda_images_get_a_python(source: str, interpreter: str) -> None:
    first = stage("build: {gpu: true, cuda: '11.8', python_version: '3.10'}", "python", cuda_python=source)
    (python,) = (step for step in first.steps if isinstance(step, InstallPython))
    assert (python.source, python.interpreter, python.version) == (source, interpreter, "3.10")
    assert ("PATH" in variables(first)) is (source != "image")


@pytest.mark.parametrize(
    ("config", "options", "python", "interpreter"),
    [
        ("build: {python_version: '3.11'}", {}, "3.11", "/usr/local/bin/python"),
        ("build: {python_version: '3.11.7'}", {}, "3.11", "/usr/local/bin/python"),
        ("build: {gpu: true, cuda: '12.4'}", {"cuda_python": "apt"}, "3.12", "/opt/python/bin/python"),
        ("", {"base_image": "own:1"}, None, "python3"),
        ("build: {python_version: '3.11'}", {"base_image": "own:1"}, "3.11", "python3"),
    ],
)
def test_the_server_has_an_environment_of_its_own_for_the_python(
    config: str, options: dict[str, str], python: str | None, interpreter: str
) -> None:
    (made,) = (step for step in stage(config, "server", **options).steps if isinstance(step, ServerEnvironment))
    assert (made.python, made.interpreter, made.directory) == (python, interpreter, "/opt/cogc/server")


def test_python_images_have_one() -> None:
    assert not any(isinstance(step, InstallPython) for step in stage("", "base").steps)


def test_the_search_path_for_libraries_is_set_in_cuda_images_only() -> None:
    assert "LD_LIBRARY_PATH" in variables(stage("build: {gpu: true, cuda: '11.8'}", "base"))
    assert "LD_LIBRARY_PATH" not in variables(stage("build: {gpu: true, python_packages: [torch]}", "base"))


def test_packages_are_installed_from_a_staged_file_and_made_known_to_the_linker() -> None:
    build = resolved_build("build: {python_packages: [a, b]}")
    (packages,) = (stage for stage in build.stages if stage.name == "packages")
    assert [type(step) for step in packages.steps] == [PythonPackages, LinkerCache]
    assert [(file.path, file.content) for file in build.files] == [("requirements.txt", "a\nb\n")]


def test_caches_of_apt_are_by_release() -> None:
    for python, cache in (("3.12", "apt-bookworm"), ("3.13", "apt-trixie")):
        base = stage(f"build: {{python_version: '{python}', system_packages: [git]}}", "base")
        assert [step.cache_id for step in base.steps if isinstance(step, SystemPackages)] == [cache]


def test_the_platform_is_on_every_image_from_a_registry() -> None:
    build = resolved_build("", platform="linux/arm64")
    assert {s.base.platform for s in build.stages if isinstance(s.base, ImageBase)} == {"linux/arm64"}
