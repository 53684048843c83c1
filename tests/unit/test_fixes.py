from cogc.diagnostics import Diagnostic, Edit, Fix, report
from cogc.fixes import apply_fixes
from cogc.source import Span


def fixing(*edits: tuple[int, int, int, int, str], file: str = "cog.yaml") -> Diagnostic:
    """A diagnostic with a fix; each edit is line, column, end line, end column and the replacement."""
    made = tuple(Edit(span=Span(file, *place), replacement=text) for *place, text in edits)
    return report("COG120", f"{edits}", fix=Fix(title="t", edits=made))


def fixed(text: str, *diagnostics: Diagnostic) -> str:
    """The text after all of the fixes were applied."""
    changed, done = apply_fixes({"cog.yaml": text}, diagnostics)
    assert done == diagnostics
    return changed["cog.yaml"]


def refused(text: str, diagnostic: Diagnostic) -> bool:
    return apply_fixes({"cog.yaml": text}, [diagnostic]) == ({}, ())


def test_edits_are_applied_in_any_order() -> None:
    assert fixed("abc\ndef\n", fixing((2, 1, 2, 2, "X")), fixing((1, 2, 1, 4, "Y"))) == "aY\nXef\n"


def test_only_changed_files_are_returned() -> None:
    changed, done = apply_fixes({"a": "1", "b": "2"}, [report("COG120", "no fix"), fixing((1, 1, 1, 2, "3"), file="b")])
    assert changed == {"b": "3"}
    assert len(done) == 1


def test_a_fix_may_change_several_files() -> None:
    edits = tuple(Edit(span=Span(file, 1, 1, 1, 1), replacement="x") for file in "ab")
    diagnostic = report("COG120", "m", fix=Fix(title="t", edits=edits))
    assert apply_fixes({"a": "1", "b": "2"}, [diagnostic]) == ({"a": "x1", "b": "x2"}, (diagnostic,))
    assert apply_fixes({"a": "1"}, [diagnostic]) == ({}, ())


def test_an_overlapping_fix_is_left_for_the_next_run() -> None:
    first, second, third = fixing((1, 1, 1, 3, "X")), fixing((1, 2, 1, 4, "Y")), fixing((1, 3, 1, 4, "Z"))
    assert apply_fixes({"cog.yaml": "abc"}, [first, second, third]) == ({"cog.yaml": "XZ"}, (first, third))


def test_a_fix_is_applied_whole_or_not_at_all() -> None:
    first, second = fixing((1, 1, 1, 2, "X")), fixing((1, 1, 1, 2, "Y"), (1, 3, 1, 4, "Z"))
    assert apply_fixes({"cog.yaml": "abc"}, [first, second]) == ({"cog.yaml": "Xbc"}, (first,))
    assert refused("abc", fixing((1, 1, 1, 2, "X"), (9, 1, 9, 2, "Y")))


def test_a_fix_that_overlaps_itself_is_refused() -> None:
    assert refused("abc", fixing((1, 1, 1, 3, "X"), (1, 2, 1, 4, "Y")))


def test_insertions_at_one_place_collide_but_may_touch_a_replacement() -> None:
    before, after, again = fixing((1, 2, 1, 2, "<")), fixing((1, 3, 1, 3, ">")), fixing((1, 2, 1, 2, "!"))
    inside = fixing((1, 2, 1, 3, "X"))
    changed, done = apply_fixes({"cog.yaml": "abc"}, [inside, after, before, again])
    assert changed == {"cog.yaml": "a<X>c"}
    assert done == (inside, after, before)


def test_a_fix_that_changes_nothing_is_not_counted() -> None:
    assert refused("abc", fixing((1, 1, 1, 2, "a")))


def test_windows_line_ends_are_kept() -> None:
    assert fixed("a\r\nb\r\n", fixing((1, 2, 1, 2, ":\n  c"))) == "a:\r\n  c\r\nb\r\n"
    assert fixed("a\r\nb\r\n", fixing((1, 1, 2, 1, "x\r\n"))) == "x\r\nb\r\n"
    assert fixed("a\r\nb\r\n", fixing((1, 1, 1, 99, "x"))) == "x\r\nb\r\n"


def test_a_missing_final_newline_is_kept() -> None:
    assert fixed("a\nb", fixing((2, 1, 2, 2, "c"))) == "a\nc"
    assert fixed("a\nb", fixing((2, 1, 3, 1, "c\n"))) == "a\nc"
    assert fixed("a\r\nb", fixing((2, 1, 3, 1, "c\n"))) == "a\r\nc"


def test_columns_count_characters() -> None:
    assert fixed("模型😀: x\n", fixing((1, 3, 1, 4, "y"))) == "模型y: x\n"


def test_a_whole_line_can_be_deleted() -> None:
    assert fixed("a\nb\nc\n", fixing((2, 1, 3, 1, ""))) == "a\nc\n"


def test_an_empty_text_can_be_filled() -> None:
    assert fixed("", fixing((1, 1, 1, 2, "build:\n"))) == "build:\n"


def test_a_place_outside_the_text_is_refused() -> None:
    assert refused("ab\n", fixing((1, 4, 1, 4, "x")))
    assert refused("ab\n", fixing((0, 1, 1, 1, "x")))
    assert refused("ab\n", fixing((1, 0, 1, 1, "x")))
    assert refused("ab\n", fixing((1, 1, 4, 1, "x")))
    assert refused("ab\n", fixing((1, 2, 1, 1, "x")))
