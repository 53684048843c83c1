"""`-i` and `--json`: every rule by which text becomes a value, with the checks that follow."""

from __future__ import annotations

import base64
import json

import pytest

from cogc.client.inputs import JsonGiven, convert, convert_document, parse_assignment, read_document
from cogc.client.operation import Operation, read_operation
from cogc.client.validation import check_inputs
from tests.unit.client.test_operation import document

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
FILE = {"type": "string", "format": "uri"}
NO_FILE = "expected a file, @PATH, or a URL with http, https or data"


def operation(inputs, required=(), **others) -> Operation:
    found = read_operation(document(inputs, required=required, others=others), "predict")
    assert found is not None
    return found


def given(*texts: str):
    parsed = [parse_assignment(text) for text in texts]
    assert [problem for _, found in parsed for problem in found] == []
    return [one for one, _ in parsed]


def values_of(schema, *texts: str):
    """The value of the one input `x`, which must be there."""
    values, found = convert(given(*texts), operation({"x": schema, "other": STRING}))
    assert found == ()
    return values["x"]


def complaints(inputs, *texts: str, required=(), **others) -> list[str]:
    model = operation(inputs, required, **others)
    ones = given(*texts)
    values, found = convert(ones, model)
    found += check_inputs(values, model, {one.name for one in ones})
    return [problem.message for problem in found]


# -- NAME=VALUE -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["prompt", "", "=x"])
def test_a_name_and_a_value_are_needed(text):
    one, (problem,) = parse_assignment(text)
    assert one is None
    assert problem.code == "COG503"
    assert problem.message == f"Failed to parse input '{text}', expected format is 'name=value'"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=a=b", "a=b"),
        ("x=", ""),
        ('x="a b"', "a b"),
        ('x="', '"'),
        ('x=""', ""),
        ('x=say "hi"', 'say "hi"'),
        ("x=größe", "größe"),
    ],
)
def test_split_at_the_first_equals_sign_and_quotes_are_taken_off(text, value):
    assert values_of(STRING, text) == value


# -- by type ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        # string: as it is, whatever it looks like
        (STRING, "5", "5"),
        (STRING, "true", "true"),
        (STRING, '{"a": 1}', '{"a": 1}'),
        (FILE, "https://example.com/a.png", "https://example.com/a.png"),
        ({"type": "string", "format": "password", "x-cog-secret": True}, "s3cret", "s3cret"),
        # integer: decimal, else text
        (INTEGER, "5", 5),
        (INTEGER, "-5", -5),
        (INTEGER, "007", 7),
        (INTEGER, "123456789012345678901234567890", 123456789012345678901234567890),
        (INTEGER, "5.0", "5.0"),
        (INTEGER, "0x10", "0x10"),
        (INTEGER, "1_000", "1_000"),
        (INTEGER, "9" * 5000, "9" * 5000),
        (INTEGER, "true", "true"),
        # number: an integer where it looks like one
        (NUMBER, "5", 5),
        (NUMBER, "1.5", 1.5),
        (NUMBER, ".5", 0.5),
        (NUMBER, "1e-4", 1e-4),
        (NUMBER, "nan", "nan"),
        (NUMBER, "inf", "inf"),
        # boolean
        (BOOLEAN, "true", True),
        (BOOLEAN, "false", False),
        (BOOLEAN, "True", True),
        (BOOLEAN, "False", False),
        (BOOLEAN, "1", True),
        (BOOLEAN, "0", False),
        (BOOLEAN, "yes", "yes"),
        # object: JSON
        ({"type": "object"}, '{"a": [1, null]}', {"a": [1, None]}),
        ({"type": "object"}, "a: 1", "a: 1"),
        ({"type": "object"}, '{"a": NaN}', '{"a": NaN}'),
        # array: JSON, else one item
        ({"type": "array", "items": INTEGER}, "[1, 2]", [1, 2]),
        ({"type": "array", "items": INTEGER}, "1", [1]),
        ({"type": "array", "items": STRING}, "a,b", ["a,b"]),
        ({"type": "array", "items": STRING}, "[a]", ["[a]"]),
        ({"type": "array"}, "1", ["1"]),
        ({"type": "array", "items": INTEGER, "nullable": True}, "1", [1]),
        # unions: boolean, integer, number, then text
        ({"anyOf": [INTEGER, STRING]}, "5", 5),
        ({"anyOf": [STRING, INTEGER]}, "5", 5),
        ({"anyOf": [INTEGER, STRING]}, "5.5", "5.5"),
        ({"anyOf": [NUMBER, STRING]}, "5.5", 5.5),
        ({"anyOf": [BOOLEAN, INTEGER]}, "true", True),
        ({"anyOf": [BOOLEAN, INTEGER]}, "1", 1),
        ({"anyOf": [BOOLEAN, STRING]}, "1", "1"),
        ({"anyOf": [STRING, {"type": "object"}]}, '{"a": 1}', {"a": 1}),
        ({"anyOf": [STRING, {"type": "array", "items": INTEGER}]}, "[1]", [1]),
        ({"anyOf": [STRING, {"type": "array", "items": INTEGER}]}, "x", "x"),
        ({"anyOf": [INTEGER, {"type": "null"}]}, "5", 5),
        ({"type": "integer", "nullable": True}, "5", 5),
        # no type at all: what it looks like
        ({}, "5", 5),
        ({}, "five", "five"),
        ({}, '{"a": 1}', {"a": 1}),
        # choices
        ({"type": "integer", "enum": [1, 2]}, "2", 2),
        ({"type": "string", "enum": ["1", "2"]}, "2", "2"),
        ({"enum": [1, "a"]}, "a", "a"),
        ({"enum": [1, "a"]}, "1", 1),
    ],
)
def test_text_becomes_what_the_schema_says(schema, text, value):
    converted = values_of(schema, f"x={text}")
    assert converted == value
    assert type(converted) is type(value)


