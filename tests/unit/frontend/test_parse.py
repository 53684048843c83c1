"""Bytes of cog.yaml → tree: every kind of bad input gives a diagnostic at its place, never an exception."""

from __future__ import annotations

import pytest
import yaml

from cogc.diagnostics import Diagnostic
from cogc.frontend import parse as module
from cogc.frontend.parse import MAX_BYTES, MappingNode, ScalarNode, SequenceNode, TreeNode, decode, parse
from cogc.source import SourceFile, Span


def read(text: str | bytes) -> tuple[MappingNode | None, tuple[Diagnostic, ...]]:
    raw = text.encode() if isinstance(text, str) else text
    source, found = decode(raw, "cog.yaml")
    if source is None:
        return None, found
    root, problems = parse(source)
    return root, (*found, *problems)


def places(text: str | bytes) -> list[tuple[str, int, int]]:
    return [(d.code, d.span.line, d.span.column) for d in read(text)[1] if d.span is not None]


def plain(node: TreeNode) -> object:
    if isinstance(node, MappingNode):
        return {entry.key: plain(entry.value) for entry in node.entries}
    return [plain(item) for item in node.items] if isinstance(node, SequenceNode) else node.value


def value(text: str) -> object:
    root, found = read(text)
    assert root is not None, found
    return plain(root)


def written(source: SourceFile, span: Span) -> str:
    """The text at a span of one line."""
    assert span.line == span.end_line
    return source.text.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]


