"""One prediction or training from the command line: inputs are checked first, then the model is started and asked.

`cogc predict` and `cogc train` are this with different names for things.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.inputs import Given, JsonGiven, convert, convert_document, parse_assignment, read_document
from ..client.operation import Mode, Operation, read_operation
from ..client.outputs import (
    Destination,
    check_destination,
    document_output,
    write_document,
    write_output,
)
from ..client.problems import ClientProblem
from ..client.validation import check_inputs
from ..diagnostics import Diagnostic, has_errors, report
from ..engines import EngineFailure, ServerRequest
from ._reporter import StandardErrorReporter, print_exactly
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
    from ..client.http import ModelClient, Prediction

__all__ = ["add_prediction_arguments", "run_prediction"]

_NOUNS = {"predict": "prediction", "train": "training"}
# The server is ours alone here, and what a person gives to it is not hostile: files may be as large as memory is.
_BODY_BYTES = 1 << 40


def add_prediction_arguments(parser: argparse.ArgumentParser, mode: Mode) -> None:
    """Everything but the image."""
    noun = _NOUNS[mode]
    parser.add_argument(
        "-i",
        "--input",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input; NAME=@PATH is the content of a file; again for each further input or item of a list",
    )
    parser.add_argument(
        "--json",
        metavar="JSON",
        help="all inputs as a JSON object, @FILE, or @- for standard input; the result is JSON",
    )
    default = "weights" if mode == "train" else "standard output, or output.* for files"
    parser.add_argument("-o", "--output", metavar="PATH", help=f"where the output goes (default: {default})")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help=f"json: print the whole {noun} as one document",
    )
    parser.add_argument(
        "--setup-timeout",
        type=float,
        default=300,
        metavar="SECONDS",
        help="how long setup() may take (default: 300; 0 for no limit)",
    )
    add_run_arguments(parser)


def run_prediction(arguments: argparse.Namespace, mode: Mode, *, image: str | None = None) -> int:
    """Run it, print or write the output, and give the exit code."""
    reporter = StandardErrorReporter(debug=arguments.debug)
    try:
        with ending_signals():
            return _Run(arguments, mode, image, reporter).run()
    except Problem as problem:
        return refuse(problem, reporter, arguments.format)
    except EngineFailure as failure:
        return refuse(Problem(failure.diagnostics), reporter, arguments.format)
    except ClientProblem as problem:
        return refuse(Problem([problem.diagnostic]), reporter, arguments.format)


class _Run:
    """The steps of one run, in their order."""

    def __init__(
        self, arguments: argparse.Namespace, mode: Mode, image: str | None, reporter: StandardErrorReporter
    ) -> None:
        self._arguments = arguments
        self._mode: Mode = mode
        self._image = image
        self._reporter = reporter
        self._is_document = arguments.format == "json" or arguments.json is not None
        self._destination = Destination.of(arguments.output, is_training=mode == "train" and not self._is_document)
        self._printed = ""

    def run(self) -> int:
        from ..client.http import ModelClient

        options = run_options(self._arguments)
        self._reporter.is_quiet = options.progress == "quiet"
        given = self._given()
        context = self._context()
        if self._image is None:
            project, compilation = compile_here(self._arguments, self._reporter)
            config = compilation.config
            assert config is not None
            if (config.train if self._mode == "train" else config.predict) is None:
                raise Problem([self._nothing_to_run()])
            schema = compilation.resolved.summary.openapi_schema if compilation.resolved else None
            ready = self._checked(schema, given)
            engine = choose(options, self._reporter)
            environment = prepare(engine, project, compilation, options)
        else:
            engine = choose(options, self._reporter)
            environment = engine.open_image(self._image)
            ready = self._checked(environment.schema, given)
        request = ServerRequest(mode=self._mode, variables=self._variables(options), gpus=options.gpus_for(environment))
        self._reporter.notice("Starting the model and running setup()...")
        with ExitStack() as stack:
            server = stack.enter_context(engine.serve(environment, request))
            token = {**dict(environment.variables), **dict(options.variables)}.get("COG_API_TOKEN")
            client = ModelClient(server.url, token)
            subject = "Container" if engine.name == "docker" else "The server"
            wait_until_ready(server, client, self._arguments.setup_timeout or None, subject)
            operation, inputs = ready or self._checked_against(client.document(), given)
            return self._predict(client, operation, inputs, context)

    # -- before anything is started ------------------------------------------------------------------

    def _given(self) -> list[Given] | JsonGiven:
        """The inputs as they were written. Errors: `Problem`, exit code 2 for a wrong command line."""
        arguments = self._arguments
        if arguments.json is not None and arguments.input:
            message = "Must use one of --json or --input to provide model inputs"
            raise Problem([report("COG503", message)], 2)
        if arguments.json is not None:
            document, found = read_document(arguments.json, sys.stdin.buffer.read)
            if document is None:
                raise Problem(found)
            return document
        parsed = [parse_assignment(text) for text in arguments.input]
        problems = [problem for _, found in parsed for problem in found]
        if problems:
            raise Problem(problems, 2)
        return [one for one, _ in parsed if one is not None]

    def _context(self) -> dict[str, str] | None:
        if not getattr(self._arguments, "use_replicate_token", False):
            return None
        token = os.environ.get("REPLICATE_API_TOKEN")
        if not token:
            raise Problem([report("COG503", "--use-replicate-token: REPLICATE_API_TOKEN is not set")], 2)
        return {"replicate_api_token": token}

    def _nothing_to_run(self) -> Diagnostic:
        key = "train" if self._mode == "train" else "predict"
        hint = f'name the code in cog.yaml, such as {key}: "{key}.py:{"train" if key == "train" else "Predictor"}"'
        return report("COG600", f"no `{key}` is set in cog.yaml, so there is no {_NOUNS[self._mode]} to run", hint=hint)

    def _checked(
        self, schema: str | None, given: Sequence[Given] | JsonGiven
    ) -> tuple[Operation, dict[str, Any]] | None:
        """The request, where the interface is known before the model is started."""
        if schema is None:
            return None
        import json

        return self._checked_against(json.loads(schema), given)

    def _checked_against(
        self, document: Mapping[str, Any], given: Sequence[Given] | JsonGiven
    ) -> tuple[Operation, dict[str, Any]]:
        """The operation and its inputs. Errors: `Problem` with COG600, COG71x or COG501."""
        operation = read_operation(document, self._mode)
        if operation is None:
            message = f"the model's interface has no {_NOUNS[self._mode]}"
            raise Problem([report("COG600", message)])
        if isinstance(given, JsonGiven):
            attempted = set(given.values)
            values, found = convert_document(given, operation)
        else:
            attempted = {one.name for one in given if one.name is not None}
            values, found = convert(given, operation)
        found += check_inputs(values, operation, attempted)
        found += check_destination(self._destination, operation)
        if has_errors(found):
            raise Problem(found)
        return operation, values

    def _variables(self, options: RunOptions) -> tuple[tuple[str, str], ...]:
        """Those of -e win over ours."""
        level = "debug" if options.is_debug else "warning"
        ours = (
            ("LOG_FORMAT", "console"),
            ("COG_LOG_LEVEL", level),
            ("COGC_STREAM_ALL", "1"),
            ("COGC_MAX_BODY_BYTES", str(_BODY_BYTES)),
        )
        return (*ours, *options.variables)

    # -- the prediction ------------------------------------------------------------------------------

    def _predict(
        self, client: ModelClient, operation: Operation, inputs: Mapping[str, Any], context: Mapping[str, str] | None
    ) -> int:
        from ..client.http import new_identity

        identity = new_identity()
        streams = operation.output_kind == "pieces" and self._destination.path is None and not self._is_document
        streams = streams and self._mode == "predict"
        self._reporter.notice(f"Running {_NOUNS[self._mode]}...")
        try:
            result = client.predict(
                operation,
                inputs,
                identity=identity,
                context=context,
                on_piece=self._print_piece if streams else None,
            )
        except KeyboardInterrupt:
            client.cancel(operation, identity)
            raise
        if self._printed and not self._printed.endswith("\n"):
            self.print("\n")
        return self._finish(result, operation)

    def _print_piece(self, piece: str) -> None:
        self.print(piece)
        self._printed = piece or self._printed

    def _finish(self, result: Prediction, operation: Operation) -> int:
        if self._is_document:
            self._write_document(result, operation)
            return 0 if result.has_succeeded else 1
        if not result.has_succeeded:
            noun = _NOUNS[self._mode].capitalize()
            told = f": {result.error}" if result.error else ""
            raise Problem([report("COG721", f'{noun} failed with status "{result.status}"{told}')])
        is_printed = bool(self._printed)
        self._reporter.diagnose(write_output(result.output, operation, self._destination, self, is_printed=is_printed))
        return 0

    def _write_document(self, result: Prediction, operation: Operation) -> None:
        """The whole prediction as JSON, with files written and named by their paths."""
        import json

        output = result.output
        if result.has_succeeded:
            output = document_output(output, operation.output, self._destination, self)
        document = {
            "id": result.document.get("id"),
            "status": result.status,
            "output": output,
            "error": result.error,
            "metrics": result.document.get("metrics") or {},
        }
        write_document(json.dumps(document, indent=2, ensure_ascii=False) + "\n", self._destination, self)

    # -- where results go ------------------------------------------------------------------------------

    def print(self, text: str) -> None:
        """To standard output, at once."""
        print_exactly(text)

    def written(self, path: Path) -> None:
        """Say that a file was written."""
        self._reporter.notice(f"Written output to: {path}")
