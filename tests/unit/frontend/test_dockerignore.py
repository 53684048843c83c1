"""What a .dockerignore excludes, as BuildKit sees it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from cogc.frontend.dockerignore import Dockerignore


def ignore(*lines: str) -> Dockerignore:
    parsed, diagnostics = Dockerignore.parse("\n".join(lines))
    assert diagnostics == ()
    return parsed


@pytest.mark.parametrize(
    ("pattern", "path", "is_excluded"),
    [
        ("data", "data", True),
        ("data", "data/deep/file", True),
        ("data", "database", False),
        ("data", "x/data", False),
        ("/data/", "data/x", True),
        ("./a/../data//", "data/x", True),
        ("//data", "data", True),
        ("a/b", "a", False),
        ("a/b", "a/b/c", True),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("*", "any/thing", True),
        ("*/*.md", "docs/README.md", True),
        ("?.md", "a.md", True),
        ("?.md", "ab.md", False),
        ("a?b", "a/b", False),
        ("a*c", "abc", True),
        ("a*c", "a/c", False),
        ("*a*b*", "xaxxbx", True),
        ("*a*b*", "xbxxax", False),
        ("*ab", "aab", True),
        ("a*b/c*d", "axxb/cd", True),
        ("a*b/c*d", "axxbx/cd", False),
        ("**", "any/thing", True),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "a/b/x/y", True),
        ("**/x", "ax", False),
        ("**x", "ax", True),
        ("**x", "a/bx", True),
        ("**x*", "ax", False),
        ("**x*", "a/xy", True),
        ("**/*.py", "a.py", True),
        ("**/*.py", "a/b/c.py", True),
        ("dir/**", "dir", False),
        ("dir/**", "dir/a/b", True),
        ("dir**", "directory/a", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/xb", False),
        ("a**b", "ab", True),
        ("a**b", "ax/b", True),
        ("a**b", "axb", False),
        ("a**b**c", "ax/by/c", True),
        ("a**b**c", "ax/bc", True),
        ("a**b**c", "axbc", False),
        ("a/**/b/**/c", "a/x/b/b/y/c", True),
        ("a/**/b/**/c", "a/x/c/b", False),
        ("**/a*b/c", "ab/x/aab/c", True),
        ("**/a/**", "x/a/b", True),
        ("**/a/**", "x/a", False),
        ("**/**/x", "x", True),
        ("***", "a/b", True),
        ("[ab]c", "bc", True),
        ("[a-c]x", "bx", True),
        ("[a-c]x", "dx", False),
        ("[^a]x", "bx", True),
        ("[^a]x", "ax", False),
        ("a[^b]c", "a/c", True),
        ("[!a]", "!", True),
        ("[!a]", "b", False),
        (r"[\]]", "]", True),
        (r"[a\-c]", "-", True),
        (r"[a\-c]", "b", False),
        (r"\*", "*", True),
        (r"\*", "x", False),
        (r"a\!b", "a!b", True),
        ("a.b", "axb", False),
        ("a+(b)|{c}$", "a+(b)|{c}$", True),
        ("*+(b)", "x+(b)", True),
        ("  padded  ", "padded", True),
        ("with blank", "with blank/x", True),
        ("  # text", "# text", True),
        (".", "anything", False),
        ("/", "anything", False),
        ("../x", "x", False),
        ("ünï*", "ünïx", True),
    ],
)
def test_a_pattern_covers_what_docker_says(pattern: str, path: str, is_excluded: bool) -> None:
    assert ignore(pattern).excludes(path) is is_excluded


def test_the_last_matching_pattern_decides() -> None:
    patterns = ignore("*.md", "!README*.md", "README-secret.md")
    assert [path for path in ("a.md", "README.md", "README-secret.md") if patterns.excludes(path)] == [
        "a.md",
        "README-secret.md",
    ]


def test_an_exception_before_the_exclusion_has_no_effect() -> None:
    assert ignore("!README.md", "*.md").excludes("README.md")


def test_a_file_below_an_excluded_directory_comes_back() -> None:
    patterns = ignore("models", "!models/keep/this.bin")
    assert patterns.excludes("models")
    assert patterns.excludes("models/keep")
    assert not patterns.excludes("models/keep/this.bin")
    assert patterns.excludes("models/keep/other.bin")


def test_an_exception_for_a_directory_covers_what_is_below() -> None:
    patterns = ignore("*", "!src")
    assert not patterns.excludes("src/deep/x.py")
    assert patterns.excludes("other/x.py")


def test_an_exclusion_inside_an_exception_counts_again() -> None:
    patterns = ignore("*", "!src", "src/secret")
    assert patterns.excludes("src/secret/key")
    assert not patterns.excludes("src/x")


def test_an_exception_for_a_directory_that_is_not_excluded_takes_nothing_back() -> None:
    # BuildKit does not try `!dir` at `dir`, which nothing excludes, and `!dir` does not match `dir/x`.
    assert ignore("dir/x", "!dir").excludes("dir/x")


def test_the_root_is_never_excluded() -> None:
    assert not ignore("*", "**", ".").excludes("")
    assert not ignore("*", "**", ".").excludes(".")


def test_no_patterns_exclude_nothing() -> None:
    assert not Dockerignore().excludes("a/b")


def test_comments_stand_in_the_first_column_and_empty_lines_are_skipped() -> None:
    patterns, diagnostics = Dockerignore.parse("\ufeff# a\r\n\r\n   \nb\r\n#c\n! b/d \r\n")
    assert diagnostics == ()
    assert patterns.excludes("b/c")
    assert not patterns.excludes("b/d")
    assert not patterns.excludes("#c")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("!", "nothing follows"),
        ("! /", "nothing follows"),
        ("[", "not closed"),
        ("[a", "not closed"),
        ("[]a]", "needs a backslash"),
        ("[-a]", "needs a backslash"),
        ("[a-]", "needs a backslash"),
        ("[c-a]", "runs backwards"),
        ("a\\", "last character"),
        ("models\\weights", "separated by `/`"),
        ("a" * 70_000, "too long"),
    ],
)
def test_an_invalid_pattern_is_reported_and_skipped(pattern: str, reason: str) -> None:
    patterns, (diagnostic,) = Dockerignore.parse(f"x\n  {pattern}\ny\n", "sub/.dockerignore")
    assert diagnostic.code == "COG312"
    assert reason in diagnostic.message
    assert str(diagnostic.span) == "sub/.dockerignore:2:3"
    assert patterns.excludes("x")
    assert patterns.excludes("y")


@pytest.mark.parametrize(
    ("lines", "directory", "may"),
    [
        (("a",), "a", False),
        (("a", "!a/b"), "a", True),
        (("a", "!a/b/c/d"), "a/b", True),
        (("a", "!a/b"), "a/c", False),
        (("a", "!a/b"), "a/b/c", False),
        (("a", "!b/c"), "a", False),
        (("a", "!*/c"), "a", True),
        (("a", "!x*/c"), "a", False),
        (("a", "!**/c"), "a", True),
        (("a", "!b/**"), "a", False),
        (("a", "!a/**"), "a", True),
        (("a", "!*.py"), "a", False),
        (("!a/b", "a"), "a", False),
        (("a/*", "!a"), "a/b", False),
        (("*", "!a[^x]b"), "a", True),
    ],
)
def test_an_excluded_directory_is_entered_only_if_something_may_come_back(
    lines: tuple[str, ...], directory: str, may: bool
) -> None:
    assert ignore(*lines).may_reinclude_below(directory) is may


@pytest.fixture
def a_minute() -> Iterator[None]:
    """Ends a test that would run for ages; what takes milliseconds never meets it, however busy the machine is."""

    def stop(*_: object) -> NoReturn:
        raise AssertionError("not finished after a minute")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "pattern", ["*a" * 40 + "b", "**/a*" * 20 + "b", "a**" * 20 + "b", "[^x]" * 20 + "*a" * 20, "*/" * 30 + "*a*a*b"]
)
@pytest.mark.usefixtures("a_minute")
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    ignore(pattern).excludes("a" * 120 + "/" + "a/" * 50 + "a" * 120)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (".cog/*", "!.cog/build", "*.py", "a"),
        (".cog",),
        ("**/*.py", "!**/keep.py"),
        (".cog/build/runtime", "!.cog/build/runtime/x"),
        ("?cog/build/*/a.py", "*/build/x"),
        ("[.]cog/build/x", "\\.cog/build/a.py", ".cog[^a]build"),
        ("*", "!.cog", ".cog/build/**/keep.py"),
    ],
)
def test_patterns_below_a_directory_give_the_same_answers(lines: tuple[str, ...]) -> None:
    names = ("x", "a.py", "runtime", "runtime/x", "runtime/a.py", "runtime/deep/keep.py", "runtime/deep/other.py")
    below = ignore(*lines).below(".cog/build")
    for name in names:
        path = f".cog/build/{name}"
        assert below.excludes(path) == ignore(*lines).excludes(path), path
