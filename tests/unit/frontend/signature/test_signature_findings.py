"""What is reported, and exactly where."""

from __future__ import annotations

import pytest

from cogc.diagnostics import Severity
from cogc.frontend.signature import OptionalOf, Scalar
from tests.unit.frontend.signature.support import HEADER, analyse, codes, only, predictor, signature


def marked(source: str, name: str = "Predictor") -> tuple[str, str]:
    """The code of the single finding, and the text that it underlines."""
    span = (diagnostic := only(source, name)).span
    assert span is not None
    assert span.line == span.end_line
    return diagnostic.code, source.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ("x", "COG407", "x"),
        ("x: bytes", "COG408", "bytes"),
        ("é: str, x: complex", "COG408", "complex"),
        ("x: Nowhere", "COG408", "Nowhere"),
        ("x: 'bytes'", "COG408", "'bytes'"),
        ("x: 'not a type'", "COG408", "'not a type'"),
        ("x: list[bytes]", "COG408", "bytes"),
        ("x: 3", "COG408", "3"),
        ("x: list[()]", "COG408", "list[()]"),
        ("x: PIL.Image", "COG409", "PIL.Image"),
        ("x: str = PIL.name", "COG410", "PIL.name"),
        ("x: str = Input(choices=PIL.names)", "COG411", "PIL.names"),
        ("x: int = Input(default=11, le=10)", "COG413", "11"),
        ("x: int = Input(ge=1, default=0)", "COG413", "0"),
        ("x: str = Input('abc', max_length=2)", "COG413", "'abc'"),
        ("x: str = Input('', min_length=1)", "COG413", "''"),
        ("x: str = Input('c', choices=['a', 'b'])", "COG414", "'c'"),
        ("x: Literal['a'] = 'b'", "COG414", "'b'"),
        ("x: int = Input(choices=[])", "COG415", "[]"),
        ("x: int = Input(choices=[1, True])", "COG415", "[1, True]"),
        ("x: Path = Input(choices=['a', 'b'])", "COG415", "['a', 'b']"),
        ("x: str = Input(ge=3)", "COG416", "3"),
        ("x: int = Input(regex='a')", "COG416", "'a'"),
        ("x: int = Input(accept='image/*')", "COG416", "'image/*'"),
        ("x: Union[int, str] = Input(ge=3)", "COG416", "3"),
        ("x: Union[int, str] = Input(choices=[3])", "COG416", "[3]"),
        ("x: int = Input(ge='3')", "COG417", "'3'"),
        ("x: int = Input(ge=True)", "COG417", "True"),
        ("x: int = Input(ge=3, le=2)", "COG417", "3"),
        ("x: str = Input(min_length=-1)", "COG417", "-1"),
        ("x: str = Input(regex='(')", "COG417", "'('"),
        ("x: str = Input(description=3)", "COG417", "3"),
        ("x: int = Input(gt=3)", "COG418", "gt=3"),
        ("x: int = Input(default_factory=list)", "COG418", "default_factory=list"),
        ("x: int = Input(1, 'd')", "COG418", "'d'"),
        ("x: int = 'a'", "COG419", "'a'"),
        ("x: list[int] = [1, 'a']", "COG419", "[1, 'a']"),
        ("x: Iterator[str]", "COG420", "Iterator[str]"),
        ("x: Union[Path, str]", "COG422", "Union[Path, str]"),
        ("x: list[list[str]]", "COG422", "list[list[str]]"),
        ("x: tuple[int, int]", "COG422", "tuple[int, int]"),
        ("x: Annotated[int, Input(ge=3)]", "COG422", "Input(ge=3)"),
        ("*args", "COG426", "args"),
        ("**kwargs", "COG426", "kwargs"),
        ("x: float = float('inf')", "COG428", "float('inf')"),
        ("x: pathlib.Path", "COG431", "pathlib.Path"),
    ],
)
def test_parameter_is_reported_where_it_stands(parameters: str, code: str, text: str) -> None:
    assert marked(predictor(parameters, before="import PIL, pathlib")) == (code, text)


