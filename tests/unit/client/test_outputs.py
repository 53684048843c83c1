"""What is written where: every row of the table of outputs, for predictions and trainings."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from cogc.client.operation import Operation, read_operation
from cogc.client.outputs import Destination, check_destination, document_output, write_output
from cogc.client.problems import OutputProblem
from tests.unit.client.test_operation import document

FILE = {"type": "string", "format": "uri"}
FILES = {"type": "array", "items": FILE}
TEXT = {"type": "string"}
PIECES = {"type": "array", "items": TEXT, "x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}
LIST = {"type": "array", "items": TEXT}
OBJECT = {"type": "object", "properties": {"image": FILE, "score": {"type": "number"}}}


class Results:
    """What is printed, and which files were written."""

    def __init__(self) -> None:
        self.text = ""
        self.paths: list[str] = []

    def print(self, text: str) -> None:
        self.text += text

    def written(self, path: Path) -> None:
        self.paths.append(str(path))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def url(content: bytes | str = b"pixels", media_type: str = "image/png") -> str:
    content = content.encode() if isinstance(content, str) else content
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def operation(schema, mode="predict") -> Operation:
    found = read_operation(document({}, schema, mode=mode), mode)
    assert found is not None
    return found


def write(schema, output, path: str | None = None, *, mode: str = "predict", is_printed: bool = False) -> Results:
    results = Results()
    destination = Destination.of(path, is_training=mode == "train")
    model = operation(schema, mode)
    assert check_destination(destination, model) == ()
    found = write_output(output, model, destination, results, is_printed=is_printed)
    assert found == ()
    return results


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestOneFile:
    @pytest.mark.parametrize(
        ("media_type", "name"),
        [
            ("image/png", "output.png"),
            ("image/jpeg", "output.jpg"),
            ("image/webp", "output.webp"),
            ("audio/mpeg", "output.mp3"),
            ("audio/wav", "output.wav"),
            ("video/mp4", "output.mp4"),
            ("text/plain", "output.txt"),
            ("application/json", "output.json"),
            ("application/zip", "output.zip"),
            ("application/x-tar", "output.tar"),
            ("model/gltf-binary", "output.glb"),
            ("application/octet-stream", "output.bin"),
            ("application/x-nobody-knows", "output.bin"),
            ("None", "output"),
            ("", "output"),
        ],
    )
    def test_is_named_after_its_type(self, media_type, name, here):
        results = write(FILE, url(media_type=media_type))
        assert files(here) == {name: b"pixels"}
        assert results.paths == [name]
        assert results.text == ""

    @pytest.mark.parametrize("path", ["out", "out.jpg", "@out", "./sub/out.x"])
    def test_goes_exactly_where_it_is_wanted(self, path, here):
        (here / "sub").mkdir()
        write(FILE, url(), path)
        assert files(here) == {os.path.normpath(path.removeprefix("@")): b"pixels"}

    def test_goes_into_a_directory_under_its_usual_name(self, here):
        (here / "results").mkdir()
        write(FILE, url(), "results")
        assert files(here) == {"results/output.png": b"pixels"}

    def test_the_home_directory_is_expanded(self, here, monkeypatch):
        monkeypatch.setenv("HOME", str(here / "home"))
        (here / "home").mkdir()
        write(FILE, url(), "~/a.png")
        assert files(here) == {"home/a.png": b"pixels"}

    def test_replaces_what_is_there(self, here):
        (here / "output.png").write_bytes(b"old, and longer than the new one")
        write(FILE, url())
        assert files(here) == {"output.png": b"pixels"}

    def test_is_not_fetched_when_it_was_uploaded(self, here):
        results = write(FILE, "https://example.com/a.png", "out.png")
        assert results.text == "https://example.com/a.png\n"
        assert files(here) == {}

    def test_without_a_type_and_a_directory_of_the_default_name(self, here):
        (here / "output").mkdir()
        with pytest.raises(OutputProblem) as raised:
            write_output(url(media_type="None"), operation(FILE), Destination.of(None), Results())
        assert raised.value.diagnostic.code == "COG501"
        assert "output is a directory" in raised.value.diagnostic.message
        assert raised.value.diagnostic.hint == "--output PATH names a file"

    def test_that_may_be_none(self, here):
        write({**FILE, "nullable": True}, url())
        assert files(here) == {"output.png": b"pixels"}

    def test_of_a_model_that_does_not_say_its_type(self, here):
        write({}, url())
        assert files(here) == {"output.png": b"pixels"}

    @pytest.mark.parametrize("damaged", ["data:image/png;base64,a", "data:image/png;base64,ü", "data:"])
    def test_that_is_damaged(self, damaged, here):
        with pytest.raises(OutputProblem) as raised:
            write_output(damaged, operation(FILE), Destination.of(None), Results())
        assert raised.value.diagnostic.code == "COG724"
        assert files(here) == {}

    def test_without_base64(self, here):
        write(FILE, "data:text/plain,hello%20you")
        assert files(here) == {"output.txt": b"hello you"}


class TestSeveralFiles:
    def test_are_numbered(self, here):
        results = write(FILES, [url(b"a"), url("b", "text/plain")])
        assert files(here) == {"output.0.png": b"a", "output.1.txt": b"b"}
        assert results.paths == ["output.0.png", "output.1.txt"]

    def test_take_the_suffix_that_is_wanted(self, here):
        write(FILES, [url(b"a"), url("b", "text/plain")], "out.jpg")
        assert files(here) == {"out.0.jpg": b"a", "out.1.jpg": b"b"}

    def test_have_their_own_extension_where_none_is_wanted(self, here):
        write(FILES, [url(b"a"), url("b", "text/plain")], "out")
        assert files(here) == {"out.0.png": b"a", "out.1.txt": b"b"}

    def test_go_into_a_directory(self, here):
        (here / "d.png").mkdir()
        write(FILES, [url(b"a")], "d.png")
        assert files(here) == {"d.png/output.0.png": b"a"}

    def test_that_were_uploaded_are_printed(self, here):
        assert write(FILES, ["https://a/1", url(b"b")]).text == "https://a/1\n"
        assert files(here) == {"output.1.png": b"b"}

    def test_none_at_all(self, here):
        assert write(FILES, []).text == ""
        assert files(here) == {}


class TestText:
    def test_is_printed_with_a_line_break(self, here):
        assert write(TEXT, "größe\n").text == "größe\n\n"
        assert files(here) == {}

    def test_is_written_without_one(self, here):
        results = write(TEXT, "größe", "out.txt")
        assert (results.text, files(here)) == ("", {"out.txt": "größe".encode()})
        assert results.paths == ["out.txt"]

    def test_goes_into_a_directory(self, here):
        (here / "d").mkdir()
        write(TEXT, "a", "d")
        assert files(here) == {"d/output.txt": b"a"}

    def test_that_looks_like_a_data_url_is_text(self, here):
        assert write(TEXT, url()).text == url() + "\n"

    def test_that_is_empty_is_an_output(self):
        assert write(TEXT, "").text == "\n"


class TestPieces:
    def test_are_joined(self, here):
        assert write(PIECES, ["a", "b", " c"]).text == "ab c\n"
        write(PIECES, ["a", "b"], "out")
        assert files(here) == {"out": b"ab"}

    def test_that_were_printed_as_they_came_are_not_printed_again(self):
        assert write(PIECES, ["a", "b"], is_printed=True).text == ""

    def test_of_a_list_that_is_not_to_be_joined(self):
        assert json.loads(write(LIST, ["a", "b"]).text) == ["a", "b"]


class TestEverythingElse:
    @pytest.mark.parametrize("output", [0, False, 1.5, [], {}, [["n02123159", "tiger_cat", 0.3]], {"a": "größe"}])
    def test_is_json_with_two_spaces(self, output):
        assert write({}, output).text == json.dumps(output, indent=2, ensure_ascii=False) + "\n"

    def test_goes_where_it_is_wanted(self, here):
        results = write({"type": "integer"}, 3, "out")
        assert (results.text, files(here)) == ("", {"out": b"3\n"})
        (here / "d").mkdir()
        write({"type": "integer"}, 3, "d")
        assert files(here)["d/output.json"] == b"3\n"

    def test_files_in_an_object_are_written_and_named(self, here):
        results = write(OBJECT, {"image": url(b"a"), "score": 1.5})
        assert json.loads(results.text) == {"image": "output.image.png", "score": 1.5}
        assert files(here) == {"output.image.png": b"a"}

    def test_files_in_an_object_go_beside_its_document(self, here):
        (here / "d").mkdir()
        write(OBJECT, {"image": url(b"a"), "score": 1.5}, "d/out.json")
        assert sorted(files(here)) == ["d/out.image.png", "d/out.json"]
        assert json.loads(files(here)["d/out.json"]) == {"image": "d/out.image.png", "score": 1.5}

    def test_text_in_an_object_stays_text(self, here):
        schema = {"type": "object", "properties": {"note": TEXT}}
        assert json.loads(write(schema, {"note": url()}).text) == {"note": url()}
        assert files(here) == {}

    def test_files_deep_inside(self, here):
        schema = {"type": "array", "items": {"type": "object", "properties": {"images": FILES}}}
        results = write(schema, [{"images": [url(b"a"), url(b"b")]}, {"images": ["https://x"]}])
        assert json.loads(results.text) == [
            {"images": ["output.0.images.0.png", "output.0.images.1.png"]},
            {"images": ["https://x"]},
        ]
        assert files(here) == {"output.0.images.0.png": b"a", "output.0.images.1.png": b"b"}

    def test_names_of_members_cannot_leave_the_directory(self, here):
        write({"type": "object", "additionalProperties": FILE}, {"../../etc/a b": url(b"a")})
        assert files(here) == {"output..._.._etc_a_b.png": b"a"}

    def test_an_output_of_another_type_than_promised_is_shown_as_it_is(self):
        assert write(TEXT, {"a": 1}).text == '{\n  "a": 1\n}\n'
        assert write(FILES, "x").text == '"x"\n'


def test_no_output_is_a_warning(here):
    for schema in (FILE, FILES, TEXT, PIECES, {}):
        results = Results()
        (found,) = write_output(None, operation(schema), Destination.of("out"), results)
        assert (found.code, found.severity, found.message) == ("COG723", "warning", "No output generated")
        assert (results.text, results.paths, files(here)) == ("", [], {})


class TestTraining:
    def test_a_file_is_exactly_weights(self, here):
        write(FILE, url("hello train", "application/octet-stream"), mode="train")
        assert files(here) == {"weights": b"hello train"}

    def test_text_is_weights(self, here):
        results = write(TEXT, "hello", mode="train")
        assert (results.text, files(here)) == ("", {"weights": b"hello"})

    def test_files_are_numbered(self, here):
        write(FILES, [url(b"a"), url(b"b", "application/zip")], mode="train")
        assert files(here) == {"weights.0.png": b"a", "weights.1.zip": b"b"}

    def test_an_object_with_weights(self, here):
        schema = {"type": "object", "properties": {"weights": FILE, "log": FILE, "steps": {"type": "integer"}}}
        output = {"weights": url(b"w", "application/octet-stream"), "log": url("l", "text/plain"), "steps": 3}
        results = write(schema, output, mode="train")
        assert files(here) == {"weights": b"w", "weights.log.txt": b"l"}
        assert json.loads(results.text) == {"weights": "weights", "log": "weights.log.txt", "steps": 3}

    def test_an_object_with_weights_elsewhere(self, here):
        schema = {"type": "object", "properties": {"weights": FILE, "log": FILE}}
        write(schema, {"weights": url(b"w"), "log": url("l", "text/plain")}, "tuned.tar", mode="train")
        assert files(here) == {"tuned.tar": b"w", "tuned.log.txt": b"l"}

    def test_an_object_without_weights_is_the_document(self, here):
        results = write({"type": "object"}, {"loss": 0.5}, mode="train")
        assert (results.text, json.loads(files(here)["weights"])) == ("", {"loss": 0.5})

    def test_weights_that_were_uploaded(self, here):
        schema = {"type": "object", "properties": {"weights": FILE}}
        write(schema, {"weights": "https://a/w.tar"}, mode="train")
        assert json.loads(files(here)["weights"]) == {"weights": "https://a/w.tar"}

    def test_a_directory_called_weights_is_found_before_the_training(self, here):
        (here / "weights").mkdir()
        (found,) = check_destination(Destination.of(None, is_training=True), operation(FILE, "train"))
        assert (found.code, found.hint) == ("COG501", "--output PATH names a file")


class TestWritability:
    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("no/such/file.png", "no/such does not exist"),
            ("file/inside.png", "file is not a directory"),
            ("new/", "new does not exist"),
        ],
    )
    def test_is_checked_before(self, path, reason, here):
        (here / "file").write_text("")
        destination = Destination.of(path)
        found = check_destination(destination, operation(FILE))
        (problem,) = found
        assert problem.code == "COG501"
        assert problem.message.startswith("Output path is not writable: ")
        assert reason in problem.message

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_file_and_a_directory_without_permission(self, here):
        (here / "closed").mkdir(mode=0o500)
        (here / "old.png").write_bytes(b"")
        (here / "old.png").chmod(0o400)
        for path in ("closed", "closed/a.png", "old.png"):
            (problem,) = check_destination(Destination.of(path), operation(FILE))
            assert "permission denied" in problem.message

    def test_what_fails_in_the_end_is_said(self, here):
        destination = Destination.of("out/a.png")
        with pytest.raises(OutputProblem) as raised:
            write_output(url(), operation(FILE), destination, Results())
        assert raised.value.diagnostic.code == "COG501"
        assert files(here) == {}

    def test_devices_can_be_written_to(self, here):
        assert write(TEXT, "a", "/dev/null").paths == ["/dev/null"]


class TestWholeDocuments:
    def document(self, output, schema, path=None):
        return document_output(output, operation(schema).output, Destination.of(path), Results())

    def test_files_are_written_and_named(self, here):
        assert self.document(url(b"a"), FILE) == "output.png"
        assert self.document([url(b"b")], FILES) == ["output.0.png"]
        assert self.document({"image": url(b"c"), "score": 1}, OBJECT) == {"image": "output.image.png", "score": 1}
        assert files(here) == {"output.png": b"a", "output.0.png": b"b", "output.image.png": b"c"}

    def test_files_go_beside_the_document(self, here):
        (here / "d").mkdir()
        assert self.document(url(b"a"), FILE, "d/out.json") == "d/out.png"
        assert self.document(url(b"a"), FILE, "d/out.png") == "d/out.output.png"
        assert self.document(url(b"a"), FILE, "d") == "d/output.png"
        assert sorted(files(here)) == ["d/out.output.png", "d/out.png", "d/output.png"]

    def test_everything_else_is_as_it_is(self):
        for output in ("text", ["a"], 3, None, "https://x"):
            assert self.document(output, {}) == output
