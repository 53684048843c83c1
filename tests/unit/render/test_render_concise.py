from cogc.diagnostics import Note, report
from cogc.render import render
from cogc.source import Span


def test_one_line_each_without_notes_and_hints() -> None:
    diagnostics = [
        report("COG120", "not\n  a key: \x1b[0m", Span("cog.yaml", 4, 9, 4, 12), hint="h", notes=[Note(message="n")]),
        report("COG131", "old"),
    ]
    assert render(diagnostics, {}, "concise") == (
        "cog.yaml:4:9: error[COG120]: not a key: \\x1b[0m\nwarning[COG131]: old\n"
    )


def test_a_file_name_cannot_start_another_line() -> None:
    output = render([report("COG120", "m", Span("a\nb", 1, 1, 1, 2))], {}, "concise")
    assert output == "a b:1:1: error[COG120]: m\n"
