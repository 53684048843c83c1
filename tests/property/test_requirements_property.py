"""What holds for every requirements file and every .dockerignore."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogc.catalogue import CATALOGUE
from cogc.frontend.dockerignore import Dockerignore
from cogc.frontend.requirements import (
    PER_REQUIREMENT_OPTIONS,
    decode_requirements,
    parse_requirement_line,
    parse_requirements,
)
from cogc.ir.requirement import Requirement
from cogc.source import Span
from tests.memory_files import MemoryFiles

pytestmark = pytest.mark.property

WORDS = (
    *("torch", "cog", "A_b.c", "==2.1.0", "==1.*", ">=1,<2", "[x]", "; ", "python_version<'3'", "@", " @ ", "#", " #"),
    *("git+https://example.com/a.git", "git+git://x/y", "https://example.com/a-1-py3-none-any.whl", "file:", "./"),
    *("x.whl", "a.tar.gz", "b.txt", "-r ", "-c ", "-e ", ".", "-f", "--hash=sha256:00", "--extra-index-url ", "="),
    *("\\\n", "\n", "\r\n", "\f", "\t", " ", "'", '"', "${X}", "(", ")", "/", "..", "\ufeff", "-", "--pre"),
)
lines = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=12).map("".join)
FILES = MemoryFiles({"x.whl": b"", "a.tar.gz": b"", "b.txt": "-r c.txt\nd", "c.txt": "-r b.txt\n-c b.txt"})


def span_of(text: str) -> Span:
    return Span("cog.yaml", 1, 1, 1, 1 + len(text))


@given(st.text() | lines)
def test_any_text_gives_values_or_diagnostics_inside_the_text(text: str) -> None:
    requirements, diagnostics = parse_requirements("r.txt", text, FILES)
    rows = text.split("\n")
    for span in (*(r.origin for r in requirements), *(d.span for d in diagnostics)):
        assert span is not None
        if span.file == "r.txt":
            assert 1 <= span.line <= span.end_line <= len(rows)
            assert 1 <= span.column <= max(len(rows[span.line - 1]), 1)
            assert (span.end_line, span.end_column) > (span.line, span.column)
    assert all(diagnostic.code in CATALOGUE for diagnostic in diagnostics)
    assert all("\n" not in requirement.text for requirement in requirements)


@given(st.binary())
def test_any_bytes_are_text_or_say_why_not(raw: bytes) -> None:
    with contextlib.suppress(UnicodeDecodeError):
        decode_requirements(raw).encode("utf-8")


@given(st.binary())
def test_any_included_bytes_give_values_or_diagnostics(raw: bytes) -> None:
    parse_requirements("r.txt", "-r sub/x.txt\n-c sub/x.txt", MemoryFiles({"sub/x.txt": raw}))


@given(lines | st.text(alphabet=st.characters()), st.sampled_from([0, 2, 5]))
def test_any_item_gives_a_value_or_diagnostics(text: str, extra_width: int) -> None:
    origin = Span("cog.yaml", 1, 1, 1, 1 + len(text) + extra_width)
    _, diagnostics = parse_requirement_line(text, origin, FILES)
    assert all(d.span is not None and origin.column <= d.span.column <= d.span.end_column for d in diagnostics)


def essence(requirement: Requirement | None) -> object:
    assert requirement is not None
    beside = tuple(option for option in requirement.options if option[0] in PER_REQUIREMENT_OPTIONS)
    kept = requirement.options if requirement.kind == "option" else beside
    return requirement.kind, requirement.text, requirement.name, requirement.specifier, requirement.url, kept


@given(lines)
def test_the_text_of_a_requirement_reads_the_same_again(text: str) -> None:
    requirement, _ = parse_requirement_line(text, span_of(text), FILES)
    if requirement is None or requirement.kind == "artifact":
        return
    again, _ = parse_requirement_line(requirement.text, span_of(requirement.text), FILES)
    assert essence(again) == essence(requirement)


@given(st.lists(lines, max_size=5))
def test_a_file_of_the_texts_reads_the_same_again(texts: list[str]) -> None:
    requirements, _ = parse_requirements("r.txt", "\n".join(texts), MemoryFiles())
    again, _ = parse_requirements("r.txt", "\n".join(r.text for r in requirements), MemoryFiles())
    assert [r.text for r in again] == [r.text for r in requirements]


# A reference for .dockerignore: slow, plain recursion over characters, written from the documentation.


def matches(pattern: str, path: str, *, is_start: bool = True) -> bool:
    if not pattern:
        return not path
    if pattern.startswith("**"):
        rest = pattern[2:].removeprefix("/")
        if not rest:
            return True
        if is_start and not re.search(r"[*?\[\]]", pattern[2:]):
            return path.endswith(pattern[2:]) or (pattern[2] == "/" and path == rest)
        starts = [0, *(index + 1 for index, character in enumerate(path) if character == "/")]
        return any(matches(rest, path[start:], is_start=False) for start in starts)
    if pattern[0] == "*":
        stop = path.find("/") if "/" in path else len(path)
        return any(matches(pattern[1:], path[start:], is_start=False) for start in range(stop + 1))
    if not path:
        return False
    if pattern[0] == "[":
        members, _, rest = pattern[1:].partition("]")
        is_member = (path[0] in members.removeprefix("^")) != members.startswith("^")
        return is_member and matches(rest, path[1:], is_start=False)
    is_same = path[0] != "/" if pattern[0] == "?" else path[0] == pattern[0]
    return is_same and matches(pattern[1:], path[1:], is_start=False)


def covered(patterns: list[tuple[bool, str]], path: str) -> list[bool]:
    above = covered(patterns, path.rpartition("/")[0]) if "/" in path else [False] * len(patterns)
    is_excluded = False
    result = []
    for (is_exception, pattern), was in zip(patterns, above, strict=True):
        now = was or (is_exception == is_excluded and matches(pattern, path))
        is_excluded = (not is_exception) if now else is_excluded
        result.append(now)
    return result


def excluded(patterns: list[tuple[bool, str]], path: str) -> bool:
    verdicts = [not patterns[index][0] for index, now in enumerate(covered(patterns, path)) if now]
    return bool(verdicts) and verdicts[-1]


parts = st.lists(st.sampled_from(["a", "b", "*", "?", "**", "[ab]", "[^a]"]), min_size=1, max_size=4).map("".join)
globs = st.lists(parts | st.just("**"), min_size=1, max_size=4).map("/".join)
paths = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=5).map("/".join)
rules = st.lists(st.tuples(st.booleans(), globs), min_size=1, max_size=4)


def parsed(patterns: list[tuple[bool, str]]) -> Dockerignore:
    text = "\n".join(("!" if is_exception else "") + pattern for is_exception, pattern in patterns)
    value, diagnostics = Dockerignore.parse(text)
    assert diagnostics == ()
    return value


@given(rules, st.lists(paths, min_size=1, max_size=6))
def test_exclusion_agrees_with_a_plain_reference(patterns: list[tuple[bool, str]], several: list[str]) -> None:
    value = parsed(patterns)
    for path in several:
        assert value.excludes(path) is excluded(patterns, path), path


@given(rules, paths, paths)
def test_nothing_comes_back_below_a_directory_that_may_be_skipped(
    patterns: list[tuple[bool, str]], directory: str, below: str
) -> None:
    value = parsed(patterns)
    if value.excludes(directory) and not value.may_reinclude_below(directory):
        assert value.excludes(f"{directory}/{below}")


@given(st.text(), paths | st.text())
def test_any_dockerignore_gives_an_answer(text: str, path: str) -> None:
    value, _ = Dockerignore.parse(text)
    value.excludes(path)
    value.may_reinclude_below(path)
