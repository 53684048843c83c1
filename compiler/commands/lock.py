"""Write cog.lock: every decision and every file of a build, by hash. Builds with --locked then use exactly these.

uv resolves the packages, so the package index must be reachable. Digests of images come from their registry, or from
the container engine. What the lock has already stays as it is, unless cog.yaml has changed or --upgrade says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic, Severity, has_errors, report
from ..disk import describe, write_atomically
from ._project import (
    Project,
    add_build_arguments,
    add_project_arguments,
    build_options,
    fail,
    load_project,
    show,
    source_of,
)

if TYPE_CHECKING:
    from ..frontend.lower import BuildOptions
    from ..ir.lock import Lock, LockedPlatform

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc lock                                     write cog.lock, or bring it up to date
  cogc compile --locked -o Dockerfile           build exactly that
  cogc lock --check                             in CI: is the lock up to date?
  cogc lock --upgrade                           everything as new as cog.yaml allows
  cogc lock --upgrade torch
  cogc lock --platform linux/amd64,linux/arm64
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc lock`."""
    add_project_arguments(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the lock is out of date")
    parser.add_argument(
        "--upgrade",
        nargs="?",
        const="",
        action="append",
        metavar="PACKAGE",
        help="decide anew about a package, or about everything; repeat",
    )
    parser.add_argument(
        "--allow-builds",
        action="store_true",
        help="let uv run build scripts of packages without wheels on this machine, to see what they need",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print what has changed")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lock, or check the lock, and give the exit code."""
    from ..frontend.lock import lock_name

    wanted = arguments.platform.split(",") if arguments.platform else []
    options, found = _options(arguments, wanted)
    if not options:
        fail(found, None, arguments.format)
        return 2
    project, problems = load_project(arguments)
    if project is None:
        return fail(problems, None, arguments.format)
    name = lock_name(project.name)
    if arguments.check:
        return _check(arguments, project, name, options, has_platforms=bool(wanted))
    return _write(arguments, project, name, options, has_platforms=bool(wanted))


def _options(
    arguments: argparse.Namespace, platforms: list[str]
) -> tuple[tuple[BuildOptions, ...], tuple[Diagnostic, ...]]:
    """The options of the build for each platform, the usual one where none is named."""
    made: list[BuildOptions] = []
    found: tuple[Diagnostic, ...] = ()
    if arguments.locked:
        found = (report("COG503", "--locked is for commands that use the lock; this one writes it"),)
    for platform in dict.fromkeys(platforms) or (None,):
        arguments.platform = platform
        options, problems = build_options(arguments)
        found += problems
        made += [options] if options is not None else []
    return (() if has_errors(found) else tuple(made)), found


def _check(
    arguments: argparse.Namespace,
    project: Project,
    name: str,
    options: tuple[BuildOptions, ...],
    *,
    has_platforms: bool,
) -> int:
    """Compile with the lock for each platform; what is wrong is what that says."""
    from ..driver import compile_project, matrix_of
    from ..frontend.lock import read_lock

    source, found = source_of(project, arguments.openapi_schema, is_locked=True)
    if source is None or source.lock is None:
        return fail(found, project, arguments.format)
    lock, problems = read_lock(source.lock[0], name)
    if lock is None:
        return fail([*found, *problems], project, arguments.format)
    for each in options if has_platforms else _for_platforms(options[0], lock):
        compilation = compile_project(source, each, matrix_of(source))
        found += tuple(problem for problem in compilation.diagnostics if problem not in found)
    if has_errors(found):
        return fail(found, project, arguments.format)
    show(found, project, format=arguments.format, to_stdout=arguments.format == "json")
    if arguments.format == "text":
        print(f"{name} is up to date", file=sys.stderr)
    return 0


def _for_platforms(options: BuildOptions, lock: Lock | None) -> Iterator[BuildOptions]:
    """The options for each platform of a lock; as they are without one."""
    if lock is None or not lock.platforms:
        yield options
        return
    yield from (replace(options, platform=entry.platform) for entry in lock.platforms)


def _write(
    arguments: argparse.Namespace,
    project: Project,
    name: str,
    options: tuple[BuildOptions, ...],
    *,
    has_platforms: bool,
) -> int:
    from packaging.utils import canonicalize_name

    from ..engines import EngineFailure
    from ..ir.lock_document import render_lock
    from ._locking import Locking, is_image, lock_changes
    from ._reporter import StandardErrorReporter

    source, found = source_of(project, arguments.openapi_schema)
    if source is None:
        return fail(found, project, arguments.format)
    upgrades = frozenset(name if is_image(name) else canonicalize_name(name) for name in arguments.upgrade or ())
    old, problems = _old_lock(project, name, is_anew="" in upgrades)
    if has_errors(problems):
        return fail([*found, *problems], project, arguments.format)
    locking = Locking(
        source=source,
        root=project.root,
        reporter=StandardErrorReporter(debug=arguments.debug),
        old=old,
        upgrades=upgrades,
        allows_builds=arguments.allow_builds,
    )
    try:
        lock = locking.lock(options if has_platforms else tuple(_for_platforms(options[0], old)))
    except EngineFailure as failure:
        return fail([*found, *locking.found, *failure.diagnostics], project, arguments.format)
    found += tuple(locking.found)
    if lock is None:
        return fail(found, project, arguments.format)
    changes = lock_changes(old, lock)
    text = render_lock(lock).encode()
    try:
        if old is None or text != project.files.read(name):
            write_atomically(project.root / name, text)
    except OSError as error:
        unwritten = report("COG501", f"{name} {describe(error).replace('accessed', 'written')}")
        return fail([*found, unwritten], project, arguments.format)
    _tell(arguments, project, name, lock, changes, found, is_new=old is None)
    return 0


def _old_lock(project: Project, name: str, *, is_anew: bool) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """The lock that is there; one that cannot be read is an error unless it is written anew."""
    from ..frontend.files import FileProblem
    from ..frontend.lock import read_lock

    try:
        raw = project.files.read(name)
    except FileProblem as problem:
        is_missing = problem.reason == "does not exist"
        return None, () if is_missing else (report("COG500", f"{name} {problem.reason}"),)
    lock, problems = read_lock(raw, name)
    return lock, () if is_anew else problems


def _tell(
    arguments: argparse.Namespace,
    project: Project,
    name: str,
    lock: Lock,
    changes: tuple[str, ...],
    found: tuple[Diagnostic, ...],
    *,
    is_new: bool,
) -> None:
    if arguments.format == "json":
        import json

        from ..render.json_ import as_document

        document = {"lock": name, "is_new": is_new, "changes": list(changes), **as_document(found)}
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    # Remarks of the compilation are those of `cogc check`; what the lock leaves open belongs here.
    show((d for d in found if d.severity is not Severity.INFO or d.code == "COG268"), project, with_info=True)
    if not is_new and not changes:
        print(f"{name} is up to date", file=sys.stderr)
        return
    for change in () if is_new else changes:
        print(f"  {change}", file=sys.stderr)
    for entry in lock.platforms:
        pinned = sum(image.digest is not None for image in entry.images)
        images = f"{pinned} of {len(entry.images)} images by digest"
        print(f"{entry.platform}: {_count_packages(entry)}, {images}", file=sys.stderr)
    print(f"wrote {name}", file=sys.stderr)


def _count_packages(entry: LockedPlatform) -> str:
    """How many packages, and how many of these are from elsewhere than an index."""
    counts = {
        said: sum(package.source == source for package in entry.packages)
        for source, said in (("git", "from git"), ("url", "from URLs"), ("project", "of the project"))
    }
    others = ", ".join(f"{count} {said}" for said, count in counts.items() if count)
    return f"{len(entry.packages)} packages" + (f" ({others})" if others else "")
