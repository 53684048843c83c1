"""Requirements files and items of `python_packages`, line by line."""

from __future__ import annotations

import time

import pytest

from cogc.diagnostics import Diagnostic, Severity
from cogc.frontend.requirements import (
    decode_requirements,
    needs_git,
    parse_requirement_line,
    parse_requirements,
    read_requirements,
)
from cogc.ir.requirement import Requirement
from cogc.source import Span
from tests.memory_files import MemoryFiles

NO_FILES = MemoryFiles()
URL = "https://example.com/simple"


def item(text: str, files: MemoryFiles = NO_FILES) -> tuple[Requirement | None, tuple[Diagnostic, ...]]:
    return parse_requirement_line(text, Span("cog.yaml", 4, 9, 4, 9 + len(text)), files)


def clean(text: str, files: MemoryFiles = NO_FILES) -> Requirement:
    requirement, diagnostics = item(text, files)
    assert diagnostics == ()
    assert requirement is not None
    return requirement


def read(
    text: str, files: MemoryFiles = NO_FILES, name: str = "requirements.txt"
) -> tuple[list[str], list[tuple[str, str]]]:
    """The texts of the requirements, and (code, place) of the diagnostics."""
    requirements, diagnostics = parse_requirements(name, text, files)
    return [r.text for r in requirements], [(d.code, str(d.span)) for d in diagnostics]


