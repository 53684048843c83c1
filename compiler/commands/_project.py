"""What commands share: finding the project, reading it, showing diagnostics, exit codes."""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..diagnostics import Diagnostic, Severity, has_errors, report
from ..disk import ProjectFiles, describe, find_upward
from ..record import record
from ..source import SourceFile, Span

if TYPE_CHECKING:
    from ..driver import Source
    from ..frontend.lower import BuildOptions

__all__ = [
    "Project",
    "Refused",
    "add_build_arguments",
    "add_config_name",
    "add_project_arguments",
    "add_schema_argument",
    "begin",
    "build_options",
    "fail",
    "frontend_version",
    "load_project",
    "show",
    "source_of",
    "wants_colour",
]

_MOST_BYTES = 2 * 1024 * 1024  # more than a configuration may have, so that too much is seen as too much
_MOST_SCHEMA_BYTES = 16 * 1024 * 1024
FORMATS = ("text", "concise", "json", "sarif", "github")


@record(kw_only=False)
class Project:
    """A project on disk: its root, the configuration's name in it and bytes.

    `label` stands before its paths when they are shown; without one it is how to get there from here.
    """

    root: Path
    name: str
    config: bytes
    label: str | None = None

    @property
    def files(self) -> ProjectFiles:
        """The project's files."""
        return ProjectFiles(self.root)


def add_project_arguments(parser: argparse.ArgumentParser, also: str = "", meaning: str = "") -> None:
    """FILE and --file; `also` is what else the argument may be, and `meaning` what that gives."""
    parser.add_argument(
        "path",
        nargs="?",
        metavar=f"{also}|FILE" if also else "FILE",
        help=f"{meaning}the configuration; `-` reads standard input (default: search upward)",
    )
    add_config_name(parser)


def add_config_name(parser: argparse.ArgumentParser) -> None:
    """--file, for commands that find the project themselves."""
    parser.add_argument(
        "-f",
        "--file",
        default="cog.yaml",
        metavar="NAME",
        help="name of the configuration to search for (default: cog.yaml)",
    )


def add_schema_argument(parser: argparse._ActionsContainer) -> None:
    """--openapi-schema, which `source_of` reads."""
    parser.add_argument(
        "--openapi-schema",
        metavar="FILE",
        help="OpenAPI document (JSON) of the model, instead of the one that its source tells",
    )


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """What bears on the build itself; `build_options` reads it."""
    group = parser.add_argument_group("the image")
    group.add_argument(
        "--platform", metavar="OS/ARCH", help="platform of the image, such as linux/amd64 or linux/arm64"
    )
    group.add_argument("--base-image", metavar="IMAGE", help="base image to use as it is; it must have Python")
    group.add_argument(
        "--use-cuda-base-image",
        default="auto",
        metavar="auto|true|false",
        help="whether a GPU model starts from nvidia/cuda (default: auto, only when something needs it)",
    )
    group.add_argument("--use-cog-base-image", nargs="?", const="true", default="false", help=argparse.SUPPRESS)
    group.add_argument(
        "--separate-weights", action="store_true", help="take weights from an image of their own, IMAGE-weights"
    )
    group.add_argument("--image-name", metavar="NAME", help="name of the image (default: from cog.yaml)")
    group.add_argument(
        "--user", metavar="USER", help="user that the container runs as (default: build.user, else root)"
    )
    group.add_argument("--no-source", action="store_true", help="leave the project's code out of the image")
    add_schema_argument(group)
    group.add_argument(
        "--no-tools", action="store_true", help="do not add the tools (curl, git, a compiler) that Cog's images have"
    )
    group.add_argument(
        "--installer",
        choices=("auto", "uv", "pip"),
        default="auto",
        help="what installs Python packages (default: uv, or pip where a line needs it)",
    )
    group.add_argument(
        "--cuda-python",
        choices=("uv", "apt", "image"),
        default="uv",
        help="where Python in CUDA images comes from: uv, the distribution, or the python image (default: uv)",
    )
    group.add_argument(
        "--budget", metavar="SIZE", help="the most that the image may have, such as 6GB (default: build.budget)"
    )
    group.add_argument(
        "--locked", action="store_true", help="build exactly what cog.lock says; an error when it is out of date"
    )
    group.add_argument(
        "--gpu-model",
        action="append",
        default=[],
        metavar="NAME",
        help="a GPU that the model must run on, such as A100 or sm_86; may be repeated (default: build.gpu_model)",
    )
    group.add_argument(
        "--driver", metavar="VERSION", help="oldest NVIDIA driver to run with, such as 535 (default: build.driver)"
    )
    group.add_argument("--strip", action="store_true", help=argparse.SUPPRESS)
    group.add_argument("--precompile", action="store_true", help=argparse.SUPPRESS)