@pytest.mark.parametrize(
    ("returns", "code", "text"),
    [
        ("bytes", "COG408", "bytes"),
        ("list[Iterator[str]]", "COG420", "Iterator[str]"),
        ("ConcatenateIterator[int]", "COG420", "ConcatenateIterator[int]"),
        ("Optional[str]", "COG422", "Optional[str]"),
        ("str | int", "COG422", "str | int"),
        ("set[str]", "COG422", "set[str]"),
        ("Dict[int, str]", "COG422", "Dict[int, str]"),
        ("Secret", "COG422", "Secret"),
        ("PIL.Image", "COG409", "PIL.Image"),
        ("List[PIL.Image]", "COG409", "PIL.Image"),
        ("Plain", "COG408", "Plain"),
        ("Derived", "COG409", "Derived"),
    ],
)
def test_output_is_reported_where_it_stands(returns: str, code: str, text: str) -> None:
    before = "import PIL\nclass Plain: pass\nclass Derived(PIL.Base): pass"
    assert marked(predictor("", returns, before)) == (code, text)


def test_missing_return_type_explains_itself_with_an_example() -> None:
    diagnostic = only(f"{HEADER}class Predictor:\n    def predict(self, x: str): ...\n")
    assert diagnostic.code == "COG406"
    assert "output type" in diagnostic.message
    assert diagnostic.hint is not None
    assert "def predict(self, prompt: str) -> str:" in diagnostic.hint
    assert "Any" in diagnostic.hint


def test_default_outside_its_bounds_names_the_bound() -> None:
    assert "minimum 1" in only(predictor("x: int = Input(default=0, ge=1)")).message
    assert "maximum 1" in only(predictor("x: int = Input(default=2, le=1)")).message


def test_unresolved_type_names_the_package_it_comes_from() -> None:
    diagnostic = only(predictor("x: Image", before="from PIL.Image import Image"))
    assert "(imported from `PIL.Image`)" in diagnostic.message
    assert diagnostic.severity is Severity.WARNING


def test_wrong_argument_gets_a_suggestion() -> None:
    assert "did you mean `le`?" in only(predictor("x: int = Input(maximum=3)")).message
    assert "did you mean `description`?" in only(predictor("x: int = Input(descripton='d')")).message


def test_type_of_a_broken_field_is_reported_in_the_class() -> None:
    source = predictor("", "Out", "class Out(BaseModel):\n    a: bytes\n")
    assert marked(source) == ("COG408", "bytes")


def test_class_that_contains_itself_is_an_open_object() -> None:
    found = signature(predictor("", "List[Node]", "class Node(BaseModel):\n    n: int\n    next: Optional['Node']\n"))
    assert found.output is not Scalar.UNKNOWN


def test_recursive_alias_ends() -> None:
    assert codes(predictor("", "List[Json]", "Json = Union[str, List['Json']]")) in ([], ["COG422"])


def test_enum_is_no_input_but_can_be_an_output() -> None:
    before = "import enum\nclass Color(enum.Enum):\n    RED = 'red'\n"
    assert marked(predictor("c: Color", before=before)) == ("COG408", "Color")
    assert codes(predictor("", "Color", before)) == []
    by_itself = before.replace("'red'", "enum.auto()")
    assert marked(predictor("", "Color", by_itself)) == ("COG409", "Color")


def test_fields_may_have_the_type_of_a_class_inside_their_class() -> None:
    before = "class R(BaseModel):\n    class Inner(BaseModel):\n        x: int\n    a: Inner\n    b: List['Inner']\n"
    assert set(codes(predictor("", "R", before))) == {"COG422"}


def test_aliases_and_future_annotations_are_understood() -> None:
    source = """
        from __future__ import annotations
        import typing as t
        import cog as c
        from cog import Input as I, Path as P
        from typing_extensions import Annotated, Literal
        Url = str
        Id = t.NewType("Id", int)
        class Predictor(c.BasePredictor):
            def predict(self, a: P, b: t.Optional[Url] = None, d: Annotated[Id, "note"] = I(ge=1, default=1),
                        e: Literal["x"] = "x", f: "t.List[P]" = []) -> t.Iterator[Url]: ...
        """
    assert [str(field.type) for field in signature(source).inputs][:1] == ["Path"]
    assert len(signature(source).inputs) == 5


