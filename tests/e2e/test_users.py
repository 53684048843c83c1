"""Images whose containers run as another user than root."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import HELLO
from tests.e2e.images import Image

pytestmark = pytest.mark.engine

FILES = {"data/words.txt": "one\n", "my data.txt": "two\n"}


def _config(user: str) -> str:
    return HELLO.replace("build:\n", f"build:\n  user: {user}\n  run: [touch /made-by-root]\n")


@pytest.fixture(scope="module")
def named(image: Callable[..., Image]) -> Image:
    return image("named-user", _config("modeluser"), FILES)


@pytest.fixture(scope="module")
def grouped(image: Callable[..., Image]) -> Image:
    return image("user-with-group", _config("modeluser:modelgroup"), FILES)


@pytest.fixture(scope="module", params=["1234", '"1234:5678"'], ids=["uid", "uid-and-gid"])
def numbered(request: pytest.FixtureRequest, image: Callable[..., Image]) -> Image:
    kind = "uid" if ":" not in request.param else "uid-gid"
    return image(f"user-{kind}", _config(request.param), FILES)


WRITE = """
import os, pathlib, tempfile
for place in ("/src", "/src/data", os.path.expanduser("~"), os.environ.get("HOME", "/"), tempfile.gettempdir()):
    pathlib.Path(place, "written").write_text("x")
pathlib.Path("/src/data/words.txt").write_text("changed")
print("fine")
"""


def test_named_user(named: Image) -> None:
    assert named.config["User"] == "modeluser"
    assert named.output("whoami").strip() == "modeluser"
    assert named.shell("echo $HOME").strip() == "/home/modeluser"
    assert named.python(WRITE) == "fine\n"


def test_user_with_a_group_of_its_own(grouped: Image) -> None:
    assert grouped.config["User"] == "modeluser:modelgroup"
    assert grouped.shell("id -gn").strip() == "modelgroup"
    assert grouped.shell("stat -c %U:%G /src/data/words.txt").strip() == "modeluser:modelgroup"


def test_named_user_owns_the_code(named: Image) -> None:
    owners = {entry.owner[0] for path, entry in named.tree("/src").items() if not path.startswith("/src/.cog")}
    assert len(owners) == 1
    assert owners != {0}


def test_numbered_user(numbered: Image) -> None:
    wanted = numbered.config["User"]
    assert wanted in ("1234", "1234:5678")
    assert numbered.output("id", "-u").strip() == "1234"
    assert numbered.output("id", "-g").strip() == (wanted.partition(":")[2] or "0")
    assert numbered.python(WRITE) == "fine\n"
    # PyTorch, for one, asks for the name of the user and does not work without.
    assert numbered.python("import getpass; print(getpass.getuser())").strip() == "user1234"
    assert numbered.shell("echo $HOME").strip() == "/home/user1234"


def test_packages_and_runtime_are_there_for_every_user(named: Image, numbered: Image) -> None:
    for image in (named, numbered):
        assert image.output("python", "-c", "import six, cog; print('fine')") == "fine\n"
        assert "six==1.16.0" in image.freeze()
        assert image.output("cat", "/src/.cog/openapi_schema.json").startswith("{")


def test_commands_of_the_build_run_as_root(named: Image) -> None:
    assert named.tree("/made-by-root")["/made-by-root"].owner == (0, 0)


def test_user_on_the_command_line_comes_first(image: Callable[..., Image]) -> None:
    made = image("user-option", _config("modeluser"), FILES, "--user", "nobody")
    assert made.output("whoami").strip() == "nobody"
    assert made.output("cat", "/src/data/words.txt") == "one\n"
