"""Compile cog.yaml to a Dockerfile on standard output.

Files that the build needs are staged in .cog/build beside cog.yaml; `docker build .` finds them there.
No container engine and no network are used, and the same input gives the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic, has_errors, report
from ..disk import describe, stage_files, write_atomically
from ..source import Span
from ._llb import LLB_OUTPUTS, add_llb_arguments, llb_output
from ._project import (
    Project,
    add_build_arguments,
    add_project_arguments,
    build_options,
    fail,
    frontend_version,
    load_project,
    show,
    source_of,
)
from ._reporter import print_bytes, print_exactly

if TYPE_CHECKING:
    from ..driver import Compilation, Source
    from ..frontend.lower import BuildOptions

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc compile cog.yaml > Dockerfile && docker build .
  cogc compile | docker build -f - .
  cogc compile --inline -o Dockerfile      one self-contained file, nothing staged
  cogc compile --check Dockerfile          exit 1 and a diff when it is out of date
  cogc compile --separate-weights -o Dockerfile
  cogc compile --emit weights-dockerfile -o Dockerfile.weights
  cogc compile --emit llb | buildctl build --local context=.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc compile`."""
    add_project_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")
    output.add_argument(
        "--emit",
        choices=("dockerfile", "weights-dockerfile", "dockerignore", "ir", *LLB_OUTPUTS),
        default="dockerfile",
        metavar="WHAT",
        help="what to print: dockerfile (the default), weights-dockerfile, dockerignore (that of the weights image),"
        " ir, or the build as an LLB definition: llb (for buildctl), llb-json, llb-text, with image-config",
    )
    output.add_argument("--inline", action="store_true", help="write a self-contained Dockerfile; stage nothing")
    output.add_argument("--check", metavar="FILE", help="write nothing; exit 1 with a diff when FILE is out of date")
    output.add_argument("--annotate", action="store_true", help="write every cause of every line as a comment")
    output.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: the result and all diagnostics as one document",
    )
    output.add_argument(
        "--syntax",
        nargs="?",
        const="docker/dockerfile:1",
        metavar="IMAGE",
        help="name a frontend image in the first line (default: none; with no value docker/dockerfile:1)",
    )
    output.add_argument(
        "--dockerfile-frontend",
        default="1.19",
        metavar="VERSION",
        help="Dockerfile dialect to write, from 1.4 on (default: 1.19, which Docker 28.5 knows)",
    )
    add_llb_arguments(output)
    add_build_arguments(parser)


def run(arguments: argparse.Namespace, *, stages: bool = True) -> int:
    """Compile, write, and give the exit code. `stages=False` leaves the staging directory alone."""
    if arguments.path == "-" and arguments.check == "-":
        return fail([report("COG503", "--check needs the name of a file")], None, arguments.format)
    options, dialect, found = _options(arguments)
    if options is None or dialect is None:
        fail(found, None, arguments.format)
        return 2
    project, problems = load_project(arguments)
    if project is None:
        return fail(problems, None, arguments.format)
    source, problems = source_of(project, arguments.openapi_schema, is_locked=arguments.locked)
    found += problems
    if source is None:
        return fail(found, project, arguments.format)

    from ..driver import compile_project, matrix_of

    compilation = compile_project(source, options, matrix_of(source))
    found += compilation.diagnostics
    if not has_errors(found) and arguments.emit in LLB_OUTPUTS:
        return _llb(arguments, compilation, project, source, found)
    text, problems = (None, ()) if has_errors(found) else _emit(arguments, compilation, project, dialect)
    found += problems
    if text is None or has_errors(found):
        return fail(found, project, arguments.format)
    is_inline = arguments.inline or compilation.is_staging_hidden
    if arguments.check is not None:
        return _check(Path(arguments.check), text, project, found, arguments.format)
    try:
        if stages and arguments.emit == "dockerfile" and not is_inline:
            stage_files(project.root, _staging(), compilation.staged)
        result = text
        if arguments.format == "json":
            lists = arguments.emit == "dockerfile"
            result = _document(text, compilation, found, is_inline=is_inline, stages=lists)
        if arguments.output in (None, "-"):
            print_exactly(result)
        else:
            write_atomically(Path(arguments.output), result.encode())
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        is_staging = error.filename is not None and arguments.output in (None, "-")
        hint = "--inline needs no staging directory" if is_staging else None
        path = error.filename or arguments.output or "the output"
        unwritten = report("COG501", f"{path} {_unwritable(error)}", hint=hint)
        return fail([*found, unwritten], project, arguments.format)
    if arguments.format == "text":
        show(found, project)
        if arguments.output not in (None, "-"):
            staged = arguments.emit == "dockerfile" and not is_inline
            also = f", and staged {len(compilation.staged)} files in {_staging()}" if staged else ""
            print(f"wrote {arguments.output}{also}", file=sys.stderr)
    return 0


def _options(
    arguments: argparse.Namespace,
) -> tuple[BuildOptions | None, tuple[int, int] | None, tuple[Diagnostic, ...]]:
    """The options of the build and the dialect; None with what is wrong with them. Errors: COG503."""
    from ..frontend.values import check_image_name

    options, found = build_options(arguments)
    dialect, problems = frontend_version(arguments.dockerfile_frontend)
    found += problems
    if arguments.syntax and check_image_name(arguments.syntax, Span.of_file("")):
        found += (report("COG503", f"--syntax {arguments.syntax}: not a valid image name"),)
    return (None, None, found) if has_errors(found) else (options, dialect, found)


