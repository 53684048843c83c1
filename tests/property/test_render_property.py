"""Rendering and fixing accept any text at all."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogc.catalogue import CATALOGUE
from cogc.diagnostics import Diagnostic, Edit, Fix, Note, Severity, report
from cogc.fixes import apply_fixes
from cogc.render import FORMATS, render
from cogc.source import Span

pytestmark = pytest.mark.property

# with lone surrogates, and more of what is hard to show than chance would bring
hard = st.sampled_from("\t\n\r\x00\x07\x1b\x7f\x85\x9b\u0301\u200d\u2028\u202e\ufe0f\uff21\U0001f600\ud800\udcff%:,{}")
texts = st.text(st.one_of(hard, st.characters(exclude_categories=[])), max_size=40)
sources = st.dictionaries(st.sampled_from(["cog.yaml", "a b.txt", "\x1b"]), texts)
files = st.one_of(st.sampled_from(["cog.yaml", "a b.txt", "\x1b"]), texts)
numbers = st.integers(-2, 50)
spans = st.builds(Span, files, numbers, numbers, numbers, numbers)
optional_spans = st.none() | spans
fixes = st.builds(
    Fix, title=texts, edits=st.lists(st.builds(Edit, span=spans, replacement=texts), max_size=3).map(tuple)
)
diagnostics = st.builds(
    Diagnostic,
    code=st.one_of(st.sampled_from(sorted(CATALOGUE)), texts),
    severity=st.sampled_from(Severity),
    message=texts,
    span=optional_spans,
    notes=st.lists(st.builds(Note, message=texts, span=optional_spans), max_size=3).map(tuple),
    hint=st.none() | texts,
    fix=st.none() | fixes,
)
lists = st.lists(diagnostics, max_size=4)


def _is_shown(character: str) -> bool:
    return character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(lists, sources, st.sampled_from(FORMATS), st.integers(0, 120))
def test_any_text_renders_without_raw_control_characters(
    found: list[Diagnostic], texts: dict[str, str], format: str, width: int
) -> None:
    output = render(found, texts, format, width=width)
    assert all(map(_is_shown, output))
    assert output.encode("utf-8").decode("utf-8") == output


@given(lists, st.sampled_from(["concise", "github"]))
def test_line_formats_have_a_line_for_each(found: list[Diagnostic], format: str) -> None:
    assert render(found, {}, format).count("\n") == len(found)


@given(lists, st.sampled_from(["json", "sarif"]))
def test_documents_hold_every_diagnostic(found: list[Diagnostic], format: str) -> None:
    document = json.loads(render(found, {}, format))
    held = document["diagnostics"] if format == "json" else document["runs"][0]["results"]
    assert len(held) == len(found)


@given(lists, sources)
def test_colours_do_not_change_the_text(found: list[Diagnostic], texts: dict[str, str]) -> None:
    coloured = render(found, texts, "text", colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(found, texts, "text")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.data(), st.integers(30, 80))
def test_the_underline_is_in_the_room_and_the_line_too(line: str, data: st.DataObject, width: int) -> None:
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, len(line)))
    output = render([report("COG101", "m", Span("f", 1, start + 1, 1, end + 1))], {"f": line}, "text", width=width)
    _, _, _, shown, underline, *_ = output.split("\n")
    columns = sum(
        0
        if unicodedata.category(character) in {"Mn", "Me"} or "\u1160" <= character <= "\u11ff"
        else 1 + (unicodedata.east_asian_width(character) in {"W", "F"})
        for character in shown
    )
    assert columns <= width
    assert len(underline) <= width
    assert re.fullmatch(r"   \| +\^+", underline)


def _place(text: str, offset: int) -> tuple[int, int]:
    """Line and column; between the two characters of a CRLF no place exists, so the one before is taken."""
    offset -= text[offset - 1 : offset + 1] == "\r\n"
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _offset(text: str, line: int, column: int) -> int:
    return len("".join(text.splitlines(keepends=True)[: line - 1])) + column - 1


@st.composite
def texts_and_edits(draw: st.DrawFn) -> tuple[str, list[list[Edit]]]:
    """A text and, for some fixes, their edits at places of the text."""
    plain = st.text("ab é模😀", max_size=6)
    text = draw(st.sampled_from(["\n", "\r\n"])).join(draw(st.lists(plain, max_size=5)))
    offsets = st.integers(0, len(text))

    def edit(start: int, end: int, replacement: str) -> Edit:
        start, end = sorted((start, end))
        return Edit(span=Span("f", *_place(text, start), *_place(text, end)), replacement=replacement)

    edits = st.builds(edit, offsets, offsets, st.text("xy\n", max_size=4))
    return text, draw(st.lists(st.lists(edits, max_size=3), max_size=5))


def _slots(start: int, end: int) -> set[int]:
    """What an edit occupies: odd numbers are characters, even ones the gaps before them."""
    return set(range(2 * start + 1, 2 * end)) or {2 * start}


def _naive(text: str, fixes: list[list[Edit]]) -> tuple[str, list[int]]:
    """Applies the edits from the back of the text to the front, and tells which fixes were taken."""
    occupied: set[int] = set()
    edits: list[tuple[int, int, str]] = []
    taken = []
    for index, fix in enumerate(fixes):
        places = [
            (
                _offset(text, edit.span.line, edit.span.column),
                _offset(text, edit.span.end_line, edit.span.end_column),
                edit.replacement.replace("\n", "\r\n") if "\r\n" in text else edit.replacement,
            )
            for edit in fix
        ]
        slots = [_slots(start, end) for start, end, _ in places]
        wanted = set().union(*slots)
        is_apart = len(wanted) == sum(map(len, slots)) and not wanted & occupied
        if is_apart and any(text[start:end] != replacement for start, end, replacement in places):
            occupied |= wanted
            edits += places
            taken.append(index)
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text, taken


@given(texts_and_edits())
def test_fixes_do_what_a_naive_implementation_does(case: tuple[str, list[list[Edit]]]) -> None:
    text, fixes = case
    found = [report("COG120", str(index), fix=Fix(title="t", edits=tuple(edits))) for index, edits in enumerate(fixes)]
    changed, fixed = apply_fixes({"f": text}, found)
    expected, taken = _naive(text, fixes)
    assert changed.get("f", text) == expected
    assert [int(diagnostic.message) for diagnostic in fixed] == taken
    assert ("f" in changed) == (expected != text)


@given(lists, sources)
def test_fixes_of_any_place_never_fail(found: list[Diagnostic], texts: dict[str, str]) -> None:
    changed, fixed = apply_fixes(texts, found)
    assert set(changed) <= set(texts)
    assert all(diagnostic.fix for diagnostic in fixed)
