"""Places of values in JSON text."""

from __future__ import annotations

import pytest

from cogc.frontend.json_position import span_of

TEXT = '{\n  "a\\"b": [1, {"x": "y, }"}, []],\n\t"rows" : [ {"k": null , "l": {"m": true}}\n ,[2 ,3 ]],"end":-1.5e3}'


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (('a"b',), (2, 11)),
        (('a"b', 1, "x"), (2, 21)),
        (('a"b', 2), (2, 30)),
        (("rows",), (3, 11)),
        (("rows", 0, "l", "m"), (3, 37)),
        (("rows", 1, 1), (4, 7)),
        (("end",), (4, 18)),
    ],
)
def test_places(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    span = span_of(TEXT, path, "f")
    assert (span.line, span.column) == place


@pytest.mark.parametrize("path", [("none",), (0,), ("rows", 9), ("rows", "k"), ("end", 0)])
def test_a_path_that_leads_nowhere_ends_where_it_stops_leading(path: tuple[str | int, ...]) -> None:
    assert span_of(TEXT, path, "f") == span_of(TEXT, path[:-1], "f")


@pytest.mark.parametrize("text", ["{}", "[]", " { } ", "[ ]", "1"])
def test_empty_documents(text: str) -> None:
    for path in (("a",), (0,)):
        assert span_of(text, path, "f") == span_of(text, (), "f")