def _emit(
    arguments: argparse.Namespace, compilation: Compilation, project: Project, dialect: tuple[int, int]
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    from ..driver import weights_build
    from ._dockerfile import dockerfile_of

    resolved = compilation.resolved
    assert resolved is not None
    if arguments.output is not None and (wrong := _overwritten(arguments, compilation, project)):
        return None, (wrong,)
    if arguments.emit == "ir":
        from ..ir.text import render_ir

        return render_ir(resolved), ()
    if arguments.emit == "dockerignore":
        from ..backends.context import excluded_weights

        return "".join(f"{line}\n" for line in excluded_weights(resolved)), ()
    if arguments.emit == "weights-dockerfile":
        weights = weights_build(resolved)
        if weights is None:
            return None, (report("COG503", "--emit weights-dockerfile: the project has no weights of 10 MiB or more"),)
        return dockerfile_of(compilation, project, build=weights, frontend=dialect, syntax=arguments.syntax)
    found = (_hidden_staging(),) if compilation.is_staging_hidden and not arguments.inline else ()
    text, problems = dockerfile_of(
        compilation,
        project,
        frontend=dialect,
        syntax=arguments.syntax,
        inline=arguments.inline or compilation.is_staging_hidden,
        annotate=arguments.annotate,
    )
    return text, found + problems


def _llb(
    arguments: argparse.Namespace,
    compilation: Compilation,
    project: Project,
    source: Source,
    found: tuple[Diagnostic, ...],
) -> int:
    """An output of the LLB back end, which stages nothing; bytes are base64 in a document. Errors: COG501, COG503."""
    import base64

    wrong = _overwritten(arguments, compilation, project) if arguments.output is not None else None
    data, problems = (None, (wrong,)) if wrong else llb_output(arguments, compilation, source)
    found += problems
    if data is None or has_errors(found):
        return fail(found, project, arguments.format)
    is_binary = arguments.emit == "llb"
    if arguments.check is not None:
        if is_binary:
            return fail([*found, report("COG503", "--check compares text: --emit llb-text")], project, arguments.format)
        return _check(Path(arguments.check), data.decode(), project, found, arguments.format)
    is_text = arguments.format == "text"
    if is_binary and is_text and arguments.output in (None, "-") and sys.stdout.isatty():
        hint = "send it into a file or a pipe, or name a file with --output; --emit llb-text is to be read"
        return fail([*found, report("COG503", "--emit llb: a terminal shows no bytes", hint=hint)], project)
    if arguments.format == "json":
        text = base64.b64encode(data).decode() if is_binary else data.decode()
        data = _document(text, compilation, found, is_inline=False, stages=False).encode()
    try:
        if arguments.output in (None, "-"):
            print_bytes(data)
        else:
            write_atomically(Path(arguments.output), data)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        unwritten = report("COG501", f"{error.filename or arguments.output or 'the output'} {_unwritable(error)}")
        return fail([*found, unwritten], project, arguments.format)
    if arguments.format == "text":
        show(found, project)
        if arguments.output not in (None, "-"):
            print(f"wrote {arguments.output}", file=sys.stderr)
    return 0


def _overwritten(arguments: argparse.Namespace, compilation: Compilation, project: Project) -> Diagnostic | None:
    """COG503 when the output would replace a file of the project that was read."""
    config = compilation.config
    assert config is not None
    read = [project.name, ".dockerignore", *(target.file for target in (config.predict, config.train) if target)]
    for located in (config.build.python_requirements, config.build.dockerfile_template):
        read += [located.value] if located else []
    output = Path(arguments.output)
    for name in read:
        if output.exists() and (project.root / name).exists() and output.samefile(project.root / name):
            return report("COG503", f"--output {arguments.output} would replace {name}, which the project needs")
    return None


def _hidden_staging() -> Diagnostic:
    return report(
        "COG301",
        ".dockerignore hides .cog/build, so the staged files are written into the Dockerfile itself",
        Span.of_file(".dockerignore"),
        hint="to stage them, hide `.cog/*` and add the exception `!.cog/build`; --inline silences this",
    )


def _check(path: Path, text: str, project: Project, found: tuple[Diagnostic, ...], format: str) -> int:
    """Compare with a file; print a diff when it differs, or the diagnostics as JSON. Errors: COG500, COG502."""
    import difflib

    try:
        old = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        hint = f"cogc compile {project.name} -o {path}" if isinstance(error, FileNotFoundError) else None
        return fail([*found, report("COG500", f"{path} {describe(error)}", hint=hint)], project, format)
    if old == text:
        show(found, project, format=format, with_info=format == "json", to_stdout=format == "json")
        return 0
    hint = f"cogc compile {project.name} -o {path}"
    found += (report("COG502", f"{path} is out of date", hint=hint),)
    if format == "json":
        return fail(found, project, format)
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), text.splitlines(keepends=True), str(path), f"{path} (generated)"
    )
    print_exactly("".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines))
    return fail(found, project)


def _document(
    text: str, compilation: Compilation, found: tuple[Diagnostic, ...], *, is_inline: bool, stages: bool
) -> str:
    import json

    from ..render.json_ import as_document

    resolved = compilation.resolved
    assert resolved is not None
    resolution = resolved.resolution
    document: dict[str, Any] = {
        "output": text,
        "staged": [] if is_inline or not stages else [f"{_staging()}/{path}" for path, _ in compilation.staged],
        "base_image": resolution.base_image,
        "python": resolution.python,
        "cuda": resolution.cuda,
        "cudnn": resolution.cudnn,
        "matrix": resolution.matrix,
        **as_document(found),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _staging() -> str:
    from ..backends.context import STAGING

    return STAGING


def _unwritable(error: OSError) -> str:
    if error.errno == 28:
        return "cannot be written: no space left on the device"
    return describe(error).replace("accessed", "written")
