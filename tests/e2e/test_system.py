"""System packages: their names on each release, and that apt leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.images import Engine, Image

pytestmark = pytest.mark.engine

CONFIG = """\
build:
  python_version: "3.13"
  system_packages: [libgl1-mesa-glx, cowsay]
predict: predict.py:Predictor
"""


@pytest.fixture(scope="module")
def trixie(engine: Engine, image: Callable[..., Image]) -> Image:
    if not engine.has("python:3.13-slim-trixie"):
        pytest.skip("there is no python:3.13-slim-trixie here")
    return image("trixie", CONFIG)


def test_renamed_package_is_installed_by_its_new_name(trixie: Image) -> None:
    installed = trixie.output("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n").splitlines()
    assert {"installed libgl1", "installed cowsay"} <= set(installed)
    assert "installed cowsay-off" not in installed  # cowsay only recommends it
    assert "moo" in trixie.output("/usr/games/cowsay", "moo")


def test_apt_leaves_nothing_behind(engine: Engine, trixie: Image) -> None:
    roots = ("/var/lib/apt/lists", "/var/cache", "/tmp", "/var/tmp", "/root")
    before = Image(engine, "python:3.13-slim-trixie").tree(*roots)
    left = {path for path in trixie.tree(*roots) if path not in before}
    assert {path for path in left if not path.startswith(("/var/cache/ldconfig", "/var/cache/debconf"))} == set()


def test_apt_works_in_commands_of_the_build_and_in_the_container(trixie: Image) -> None:
    script = "apt-get update -qq && apt-get install -qqy --no-install-recommends hello >/dev/null && hello"
    assert trixie.shell(script, options=["--network=bridge"]) == "Hello, world!\n"


def test_tini_runs_on_trixie(trixie: Image) -> None:
    assert trixie.output("cat", "/proc/1/comm").strip() == "tini"