def build_options(arguments: argparse.Namespace) -> tuple[BuildOptions | None, tuple[Diagnostic, ...]]:
    """The options of the build, or what is wrong with them. Error: COG503; warning: COG504."""
    from ..frontend.lower import BuildOptions
    from ..frontend.values import check_image_name, check_user, is_driver
    from ..ir.quantities import parse_size

    found: list[Diagnostic] = []
    use_cuda = "false" if arguments.use_cuda_base_image.lower() == "false" else "auto"
    if arguments.use_cuda_base_image.lower() not in ("auto", "false"):
        use_cuda = "true"
    given = [
        flag
        for flag, is_given in (
            ("--use-cog-base-image", arguments.use_cog_base_image != "false"),
            ("--use-cuda-base-image", use_cuda != "auto"),
            ("--base-image", arguments.base_image is not None),
        )
        if is_given
    ]
    if len(given) > 1:
        message = f"The flags {given[0]} and {given[1]} are mutually exclusive: you can only set one of them."
        found.append(report("COG503", message))
    if arguments.use_cog_base_image != "false":
        found.append(report("COG504", "prebuilt Cog base images are not used; the image is built from the usual base"))
    if arguments.platform is not None and arguments.platform not in ("linux/amd64", "linux/arm64"):
        message = f"--platform {arguments.platform}: the platforms are linux/amd64 and linux/arm64"
        found.append(report("COG503", message))
    # The name of the image may be that of --image-name, of --tag, or an argument.
    for option, value in (("--base-image ", arguments.base_image), ("", arguments.image_name)):
        if value is not None and (wrong := check_image_name(value, Span.of_file(""))):
            found.append(report("COG503", f"{option}{value}: not a valid image name", hint=wrong[0].hint))
    if arguments.separate_weights and "@" in (arguments.image_name or ""):
        message = f"{arguments.image_name}: a digest has no room for the suffix -weights; name a tag"
        found.append(report("COG503", message))
    if arguments.user is not None and check_user(arguments.user, Span.of_file("")):
        found.append(report("COG503", f"--user {arguments.user}: write a name, an id or uid:gid"))
    if arguments.driver is not None and not is_driver(arguments.driver):
        found.append(report("COG503", f"--driver {arguments.driver}: write a version such as 535 or 535.104.05"))
    budget = parse_size(arguments.budget) if arguments.budget is not None else None
    if arguments.budget is not None and not budget:
        found.append(report("COG503", f"--budget {arguments.budget}: write a size such as 6GB, 500MB or 1.5GiB"))
    if has_errors(found):
        return None, tuple(found)
    options = BuildOptions(
        platform=arguments.platform,
        base_image=arguments.base_image,
        use_cuda_base="true" if use_cuda == "true" else "false" if use_cuda == "false" else "auto",
        installer=arguments.installer,
        cuda_python=arguments.cuda_python,
        separate_weights=arguments.separate_weights,
        image_name=arguments.image_name,
        with_source=not arguments.no_source,
        user=arguments.user,
        strips=arguments.strip,
        precompiles=arguments.precompile,
        installs_tools=not arguments.no_tools,
        budget=budget,
        gpu_models=tuple(name.strip() for text in arguments.gpu_model for name in text.split(",") if name.strip()),
        driver=arguments.driver,
    )
    return options, tuple(found)