@pytest.fixture(params=["C", "Python"])
def any_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of PyYAML: the C one is not everywhere."""
    if request.param == "C" and not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(module, "_YAML_LOADER", yaml.CSafeLoader if request.param == "C" else yaml.SafeLoader)


class TestDecode:
    def test_a_byte_order_mark_is_remarked_and_dropped(self) -> None:
        root, found = read(b"\xef\xbb\xbfbuild: {}")
        assert root is not None
        assert [d.code for d in found] == ["COG108"]
        assert root.entries[0].key_span == Span("cog.yaml", 1, 1, 1, 6)

    def test_windows_line_ends_are_remarked(self) -> None:
        root, found = read(b"build:\r\n  gpu: true\r\n")
        assert root is not None
        assert plain(root) == {"build": {"gpu": True}}
        assert [d.code for d in found] == ["COG111"]

    @pytest.mark.parametrize("raw", ["a: 1".encode("utf-16"), b"\xff\xfea", b"\xfe\xff\0a"])
    def test_utf16_is_named(self, raw: bytes) -> None:
        _, (found,) = read(raw)
        assert found.code == "COG105"
        assert "UTF-16" in found.message

    @pytest.mark.parametrize(
        ("raw", "line", "column"),
        [(b"\xe9", 1, 1), (b"a: 1\nb: caf\xe9", 2, 7), ("ü: ü".encode() + b"\x80", 1, 5), (b"a: \xed\xa0\x80", 1, 4)],
    )
    def test_the_first_byte_that_is_not_utf8_is_named(self, raw: bytes, line: int, column: int) -> None:
        assert places(raw) == [("COG105", line, column)]

    def test_a_file_of_ten_megabytes_is_refused_before_it_is_read(self) -> None:
        _, (found,) = read(b"#" * 10 * 1024 * 1024)
        assert found.code == "COG106"
        assert "10,485,760" in found.message

    def test_the_largest_allowed_file_is_read(self) -> None:
        assert read(b"a: 1\n" + b"#" * (MAX_BYTES - 5))[0] is not None


class TestEmpty:
    @pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "---\n", "null", "~", "--- # x\n...\n"])
    def test_an_empty_document_is_an_empty_mapping(self, text: str) -> None:
        root, found = read(text)
        assert root is not None
        assert root.entries == ()
        assert [d.code for d in found] == ["COG110"]

    @pytest.mark.parametrize("text", ["- a", "[a]", "text", "3", '""', "'x'"])
    def test_a_root_that_is_no_mapping_is_an_error(self, text: str) -> None:
        assert places(text) == [("COG121", 1, 1)]


class TestProblems:
    def test_duplicate_keys_are_an_error_with_a_note_at_the_first(self) -> None:
        _, (found,) = read("build:\n  gpu: true\n  gpu: false\n")
        assert (found.code, str(found.span)) == ("COG102", "cog.yaml:3:3")
        assert str(found.notes[0].span) == "cog.yaml:2:3"

    def test_each_duplicate_is_reported(self) -> None:
        assert places("a: 1\na: 2\na: 3\nb: {c: 1, c: 2}") == [("COG102", 2, 1), ("COG102", 3, 1), ("COG102", 4, 11)]

    @pytest.mark.parametrize("text", ["build:\n\tgpu: true", "build:\n  a: 1\n\tb: 2", "a:\n  - x\n \t- y"])
    def test_a_tab_as_indentation_is_explained(self, any_loader: None, text: str) -> None:
        assert [code for code, _, _ in places(text)] == ["COG103"]

    @pytest.mark.parametrize("text", ["a: x\ty", "a: 1\t# comment", 'a: "\t"', "run: [a,\t b]"])
    def test_a_tab_elsewhere_is_fine(self, text: str) -> None:
        assert places(text) == []

    def test_a_second_document_is_an_error(self) -> None:
        assert places("a: 1\n---\nb: 2") == [("COG104", 2, 1)]

    @pytest.mark.parametrize(
        ("text", "line", "hint"),
        [
            ("a:\n  b: 1\n c: 2\n", 3, "line up keys, or the items of a list, in one column"),
            ("a:\n  b:\n    - x\n   - y\n", 4, "line up keys, or the items of a list, in one column"),
            ("a:\n  b: 1\n   c: 2\n", 3, "line up the keys of one section, in one column"),
            ("a: [b, c\nd: e\n", 2, "close it with `]`, or put a comma between the items"),
            ("a: {b: c\n", 2, "close it with `}`, or put a comma between the items"),
            ("run: echo a: b", 1, "quote a value that contains `: `"),
            ("image: @me", 1, "quote a value that starts with a special character"),
            ("image: `me`", 1, "quote a value that starts with a special character"),
            ('a: "never closed', 1, None),
        ],
    )
    def test_invalid_yaml_has_a_place_and_a_hint_for_usual_causes(self, text: str, line: int, hint: str | None) -> None:
        _, (found,) = read(text)
        assert found.code == "COG101"
        assert found.span is not None
        assert found.span.line == line
        assert found.hint == hint

    @pytest.mark.parametrize(("text", "column"), [("a: \x01", 4), ("é: ü \x1b[0m", 6), ("\x00", 1), ("ä: 1 # \x7f", 8)])
    def test_a_character_that_yaml_forbids_is_pointed_at(self, any_loader: None, text: str, column: int) -> None:
        assert places(text) == [("COG101", 1, column)]

    def test_a_key_must_be_text(self) -> None:
        assert places("? [a]\n: 1\nb: 2") == [("COG121", 1, 3)]

    def test_nesting_has_a_limit(self) -> None:
        assert [code for code, _, _ in places("[" * 100_000)] == ["COG107"]
        assert [code for code, _, _ in places("a:\n" + "".join(f"{' ' * i}- \n" for i in range(1, 200)))][:1] != []


class TestAliases:
    def test_an_alias_is_expanded_with_a_remark(self) -> None:
        root, found = read("a: &x [1]\nb: *x")
        assert root is not None
        assert plain(root) == {"a": [1], "b": [1]}
        assert [d.code for d in found] == ["COG109"]

    def test_a_merge_key_adds_what_is_not_there(self) -> None:
        assert value("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}") == {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}}

    def test_merge_keys_take_lists_and_the_first_wins(self) -> None:
        text = "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc:\n  <<: [*x, *y]"
        assert value(text) == {"a": {"p": 1}, "b": {"p": 2, "q": 2}, "c": {"p": 1, "q": 2}}

    def test_merging_something_else_is_an_error(self) -> None:
        assert ("COG121", 1, 5) in places("<<: 3")

    @pytest.mark.parametrize("text", ["a: *x", "a: &x [*x]", "a: &x {b: *x}"])
    def test_an_alias_without_a_finished_anchor_is_an_error(self, text: str) -> None:
        assert [code for code, _, _ in places(text)] == ["COG101"]

    def test_exploding_aliases_end_at_a_limit(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        assert [code for code, _, _ in places("\n".join(lines))] == ["COG107"]

    def test_too_many_values_end_at_a_limit(self) -> None:
        assert [code for code, _, _ in places("a: [" + "1," * 60_000 + "]")] == ["COG107"]


class TestScalars:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            *(("3.10", 3.1), ("3", 3), ("0o7", "0o7"), ("010", 8), ("0x1F", 31), ("1_000", 1000), ("1e3", "1e3")),
            *(("yes", True), ("off", False), ("True", True), ("y", "y"), ("null", None), ("~", None), ("", None)),
            *(("'3.10'", "3.10"), ('"true"', "true"), ("12:30", "12:30"), ("2024-01-01", "2024-01-01"), (".inf", None)),
            *(("|\n  a\n  b\n", "a\nb\n"), (">-\n  a\n  b\n", "a b"), ("!!str 3", "3"), ("1.5.2", "1.5.2")),
            ("9" * 5000, "9" * 5000),
        ],
    )
    def test_plain_scalars_are_read_as_yaml_1_1_does(self, text: str, expected: object) -> None:
        found = value(f"a: {text}")
        assert isinstance(found, dict)
        assert found["a"] == (float("inf") if text == ".inf" else expected)

    def test_the_written_text_is_kept(self) -> None:
        root, _ = read("python_version: 3.10")
        assert root is not None
        node = root.entries[0].value
        assert isinstance(node, ScalarNode)
        assert (node.text, node.value, node.is_quoted) == ("3.10", 3.1, False)


class TestPlaces:
    @pytest.mark.parametrize(
        "text",
        [
            "a: one\nb: two\nc: three",
            "a: one\r\nb: two\r\nc: three",
            "# \u2028# comment\na: one\nb: two",
            "a: 'x\u2028y'\nb: two",
            "a: 'x\u0085y'\nb: two",
            "a: 'x\u2029y'\nb: two\u2028\n",
            "a: one\rb: two\nc: three",
            "# a\r# b\r# c\na: one\nb: two",
            "\u00e9: \U0001f600\nb: '\U0001f600 two' # x",
        ],
    )
    def test_spans_are_lines_and_columns_of_the_file_whatever_yaml_calls_a_line(
        self, any_loader: None, text: str
    ) -> None:
        source = SourceFile("cog.yaml", text)
        root, _ = parse(source)
        assert root is not None
        for entry in root.entries:
            assert isinstance(entry.value, ScalarNode)
            assert written(source, entry.key_span) == entry.key
            assert written(source, entry.value.span).strip("'").split("\u2028")[0][:1] == entry.value.text[:1]

    def test_an_error_after_a_line_separator_is_on_the_line_of_the_file(self, any_loader: None) -> None:
        assert [place[:2] for place in places("a: 'x\u2028\u2029\u0085y'\nb: c: d")] == [("COG101", 2)]

    def test_a_collection_ends_where_its_last_item_does(self) -> None:
        root, _ = read("a: [1,\n  2]\nb: 3")
        assert root is not None
        assert root.entries[0].value.span == Span("cog.yaml", 1, 4, 2, 5)
