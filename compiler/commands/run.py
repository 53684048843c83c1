"""Run a program in the model's environment, with the project's folder as the working directory.

Options for cogc stand before the program; everything after its name is the program's own.
"""

from __future__ import annotations

import argparse

from ..diagnostics import report
from ..engines import EngineFailure, ProgramRequest
from ._reporter import StandardErrorReporter
from ._running import (
    Problem,
    add_run_arguments,
    choose,
    compile_here,
    ending_signals,
    prepare,
    published_port,
    refuse,
    run_options,
)

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc run python                                  a Python shell with the model's packages
  cogc run python -m pytest
  cogc run -p 8888 jupyter lab --allow-root --ip=0.0.0.0
  cogc run --image registry.example.com/model pip list
"""

_NO_PROGRAM = 127  # as a shell says it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc run`."""
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="PORT",
        help="make a port of the program reachable on 127.0.0.1; HOST:PORT for another address",
    )
    parser.add_argument("--image", metavar="IMAGE", help="run it in an image of a model, which has its own files")
    # With one of these and no program, it is what newer versions of Cog call `run`: a prediction.
    parser.add_argument("-i", "--input", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--json", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", help=argparse.SUPPRESS)
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the program, and give its exit code."""
    reporter = StandardErrorReporter(debug=arguments.debug)
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    asks = bool(arguments.input) or arguments.json is not None or arguments.output is not None
    if not words and asks:
        return _predict(arguments, reporter)
    try:
        if asks:
            message = f"-i, --json and -o are for predictions, and `{words[0]}` is read as a program"
            raise Problem([report("COG503", message, hint=f"cogc predict {words[0]} …")], 2)
        if not words:
            raise Problem([report("COG503", "which program? write it after the options: cogc run python")], 2)
        return _run(arguments, tuple(words), reporter)
    except Problem as problem:
        return refuse(problem, reporter)
    except EngineFailure as failure:
        is_missing = any(diagnostic.code == "COG604" for diagnostic in failure.diagnostics)
        return refuse(Problem(failure.diagnostics, _NO_PROGRAM if is_missing else 1), reporter)


def _run(arguments: argparse.Namespace, words: tuple[str, ...], reporter: StandardErrorReporter) -> int:
    options = run_options(arguments)
    reporter.is_quiet = options.progress == "quiet"
    ports = tuple(published_port(text) for text in arguments.publish)
    with ending_signals():
        if arguments.image is not None:
            engine = choose(options, reporter)
            environment = engine.open_image(arguments.image)
        else:
            project, compilation = compile_here(arguments, reporter)
            engine = choose(options, reporter)
            environment = prepare(engine, project, compilation, options)
    request = ProgramRequest(
        words=words,
        variables=(("LOG_FORMAT", "console"), *options.variables),
        gpus=options.gpus_for(environment),
        ports=ports,
    )
    place = "Docker with the current directory mounted as a volume" if engine.name == "docker" else "this project"
    place = arguments.image or place
    reporter.notice(f"Running '{words[0]}' in {place}...")
    return engine.run(environment, request)


def _predict(arguments: argparse.Namespace, reporter: StandardErrorReporter) -> int:
    from ._prediction import run_prediction

    reporter.notice("note: `cogc run` with inputs and no program is read as `cogc predict`")
    defaults = {"format": "text", "setup_timeout": 300.0}
    return run_prediction(argparse.Namespace(**{**defaults, **vars(arguments)}), "predict", image=arguments.image)
