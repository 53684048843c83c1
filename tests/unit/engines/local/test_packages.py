"""What is installed is what the Dockerfile installs: lines, options, constraints, wheels; for uv and for pip."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogc.driver import Source, bundled_matrix, compile_project
from cogc.engines.local.packages import PackageList, package_list
from cogc.frontend.lower import BuildOptions
from tests.memory_files import MemoryFiles


def packages(
    config: str, *, has_uv: bool, architecture: str = "x86_64", root: Path = Path("/nowhere"), **files: str
) -> PackageList:
    named = {"cog.yaml": config, **{name.replace("__", "/").replace("_", "."): text for name, text in files.items()}}
    source = Source(config=config.encode(), name="cog.yaml", directory="project", files=MemoryFiles(named))
    compilation = compile_project(source, BuildOptions(), bundled_matrix())
    assert not compilation.has_errors, compilation.diagnostics
    return package_list(compilation, root, architecture, has_uv=has_uv)


def test_nothing_to_install():
    found = packages("build: {}", has_uv=True)
    assert (found.requirements, found.installer) == ((), "uv")


@pytest.mark.parametrize(("has_uv", "installer"), [(True, "uv"), (False, "pip")])
def test_lines_and_constraints(has_uv, installer):
    found = packages(
        "build: {python_requirements: requirements.txt}",
        has_uv=has_uv,
        requirements_txt="-c constraints.txt\nsix\n",
        constraints_txt="six<2\n",
    )
    assert found.installer == installer
    assert found.requirements == ("six",)
    assert found.constraints == ("six<2",)


def test_options_are_spelled_for_the_installer():
    text = "--pre\n--trusted-host mirror.example\n--extra-index-url https://mirror.example/simple\nsix\n"
    config = "build: {python_requirements: requirements.txt}"
    by_uv = packages(config, has_uv=True, requirements_txt=text)
    assert by_uv.options == ("--prerelease", "allow", "--allow-insecure-host", "mirror.example")
    assert by_uv.requirements == ("--extra-index-url https://mirror.example/simple", "six")
    by_pip = packages(config, has_uv=False, requirements_txt=text)
    assert by_pip.options == ()
    assert by_pip.requirements == (
        "--pre",
        "--trusted-host mirror.example",
        "--extra-index-url https://mirror.example/simple",
        "six",
    )


def test_a_line_that_only_pip_knows_needs_pip():
    text = "--use-feature fast-deps\nsix\n"
    found = packages("build: {python_requirements: requirements.txt}", has_uv=True, requirements_txt=text)
    assert found.installer == "pip"


def test_the_builds_that_the_resolver_chooses():
    found = packages("build: {python_packages: ['torch==2.3.1']}", has_uv=True)
    assert found.requirements == ("--extra-index-url https://download.pytorch.org/whl/cpu/", "torch==2.3.1")


def test_wheels_of_the_project_are_part_of_the_key(tmp_path):
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels/tiny tool-1.0-py3-none-any.whl"
    name = "wheels/tiny tool-1.0-py3-none-any.whl"
    source = {"cog.yaml": "", "requirements.txt": f"./{name}\n", name: "x"}
    config = "build: {python_requirements: requirements.txt}"
    recipes = []
    for content in (b"one", b"two"):
        wheel.write_bytes(content)
        compilation = compile_project(
            Source(config=config.encode(), name="cog.yaml", directory="p", files=MemoryFiles(source)),
            BuildOptions(),
            bundled_matrix(),
        )
        found = package_list(compilation, tmp_path, "x86_64", has_uv=True)
        assert found.requirements == (f"./project/{name}",)
        recipes.append(found.recipe())
    assert recipes[0] != recipes[1]
    assert recipes[0]["requirements"] == recipes[1]["requirements"]
