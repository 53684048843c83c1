"""`cogc matrix`: rows shown, tables compared, checked and used by a project."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cogc._data import load_table, matrix_checksum, matrix_version, table_names
from cogc.cli import main
from cogc.commands._matrix_use import merged
from cogc.ir.matrix_text import render_table

CONFIG = "build:\n  gpu: true\n  python_packages: [torch==2.16.0]\n"
SOURCE = {"own": {"kind": "measured", "what": "wheels of our own index", "date": "2026-12-01"}}
BUILD = {"id": "default", "cuda": "13.2", "cuda_from": "wheel", "src": "own"}


def row(version: str = "2.16.0", **members: Any) -> dict[str, Any]:
    whole = {"version": version, "released": "2026-12-01", "arch": "amd64", "python": ["3.12"], "builds": [BUILD]}
    return {**whole, "src": "own", **members}


def table(*rows: dict[str, Any], **members: Any) -> dict[str, Any]:
    head = {"schema": 1, "matrix": "2026.12", "package": "torch", "sources": SOURCE}
    return {**head, "rows": list(rows or (row(),)), **members}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "project"
    root.mkdir()
    (root / "cog.yaml").write_text(CONFIG)
    monkeypatch.chdir(root)
    return root


def write(name: str, document: object) -> str:
    Path(name).write_text(json.dumps(document, indent=1))
    return name


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(list(words))
    out, err = capsys.readouterr()
    return status, out + err


def codes(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    _, text = printed(capsys, *words, "--format", "json")
    return {found["code"] for found in json.loads(text)["diagnostics"]}


class TestShow:
    def test_one_release_with_where_it_is_known_from(self, capsys: pytest.CaptureFixture[str]) -> None:
        status, text = printed(capsys, "matrix", "show", "Torch==2.8.0")
        assert status == 0
        assert text.startswith("torch 2.8.0 (matrix 2026.11)\n")
        for said in ("linux/arm64", "CUDA 12.8", "driver 525.60.13", "sm_120", "nvidia-nccl-cu12==2.27.3"):
            assert said in text
        assert "measured 2026-11-21: wheel file names" in text
        assert "transcribed 2026-11-21" in text

    def test_many_releases(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, text = printed(capsys, "matrix", "show", "vllm>=0.11,<0.12")
        assert text.splitlines()[0] == "vllm: 3 releases (matrix 2026.11), the newest first"

    def test_as_a_document(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, text = printed(capsys, "matrix", "show", "torch=2.8.0", "--format", "json")
        document = json.loads(text)
        assert [each["arch"] for each in document["rows"]] == ["amd64", "arm64"]
        assert document["sources"]["wheel"]["kind"] == "measured"

    @pytest.mark.parametrize("wanted", ["torch==9", "Torch==2.8.0+cu999", "torch==x y"])
    def test_releases_that_are_not_there(self, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
        status, text = printed(capsys, "matrix", "show", wanted)
        assert status == 1
        assert f"the matrix has no release {wanted}\n" in text
        assert "`cogc matrix show torch` lists those it has" in text

    @pytest.mark.parametrize("wanted", ["pillow", "cuda", ""])
    def test_what_is_not_there(self, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
        status, text = printed(capsys, "matrix", "show", wanted)
        assert status == 1
        assert "the matrix has nothing about" in text

    def test_rows_of_the_project(self, capsys: pytest.CaptureFixture[str]) -> None:
        printed(capsys, "matrix", "use", "--add", write("more.json", table()))
        _, text = printed(capsys, "matrix", "show", "torch==2.16.0")
        assert "measured 2026-12-01: wheels of our own index" in text


class TestVersions:
    def test_of_cogc(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, text = printed(capsys, "matrix", "versions")
        assert text.startswith(f"{matrix_version()}  comes with cogc (in use)\n  sha256 {matrix_checksum()}\n")
        assert all(name in text for name in table_names())

    def test_of_the_project_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        printed(capsys, "matrix", "use", write("torch.json", table()))
        _, text = printed(capsys, "matrix", "versions", "--format", "json")
        ours, theirs = json.loads(text)["matrices"]
        assert (ours["is_used"], theirs["is_used"]) == (False, True)
        assert theirs["version"].startswith(f"{matrix_version()}+")
        assert theirs["sha256"] != ours["sha256"]
        assert [name for name, each in theirs["tables"].items() if not each["is_bundled"]] == ["torch"]


class TestDiff:
    def test_rows(self, capsys: pytest.CaptureFixture[str]) -> None:
        old = write("old.json", table(row("2.14.0"), row("2.15.0", python=["3.11", "3.12"])))
        newer = row("2.15.0", builds=[{**BUILD, "cuda": "13.4"}, {**BUILD, "id": "cu126", "cuda": "12.6"}])
        new = write("new.json", table(newer, row("2.16.0"), matrix="2027.01"))
        status, text = printed(capsys, "matrix", "diff", old, new)
        assert status == 0
        assert text.splitlines() == [
            "torch: 1 added, 1 removed, 1 changed",
            "  ~ 2.15.0 amd64: python: 3.11, 3.12 → 3.12; build default cuda: 13.2 → 13.4; build cu126: new",
            "  + 2.16.0 amd64",
            "  - 2.14.0 amd64",
        ]
        _, text = printed(capsys, "matrix", "diff", old, new, "--format", "json")
        kinds = [each["kind"] for each in json.loads(text)["tables"][0]["rows"]]
        assert kinds == ["changed", "added", "removed"]

    def test_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert printed(capsys, "matrix", "diff", "bundled", "project")[1].startswith("no row differs in cuda, ")

    @pytest.mark.parametrize("name", table_names())
    def test_rows_of_every_table_are_told_apart(self, name: str) -> None:
        from cogc.ir.matrix_diff import _rows

        lists = [value for value in load_table(name).values() if isinstance(value, list)]
        assert len(_rows(load_table(name))) == sum(map(len, lists))


class TestCheck:
    def test_those_of_cogc(self, capsys: pytest.CaptureFixture[str]) -> None:
        folder = Path(__file__).parents[3] / "compatibility"
        status, text = printed(capsys, "matrix", "check", str(folder))
        assert (status, text) == (0, f"{', '.join(table_names())}: nothing wrong (matrix {matrix_version()})\n")

    @pytest.mark.parametrize(
        ("document", "place", "said"),
        [
            ([], "1:1", "it must be an object"),
            ({}, "1:1", "it has no `schema`"),
            (table(schema=2), "2:12", "this cogc reads 1"),
            (table(schema=True), "2:12", "has format True"),
            (table(package="touch"), "1:1", "did you mean torch?"),
            (table(matrix="newest"), "3:12", "does not match"),
            (table(row(python="3.12")), "17:14", "is not of type 'array'"),
            (table(row(src="rumour")), "13:3", "the source `rumour` is not among `sources`"),
            (table(row("2.2"), row("2.1")), "30:3", "2.1 amd64 stands behind 2.2"),
            (table(row(), row()), "30:3", "2.16.0 amd64 is there twice"),
            (table(row(builds=[BUILD, BUILD])), "13:3", "two builds have the same id"),
            (table(row(builds=[{**BUILD, "id": "cpu"}])), "13:3", "the first build is what"),
            (table(row(builds=[{**BUILD, "cuda": None}])), "13:3", "contradict each other"),
            (table(row(builds=[{**BUILD, "cuda_from": "extra"}])), "13:3", "no `extra`"),
            (table(row(requires={"triton": "newest"})), "13:3", "`newest` for triton is no version specifier"),
        ],
    )
    def test_what_is_wrong_has_its_place(
        self, document: object, place: str, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, text = printed(capsys, "matrix", "check", write("torch.json", document))
        assert status == 1
        assert f"torch.json:{place}\n" in text, text
        assert said in text

    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            (b"{", "is not JSON"),
            (b"\xff{}", "is not UTF-8"),
            (b"[" * 100_000, "nested too deep"),
            (b'{"schema": ' + b"9" * 5000 + b"}", "number that is too long"),
            (b"", "is not JSON"),
        ],
    )
    def test_what_is_no_table(self, raw: bytes, said: str, capsys: pytest.CaptureFixture[str]) -> None:
        Path("torch.json").write_bytes(raw)
        status, text = printed(capsys, "matrix", "check", "torch.json")
        assert status == 1
        assert "COG280" in text
        assert said in text

    def test_what_is_not_there(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert codes(capsys, "matrix", "check", "nothing.json") == {"COG500"}
        (project / "empty").mkdir()
        assert codes(capsys, "matrix", "check", "empty") == {"COG500"}

    def test_a_folder_that_says_something_else(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "new").mkdir()
        write("new/torch.json", table())
        (project / "new/MATRIX").write_text("2027.01\n")
        assert codes(capsys, "matrix", "check", "new") == {"COG280"}
        (project / "new/MATRIX").unlink()
        (project / "new/SHA256SUMS").write_text(f"{'0' * 64}  torch.json\n{'0' * 64}  jax.json\n")
        status, text = printed(capsys, "matrix", "check", "new")
        assert status == 1
        assert "new/torch.json was changed" in text
        assert "new/jax.json is missing" in text


class TestUse:
    def test_the_dockerfile_and_the_remarks_say_which(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "COG225" in codes(capsys, "check")  # cogc knows no such torch
        status, text = printed(capsys, "matrix", "use", "--add", write("more.json", table()))
        assert status == 0
        sums = (project / "cog.matrix/SHA256SUMS").read_bytes()
        version = f"{matrix_version()}+{hashlib.sha256(sums).hexdigest()[:8]}"
        assert f"versions are chosen with matrix {version}" in text
        assert codes(capsys, "check") >= {"COG282"}
        assert "COG225" not in codes(capsys, "check")
        dockerfile = printed(capsys, "compile", "--inline")[1]
        assert f"(matrix {version})" in dockerfile.splitlines()[0]
        assert f"run.cogc.matrix={version} " in dockerfile
        _, text = printed(capsys, "why", "torch", "--format", "json")
        assert json.loads(text)["matrix"] == version

    def test_added_rows_stand_among_those_of_cogc(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        printed(capsys, "matrix", "use", "--add", write("more.json", table(row("2.8.0"), row())))
        text = (project / "cog.matrix/torch.json").read_text()
        written = json.loads(text)
        assert text == render_table(written)
        assert len(written["rows"]) == len(load_table("torch")["rows"]) + 1
        assert next(each for each in written["rows"] if each["version"] == "2.8.0")["src"] == "own"

    def test_the_checksum_of_locks_is_that_of_the_tables_in_use(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from cogc.commands._project import Project, source_of
        from cogc.driver import bundled_matrix, matrix_of

        printed(capsys, "matrix", "use", write("torch.json", table()))
        source, found = source_of(Project(project, "cog.yaml", CONFIG.encode()))
        assert source is not None, found
        _, text = printed(capsys, "matrix", "versions", "--format", "json")
        assert matrix_of(source).checksum == json.loads(text)["matrices"][1]["sha256"] != bundled_matrix().checksum

    def test_a_whole_set_keeps_its_version(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "new").mkdir()
        for name in table_names():
            (project / f"new/{name}.json").write_text(render_table({**load_table(name), "matrix": "2027.02"}))
        _, text = printed(capsys, "matrix", "use", "new")
        assert "versions are chosen with matrix 2027.02+" in text
        assert "2027.02+" in printed(capsys, "compile", "--inline")[1].splitlines()[0]

    def test_a_table_that_was_changed_stops_everything(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        printed(capsys, "matrix", "use", write("torch.json", table()))
        path = project / "cog.matrix/torch.json"
        path.write_text(path.read_text().replace('"13.2"', '"12.2"'))
        for words in (["check"], ["compile"], ["ir"], ["matrix", "versions"], ["matrix", "show", "torch"]):
            assert codes(capsys, *words) == {"COG281"}
        assert not (project / ".cog").exists()
        status, _ = printed(capsys, "matrix", "use", "cog.matrix")
        assert status == 0
        assert "COG281" not in codes(capsys, "check")

    @pytest.mark.parametrize(
        ("sums", "said"),
        [
            ("", "is empty"),
            ("torch.json\n", "is not a list"),
            (f"{'0' * 64}  x.json\n", "names no table"),
            (None, "not"),
        ],
    )
    def test_checksums_that_are_none(
        self, sums: str | None, said: str, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "cog.matrix").mkdir()
        if sums is not None:
            (project / "cog.matrix/SHA256SUMS").write_text(sums)
        status, text = printed(capsys, "check")
        assert status == 1
        assert "COG281" in text
        assert said in text

    def test_checksums_written_by_hand_do_not_make_a_table_good(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "cog.matrix").mkdir()
        raw = json.dumps(table(row(python=[]))).encode()
        (project / "cog.matrix/torch.json").write_bytes(raw)
        (project / "cog.matrix/SHA256SUMS").write_text(f"{hashlib.sha256(raw).hexdigest()}  torch.json\n")
        assert codes(capsys, "check") == {"COG280"}

    def test_a_bad_table_changes_nothing(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        printed(capsys, "matrix", "use", write("torch.json", table()))
        before = {path.name: path.read_bytes() for path in (project / "cog.matrix").iterdir()}
        assert codes(capsys, "matrix", "use", write("torch.json", table(schema=2))) == {"COG280"}
        assert {path.name: path.read_bytes() for path in (project / "cog.matrix").iterdir()} == before
        assert sorted(path.name for path in project.iterdir()) == ["cog.matrix", "cog.yaml", "torch.json"]

    def test_a_directory_of_someone_else_stays(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "cog.matrix").mkdir()
        (project / "cog.matrix/notes.txt").write_text("mine")
        assert codes(capsys, "matrix", "use", write("torch.json", table())) == {"COG501"}
        assert codes(capsys, "matrix", "use", "bundled") == {"COG501"}
        assert (project / "cog.matrix/notes.txt").read_text() == "mine"

    def test_back_to_those_of_cogc(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        printed(capsys, "matrix", "use", write("torch.json", table()))
        printed(capsys, "matrix", "use", "bundled")
        assert not (project / "cog.matrix").exists()
        assert "COG282" not in codes(capsys, "check")

    def test_outside_of_projects(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.chdir(tmp_path)
        assert codes(capsys, "matrix", "use", write("torch.json", table())) == {"COG100"}
        assert printed(capsys, "matrix", "versions")[0] == 0


def test_sources_with_the_same_name_keep_apart() -> None:
    more = table(row("2.17.0"), sources={"own": {**SOURCE["own"], "date": "2027-01-01"}})
    both = merged(table(), more)
    assert {name: source["date"] for name, source in both["sources"].items()} == {
        "own": "2026-12-01",
        "own-2": "2027-01-01",
    }
    assert [each["builds"][0]["src"] for each in both["rows"]] == ["own", "own-2"]


@pytest.mark.parametrize(
    "words", [["show"], ["versions", "x"], ["diff", "bundled"], ["check"], ["use"], ["show", "x", "--add"]]
)
def test_wrong_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "matrix", *words)[0] == 2
