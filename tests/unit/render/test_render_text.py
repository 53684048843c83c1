"""Snapshots of the form for people."""

import re
from textwrap import dedent

from cogc.diagnostics import Diagnostic, Edit, Fix, Note, report
from cogc.render import render
from cogc.source import Span

CONFIG = "image: r8.im/a/b\nbuild:\n  gpu: true\nbuid:\n"
KEY = Span("cog.yaml", 4, 1, 4, 5)


def text(*diagnostics: Diagnostic, requirements: str = "") -> str:
    return render(diagnostics, {"cog.yaml": CONFIG, "requirements.txt": requirements}, "text")


def snippet(line: str, start: int, end: int, width: int = 100) -> list[str]:
    """The source line and its underline, for a span of columns in the only line of a file."""
    output = render([report("COG101", "m", Span("f", 1, start, 1, end))], {"f": line}, "text", width=width)
    return [row[3:] for row in output.splitlines()[3:5]]


def test_message_place_note_and_hint() -> None:
    diagnostic = report(
        "COG120",
        "`buid` is not a key of cog.yaml",
        KEY,
        notes=[Note(message="the keys are listed\nin the documentation")],
        hint="did you mean `build`?",
    )
    assert text(diagnostic) == dedent("""\
        error[COG120]: `buid` is not a key of cog.yaml
          --> cog.yaml:4:1
           |
         4 | buid:
           | ^^^^
           |
           = note: the keys are listed
                   in the documentation
           = hint: did you mean `build`?

        Found 1 error.
        """)


def test_messages_are_broken_between_words_where_the_terminal_ends() -> None:
    hint = "set `image` in cog.yaml, or name it: cogc push registry.example.com/user/model"
    note = Note(message="it says:\n  one two three four five six seven eight\n" + "x" * 50)
    diagnostic = report("COG645", "there is no name to push to, so nothing was pushed", notes=[note], hint=hint)
    shown = render([diagnostic], {}, "text", width=44, wraps=True)
    assert shown == dedent(f"""\
        error[COG645]: there is no name to push to,
          so nothing was pushed
           = note: it says:
                     one two three four five six
                   seven eight
                   {"x" * 50}
           = hint: set `image` in cog.yaml, or name
                   it: cogc push
                   registry.example.com/user/model

        Found 1 error.
        """)
    assert len(render([diagnostic], {}, "text", width=44).splitlines()) == 7


def test_a_note_with_a_place_shows_its_line_unless_it_is_the_same() -> None:
    diagnostic = report(
        "COG222",
        "`torch` needs CUDA 12.1",
        Span("cog.yaml", 3, 3, 3, 12),
        notes=[
            Note(message="pinned here", span=Span("requirements.txt", 10, 1, 10, 6)),
            Note(message="on the GPU", span=Span("cog.yaml", 3, 3, 3, 6)),
        ],
    )
    assert text(diagnostic, requirements="numpy\r\n" * 9 + "torch==2.1.0\r\n") == dedent("""\
        error[COG222]: `torch` needs CUDA 12.1
           --> cog.yaml:3:3
            |
          3 |   gpu: true
            |   ^^^^^^^^^
            |
            = note: pinned here (requirements.txt:10:1)
         10 | torch==2.1.0
            | -----
            = note: on the GPU (cog.yaml:3:3)

        Found 1 error.
        """)


def test_a_missing_file_or_line_is_only_named() -> None:
    unknown_file = report("COG101", "one", Span("other.yaml", 1, 2, 1, 3), hint="look")
    unknown_line = report("COG131", "two", Span("cog.yaml", 99, 1, 99, 2))
    assert text(unknown_file, unknown_line, report("COG228", "three")) == dedent("""\
        error[COG101]: one
          --> other.yaml:1:2
           = hint: look

        warning[COG131]: two
          --> cog.yaml:99:1

        info[COG228]: three

        Found 1 error, 1 warning and 1 remark.
        """)


def test_a_span_of_several_lines_shows_the_first() -> None:
    output = text(report("COG121", "m", Span("cog.yaml", 2, 3, 4, 1)))
    assert " 2 | build:\n   |   ^^^^\n\n" in output


def test_the_summary_counts_and_names_fixes() -> None:
    fix = Fix(title="rename", edits=(Edit(span=KEY, replacement="build"),))
    output = text(report("COG120", "a", KEY, fix=fix), report("COG120", "b"), report("COG126", "c"))
    assert output.endswith("\n\nFound 2 errors and 1 warning.\n`cogc check --fix` can fix 1 of them.\n")


def test_the_underline_follows_tabs() -> None:
    assert snippet("\ta\tbc", 4, 6) == ["|     a   bc", "|         ^^"]
    assert snippet("\ta", 1, 2) == ["|     a", "| ^^^^"]


def test_the_underline_is_as_wide_as_wide_characters() -> None:
    assert snippet("模型: 値", 5, 6) == ["| 模型: 値", "|       ^^"]
    assert snippet("模型: 値", 1, 3) == ["| 模型: 値", "| ^^^^"]


def test_combining_characters_take_no_column() -> None:
    assert snippet("mode\u0300le: x", 10, 11) == ["| mode\u0300le: x", "|         ^"]
    assert snippet("e\u0300", 2, 3) == ["| e\u0300", "|  ^"]


def test_control_characters_are_visible_and_counted_as_shown() -> None:
    assert snippet("a\x1b[31mb", 7, 8) == [r"| a\x1b[31mb", "|          ^"]
    assert snippet("a\u202eb", 2, 3) == [r"| a\u202eb", "|  ^^^^^^"]


def test_a_span_behind_the_line_points_at_its_end() -> None:
    assert snippet("key:", 5, 5) == ["| key:", "|     ^"]
    assert snippet("key:", 50, 60) == ["| key:", "|     ^"]
    assert snippet("", 1, 2) == ["|", "| ^"]


def test_a_long_line_is_cut_around_the_span() -> None:
    line = "a" * 100 + "KEY" + "b" * 100
    assert snippet(line, 101, 104, width=35) == ["| …aaaaaaaaaaaaKEYbbbbbbbbbbbbb…", "|              ^^^"]
    assert snippet(line, 1, 2, width=35) == ["| " + "a" * 28 + "…", "| ^"]
    assert snippet(line, 203, 204, width=35) == ["| …" + "b" * 28, "|" + " " * 29 + "^"]


def test_a_span_longer_than_the_room_is_cut_too() -> None:
    assert snippet("a" * 300, 1, 301, width=35) == ["| " + "a" * 28 + "…", "| " + "^" * 28]
    assert snippet("模" * 300, 101, 201, width=35) == ["| …" + "模" * 14 + "…", "|  " + "^" * 28]


def test_hostile_text_does_not_reach_the_terminal() -> None:
    output = text(
        report("COG120", "`\x1b]0;title\x07` and\r`\u202e`", Span("a\nb\x1b", 1, 1, 1, 2), hint="\x9b31m", notes=[])
    )
    assert output == dedent("""\
        error[COG120]: `\\x1b]0;title\\x07` and
          `\\u202e`
          --> a b\\x1b:1:1
           = hint: \\x9b31m

        Found 1 error.
        """)


def test_colours_do_not_change_the_text() -> None:
    diagnostics = [report("COG120", "`[bold]` :smile: \x1b[1m", KEY, hint="[/]"), report("COG126", "")]
    coloured = render(diagnostics, {"cog.yaml": CONFIG}, "text", colour=True)
    plain = render(diagnostics, {"cog.yaml": CONFIG}, "text")
    assert "\x1b[1;31merror[COG120]\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