class TestPackages:
    @pytest.mark.parametrize(
        ("text", "name", "specifier"),
        [
            ("torch==2.1.0+cu121", "torch", "==2.1.0+cu121"),
            ("Open_CLIP.torch>=2,<3", "open-clip-torch", "<3,>=2"),
            ("protobuf==3.20.*", "protobuf", "==3.20.*"),
            ("numpy", "numpy", ""),
            ("numpy (>=1)", "numpy", ">=1"),
            ("numpy == 1.26 # reason", "numpy", "==1.26"),
            ("x.tar", "x-tar", ""),
        ],
    )
    def test_name_and_specifier_are_read(self, text: str, name: str, specifier: str) -> None:
        requirement = clean(text)
        assert (requirement.kind, requirement.name, requirement.specifier) == ("package", name, specifier)

    def test_text_stays_as_written(self) -> None:
        assert clean("Open_CLIP.torch >=2,<3").text == "Open_CLIP.torch >=2,<3"

    def test_extras_and_marker_are_read(self) -> None:
        requirement = clean("uvicorn[standard,dev]==1.0; python_version<'3.11'")
        assert requirement.extras == ("dev", "standard")
        assert requirement.marker == 'python_version < "3.11"'

    @pytest.mark.parametrize(
        ("written", "options"),
        [
            (f"--index-url {URL}", (("--index-url", URL),)),
            (f"--extra-index-url={URL}", (("--extra-index-url", URL),)),
            (f"-i {URL} --pre", (("--index-url", URL), ("--pre", ""))),
            (f"-f {URL}", (("--find-links", URL),)),
            (f"-f{URL}", (("--find-links", URL),)),
            (f"--extra-index '{URL}'", (("--extra-index-url", URL),)),
            ("--trusted-host example.com", (("--trusted-host", "example.com"),)),
        ],
    )
    def test_options_for_the_list_may_stand_beside_a_package(
        self, written: str, options: tuple[tuple[str, str], ...]
    ) -> None:
        requirement = clean(f"xformers==0.0.21 {written}")
        assert requirement.text == "xformers==0.0.21"
        assert requirement.options == options

    def test_options_of_the_requirement_stay_in_its_text(self) -> None:
        requirement = clean("a==1 --hash sha256:00 --hash=sha256:11 --config-settings 'k=two words'")
        assert requirement.text == "a==1 --hash=sha256:00 --hash=sha256:11 --config-settings='k=two words'"

    @pytest.mark.parametrize(("name", "meant"), [("pytorch", "torch"), ("sklearn", "scikit-learn")])
    def test_a_name_that_means_another_package_is_a_warning(self, name: str, meant: str) -> None:
        requirement, (diagnostic,) = item(f"{name}==1.0")
        assert requirement is not None
        assert (diagnostic.code, str(diagnostic.span)) == ("COG205", "cog.yaml:4:9")
        assert f"`{meant}`" in diagnostic.message

    @pytest.mark.parametrize(
        "text",
        [
            *("cog", "Cog==0.9", "cog[x]>=1", "COGLET", f"cog @ {URL}/c.whl", f"{URL}/cog-0.9-py3-none-any.whl"),
            *("git+https://example.com/c.git#egg=cog", "-e git+https://example.com/c.git#egg=cog"),
        ],
    )
    def test_managed_packages_are_dropped(self, text: str) -> None:
        requirement, (diagnostic,) = item(text)
        assert requirement is None
        assert diagnostic.code == "COG202"
        assert "runtime" in diagnostic.message

    def test_a_local_wheel_of_a_managed_package_is_dropped(self) -> None:
        wheel = "cog-0.9-py3-none-any.whl"
        assert item(wheel, MemoryFiles({wheel: b""}))[1][0].code == "COG202"

    @pytest.mark.parametrize(
        "text",
        [
            *("foo=1.0", "foo==${VERSION}", "foo bar", "foo>=1.0.*", "foo==1.0.tar.gz", "@", "foo;", "foo; x==1"),
            *("foo --unknown", "foo --no x", "foo -z", "foo --pre=1", "foo -i", "foo --hash 'x", "-i x foo"),
            *(
                "git://example.com/x",
                "ssh://example.com/x",
                "git+git@example.com:a/b",
                "git@example.com:a/b.git",
                "x @ git@example.com:a/b",
                f"{URL} ; nonsense",
            ),
            *("a @ ssh://x", "-e https://example.com/x.zip", "foo; " + "(" * 2000, "a" * 5000, "foo \\ "),
        ],
    )
    def test_what_cannot_be_read_is_passed_on_with_a_warning(self, text: str) -> None:
        requirement, (diagnostic,) = item(text)
        assert requirement is not None
        assert (requirement.kind, requirement.text) == ("opaque", text.rstrip("\\ ").strip())
        assert (diagnostic.code, diagnostic.severity) == ("COG204", Severity.WARNING)

    def test_a_single_equals_sign_gets_a_hint(self) -> None:
        assert item("foo=1.0")[1][0].hint == "did you mean `==`?"

    @pytest.mark.parametrize("text", ["", "  ", "# only a comment"])
    def test_an_item_without_a_requirement_is_nothing(self, text: str) -> None:
        assert item(text) == (None, ())

    @pytest.mark.parametrize("text", ["torch\nnumpy", "torch\0", "torch\ud800"])
    def test_an_item_is_one_line_of_text(self, text: str) -> None:
        requirement, (diagnostic,) = item(text)
        assert (requirement, diagnostic.code) == (None, "COG210")

    def test_an_item_may_be_continued(self) -> None:
        assert clean("a==1 \\\n --hash=sha256:00").text == "a==1 --hash=sha256:00"

    def test_places_in_a_quoted_item_are_exact(self) -> None:
        span = Span("cog.yaml", 4, 9, 4, 9 + len("a -f ./w") + 2)
        _, (diagnostic,) = parse_requirement_line("a -f ./w", span, NO_FILES)
        assert diagnostic.span == Span("cog.yaml", 4, 15, 4, 18)

    def test_a_place_in_a_folded_item_is_that_of_the_item(self) -> None:
        span = Span("cog.yaml", 4, 9, 6, 2)
        _, (diagnostic,) = parse_requirement_line("a -f ./w", span, NO_FILES)
        assert diagnostic.span == span