def test_repeated_inputs_are_a_list_in_order():
    array = {"type": "array", "items": INTEGER}
    assert values_of(array, "x=3", "x=1", "x=2") == [3, 1, 2]
    assert values_of({"anyOf": [STRING, array]}, "x=3", "x=1") == [3, 1]


def test_a_repeated_input_that_is_no_list_is_an_error():
    assert complaints({"x": STRING}, "x=1", "x=2", required=["x"]) == ['input "x" given more than once']


def test_choices_behind_a_reference_convert_by_their_type():
    model = operation({"x": {"allOf": [{"$ref": "#/components/schemas/x"}]}}, x={"type": "integer", "enum": [1, 2]})
    assert convert(given("x=2"), model)[0] == {"x": 2}


# -- files ------------------------------------------------------------------------------------------


def data(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.png", "image/png"),
        ("a.JPG", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.txt", "text/plain"),
        ("a.wav", "audio/wav"),
        ("weights", "application/octet-stream"),
        ("a.nobodyknows", "application/octet-stream"),
    ],
)
def test_a_file_is_a_data_url_with_its_type(name, media_type, tmp_path):
    (tmp_path / name).write_bytes(b"\x00\xff")
    assert values_of(FILE, f"x=@{tmp_path / name}") == data(b"\x00\xff", media_type)


def test_the_home_directory_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.txt").write_text("hi")
    assert values_of(FILE, "x=@~/a.txt") == data(b"hi", "text/plain")


