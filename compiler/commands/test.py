"""Run the examples of cog.yaml, and compare what comes out with what is expected.

They run on the project here, on an image of it, or against a server that runs somewhere. The model is started once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic, has_errors, report
from ..engines import EngineFailure, ServerRequest
from ._project import Project, show
from ._reporter import StandardErrorReporter
from ._running import (
    Problem,
    RunOptions,
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
    from ..client.http import ModelClient
    from ..client.operation import Operation
    from ..driver import Compilation
    from ..frontend.config import Example

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc test                            the project here
  cogc test my-model                   an image
  cogc test http://localhost:5000      a server
  cogc test -k greets --engine local
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc test`."""
    parser.add_argument(
        "target", nargs="?", metavar="IMAGE|URL", help="an image, or the URL of a server (default: this project)"
    )
    parser.add_argument("-k", "--only", metavar="TEXT", help="only examples whose name has this text")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: one document")
    parser.add_argument(
        "--setup-timeout", type=float, default=300, metavar="SECONDS", help="how long setup() may take (default: 300)"
    )
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the examples, and give the exit code: 1 when one of them is not as expected."""
    from ..client.problems import ClientProblem

    reporter = StandardErrorReporter(debug=arguments.debug)
    try:
        with ending_signals():
            return _test(arguments, reporter)
    except Problem as problem:
        return refuse(problem, reporter, arguments.format)
    except EngineFailure as failure:
        return refuse(Problem(failure.diagnostics), reporter, arguments.format)
    except ClientProblem as problem:
        return refuse(Problem([problem.diagnostic]), reporter, arguments.format)


def _test(arguments: argparse.Namespace, reporter: StandardErrorReporter) -> int:
    options = run_options(arguments)
    reporter.is_quiet = options.progress == "quiet" or arguments.format == "json"
    project, compilation = compile_here(arguments, reporter)
    config = compilation.config
    assert config is not None
    examples = [example for example in config.examples if not arguments.only or arguments.only in example.name]
    if not examples:
        what = f"no example of {config.file} has `{arguments.only}` in its name" if config.examples else "no `examples`"
        message = what if config.examples else f"{config.file} has {what}"
        raise Problem([report("COG652", message, hint="docs/testing.md shows how to write them")])
    results: list[dict[str, Any]] = []
    problems: list[Diagnostic] = []
    with _client(arguments, options, project, compilation, reporter) as client:
        operation = _operation(client)
        for example in examples:
            started = time.monotonic()
            found = _run_example(client, operation, example, project)
            seconds = time.monotonic() - started
            results.append({"name": example.name, "passed": not found, "seconds": round(seconds, 3)})
            problems += found
            if arguments.format == "text":
                print(f"{'✗' if found else '✓'} {example.name}  {seconds:.1f} s", flush=True)
    _tell(arguments, project, results, problems)
    return 1 if problems else 0


def _tell(
    arguments: argparse.Namespace, project: Project, results: list[dict[str, Any]], problems: list[Diagnostic]
) -> None:
    failed = sum(not result["passed"] for result in results)
    if arguments.format == "json":
        from ..render.json_ import as_document

        print(json.dumps({"examples": results, **as_document(problems)}, indent=2, ensure_ascii=False))
        return
    sys.stdout.flush()
    show(problems, project)
    count = f"{len(results)} example{'s' if len(results) > 1 else ''}"
    print(f"{failed} of {count} failed" if failed else f"{count} passed")


@contextmanager
def _client(
    arguments: argparse.Namespace,
    options: RunOptions,
    project: Project,
    compilation: Compilation,
    reporter: StandardErrorReporter,
) -> Iterator[ModelClient]:
    """A client of a server with the model, which is started where it does not run yet."""
    from ..client.http import ModelClient

    target = arguments.target
    if target is not None and target.startswith(("http://", "https://")):
        try:
            client = ModelClient(target, dict(options.variables).get("COG_API_TOKEN"))
        except ValueError as error:
            raise Problem([report("COG503", f"{target}: this is no URL: {error}")], 2) from error
        yield client
        return
    engine = choose(options, reporter)
    environment = engine.open_image(target) if target else prepare(engine, project, compilation, options)
    variables = (("LOG_FORMAT", "console"), ("COG_LOG_LEVEL", "warning"), *options.variables)
    request = ServerRequest(variables=variables, gpus=options.gpus_for(environment))
    reporter.notice("Starting the model and running setup()...")
    with engine.serve(environment, request) as server:
        token = {**dict(environment.variables), **dict(options.variables)}.get("COG_API_TOKEN")
        client = ModelClient(server.url, token)
        subject = "Container" if engine.name == "docker" else "The server"
        wait_until_ready(server, client, arguments.setup_timeout or None, subject)
        yield client


def _operation(client: ModelClient) -> Operation:
    from ..client.operation import read_operation

    operation = read_operation(client.document(), "predict")
    if operation is None:
        raise Problem([report("COG600", "the model's interface has no prediction")])
    return operation


def _run_example(
    client: ModelClient, operation: Operation, example: Example, project: Project
) -> tuple[Diagnostic, ...]:
    """What is wrong with one example, at its place in cog.yaml. Error: COG650."""
    from ..client.comparison import mismatches
    from ..client.http import new_identity
    from ..client.inputs import JsonGiven, convert_document
    from ..client.problems import Refused
    from ..client.validation import check_inputs

    def wrong(message: str, hint: str | None = None) -> Diagnostic:
        return report("COG650", f"{example.name}: {message}", example.span, hint=hint)

    expected = json.loads(example.expected)
    given = JsonGiven(_from_project(json.loads(example.input), project))
    values, found = convert_document(given, operation)
    found += check_inputs(values, operation, set(given.values))
    if has_errors(found):
        return tuple(wrong(problem.message, problem.hint) for problem in found)
    try:
        result = client.predict(operation, values, identity=new_identity())
    except Refused as refused:
        return (wrong(refused.diagnostic.message),)
    if "error" in expected:
        wanted = json.dumps(expected["error"], ensure_ascii=False)
        if result.has_succeeded:
            return (wrong(f"the prediction succeeded; expected was the error {wanted}"),)
        if expected["error"] in result.error:
            return ()
        return (wrong(f"the error {json.dumps(result.error, ensure_ascii=False)} does not contain {wanted}"),)
    if not result.has_succeeded:
        return (wrong(f"the prediction ended as {result.status}: {result.error}"),)
    try:
        return tuple(wrong(text) for text in mismatches(result.output, expected, _reader(project)))
    except (OSError, ValueError) as error:
        return (wrong(f"cannot be compared: {error}"),)


def _reader(project: Project) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        return (project.root / path).read_bytes()

    return read


def _from_project(value: Any, project: Project) -> Any:
    """Inputs with files named as from the project's root, wherever the command runs."""
    if isinstance(value, str) and value.startswith("@") and len(value) > 1:
        return f"@{project.root / value[1:]}"
    if isinstance(value, list):
        return [_from_project(item, project) for item in value]
    if isinstance(value, dict):
        return {key: _from_project(item, project) for key, item in value.items()}
    return value