class TestUrls:
    @pytest.mark.parametrize(
        ("text", "kind", "name", "url"),
        [
            ("git+https://example.com/a/b.git", "vcs", None, "git+https://example.com/a/b.git"),
            ("git+https://example.com/a/b@v1#egg=B_c[x]", "vcs", "b-c", "git+https://example.com/a/b@v1#egg=B_c[x]"),
            ("git+ssh://git@example.com/a", "vcs", None, "git+ssh://git@example.com/a"),
            ("hg+https://example.com/a", "vcs", None, "hg+https://example.com/a"),
            ("svn+https://example.com/a", "vcs", None, "svn+https://example.com/a"),
            ("bzr+https://example.com/a", "vcs", None, "bzr+https://example.com/a"),
            ("clip @ git+https://example.com/a", "vcs", "clip", "git+https://example.com/a"),
            ("clip@git+https://example.com/a", "vcs", "clip", "git+https://example.com/a"),
            ("A_b[x] @ https://example.com/a.zip", "url", "a-b", "https://example.com/a.zip"),
            ("git@git+https://example.com/a", "vcs", "git", "git+https://example.com/a"),
            ("a @ ${WHERE}", "url", "a", "${WHERE}"),
            ("https://example.com/a.zip", "url", None, "https://example.com/a.zip"),
            ("https://example.com/A_b-1-py3-none-any.whl#x=y", "url", "a-b", None),
            ("https://${USER}:${KEY}@example.com/a.zip", "url", None, "https://${USER}:${KEY}@example.com/a.zip"),
        ],
    )
    def test_urls_are_told_apart(self, text: str, kind: str, name: str | None, url: str | None) -> None:
        requirement = clean(text)
        assert (requirement.kind, requirement.name, requirement.text) == (kind, name, text)
        assert url is None or requirement.url == url

    def test_a_fragment_is_no_comment(self) -> None:
        assert clean("https://example.com/a.zip#sha256=00  # why").url == "https://example.com/a.zip#sha256=00"

    @pytest.mark.parametrize(
        "text",
        [
            "a @ https://example.com/a.zip ; python_version < '3.11'",
            "https://example.com/a.zip ; python_version < '3.11'",
        ],
    )
    def test_a_url_may_have_a_marker(self, text: str) -> None:
        requirement = clean(text)
        assert (requirement.url, requirement.marker) == ("https://example.com/a.zip", 'python_version < "3.11"')

    @pytest.mark.parametrize("reference", ["2d16", "2d160", "1a#egg=x"])
    def test_a_commit_that_is_shortened_too_much(self, reference: str) -> None:
        _, (diagnostic,) = item(f"git+https://example.com/a@{reference}")
        assert diagnostic.code == "COG212"

    @pytest.mark.parametrize("reference", ["2d1602", "2d1602a", "v1", "2023", "dead", "1.0", "a/2d16"])
    def test_other_references_are_taken_as_they_are(self, reference: str) -> None:
        assert item(f"git+https://example.com/a@{reference}")[1] == ()

    def test_the_git_protocol_is_a_warning_at_the_scheme(self) -> None:
        requirement, (diagnostic,) = item("clip @ git+git://example.com/a")
        assert requirement is not None
        assert (diagnostic.code, str(diagnostic.span)) == ("COG209", "cog.yaml:4:16")

    def test_an_editable_checkout_is_kept(self) -> None:
        requirement = clean("-e  git+https://example.com/a.git#egg=a&subdirectory=b")
        assert (requirement.kind, requirement.name) == ("editable", "a")
        assert requirement.text == "-e git+https://example.com/a.git#egg=a&subdirectory=b"

    def test_git_is_needed_for_git_urls_only(self) -> None:
        plain, hg, git = clean("a"), clean("hg+https://example.com/a"), clean("-e git+https://example.com/a")
        assert needs_git((plain, hg)) is None
        assert needs_git((plain, hg, git)) is git