def test_files_in_lists(tmp_path):
    paths = []
    for number in (1, 2):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"test{number}\n")
        paths.append(f"x=@{path}")
    array = {"type": "array", "items": FILE}
    assert values_of(array, *paths) == [data(b"test1\n", "text/plain"), data(b"test2\n", "text/plain")]
    assert values_of(array, paths[0]) == [data(b"test1\n", "text/plain")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.jpg", "no such file or directory"), (".", "is a directory"), ("a\0b", "not a valid path")],
)
def test_a_file_that_cannot_be_read(path, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complaints({"image": FILE}, f"image=@{path}", required=["image"]) == [
        f'input "image": open {path}: {reason}'
    ]


def test_a_file_alone_is_the_one_input(tmp_path):
    (tmp_path / "a.txt").write_text("hi")
    values, found = convert(given(f"@{tmp_path / 'a.txt'}"), operation({"image": FILE}))
    assert (values, found) == ({"image": data(b"hi", "text/plain")}, ())
    assert complaints({"a": FILE, "b": FILE}, "@x") == ["Failed to parse input '@x', expected format is 'name=value'"]


# -- names ------------------------------------------------------------------------------------------


def test_unknown_names():
    two = {"a": STRING, "b": STRING}
    assert complaints(two, "nope=1") == ['unknown input "nope"; valid inputs are: a, b']
    assert complaints(two, "nope=1", "neither=2") == ['unknown inputs "nope", "neither"; valid inputs are: a, b']
    assert complaints({}, "nope=1") == ['unknown input "nope"; model does not accept inputs']


def test_a_misspelt_name_is_corrected():
    _, (problem,) = convert(given("promt=x"), operation({"prompt": STRING}))
    assert problem.hint == "did you mean `prompt`?"


# -- checks -----------------------------------------------------------------------------------------


def test_missing_inputs():
    inputs = {"prompt": {**STRING, "description": "What  to\ndraw"}, "seed": INTEGER}
    model = operation(inputs, ["prompt"])
    (problem,) = check_inputs({}, model)
    assert (problem.code, problem.message) == ("COG712", 'missing required input "prompt"')
    assert problem.hint == "prompt: What to draw"
    assert check_inputs({"prompt": "x"}, model) == ()


@pytest.mark.parametrize(
    ("schema", "text", "reason"),
    [
        (INTEGER, "abc", "expected integer, got string"),
        (NUMBER, "abc", "expected number, got string"),
        (BOOLEAN, "yes", "expected boolean, got string"),
        ({"type": "object"}, "abc", "expected object, got string"),
        ({"type": "array", "items": INTEGER}, '["a"]', "item 1: expected integer, got string"),
        ({"type": "string", "enum": ["small", "medium", "large"]}, "tiny", "must be one of: small, medium, large"),
        ({"type": "integer", "enum": [1, 2]}, "3", "must be one of: 1, 2"),
        ({"type": "integer", "minimum": 2}, "1", "must be at least 2"),
        ({"type": "number", "maximum": 10}, "10.5", "must be at most 10"),
        ({"type": "number", "exclusiveMinimum": 0}, "0", "must be more than 0"),
        ({"type": "string", "minLength": 2}, "a", "must have at least 2 characters"),
        ({"type": "string", "maxLength": 1}, "ab", "must have at most 1 character"),
        ({"type": "string", "pattern": "^a+$"}, "b", "must match ^a+$"),
        ({"type": "array", "items": INTEGER, "minItems": 2}, "1", "must have at least 2 items"),
        ({"anyOf": [INTEGER, BOOLEAN]}, "abc", "expected integer or boolean, got string"),
        ({"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]}, "1", "must be at least 2"),
        ({"type": "integer", "minimum": 2, "nullable": True}, "1", "must be at least 2"),
        ({"type": "object", "properties": {"a": INTEGER}}, '{"a": "b"}', "`a`: expected integer, got string"),
        ({"type": "object", "required": ["a"]}, "{}", "lacks `a`"),
        (FILE, "photo.jpg", NO_FILE),
        (FILE, "file:///photo.jpg", NO_FILE),
        ({"type": "array", "items": FILE}, '["https://example.com/a.jpg", "b.jpg"]', f"item 2: {NO_FILE}"),
    ],
)
def test_values_that_do_not_fit(schema, text, reason):
    assert complaints({"x": schema}, f"x={text}") == [f'invalid input "x": {reason}']


@pytest.mark.parametrize("text", ["https://example.com/a.jpg", "HTTP://a/b", "data:text/plain,a"])
def test_urls_that_a_server_takes_for_files_pass(text):
    assert complaints({"x": FILE}, f"x={text}") == []


def test_text_passes_where_a_file_is_one_of_several_types():
    assert complaints({"x": {"anyOf": [FILE, STRING]}}, "x=photo.jpg") == []


@pytest.mark.parametrize("schema", [{"type": "integer"}, {"type": "number"}])
def test_numbers_within_their_bounds_pass(schema):
    assert complaints({"x": {**schema, "minimum": 0, "maximum": 10}}, "x=10") == []


def test_several_errors_are_told_at_once():
    inputs = {"a": INTEGER, "b": BOOLEAN, "c": STRING}
    assert complaints(inputs, "a=x", "b=y", "d=z", required=["c"]) == [
        'unknown input "d"; valid inputs are: a, b, c',
        'invalid input "a": expected integer, got string',
        'invalid input "b": expected boolean, got string',
        'missing required input "c"',
    ]


def test_a_file_that_is_missing_is_one_error():
    assert complaints({"x": FILE}, "x=@/nope", required=["x"]) == ['input "x": open /nope: no such file or directory']


def test_secrets_are_never_shown():
    secret = {"type": "string", "format": "password", "x-cog-secret": True, "maxLength": 3}
    assert "hunter2" not in " ".join(complaints({"x": secret}, "x=hunter2"))


@pytest.mark.parametrize("schema", [{"type": "string", "pattern": "(?P<"}, {"type": "tensor"}])
def test_what_means_nothing_here_is_left_to_the_server(schema):
    assert complaints({"x": schema}, "x=a") == []


def test_null():
    model = operation({"a": INTEGER, "b": INTEGER, "c": {"type": "integer", "nullable": True}}, ["a", "c"])
    found = check_inputs({"a": None, "b": None, "c": None}, model)
    assert [problem.message for problem in found] == ['invalid input "a": must not be null']


# -- --json -----------------------------------------------------------------------------------------


def no_input() -> bytes:
    raise AssertionError("standard input is not read")


def test_json_inline_from_a_file_and_from_standard_input(tmp_path):
    text = '{"prompt": "größe"}'
    (tmp_path / "in.json").write_text(text, "utf-8")
    assert read_document(text, no_input)[0] == JsonGiven({"prompt": "größe"})
    assert read_document(f"@{tmp_path / 'in.json'}", no_input)[0] == JsonGiven({"prompt": "größe"})
    for name in ("-", "@-"):
        assert read_document(name, text.encode)[0] == JsonGiven({"prompt": "größe"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Failed to parse JSON: "),
        ("[1]", "Failed to parse JSON: the inputs are an object"),
        ("3", "Failed to parse JSON: the inputs are an object"),
        ('{"a": NaN}', "Failed to parse JSON: NaN is not JSON"),
        ("[" * 200_000, "Failed to parse JSON: it is nested too deep"),
    ],
)
def test_json_that_is_none(text, said):
    found, (problem,) = read_document(text, no_input)
    assert found is None
    assert problem.code == "COG714"
    assert problem.message.startswith(said)


def test_json_that_is_not_text_or_not_there(tmp_path):
    assert read_document("-", lambda: b"\xff")[1][0].message == "Failed to parse JSON: it is not UTF-8 text"
    (problem,) = read_document(f"@{tmp_path / 'no.json'}", no_input)[1]
    assert (problem.code, "no such file" in problem.message) == ("COG713", True)


def test_files_of_a_json_document_are_where_the_schema_wants_files(tmp_path):
    (tmp_path / "a.txt").write_text("hi")
    inputs = {
        "image": FILE,
        "images": {"type": "array", "items": FILE},
        "prompt": STRING,
        "either": {"anyOf": [INTEGER, FILE]},
    }
    at = f"@{tmp_path / 'a.txt'}"
    url = data(b"hi", "text/plain")
    document_of = {"image": at, "images": [at, "https://x"], "prompt": "@someone", "either": at}
    values, found = convert_document(JsonGiven(document_of), operation(inputs))
    assert found == ()
    assert values == {"image": url, "images": [url, "https://x"], "prompt": "@someone", "either": url}


def test_json_values_are_checked_and_not_converted():
    model = operation({"n": INTEGER, "x": STRING}, ["x"])
    values, found = convert_document(JsonGiven({"n": "5", "nope": 1}), model)
    found += check_inputs(values, model)
    assert [problem.message for problem in found] == [
        'unknown input "nope"; valid inputs are: n, x',
        'invalid input "n": expected integer, got string',
        'missing required input "x"',
    ]


def test_what_goes_over_the_wire_is_json():
    inputs = {"a": INTEGER, "b": NUMBER, "c": BOOLEAN, "d": {"type": "object"}}
    values, _ = convert(given("a=1", "b=.5", "c=1", 'd={"k": [1]}'), operation(inputs))
    assert json.loads(json.dumps(values)) == {"a": 1, "b": 0.5, "c": True, "d": {"k": [1]}}
