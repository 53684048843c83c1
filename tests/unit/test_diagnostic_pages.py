"""Every code has a page, and what the pages show is true: the example reports the code, its fix does not.

An example is the fenced blocks of `## Example`, each with the name of its file in the info string, and the
`cogc` commands of its console block (`cogc check` where there is none). The fix puts its files over those of the
example. What a page cannot hold (bytes, large files, directories) is made by a function in `PROOFS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cogc.catalogue import CATALOGUE
from cogc.cli import main
from cogc.driver import Source, bundled_matrix, compile_project
from cogc.frontend.files import FileEntry
from cogc.frontend.lower import BuildOptions
from cogc.ir.lock import LockedFile
from cogc.ir.lock_document import render_lock
from tests.locks import docker_that_knows_digests, lock_for, make_archive, make_wheel
from tests.memory_files import MemoryFiles

PAGES = Path(__file__).parents[2] / "docs" / "diagnostics"
PLAIN = 'build:\n  python_version: "3.12"\n'
MAX_LINES = 45
HEADINGS = ["Why it matters", "Example", "Fix"]

_BLOCK = re.compile(r"^```(\w*) ?(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
# What `cogc compile` prints: `error[COG502]: …`.
_PRINTED = re.compile(r"^(error|warning|info)\[(COG\d+)\]", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """The files and commands that one section of a page shows."""

    files: dict[str, str] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Report:
    """Exit code and (severity, code) pairs of one or more commands."""

    status: int
    found: frozenset[tuple[str, str]]

    def severities(self) -> set[str]:
        return {severity for severity, _ in self.found}


def text_of(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def section(code: str, heading: str) -> Part:
    body = text_of(code).partition(f"\n## {heading}\n")[2]
    body = re.split(r"^## ", body, maxsplit=1, flags=re.MULTILINE)[0]
    files: dict[str, str] = {}
    commands: list[tuple[str, ...]] = []
    for language, name, content in _BLOCK.findall(body):
        if language == "console":
            commands += [tuple(shlex.split(line)[2:]) for line in content.splitlines() if line.startswith("$ cogc ")]
        else:
            files[name or "predict.py"] = content
    if "predict.py" in files and code.startswith("COG4"):
        name = "predict" if "\ndef predict" in files["predict.py"] else "Predictor"
        files.setdefault("cog.yaml", f"predict: predict.py:{name}\n")
    return Part(files, tuple(commands))


class Project:
    """A directory in which commands run."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def large(self, name: str) -> Path:
        path = self.write(name, b"")
        with path.open("wb") as file:
            file.truncate(20 * 1024 * 1024)  # a hole: it takes no room on the disk
        return path

    def run(self, *words: str) -> Report:
        words = words or ("check",)
        is_check = words[0] == "check"
        self._capsys.readouterr()
        status = main([*words, "--format", "json"] if is_check else list(words))
        printed, complaints = self._capsys.readouterr()
        assert status in (0, 1, 2), complaints
        if not is_check:
            return Report(status, frozenset(_PRINTED.findall(complaints)))
        found = json.loads(printed)["diagnostics"]
        return Report(status, frozenset((diagnostic["severity"], diagnostic["code"]) for diagnostic in found))

    def run_all(self, commands: tuple[tuple[str, ...], ...]) -> Report:
        reports = [self.run(*command) for command in commands or (("check",),)]
        return Report(
            max(report.status for report in reports), frozenset().union(*(report.found for report in reports))
        )


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    for name in ("COG_CA_CERT", "COG_NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Project(root, capsys)


# -- what a page cannot hold ---------------------------------------------------------------------


def before_and_after(project: Project, broken: bytes, mended: bytes) -> tuple[Report, Report]:
    project.write("cog.yaml", broken)
    before = project.run()
    project.write("cog.yaml", mended)
    return before, project.run()


def config_not_found(project: Project) -> tuple[Report, Report]:
    # A name that no directory above has either.
    before = project.run("check", "--file", "no-such-cog.yaml")
    project.write("no-such-cog.yaml", PLAIN)
    return before, project.run("check", "--file", "no-such-cog.yaml")


def wrong_encoding(project: Project) -> tuple[Report, Report]:
    text = section("COG105", "Example").files["cog.yaml"]
    return before_and_after(project, text.encode("latin-1"), text.encode())


def file_too_large(project: Project) -> tuple[Report, Report]:
    text = section("COG106", "Example").files["cog.yaml"].replace("…", "a" * 1024 * 1024)
    return before_and_after(project, text.encode(), section("COG106", "Fix").files["cog.yaml"].encode())


def byte_order_mark(project: Project) -> tuple[Report, Report]:
    text = section("COG108", "Example").files["cog.yaml"].encode()
    return before_and_after(project, b"\xef\xbb\xbf" + text, text)


def carriage_returns(project: Project) -> tuple[Report, Report]:
    text = section("COG111", "Example").files["cog.yaml"].encode()
    return before_and_after(project, text.replace(b"\n", b"\r\n"), text)


def weights_found(project: Project) -> tuple[Report, Report]:
    project.write("cog.yaml", PLAIN)
    project.large("weights/model.bin")
    before = project.run()
    project.write(".dockerignore", section("COG304", "Fix").files[".dockerignore"])
    return before, project.run()


def code_beside_weights(project: Project) -> tuple[Report, Report]:
    project.write("cog.yaml", PLAIN)
    project.write("model/network.py", "LAYERS = 3\n")
    large = project.large("model/model.bin")
    before = project.run()
    (project.root / "weights").mkdir()
    large.rename(project.root / "weights" / "model.bin")
    return before, project.run()


def large_file_in_root(project: Project) -> tuple[Report, Report]:
    project.write("cog.yaml", PLAIN)
    large = project.large("model.bin")
    before = project.run()
    (project.root / "weights").mkdir()
    large.rename(project.root / "weights" / "model.bin")
    return before, project.run()


def invalid_certificate(project: Project) -> tuple[Report, Report]:
    project.write("cog.yaml", PLAIN)
    project.write("company.pem", "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COG_CA_CERT", "missing.pem")
        before = project.run()
        patch.setenv("COG_CA_CERT", "company.pem")
        return before, project.run()


class _Unreadable(MemoryFiles):
    """A project with a directory that cannot be listed, which no mode bits keep root from."""

    def walk(self):
        yield from super().walk()
        yield FileEntry("cache", "unreadable")


def unwalkable_project(project: Project) -> tuple[Report, Report]:
    def report(ignored: str) -> Report:
        files = _Unreadable({"cog.yaml": PLAIN, ".dockerignore": ignored})
        source = Source(config=PLAIN.encode(), name="cog.yaml", directory="project", files=files)
        compilation = compile_project(source, BuildOptions(), bundled_matrix())
        found = [diagnostic for diagnostic in compilation.diagnostics if diagnostic.code == "COG311"]
        assert len(found) <= 1
        return Report(int(compilation.has_errors), frozenset((str(d.severity), d.code) for d in found))

    return report(""), report(section("COG311", "Fix").files[".dockerignore"])


def source_too_large(project: Project) -> tuple[Report, Report]:
    example, fix = (section("COG405", heading).files for heading in ("Example", "Fix"))
    project.write("cog.yaml", example["cog.yaml"])
    project.write("predict.py", example["predict.py"].replace("0.3]", "0.3" + ", 0.4" * 1_200_000 + "]"))
    before = project.run()
    project.write("predict.py", fix["predict.py"])
    return before, project.run()


def newer_python_syntax(project: Project) -> tuple[Report, Report]:
    # No Python knows this statement, and the image's Python is newer than whichever runs the test.
    example, fix = (section("COG430", heading).files for heading in ("Example", "Fix"))
    project.write("cog.yaml", PLAIN.replace("3.12", "3.99") + example["cog.yaml"])
    project.write("predict.py", "future Prompt = str\n" + fix["predict.py"])
    before = project.run()
    project.write("predict.py", fix["predict.py"])
    return before, project.run()


def unreadable_file(project: Project) -> tuple[Report, Report]:
    (project.root / "cog.yaml").mkdir()
    before = project.run()
    project.write("project/cog.yaml", PLAIN)
    return before, project.run("check", "project/cog.yaml")


# -- the lock: a lock of what the page shows, or `cogc lock` with uv on what the project has -------


def locked(project: Project, text: str, **more: Any) -> None:
    project.write("cog.lock", render_lock(lock_for(text, **more)))


def config_of(code: str) -> str:
    return section(code, "Example").files["cog.yaml"]


def then_locked(project: Project, text: str, *options: str, **more: Any) -> tuple[Report, Report]:
    """What `compile --locked` says now, and with a lock of `text`."""
    project.write("cog.yaml", text)
    before = project.run("compile", "--locked", *options)
    locked(project, text, **more)
    return before, project.run("compile", "--locked", *options)


def lock_not_found(project: Project) -> tuple[Report, Report]:
    return then_locked(project, config_of("COG260"))


def invalid_lock(project: Project) -> tuple[Report, Report]:
    project.write("cog.lock", section("COG261", "Example").files["cog.lock"])
    return then_locked(project, config_of("COG261"))


def lock_out_of_date(project: Project) -> tuple[Report, Report]:
    locked(project, config_of("COG262").replace("1.17.0", "1.16.0"))
    return then_locked(project, config_of("COG262"))


def platform_not_locked(project: Project) -> tuple[Report, Report]:
    locked(project, config_of("COG263"))
    return then_locked(project, config_of("COG263"), "--platform", "linux/arm64", platform="linux/arm64")


def locked_file_changed(project: Project) -> tuple[Report, Report]:
    content = b"\0" * 10 * 1024 * 1024
    project.write("weights/model.bin", b"1" + content[1:])
    file = LockedFile(path="weights/model.bin", size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    text = config_of("COG264")
    project.write("cog.yaml", text)
    locked(project, text, weights=[file])
    before = project.run("compile", "--locked")
    project.write("weights/model.bin", content)
    return before, project.run("compile", "--locked")


def locking(project: Project, text: str) -> Report:
    with pytest.MonkeyPatch.context() as patch:
        programs = project.root.parent / "bin"
        if not programs.exists():
            docker_that_knows_digests(project.root.parent)
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        project.write("cog.yaml", text)
        return project.run("lock")


def uv_missing(project: Project) -> tuple[Report, Report]:
    text = config_of("COG265").replace("six==1.16.0", make_wheel(project.root, "plum", "1.0").name)
    text = text.replace("[plum", "[./plum")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(project.root / "python"))
        patch.setenv("PATH", str(project.root))
        project.write("cog.yaml", text)
        before = project.run("lock")
    return before, locking(project, text)


def packages_not_resolved(project: Project) -> tuple[Report, Report]:
    make_wheel(project.root, "plum", "1.0")
    text = config_of("COG266")
    return locking(project, text), locking(project, text.replace("no-such-package==1.0", "./plum-1.0-py3-none-any.whl"))


def image_not_pinned(project: Project) -> tuple[Report, Report]:
    text = config_of("COG267")
    project.write("cog.yaml", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(project.root))
        before = project.run("lock")
    return before, locking(project, text)


def package_built(project: Project) -> tuple[Report, Report]:
    make_archive(project.root, "plum", "1.0")
    make_wheel(project.root, "plum", "1.0")
    return locking(project, config_of("COG268")), locking(project, section("COG268", "Fix").files["cog.yaml"])


PROOFS: dict[str, Callable[[Project], tuple[Report, Report]]] = {
    "COG100": config_not_found,
    "COG105": wrong_encoding,
    "COG106": file_too_large,
    "COG108": byte_order_mark,
    "COG111": carriage_returns,
    "COG260": lock_not_found,
    "COG261": invalid_lock,
    "COG262": lock_out_of_date,
    "COG263": platform_not_locked,
    "COG264": locked_file_changed,
    "COG265": uv_missing,
    "COG266": packages_not_resolved,
    "COG267": image_not_pinned,
    "COG268": package_built,
    "COG304": weights_found,
    "COG305": code_beside_weights,
    "COG306": large_file_in_root,
    "COG310": invalid_certificate,
    "COG311": unwalkable_project,
    "COG405": source_too_large,
    "COG430": newer_python_syntax,
    "COG500": unreadable_file,
}
# What needs a container engine, or one that is broken in some way, is proven where there is one.
ELSEWHERE = {
    "tests/e2e/test_build_failures.py": (
        *("COG620", "COG621", "COG630", "COG631", "COG632", "COG633", "COG634", "COG635", "COG641", "COG642"),
    ),
    "tests/e2e/test_completed_schema.py": ("COG636",),
    "tests/unit/commands/test_ssh.py": ("COG660", "COG661"),
    "tests/unit/engines/buildkit/test_faults.py": ("COG505", "COG627", "COG628", "COG629", "COG637", "COG638"),
    "tests/e2e/test_registry.py": ("COG643", "COG645"),
    "tests/unit/commands/test_doctor.py": ("COG450", "COG451", "COG452"),
    "tests/local/test_diagnostics.py": tuple(code for code in CATALOGUE if code.startswith(("COG60", "COG7"))),
    "tests/local/test_test.py": ("COG650", "COG652"),
    "tests/unit/engines/docker/test_problems.py": (
        "COG622",
        "COG623",
        "COG624",
        "COG625",
        "COG626",
        "COG640",
        "COG644",
    ),
}
SHOWN = [code for code in CATALOGUE if code not in PROOFS and not any(code in codes for codes in ELSEWHERE.values())]
# What the fixed project reports besides remarks, because nothing can be done about it.
REMAINING = {"COG143": {("warning", "COG127")}, "COG430": {("warning", "COG132")}}


# -- the tests -----------------------------------------------------------------------------------


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(CATALOGUE)


def test_every_proof_belongs_to_a_code() -> None:
    assert set(PROOFS) <= set(CATALOGUE)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_codes_that_are_proven_elsewhere_are_named_there(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text("utf-8")
    assert [code for code in ELSEWHERE[name] if f'"{code}"' not in text] == []


@pytest.mark.parametrize("code", CATALOGUE)
def test_page_has_the_common_form_and_explain_prints_it(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, entry = text_of(code), CATALOGUE[code]
    assert text.startswith(f"# {code}: {entry.name}\n\n{entry.severity.capitalize()}: {entry.summary}\n\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert len(text.splitlines()) <= MAX_LINES
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert main(["explain", code.lower()]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("code", SHOWN)
def test_example_reports_the_code_and_the_fix_does_not(code: str, project: Project) -> None:
    example, fix = section(code, "Example"), section(code, "Fix")
    for name, content in example.files.items():
        project.write(name, content)
    before = project.run_all(example.commands)
    for name, content in fix.files.items():
        project.write(name, content)
    after = project.run_all(fix.commands)
    assert_told_apart(code, before, after)


@pytest.mark.parametrize("code", PROOFS)
def test_what_the_page_describes_is_told_apart(code: str, project: Project) -> None:
    assert_told_apart(code, *PROOFS[code](project))


def assert_told_apart(code: str, before: Report, after: Report) -> None:
    severity = CATALOGUE[code].severity
    assert (severity, code) in before.found
    wrong = 2 if code == "COG503" else 1  # the command line, not the project
    assert before.status == (wrong if "error" in before.severities() else 0)
    # A fix is good advice only when it leads to nothing worse than remarks.
    assert code not in {found for _, found in after.found}
    assert {severity for severity, _ in after.found - REMAINING.get(code, set())} <= {"info"}
    assert after.status == 0