class TestLocal:
    FILES = MemoryFiles(
        {
            "pkg/setup.py": b"",
            "dist/a b-1.ZIP": b"",
            "dist/x.whl": b"",
            "reqs/dist/y.tar.gz": b"",
            "a[1].whl": b"",
            "n@me.whl": b"",
            "wheels.zip/x": b"",
        },
        outside=("dist/link.whl",),
        others=("dist/pipe.whl",),
    )

    @pytest.mark.parametrize("path", ["dist/x.whl", "dist/a b-1.ZIP", "a[1].whl", "n@me.whl"])
    @pytest.mark.parametrize("prefix", ["", "./", "pkg/../"])
    def test_a_local_archive_is_staged(self, path: str, prefix: str) -> None:
        requirement = clean(prefix + path, self.FILES)
        assert (requirement.kind, requirement.path) == ("artifact", path)
        assert requirement.text == f"/tmp/local_package_artifacts/{path}"

    def test_a_path_is_relative_to_the_requirements_file(self) -> None:
        requirements, _ = parse_requirements("reqs/main.txt", "dist/y.tar.gz\n../dist/x.whl", self.FILES)
        assert [r.path for r in requirements] == ["reqs/dist/y.tar.gz", "dist/x.whl"]

    @pytest.mark.parametrize(
        ("text", "phrase"),
        [
            ("./pkg", "is not a supported wheel or source archive"),
            ("pkg/", "is not a supported wheel or source archive"),
            (".", "is not a supported wheel or source archive"),
            ("/abs/pkg", "is not a supported wheel or source archive"),
            ("./x.egg", "is not a supported wheel or source archive"),
            ("x @ ./dist/x.whl", "local direct reference requirements"),
            ("x @ dist/x.whl", "local direct reference requirements"),
            ("x[e]@/dist/x.whl", "local direct reference requirements"),
            ("file:///x.whl", "local file URL requirements are not supported"),
            ("x @ file:./x.whl", "local file URL requirements are not supported"),
            ("git+file:///x", "local file URL requirements are not supported"),
            ("-e file:///x", "local file URL requirements are not supported"),
            ("-r file:///x.txt", "local file URL requirements are not supported"),
            ("./dist/x.whl --hash=sha256:00", "do not support inline options or hashes"),
            (f"./dist/x.whl -f {URL}", "do not support inline options or hashes"),
            ("./dist/x.whl -f ./w", "do not support inline options or hashes"),
            ("./dist/x.whl#sha256=00", "do not support inline options or hashes"),
            ('./dist/x.whl; python_version<"3.11"', "environment markers are not supported"),
            ('dist/x.whl[e] ; python_version<"3.11"', "environment markers are not supported"),
            ("./dist/x.whl[extra]", "extras are not supported"),
            ("--find-links ./wheels", 'local requirements option "--find-links" is not supported'),
            ("-f./w", 'local requirements option "-f" is not supported'),
            ("-f file:///w", 'local requirements option "-f" is not supported'),
            ("a==1 -f wheels", 'local requirements option "-f" is not supported'),
            ("-r req.txt", 'local requirements option "-r" is not supported'),
            ("-c req.txt", 'local requirements option "-c" is not supported'),
            ("../x.whl", "must be inside the project directory"),
            ("/x.whl", "must be inside the project directory"),
            ("dist/link.whl", "must be inside the project directory"),
            ("dist/missing.whl", "does not exist"),
            ("missing.whl", "does not exist"),
            ("wheels.zip", "is not a regular file"),
            ("dist/pipe.whl", "is not a regular file"),
            ("-e ./pkg", "editable requirement `./pkg` is not supported"),
            ("-e .[dev]", "editable requirement `.[dev]` is not supported"),
        ],
    )
    def test_a_form_that_cannot_be_built_is_an_error(self, text: str, phrase: str) -> None:
        requirement, (diagnostic,) = item(text, self.FILES)
        assert (requirement, diagnostic.code) == (None, "COG203")
        assert phrase in diagnostic.message

    @pytest.mark.parametrize("text", ["-e .", "-e\t .", "-e ./", "--editable=.", "-e."])
    def test_the_project_itself_is_dropped(self, text: str) -> None:
        requirement, (diagnostic,) = item(text)
        assert (requirement, diagnostic.code) == (None, "COG208")

    def test_a_remote_include_in_an_item_is_refused(self) -> None:
        assert item(f"-r {URL}/r.txt")[1][0].code == "COG207"

    @pytest.mark.parametrize("value", [URL, "${LINKS}"])
    def test_remote_find_links_are_fine(self, value: str) -> None:
        assert clean(f"-f {value}").kind == "option"