def load_project(arguments: argparse.Namespace) -> tuple[Project | None, tuple[Diagnostic, ...]]:
    """Find and read the configuration. Errors: COG100, COG500."""
    if arguments.path == "-":
        return Project(Path.cwd(), arguments.file, sys.stdin.buffer.read(_MOST_BYTES)), ()
    named = Path(arguments.file)
    depth = len(named.parts) if not named.is_absolute() and ".." not in named.parts else 1  # below the project root
    if arguments.path is not None:
        path = Path(arguments.path)
        if path.is_dir():
            path = path / named
        else:
            depth = 1
    elif named.is_absolute() or ".." in named.parts:
        path = named
    else:
        start = Path.cwd()
        found = find_upward(arguments.file, start)
        if found is None:
            message = f"{arguments.file} not found in {start} (or in any parent directories)"
            return None, (report("COG100", message, hint="`cogc init` writes one"),)
        path = found
    root = Path(os.path.abspath(path))
    for _ in range(max(depth, 1)):
        root = root.parent
    name = os.path.relpath(os.path.abspath(path), root).replace(os.sep, "/")
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            # A device or a pipe has no project around it: it is read like standard input.
            with open(path, "rb") as stream:
                return Project(Path.cwd(), "cog.yaml", stream.read(_MOST_BYTES)), ()
        with open(path, "rb") as file:
            return Project(root, name, file.read(_MOST_BYTES)), ()
    except OSError as error:
        return None, (report("COG500", f"{path} {describe(error)}"),)


