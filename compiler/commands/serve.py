"""Serve the model of this project, or of an image, over HTTP until Ctrl-C.

The project's folder is used as it is: stop and start again after an edit.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..diagnostics import report
from ..engines import EngineFailure, Server, ServerRequest
from ._reporter import StandardErrorReporter
from ._running import (
    Ended,
    Problem,
    add_run_arguments,
    choose,
    compile_here,
    ending_signals,
    prepare,
    refuse,
    run_options,
    wait_until_ready,
)

if TYPE_CHECKING:
    from ..client.operation import Mode
    from ..driver import Compilation

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc serve                             http://127.0.0.1:8393
  cogc serve -p 8080 --host 0.0.0.0      reached from other machines
  cogc serve --engine local              without containers
  cogc serve registry.example.com/model  an image instead of this project
"""

_PORT = 8393


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc serve`."""
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image of a model (default: this project)")
    parser.add_argument("-p", "--port", type=int, default=_PORT, metavar="N", help=f"port (default: {_PORT})")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument("--upload-url", metavar="URL", help="where output files are PUT, instead of data URLs")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve, and give the exit code: 0 after Ctrl-C."""
    reporter = StandardErrorReporter(debug=arguments.debug)
    try:
        with ending_signals():
            return _serve(arguments, reporter)
    except Problem as problem:
        return refuse(problem, reporter)
    except EngineFailure as failure:
        return refuse(Problem(failure.diagnostics), reporter)


def _serve(arguments: argparse.Namespace, reporter: StandardErrorReporter) -> int:
    options = run_options(arguments)
    reporter.is_quiet = options.progress == "quiet"
    if not 1 <= arguments.port <= 65535:
        raise Problem([report("COG503", f"--port {arguments.port}: write a number between 1 and 65535")], 2)
    mode: Mode = "predict"
    if arguments.image is not None:
        engine = choose(options, reporter)
        environment = engine.open_image(arguments.image)
    else:
        project, compilation = compile_here(arguments, reporter)
        mode = _mode_of(compilation)
        engine = choose(options, reporter)
        environment = prepare(engine, project, compilation, options)
    request = ServerRequest(
        mode=mode,
        variables=(("LOG_FORMAT", "console"), *options.variables),
        gpus=options.gpus_for(environment),
        host=arguments.host,
        port=arguments.port,
        upload_url=arguments.upload_url,
    )
    try:
        with engine.serve(environment, request) as server:
            subject = "Container" if engine.name == "docker" else "The server"
            return _wait(server, reporter, subject)
    except Ended:
        raise
    except KeyboardInterrupt:
        return 0


def _mode_of(compilation: Compilation) -> Mode:
    """What the worker loads first. Error: `Problem` with COG634 for a project that has neither."""
    config = compilation.config
    assert config is not None
    if config.predict is None and config.train is None:
        hint = 'add `predict: "predict.py:Predictor"`; `cogc run COMMAND` works without'
        raise Problem([report("COG634", "neither `predict` nor `train` is set: there is nothing to serve", hint=hint)])
    return "predict" if config.predict is not None else "train"


def _wait(server: Server, reporter: StandardErrorReporter, subject: str) -> int:
    """Until the server ends: because somebody asked it to (`POST /shutdown`), or by a failure."""
    from ..client.http import ModelClient

    reporter.notice(f"Serving at {server.url} (Ctrl-C ends it)")
    try:
        wait_until_ready(server, ModelClient(server.url), None, subject)
    except Problem as problem:
        code = server.exit_code()
        if code:
            raise
        if code is None:  # it goes on, as it does in production: its health says what is wrong
            reporter.diagnose(problem.diagnostics)
    else:
        reporter.notice("The model is ready.")
    code = server.wait()
    if code == 0:
        reporter.notice("The server was asked to end.")
        return 0
    raise Problem([report("COG720", f"{subject} exited unexpectedly (exit code {code})")])