class TestLines:
    def test_line_ends_and_comments(self) -> None:
        assert read("a\r\n# b\r\n  # c\r\nd # e\r\nf#g\r\n\r\n")[0] == ["a", "d", "f#g"]

    def test_a_continued_line_is_joined_with_nothing_in_between(self) -> None:
        assert read("num\\\npy==1\nb")[0] == ["numpy==1", "b"]

    def test_hashes_on_continuation_lines_become_one_line(self) -> None:
        text = "a==1 \\\n    --hash=sha256:00 \\\n\t--hash=sha256:11\nb"
        assert read(text)[0] == ["a==1 --hash=sha256:00 --hash=sha256:11", "b"]

    def test_a_comment_line_ends_a_continued_line(self) -> None:
        assert read("a==1 \\\n# why\n--pre")[0] == ["a==1", "--pre"]

    def test_an_empty_line_ends_a_continued_line(self) -> None:
        assert read("a==1 \\\n\nb")[0] == ["a==1", "b"]

    def test_a_comment_line_is_never_continued(self) -> None:
        assert read("# a \\\nb")[0] == ["b"]

    def test_a_comment_behind_a_requirement_goes_on_after_a_backslash(self) -> None:
        assert read("a # b \\\nc\nd")[0] == ["a", "d"]

    def test_a_backslash_at_the_end_of_the_file_is_ignored(self) -> None:
        assert read("a\\")[0] == ["a"]

    def test_lines_also_break_where_pip_breaks_them(self) -> None:
        requirements, _ = parse_requirements("r.txt", "a\fb\u2028c\nd", NO_FILES)
        assert [(r.text, str(r.origin)) for r in requirements] == [
            ("a", "r.txt:1:1"),
            ("b", "r.txt:1:3"),
            ("c", "r.txt:1:5"),
            ("d", "r.txt:2:1"),
        ]

    def test_the_origin_of_a_continued_line_spans_all_of_it(self) -> None:
        (requirement,), _ = parse_requirements("r.txt", "\n  a==1 \\\n  --hash=sha256:00", NO_FILES)
        assert requirement.origin == Span("r.txt", 2, 3, 3, 19)

    def test_a_place_on_a_continuation_line_is_exact(self) -> None:
        assert read("a==1 \\\n  -f ./w")[1] == [("COG203", "requirements.txt:2:6")]

    def test_option_lines_keep_their_order_and_text(self) -> None:
        requirements, diagnostics = parse_requirements(
            "r.txt", f"a\n-i {URL} --extra-index-url {URL}/x\n--no-binary :all:\n--require-hashes\nb", NO_FILES
        )
        assert diagnostics == ()
        assert [r.kind for r in requirements] == ["package", "option", "option", "option", "package"]
        assert requirements[1].options == (("--index-url", URL), ("--extra-index-url", f"{URL}/x"))
        assert requirements[1].text == f"-i {URL} --extra-index-url {URL}/x"

    def test_a_nul_character_is_an_error_at_its_place(self) -> None:
        assert read("a\nb\0c")[1] == [("COG200", "requirements.txt:2:2")]

    def test_too_many_lines_are_an_error(self) -> None:
        assert read("\n" * 50_000)[1] == []
        assert read("\n" * 50_000 + "a")[1] == [("COG200", "requirements.txt:1:1")]

    def test_a_large_locked_list_is_read_quickly(self) -> None:
        hashes = "".join(f" \\\n    --hash=sha256:{i:064x}" for i in range(40))
        text = "\n".join(f"package-{i}==1.{i}{hashes}" for i in range(500))
        start = time.process_time()
        assert len(read(text)[0]) == 500
        assert time.process_time() - start < 2

    @pytest.mark.parametrize(
        "line",
        ["a" + " " * 3900 + "x@", "a[" * 1900, "[" * 3900 + "@", " #" * 100_000, " " * 200_000 + "x", "-" * 90_000],
    )
    def test_no_line_takes_long(self, line: str) -> None:
        start = time.process_time()
        read("\n".join([line] * 3))
        assert time.process_time() - start < 2


