"""Types, output objects, and the conversion of values."""

# Runs on Python 3.8 as well.
# ruff: noqa: RUF012, UP006, UP031, UP035, UP045

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import enum
import io
import pickle
import sys
import types
from typing import Any, Dict, List, NamedTuple, Optional

import pytest

import cog
from cog import BaseModel, File, Path, Secret, URLFile, URLPath
from cog.reading import Reader
from cog.values import OutputError, encode, encode_inline


class Output(BaseModel):
    score: Optional[float]
    file: Optional[Path]


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    label: Optional[str] = None


class Pair(NamedTuple):
    a: int
    b: str


def encoded(value: Any, annotation: Any = Any) -> Any:
    return encode(value, Reader("output", "the output").read(annotation))[0]


# -- output objects


def test_optional_fields_may_be_left_out_and_are_not_sent():
    assert encoded(Output(score=1.5)) == {"score": 1.5}
    assert encoded(Output(score=None)) == {"score": None}
    assert encoded(Output(score=1.5), Output) == {"score": 1.5}
    assert Output().score is None


def test_a_field_with_none_as_its_default_may_be_left_out_or_none():
    class Plain(BaseModel):
        text: str
        file: Path = None

    assert encoded(Plain(text="a"), Plain) == {"text": "a"}
    assert encoded(Plain(text="a", file=None), Plain) == {"text": "a", "file": None}


def test_objects_have_the_surface_of_pydantics():
    class Inner(BaseModel):
        n: int = 1

    class Whole(BaseModel):
        inner: Inner
        tags: List[str] = []
        json: str = "x"
        items: int

    made = Whole(inner=Inner(), items=2)
    assert made.dict() == made.model_dump() == {"inner": {"n": 1}, "tags": [], "json": "x", "items": 2}
    assert made.model_dump(exclude_unset=True) == {"inner": {"n": 1}, "items": 2}
    assert made.model_dump_json() == '{"inner": {"n": 1}, "tags": [], "json": "x", "items": 2}'
    assert made == Whole(inner=Inner(), items=2)
    assert made.tags is not Whole(inner=Inner(), items=2).tags
    assert made.model_copy(update={"items": 3}).items == 3
    assert encoded(made) == {"inner": {"n": 1}, "tags": [], "json": "x", "items": 2}
    assert repr(Inner()) == ".Inner(n=1)"[1:]
    with pytest.raises(TypeError, match="needs the field 'inner', 'items'"):
        Whole()
    with pytest.raises(TypeError, match="has no field 'other'"):
        Whole(inner=Inner(), items=1, other=2)


def test_inheritance_and_late_values():
    class More(Output):
        extra: str = "e"

    made = More()
    made.score = 2
    assert encoded(made) == {"score": 2, "extra": "e"}
    assert pickle.loads(pickle.dumps(Output(score=1))) == Output(score=1)
    assert copy.deepcopy(Output(score=1)) == Output(score=1)