@pytest.mark.parametrize(
    ("source", "code", "place"),
    [
        (b"def predict(:\n", "COG403", (1, 13)),
        (b"x = 1\n\n  y = 2\n", "COG403", None),
        (b"print 'x'\n", "COG403", (1, 1)),
        (b"x = '\x00'\n", "COG403", None),
        (b"\xff\xfe\x00", "COG404", (1, 1)),
        (b"x = 1\ny = '\xe9'\n", "COG404", (2, 1)),
        (b"# coding: nothing\n", "COG404", (1, 1)),
        (b"# coding: rot13\n", "COG404", (1, 1)),
        (b"# coding: punycode\n", "COG404", (1, 1)),
        (b"x = " + b"-" * 100_000 + b"1", "COG405", (1, 1)),
        (b"#" * (5 * 1024 * 1024 + 1), "COG405", (1, 1)),
    ],
)
def test_file_that_cannot_be_read_is_reported(source: bytes, code: str, place: tuple[int, int] | None) -> None:
    found, (diagnostic,) = analyse(source)
    assert found is None
    assert diagnostic.code == code
    assert diagnostic.span is not None
    assert place is None or (diagnostic.span.line, diagnostic.span.column) == place


@pytest.mark.parametrize(
    "source",
    [
        "# -*- coding: latin-1 -*-\ndef predict(é: str = 'é') -> str: ...\n".encode("latin-1"),
        "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\ndef predict(é: str = 'é') -> str: ...\n".encode("cp1252"),
        "\ufeffdef predict(é: str = 'é') -> str: ...\n".encode(),
        "def predict(é: str = 'é') -> str: ...\r\n".encode(),
        "x = 1\rdef predict(é: str = 'é') -> str: ...\r".encode(),
    ],
)
def test_source_encodings_and_line_ends_are_those_of_python(source: bytes) -> None:
    found, diagnostics = analyse(source, "predict")
    assert diagnostics == ()
    assert found is not None
    assert (found.inputs[0].name, found.inputs[0].default) == ("é", "é")


def test_columns_count_characters() -> None:
    assert marked('def predict(a: str = "äöü", b: bytes = "") -> str: ...', name="predict") == ("COG408", "bytes")


def test_newer_syntax_is_left_to_an_image_with_a_newer_python() -> None:
    source = "def predict(x: str) -> str:\n    match maybe new syntax\n"
    assert codes(source, "predict") == ["COG403"]
    assert codes(source, "predict", python_version="3.8") == ["COG403"]
    assert codes(source, "predict", python_version="3.99") == ["COG430"]


def test_broken_module_of_the_project_only_leaves_its_names_open() -> None:
    source = predictor("x: str = Input(choices=NAMES)", before="from names import NAMES")
    assert codes(source, others={"names.py": "def ("}) == ["COG411"]


def test_parameter_order_is_repaired_at_the_right_place() -> None:
    source = "def predict(a: int = 1, b: str = Input(choices=['x', 'y']), c: str, d: str) -> str: ...\n"
    found, diagnostics = analyse(f"from cog import Input\n{source}", "predict")
    assert found is not None
    assert [field.name for field in found.inputs] == ["a", "b", "c", "d"]
    (diagnostic,) = diagnostics
    assert diagnostic.fix is not None
    (edit,) = diagnostic.fix.edits
    column = edit.span.column - 1
    fixed = source[:column] + edit.replacement + source[column:]
    assert codes(f"from cog import Input\n{fixed}", "predict") == []


def test_invalid_escape_is_no_error_under_strict_warnings(recwarn: pytest.WarningsRecorder) -> None:
    assert codes("def predict(x: str = '\\d') -> str: ...\n", "predict") == []
    assert not recwarn.list


def test_several_findings_are_reported_together() -> None:
    assert sorted(codes(predictor("x, y: bytes, z: int = Input(3, le=2)"))) == ["COG407", "COG408", "COG413"]


def test_yield_of_an_inner_function_does_not_count() -> None:
    source = f"{HEADER}def predict(x: str) -> str:\n    def inner():\n        yield 1\n    return x\n"
    assert codes(source, "predict") == []


def test_output_class_within_the_predictor_is_found() -> None:
    source = f"""{HEADER}
class Predictor(BasePredictor):
    class Output(BaseModel):
        n: int
    Text = str
    def predict(self, a: Text, b: "Optional[Text]") -> List[Output]: ...
"""
    assert [field.type for field in signature(source).inputs] == ["str", OptionalOf(Scalar.STR)]


def test_name_that_is_not_imported_is_reported_once() -> None:
    source = (
        "from cog import BasePredictor\nclass Predictor(BasePredictor):\n    def predict(self, a: Path) -> Path: ...\n"
    )
    assert codes(source) == ["COG421"]