class TestIncludes:
    def test_an_included_file_stands_in_place_of_its_line(self) -> None:
        files = MemoryFiles({"reqs/base.txt": "b\n-r more/x.txt\n", "reqs/more/x.txt": "c"})
        requirements, diagnostics = parse_requirements("requirements.txt", "a\n-r reqs/base.txt\nd", files)
        assert diagnostics == ()
        assert [r.text for r in requirements] == ["a", "b", "c", "d"]
        assert [str(r.origin) for r in requirements][2] == "reqs/more/x.txt:1:1"

    @pytest.mark.parametrize(
        "line", ["-r b.txt", "-rb.txt", "--requirement b.txt", "--requirement=b.txt", "--requirem b.txt"]
    )
    def test_all_spellings_include(self, line: str) -> None:
        assert read(line, MemoryFiles({"b.txt": "b"})) == (["b"], [])

    def test_lines_of_a_constraints_file_are_constraints(self) -> None:
        files = MemoryFiles({"c.txt": "numpy<2\ncog==1\nnonsense=1\npytorch\n--pre\n"})
        requirements, diagnostics = parse_requirements("requirements.txt", "-c c.txt\nnumpy", files)
        assert [(r.kind, r.text) for r in requirements] == [
            ("constraint", "numpy<2"),
            ("constraint", "nonsense=1"),
            ("constraint", "pytorch"),
            ("option", "--pre"),
            ("package", "numpy"),
        ]
        assert [d.code for d in diagnostics] == ["COG202", "COG204"]

    def test_a_local_archive_cannot_be_a_constraint(self) -> None:
        assert read("-c c.txt", MemoryFiles({"c.txt": "x.whl", "x.whl": b""}))[1] == [("COG203", "c.txt:1:1")]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("-r missing.txt", "does not exist"),
            ("-r directory", "is a directory"),
            ("-r latin.txt", "is not UTF-8 text"),
            ("-r huge.txt", "is larger than 5 MiB"),
            ("-r ../x.txt", "must be inside the project directory"),
            ("-r /x.txt", "must be inside the project directory"),
            ("-r link.txt", "must be inside the project directory"),
            ("-c missing.txt", "constraints file `missing.txt` does not exist"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_an_error_where_it_is_named(self, line: str, reason: str) -> None:
        files = MemoryFiles(
            {"directory/x": b"", "latin.txt": b"\xff", "huge.txt": b"#" * (5 * 1024**2 + 1)}, outside=("link.txt",)
        )
        _, (diagnostic,) = parse_requirements("requirements.txt", f"a\n {line}", files)
        assert (diagnostic.code, str(diagnostic.span)) == ("COG200", "requirements.txt:2:5")
        assert reason in diagnostic.message

    def test_a_circle_is_an_error_that_shows_it(self) -> None:
        files = MemoryFiles({"r.txt": "-r a.txt", "a.txt": "x\n-r ./b.txt", "b.txt": "\n-r a.txt\ny"})
        requirements, (diagnostic,) = parse_requirements("r.txt", "-r a.txt", files)
        assert [r.text for r in requirements] == ["x", "y"]
        assert (diagnostic.code, str(diagnostic.span)) == ("COG201", "b.txt:2:4")
        assert "a.txt → b.txt → a.txt" in diagnostic.message

    def test_a_file_that_includes_itself_is_a_circle(self) -> None:
        assert read("-r requirements.txt")[1] == [("COG201", "requirements.txt:1:4")]

    def test_a_file_included_twice_counts_once(self) -> None:
        assert read("-r a.txt\n-r a.txt", MemoryFiles({"a.txt": "x"})) == (["x"], [])

    def test_depth_is_limited(self) -> None:
        files = MemoryFiles({f"{i}.txt": f"p{i}\n-r {i + 1}.txt" for i in range(100)})
        texts, diagnostics = read("-r 0.txt", files)
        assert diagnostics == [("COG200", "49.txt:2:4")]
        assert len(texts) == 50

    @pytest.mark.parametrize("option", ["-r", "-c"])
    def test_a_remote_file_is_refused(self, option: str) -> None:
        assert read(f"{option} {URL}/r.txt")[1] == [("COG207", "requirements.txt:1:4")]

    def test_a_second_include_on_a_line_is_ignored_as_pip_does(self) -> None:
        files = MemoryFiles({"a.txt": "x", "b.txt": "y"})
        assert read("-r a.txt -r b.txt", files) == (["x"], [("COG204", "requirements.txt:1:13")])

    def test_an_include_beside_a_requirement_is_ignored_as_pip_does(self) -> None:
        assert read("a -r b.txt") == (["a"], [("COG204", "requirements.txt:1:6")])

    def test_reading_by_path_reports_where_the_path_is_named(self) -> None:
        span = Span("cog.yaml", 3, 3, 3, 8)
        assert read_requirements("./r.txt", MemoryFiles({"r.txt": "a"}), span)[0][0].text == "a"
        _, (diagnostic,) = read_requirements("r.txt", NO_FILES, span)
        assert (diagnostic.code, diagnostic.span) == ("COG200", span)


class TestDecoding:
    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            ("é".encode(), "é"),
            ("é".encode("utf-8-sig"), "é"),
            (b"\xff\xfe" + "é".encode("utf-16-le"), "é"),
            (b"\xfe\xff" + "é".encode("utf-16-be"), "é"),
            (b"\xff\xfe\0\0" + "é".encode("utf-32-le"), "é"),
            (b"\0\0\xfe\xff" + "é".encode("utf-32-be"), "é"),
            (b"# -*- coding: latin-1 -*-\n\xe9", "# -*- coding: latin-1 -*-\né"),
            (b"a\n# coding=latin-1\n\xe9", "a\n# coding=latin-1\né"),
            (b"", ""),
        ],
    )
    def test_encodings_are_found_as_pip_finds_them(self, raw: bytes, text: str) -> None:
        assert decode_requirements(raw) == text

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b"a\xff", "is not UTF-8 text"),
            (b"\n\n# coding: latin-1\n\xe9", "is not UTF-8 text"),
            (b"# coding: klingon", "names the unknown encoding `klingon`"),
            (b"# coding: rot13", "names the unknown encoding `rot13`"),
            (b"# coding: utf-7\n+2AA-", "is not UTF-7 text"),
        ],
    )
    def test_bytes_that_are_no_text_say_why(self, raw: bytes, reason: str) -> None:
        with pytest.raises(UnicodeDecodeError) as caught:
            decode_requirements(raw)
        assert caught.value.reason == reason
