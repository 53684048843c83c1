"""Look for problems in the project and on this machine, and fix those that can be fixed safely.

The checks of the project are those of `cogc check` and a few more; those of the machine ask for the container engine,
buildx, disk, Python and GPUs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ..disk import describe, write_atomically
from ._checkup import Finding, Outcome, run_check
from ._project import Project, load_project
from ._reporter import StandardErrorReporter

if TYPE_CHECKING:
    from ._checks_project import Examined

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc doctor
  cogc doctor --fix
  cogc doctor --migrate --fix     the names of newer Cog: run.py, Runner, run
"""
_SIGNS = {"ok": "✓", "warning": "⚠", "error": "✗", "skipped": "-"}
_COLOURS = {"ok": "32", "warning": "33", "error": "31", "skipped": "2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc doctor`."""
    parser.add_argument("--fix", action="store_true", help="fix what can be fixed without changing what is built")
    parser.add_argument("--migrate", action="store_true", help="also look for names that newer Cog spells differently")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: one document")
    parser.add_argument(
        "-f", "--file", default="cog.yaml", metavar="NAME", help="name of the configuration to search for"
    )


def run(arguments: argparse.Namespace) -> int:
    """Look, fix, print, and give the exit code: 1 while an error remains."""
    from ..engines.docker.cli import DockerCli
    from ._checks_environment import environment_checks
    from ._checks_project import examine, project_checks

    arguments.path = None
    docker = DockerCli(StandardErrorReporter(debug=arguments.debug))
    if arguments.format == "text":
        print("cogc doctor is experimental: its checks may change.")
    fixed = 0
    examined = examine(*load_project(arguments))
    outcomes = [run_check(check) for check in project_checks(examined, migrates=arguments.migrate)]
    if arguments.fix:
        fixed = _fix(examined, outcomes)
        if fixed:
            examined = examine(*load_project(arguments))
            outcomes = [run_check(check) for check in project_checks(examined, migrates=arguments.migrate)]
    outcomes += [run_check(check) for check in environment_checks(docker, examined)]
    if arguments.format == "json":
        print(json.dumps(_document(outcomes, fixed), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(outcomes, fixed, is_fixing=arguments.fix, project=examined.project)))
    return 1 if any(outcome.state == "error" for outcome in outcomes) else 0


def _fix(examined: Examined, outcomes: Sequence[Outcome]) -> int:
    """Apply the fixes of all findings; how many were applied."""
    from ..fixes import apply_fixes
    from ..frontend.files import FileProblem
    from ._migration import rename_target

    project = examined.project
    if project is None:
        return 0
    found = [item.diagnostic for outcome in outcomes for item in outcome.findings if item.diagnostic is not None]
    names = {edit.span.file for item in found if item.fix for edit in item.fix.edits}
    sources: dict[str, str] = {}
    for name in sorted(names):
        try:
            sources[name] = project.files.read(name).decode("utf-8")
        except (FileProblem, UnicodeDecodeError):
            continue
    changed, fixed = apply_fixes(sources, found)
    try:
        for name, text in changed.items():
            write_atomically(project.root / name, text.encode())
        if any(item.code == "COG452" for item in fixed) and examined.config and examined.config.predict:
            rename_target(project.root, examined.config.predict.file)
    except OSError as error:
        print(f"cogc doctor: {error.filename} {describe(error).replace('accessed', 'written')}", file=sys.stderr)
    return len(fixed)


# -- what is printed ----------------------------------------------------------------------------------


def _lines(outcomes: Sequence[Outcome], fixed: int, *, is_fixing: bool, project: Project | None) -> Iterator[str]:
    from ._project import wants_colour

    paint = _painted if wants_colour(sys.stdout) else _plain
    width = max(len(outcome.name) for outcome in outcomes)
    for group, members in groupby(outcomes, key=lambda outcome: outcome.group):
        yield ""
        yield group
        for outcome in members:
            before = f"  {_SIGNS[outcome.state]} {outcome.name:<{width}}  "
            for line in _fitted(f"{before}{outcome.remark}".rstrip(), len(before)):
                yield paint(line, _COLOURS[outcome.state])
            for finding in outcome.findings:
                yield from _finding_lines(finding, is_fixing=is_fixing)
    yield ""
    yield _summary(outcomes, fixed)


def _finding_lines(finding: Finding, *, is_fixing: bool) -> Iterator[str]:
    place = f"{finding.span.file}:{finding.span.line} — " if finding.span is not None else ""
    yield from _fitted(f"      {place}{finding.message}", 8)
    if finding.remedy and (is_fixing or not finding.is_fixable):
        yield from _fitted(f"      Remediation: {finding.remedy}", 8)


def _fitted(line: str, indent: int) -> list[str]:
    """The line, broken between words where a terminal has not so many columns."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if len(line) <= room or not room:
        return [line]
    after = " " * min(indent, room // 2)
    return textwrap.wrap(line, room, subsequent_indent=after, break_long_words=False, break_on_hyphens=False)


def _painted(line: str, colour: str) -> str:
    return f"\x1b[{colour}m{line}\x1b[0m"


def _plain(line: str, _: str) -> str:
    return line


def _summary(outcomes: Sequence[Outcome], fixed: int) -> str:
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    errors = sum(finding.level == "error" for finding in findings)
    warnings = len(findings) - errors
    parts = [_counted(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    told = f"Fixed {_counted(fixed, 'issue')}. " if fixed else ""
    if not parts:
        return told.strip() or "no issues found"
    hint = ' Run "cogc doctor --fix" to auto-fix.' if any(finding.is_fixable for finding in findings) else ""
    return f"{told}Found {', '.join(parts)}.{hint}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _document(outcomes: Sequence[Outcome], fixed: int) -> dict[str, object]:
    return {
        "version": 1,
        "fixed": fixed,
        "checks": [
            {
                "name": outcome.name,
                "group": outcome.group,
                "state": outcome.state,
                "remark": outcome.remark,
                "findings": [
                    {
                        "level": finding.level,
                        "message": finding.message,
                        "file": finding.span.file if finding.span else None,
                        "line": finding.span.line if finding.span else None,
                        "code": finding.diagnostic.code if finding.diagnostic else None,
                        "remediation": finding.remedy,
                        "fixable": finding.is_fixable,
                    }
                    for finding in outcome.findings
                ],
            }
            for outcome in outcomes
        ],
    }