# -- outputs


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, False), (0, 0), ("", ""), ([], []), (None, None), (1.5, 1.5), ((1, 2), [1, 2]), ({3}, [3]),
        (frozenset("a"), ["a"]), ((n for n in "ab"), ["a", "b"]), (range(2), [0, 1]), (Colour.RED, "red"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05"), (datetime.date(2024, 1, 2), "2024-01-02"),
        (Point(1), {"x": 1, "label": None}), ({"a": {"b": (Colour.RED,)}}, {"a": {"b": ["red"]}}),
        ({2: "a", None: "b", True: "c", Colour.RED: "d"}, {"2": "a", "null": "b", "true": "c", "red": "d"}),
        (collections.OrderedDict(a=1), {"a": 1}), (Pair(1, "x"), [1, "x"]), (Secret("s"), "**********"),
        ("\udcff", "\ufffd"), (collections.deque([1]), [1]),
    ],
)  # fmt: skip
def test_natural_values(value, expected):
    found = encoded(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_value_that_appears_twice_is_no_cycle():
    shared = [1]
    assert encoded([shared, shared, {"a": shared}]) == [[1], [1], {"a": [1]}]


def test_declared_types_convert_what_is_the_same_number():
    assert repr(encoded([1, True], List[float])) == "[1.0, 1.0]"
    assert repr(encoded(2.0, int)) == "2"
    assert encoded(Pair(1, "x"), Pair) == {"a": 1, "b": "x"}
    assert encoded({"x": 1}, Point) == {"x": 1}
    assert encoded("https://x/y.png", Path) == "https://x/y.png"
    with pytest.raises(OutputError, match="the field x of Point is missing"):
        encoded({}, Point)
    with pytest.raises(OutputError, match=r"output\.score must be float, but the model returned str"):
        encoded(Output(score="x"), Output)


def test_library_numbers_arrays_and_tensors_without_importing_the_library(monkeypatch):
    class Tensor:
        def detach(self):
            return self

        cpu = detach

        def tolist(self):
            return [[1.0, 2.0]]

    torch = types.ModuleType("torch")
    torch.Tensor = Tensor
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert encoded({"t": Tensor()}) == {"t": [[1.0, 2.0]]}


def test_numpy_values():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.float32(0.5), "b": numpy.int64(3), "c": numpy.arange(4).reshape(2, 2), "d": numpy.bool_(True)}
    assert encoded(value) == {"a": 0.5, "b": 3, "c": [[0, 1], [2, 3]], "d": True}
    assert encoded(numpy.float64(2), float) == 2.0
    assert encoded(numpy.array([1, 2]), List[int]) == [1, 2]
    with pytest.raises(OutputError, match=r"output\[1\] is NaN"):
        encoded(numpy.array([1.0, float("nan")]))


def test_pydantic_objects():
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        path: Path
        secret: Secret
        maybe: Optional[int] = None

    made = Model(path="/tmp/x", secret="s")
    assert isinstance(made.path, Path)
    plain, files = encode(made)
    assert plain == {"path": None, "secret": "**********"}
    assert [str(file.source) for file in files] == ["/tmp/x"]
    assert Model.model_json_schema()["properties"]["path"]["format"] == "uri"


def test_coders_carry_classes_of_the_model():
    class Complex:
        def __init__(self, re, im):
            self.re, self.im = re, im

    class ComplexCoder(cog.Coder):
        @staticmethod
        def factory(tpe):
            return ComplexCoder() if tpe is Complex else None

        def encode(self, value):
            return {"re": value.re, "im": value.im}

        def decode(self, value):
            return Complex(**value)

    cog.Coder.register(ComplexCoder)
    try:
        assert encoded(Complex(1, 2), Complex) == {"re": 1, "im": 2}
        assert encoded([Complex(1, 2)]) == [{"re": 1, "im": 2}]
    finally:
        cog.Coder._registered.remove(ComplexCoder)


def test_files_inline_are_data_urls(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello")
    text = "data:text/plain;base64,aGVsbG8="
    with open(path) as handle:
        handle.read()
        assert encode_inline({"p": path, "l": [io.StringIO("hello")], "h": handle}) == {
            "p": text, "l": ["data:application/octet-stream;base64,aGVsbG8="], "h": text,
        }  # fmt: skip
    assert encode_inline(path) == text


# -- types


def test_secret_shows_itself_to_nobody():
    secret = Secret("text")
    assert "text" not in str(secret) + repr(secret) + "%s %r" % (secret, [secret])
    assert str(secret) == "**********"
    assert str(Secret("")) == ""
    assert secret.get_secret_value() == "text"
    assert (len(secret), secret == Secret("text"), secret != "text") == (4, True, True)


def test_path_is_a_path():
    import pathlib

    path = Path("/tmp") / "a.png"
    assert type(path) is Path
    assert isinstance(path, pathlib.Path)
    assert pickle.loads(pickle.dumps(path)) == path
    assert copy.deepcopy(path).suffix == ".png"


def test_file_takes_what_can_be_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"path")
    handle = io.BytesIO(b"x")
    assert File(handle) is handle
    assert isinstance(handle, File)
    assert File(b"bytes").read() == b"bytes"
    with File(tmp_path / "a") as opened:
        assert opened.read() == b"path"

    class Image:
        format = None

        def save(self, file, format):
            file.write(format.encode())

    image = File(Image())
    assert (image.read(), image.name) == (b"PNG", "output.png")
    with pytest.raises(TypeError, match="got int"):
        File(3)


