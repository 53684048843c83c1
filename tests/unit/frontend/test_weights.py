"""Which files get a layer of their own: the table of the specification, and what cogc adds to it."""

from __future__ import annotations

import time

import pytest

from cogc.frontend.dockerignore import Dockerignore
from cogc.frontend.files import FileEntry
from cogc.frontend.weights import MIN_WEIGHT_BYTES, Weights, find_weights
from tests.memory_files import MemoryFiles

LARGE = MIN_WEIGHT_BYTES
SMALL = MIN_WEIGHT_BYTES - 1


def found_in(*large: str, small: tuple[str, ...] = (), ignore: str = "") -> tuple[Weights, dict[str, list[str]]]:
    sizes = {**dict.fromkeys(large, LARGE), **dict.fromkeys(small, SMALL)}
    ignored, _ = Dockerignore.parse(ignore)
    weights, diagnostics = find_weights(MemoryFiles(sizes=sizes).walk(), ignored)
    messages: dict[str, list[str]] = {}
    for diagnostic in diagnostics:
        messages.setdefault(diagnostic.code, []).append(diagnostic.message)
    return weights, messages


@pytest.mark.parametrize(
    ("large", "small", "directories", "root_files"),
    [
        (("large-a", "large-b"), ("small",), (), ("large-a", "large-b")),
        (("models/large-a",), ("models/small",), ("models",), ()),
        (("root-large", "models/large-a"), (), ("models",), ("root-large",)),
        (("models/large",), ("models/code/x.py",), (), ()),
        (("models/large", "models/a/large", "models/b/large"), (), ("models",), ()),
        (("models2/b/large", "models2/a/large", "models/large"), (), ("models", "models2/a", "models2/b"), ()),
        ((".git/big", "root-large"), ("predict.py",), (), ("root-large",)),
    ],
)
def test_the_table_of_the_specification(
    large: tuple[str, ...], small: tuple[str, ...], directories: tuple[str, ...], root_files: tuple[str, ...]
) -> None:
    weights, _ = found_in(*large, small=small)
    assert (weights.directories, weights.root_files) == (directories, root_files)


def test_exactly_ten_mebibytes_is_a_weight_and_one_byte_less_is_not() -> None:
    entries = [FileEntry("w/a", "file", 10 * 1024 * 1024), FileEntry("v/a", "file", 10 * 1024 * 1024 - 1)]
    assert find_weights(entries, Dockerignore())[0].directories == ("w",)


@pytest.mark.parametrize("path", [".cogstuff/w", ".github/w", "__pycache__/w", "clips/a.mp4", "x.whl", "run.log"])
def test_media_and_housekeeping_are_no_weights(path: str) -> None:
    assert found_in(path)[0] == Weights()


def test_below_a_nested_git_directory_nothing_counts() -> None:
    weights, _ = found_in("models/w", "vendor/.git/objects/pack", small=("models/.git/hook.py",))
    assert weights.directories == ("models",)


def test_only_the_exact_suffix_makes_a_code_file() -> None:
    assert found_in("models/w", small=("models/x.PY", "models/x.pyc"))[0].directories == ("models",)


def test_a_notebook_is_code() -> None:
    assert found_in("models/w", small=("models/demo.ipynb",))[0].directories == ()


def test_code_in_a_directory_of_similar_name_does_not_count() -> None:
    weights, messages = found_in("models/w", small=("models2/x.py",))
    assert weights.directories == ("models",)
    assert "COG305" not in messages


def test_a_directory_with_code_is_reported_with_the_code_file() -> None:
    _, messages = found_in("models/w", small=("models/deep/er/x.py",))
    assert "`models/deep/er/x.py`" in messages["COG305"][0]
    assert "COG304" not in messages


def test_sibling_of_a_directory_with_code_is_kept() -> None:
    assert found_in("a/b/w", "a/c/w", small=("a/b/x.py",))[0].directories == ("a/c",)


def test_what_is_found_is_listed_with_sizes() -> None:
    weights, messages = found_in("models/w", "models/deep/w", "root")
    assert weights.sizes == (("models", 2 * LARGE), ("root", LARGE))
    assert messages["COG304"] == ["large files get a layer of their own: `models` (20 MiB), `root` (10 MiB)"]
    assert "`root`" in messages["COG306"][0]


def test_an_ignored_file_is_no_weight() -> None:
    assert found_in("models/w", "data/w", ignore="data")[0].directories == ("models",)


def test_ignored_code_does_not_count() -> None:
    weights, _ = found_in("models/w", small=("models/test/x.py", "models/test/y.py"), ignore="**/test")
    assert weights.directories == ("models",)


def test_one_code_file_that_is_not_ignored_counts() -> None:
    weights, _ = found_in("models/w", small=("models/a.py", "models/b.py"), ignore="models/a.py")
    assert weights.directories == ()


def test_symbolic_links_are_no_weights() -> None:
    assert find_weights([FileEntry("w/link", "symlink", LARGE)], Dockerignore())[0] == Weights()


def test_a_linked_code_file_counts_as_code() -> None:
    entries = [FileEntry("w/a", "file", LARGE), FileEntry("w/x.py", "symlink")]
    assert find_weights(entries, Dockerignore())[0] == Weights()


def test_an_unreadable_directory_is_reported_unless_ignored() -> None:
    entries = [FileEntry("secret", "unreadable"), FileEntry("skipped", "unreadable")]
    _, diagnostics = find_weights(entries, Dockerignore.parse("skipped")[0])
    assert [(d.code, "`secret`" in d.message) for d in diagnostics] == [("COG311", True)]


def test_nothing_found_says_nothing() -> None:
    assert found_in(small=("predict.py",)) == (Weights(), {})


def test_a_hundred_thousand_files_take_well_under_a_second() -> None:
    entries = [FileEntry(f"d{i % 100}/e{i % 1000}/f{i}.py", "file", 100) for i in range(100_000)]
    ignored, _ = Dockerignore.parse("d1*\n**/*.pyc\n*.md\n.venv\n!d11\nx/**/y\n" + "**/node_modules\n")
    start = time.process_time()
    find_weights(entries, ignored)
    assert time.process_time() - start < 1
