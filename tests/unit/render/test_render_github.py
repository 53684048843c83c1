from cogc.diagnostics import Note, report
from cogc.render import render
from cogc.source import Span


def test_a_command_with_its_place_notes_and_hint() -> None:
    diagnostic = report(
        "COG120",
        "100%\r\nof it",
        Span("a,b: 1%.yaml", 4, 1, 4, 5),
        notes=[Note(message="here", span=Span("x.txt", 2, 1, 2, 2)), Note(message="two\nlines")],
        hint="h",
    )
    assert render([diagnostic], {}, "github") == (
        "::error file=a%2Cb%3A 1%25.yaml,line=4,col=1,endLine=4,endColumn=5,title=COG120 unknown-key"
        "::100%25%0Aof it%0Anote: x.txt:2: here%0Anote: two lines%0Ahint: h\n"
    )


def test_several_lines_have_no_columns() -> None:
    output = render([report("COG131", "m", Span("cog.yaml", 1, 2, 3, 4))], {}, "github")
    assert output == "::warning file=cog.yaml,line=1,endLine=3,title=COG131 python-end-of-life::m\n"


def test_without_a_place_there_is_only_a_title() -> None:
    assert render([report("COG228", "m")], {}, "github") == "::notice title=COG228 base-image-choice::m\n"


def test_a_message_cannot_start_another_command() -> None:
    output = render(
        [report("COG120", "a\n::set-output name=x::y\r::stop", Span("f\n::debug::", 1, 1, 1, 2))], {}, "github"
    )
    assert output.count("\n") == 1
    assert "\r" not in output
    assert output.startswith(r"::error file=f\n%3A%3Adebug%3A%3A,line=1")