def test_url_files_are_lazy_and_can_be_pickled():
    file = URLFile("https://example.com/a%20b.png")
    assert file.name == "a b.png"
    assert pickle.loads(pickle.dumps(file)).url == file.url
    with pytest.raises(ValueError, match="valid URL scheme"):
        URLFile("file:///etc/passwd")
    path = URLPath(source="data:text/plain,hello", filename="x.txt")
    assert path.convert().read_text() == "hello"
    assert path.convert().suffix == ".txt"
    path.unlink()


def test_urls_are_fetched_over_http_with_redirects_within_http(tmp_path):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    from cog.files import fetch

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            target = {"/r/x.png": "/x.png", "/f": "ftp://x/y"}.get(self.path)
            self.send_response(302 if target else 200)
            if target:
                self.send_header("Location", target)
            self.end_headers()
            if not target:
                self.wfile.write(b"line 1\nline 2" + self.headers["User-Agent"].encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        base = "http://127.0.0.1:%d" % server.server_port
        found = fetch(base + "/r/x.png", str(tmp_path))
        assert found.endswith("x.png")
        with URLFile(base + "/a.txt") as file:
            assert next(iter(file)) == b"line 1\n"
            assert file.read() == b"line 2cog-worker/" + cog.__version__.encode()
        with pytest.raises(ValueError, match="neither http nor https"):
            fetch(base + "/f")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x/a/b.png?token=1", "b.png"), ("https://x/", "file"), ("https://x/..", "file"),
        ("https://x/a%2Fb%00c.txt", "a_b_c.txt"), ("data:image/png;base64,xx", "file.png"), ("data:,x", "file"),
    ],
)  # fmt: skip
def test_names_of_local_copies(url, name):
    from cog.files import file_name

    assert file_name(url) == name


def test_long_names_keep_their_ending():
    from cog.files import file_name

    name = file_name("https://x/" + "ä" * 300 + ".tar.png")
    assert name.endswith("~.png")
    assert len(name.encode()) <= 200


# -- metrics


def test_metric_names_and_types():
    from cog.metrics import Metrics

    sent = []
    metrics = Metrics(lambda *change: sent.append(change))
    metrics.record("a.b_c", 1)
    metrics.record("a.b_c", 2, mode="incr")
    metrics["list"] = 1
    assert metrics["a.b_c"] == 3
    assert sent == [("a.b_c", 1, "replace"), ("a.b_c", 2, "incr"), ("list", 1, "replace")]
    metrics.record("l", "x", mode="append")
    metrics.record("l", "y", mode="append")
    assert metrics["l"] == ["x", "y"]
    metrics["list"] = None
    metrics["list"] = "text"
    for name in ("predict_time", "cog.x", "1a", "a__b", "a_", "a.b.c.d.e", "a" * 129, "", "a b", 3):
        with pytest.raises(ValueError):
            metrics.record(name, 1)
    for value, mode in ((True, "incr"), ("x", "incr"), (object(), "replace"), (b"x", "replace"), (1.5, "replace")):
        with pytest.raises(TypeError):
            metrics.record("a.b_c", value, mode)
    with pytest.raises(ValueError, match="not a mode"):
        metrics.record("x", 1, "add")


def test_scope_outside_a_prediction_forgets():
    cog.current_scope().record_metric("a", 1)
    assert cog.current_scope().metrics.get("a") is None
    assert cog.current_scope().context == {}


def test_typed_dicts_of_the_declared_output():
    assert encoded({"a": [1]}, Dict[str, List[int]]) == {"a": [1]}