class Refused(Exception):
    """The command ends here; what is wrong has been shown. `status` is the exit code."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def begin(arguments: argparse.Namespace) -> tuple[BuildOptions, Project, tuple[Diagnostic, ...]]:
    """The options of the build and the project, for a command with `--format`; and remarks. Error: `Refused`."""
    options, found = build_options(arguments)
    if options is None:
        fail(found, None, arguments.format)
        raise Refused(2)
    project, problems = load_project(arguments)
    if project is None:
        raise Refused(fail(problems, None, arguments.format))
    return options, project, found


def source_of(
    project: Project, schema: str | None = None, *, is_locked: bool = False
) -> tuple[Source | None, tuple[Diagnostic, ...]]:
    """The project as the compiler takes it, with what the environment adds.

    Errors: COG260, COG280, COG281, COG310, COG500.

    `schema` is the file of --openapi-schema; without it COG_OPENAPI_SCHEMA may name one, unless it is empty. With
    `is_locked` the build follows the lock beside the configuration.
    """
    from ..driver import Source
    from ._certificate import read_certificate
    from ._project_tables import tables_of

    certificate, found = read_certificate(os.environ.get("COG_CA_CERT", ""))
    given, problems = _read_schema(project, schema)
    found += problems
    lock, problems = _lock_of(project) if is_locked else (None, ())
    found += problems
    tables, problems = tables_of(project.root)
    found += problems
    if has_errors(found):
        return None, found
    source = Source(
        config=project.config,
        name=project.name,
        directory=project.root.name,
        files=project.files,
        certificate=certificate,
        schema=given,
        lock=lock,
        tables=tables,
    )
    return source, found


def _read_schema(project: Project, option: str | None) -> tuple[SourceFile | None, tuple[Diagnostic, ...]]:
    """The text of the document that is given, under its name as seen from the project. Error: COG500."""
    path = option if option is not None else os.environ.get("COG_OPENAPI_SCHEMA")
    if not path:
        return None, ()
    label = "--openapi-schema" if option else "COG_OPENAPI_SCHEMA:"
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST_SCHEMA_BYTES).decode("utf-8-sig")
    except OSError as error:
        return None, (report("COG500", f"{label} {path} {describe(error)}"),)
    except ValueError:  # a null character in the path, or bytes that are no text
        return None, (report("COG500", f"{label} {path} is not UTF-8 text"),)
    name = os.path.relpath(os.path.abspath(path), project.root).replace(os.sep, "/")
    return SourceFile(name, text), ()


def _lock_of(project: Project) -> tuple[tuple[bytes, str] | None, tuple[Diagnostic, ...]]:
    """The content of the lock beside the configuration, and its name. Error: COG260."""
    from ..frontend.files import FileProblem
    from ..frontend.lock import lock_name

    name = lock_name(project.name)
    try:
        return (project.files.read(name), name), ()
    except FileProblem as problem:
        hint = "`cogc lock` writes it" if problem.reason == "does not exist" else None
        return None, (report("COG260", f"{name} {problem.reason}, and the build is to follow it", hint=hint),)


def frontend_version(text: str) -> tuple[tuple[int, int] | None, tuple[Diagnostic, ...]]:
    """A Dockerfile dialect, such as `1.4` or `1.19`, as numbers. Error: COG503."""
    match = re.fullmatch(r"1\.([0-9]{1,3})", text)
    if match is not None and int(match[1]) >= 4:
        return (1, int(match[1])), ()
    message = f"--dockerfile-frontend {text}: write a dialect from 1.4 on, such as 1.19"
    return None, (report("COG503", message),)


def show(
    diagnostics: Iterable[Diagnostic],
    project: Project | None,
    *,
    format: str = "text",
    with_info: bool = False,
    to_stdout: bool = False,
) -> None:
    """Print diagnostics: to standard error, or as the result of the command to standard output."""
    from ..render import render

    shown = [d for d in diagnostics if with_info or d.severity is not Severity.INFO]
    stream = sys.stdout if to_stdout else sys.stderr
    prefix = _prefix(project)
    sources = _sources(shown, project, prefix)
    is_terminal = stream.isatty()
    width = os.get_terminal_size(stream.fileno()).columns if is_terminal else 100
    moved = [_moved(diagnostic, prefix) for diagnostic in shown]
    text = render(moved, sources, format, colour=wants_colour(stream), width=max(width, 40), wraps=is_terminal)
    stream.write(text)


def wants_colour(stream: TextIO) -> bool:
    """Whether what goes there may be coloured: a terminal, and nobody asked for none."""
    plain = any(os.environ.get(name) for name in ("NO_COLOR", "COG_NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def fail(diagnostics: Sequence[Diagnostic], project: Project | None, format: str = "text") -> int:
    """Show what is wrong, on standard error or as the document asked for; the exit code of wrong input."""
    is_document = format == "json"
    show(diagnostics, project, format=format, with_info=is_document, to_stdout=is_document)
    return 1


def _prefix(project: Project | None) -> str:
    """What stands before paths of the project when they are shown: how to get there from here."""
    if project is None:
        return ""
    if project.label is not None:
        return project.label
    relative = os.path.relpath(project.root)
    if relative == ".":
        return ""
    shown = str(project.root) if relative.startswith("..") else relative
    return shown.replace(os.sep, "/").rstrip("/") + "/"


def _moved(diagnostic: Diagnostic, prefix: str) -> Diagnostic:
    """The same, with paths as seen from the current directory."""
    if not prefix:
        return diagnostic

    def span(old: Span | None) -> Span | None:
        return replace(old, file=prefix + old.file) if old else None

    fix = diagnostic.fix
    if fix is not None:
        edits = tuple(replace(edit, span=replace(edit.span, file=prefix + edit.span.file)) for edit in fix.edits)
        fix = replace(fix, edits=edits)
    notes = tuple(replace(note, span=span(note.span)) for note in diagnostic.notes)
    return replace(diagnostic, span=span(diagnostic.span), notes=notes, fix=fix)


def _sources(diagnostics: Sequence[Diagnostic], project: Project | None, prefix: str) -> dict[str, str]:
    """The text of every file that a diagnostic points into, as far as it can be read."""
    if project is None:
        return {}
    spans = [d.span for d in diagnostics] + [note.span for d in diagnostics for note in d.notes]
    texts: dict[str, str] = {}
    for name in sorted({span.file for span in spans if span is not None}):
        try:
            raw = project.config if name == project.name else project.files.read(name)
        except Exception:  # the file is what the diagnostic is about
            continue
        texts[prefix + name] = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return texts
