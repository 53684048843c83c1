"""`python -m cog.command.openapi_schema`: the OpenAPI document of the model, by importing it.

Prints the document, or writes it with `--output FILE`. What the model itself prints goes to standard error. The exit
status is 1 when the model cannot be imported, or is not one.

`--optional`, for builds, where there is no GPU: a model that cannot be imported is a warning, and there is no document.
`--report FILE`, for other programs: a JSON object with the `document`, or with the `kind` of failure (`import` for what
the model's own code raised, `model` for what is wrong with the model), its `message`, the `traceback`, and the `place`
in the model's code as file and line, or null. Both import in a process of their own, which may die or take too long.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import contextmanager
from typing import Any, Iterator, Sequence

from .. import logs
from ..errors import CogError
from ..openapi import openapi_document
from ..predictor import LoadError, MissingFile, load_signature, read_targets

__all__ = ["document", "main", "output_kept_apart"]

TIME_LIMIT_SECONDS = 600.0


@contextmanager
def output_kept_apart() -> Iterator[Any]:
    """An open file for the result, while what the model prints at its import goes to standard error."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield kept
    finally:
        sys.stdout.flush()
        kept.flush()
        os.dup2(kept.fileno(), 1)
        kept.close()


def document(modes: Sequence[str] = ("predict", "train")) -> dict[str, Any]:
    """The document for the targets that the environment or cog.yaml names. Errors: `LoadError`, and the model's own."""
    signatures = {mode: load_signature(name, mode) for mode, name in read_targets().items() if mode in modes}
    return openapi_document(signatures.get("predict"), signatures.get("train"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write what was asked for; the exit status."""
    options = _parser().parse_args(arguments)
    modes = (options.mode,) if options.mode else ("predict", "train")
    if not (options.optional or options.report):
        return _directly(modes, options.output)
    outcome = _imported_apart(modes, options.time_limit)
    if options.report:
        _write(options.report, outcome)
        return 0
    if "document" in outcome:
        _publish(outcome["document"], options.output)
        return 0
    sys.stderr.write(outcome["traceback"].rstrip() + "\n" if outcome["traceback"] else "")
    if outcome["kind"] == "model":
        sys.stderr.write("cogc: error: %s\n" % outcome["message"])
        return 1
    sys.stderr.write("cogc: warning: the model cannot be imported here: %s\n" % outcome["message"])
    sys.stderr.write("cogc: warning: its schema is left out of the image; the server makes it when it starts\n")
    if options.output:
        os.makedirs(os.path.dirname(options.output) or ".", exist_ok=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cog.command.openapi_schema",
        description="Print the OpenAPI document of the model, by importing it.",
        allow_abbrev=False,
    )
    parser.add_argument("--mode", choices=("predict", "train"), help="only this target (default: both)")
    parser.add_argument("--output", metavar="FILE", help="write the document to FILE instead")
    parser.add_argument("--optional", action="store_true", help="do without a document where the import fails")
    parser.add_argument("--report", metavar="FILE", help="write what became of it to FILE, as JSON")
    parser.add_argument(
        "--time-limit", type=float, default=TIME_LIMIT_SECONDS, metavar="SECONDS", help="for --optional and --report"
    )
    return parser


def _directly(modes: Sequence[str], output: str | None) -> int:
    with output_kept_apart() as out:
        try:
            made = document(modes)
        except (LoadError, CogError) as error:
            sys.stderr.write("cog.command.openapi_schema: error: %s\n" % error)
            return 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a model that calls sys.exit() has no document either
            sys.stderr.write(logs.format_error(error))
            return 1
        if output:
            _publish(made, output)
        else:
            out.write(json.dumps(made, indent=2) + "\n")
    return 0


def _publish(made: dict[str, Any], output: str | None) -> None:
    if output:
        _write(output, made)
        # The same document is then the same layer of an image, whenever it was made.
        os.utime(output, (0, 0))
    else:
        sys.stdout.write(json.dumps(made, indent=2) + "\n")


def _write(path: str, value: Any) -> None:
    """Write JSON whole or not at all, readable for everybody."""
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# -- in a process of its own -----------------------------------------------------------------------


def _imported_apart(modes: Sequence[str], time_limit: float) -> dict[str, Any]:
    """What the report says, whatever becomes of the process that imports the model."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "outcome.json")
        code = "from cog.command.openapi_schema import _import_and_tell; _import_and_tell()"
        sys.stderr.flush()
        process = subprocess.Popen(
            [sys.executable, "-c", code, path, *modes], stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
        try:
            process.wait(time_limit if time_limit > 0 else None)
        except subprocess.TimeoutExpired:
            return _failure("import", "it did not end within %g seconds" % time_limit)
        finally:
            _end(process)
        try:
            with open(path, encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
            return found
        except (OSError, ValueError):
            return _failure("import", _ending(process.returncode))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return "the process ended by itself, with the exit code %d" % code
    try:
        return "the process was ended by %s" % signal.Signals(-code).name
    except ValueError:
        return "the process was ended by signal %d" % -code


def _failure(kind: str, message: str, trace: str = "", place: Any = None) -> dict[str, Any]:
    return {"kind": kind, "message": message, "traceback": trace, "place": place}


def _import_and_tell() -> None:
    """The process that imports: `sys.argv` is the file for the outcome and the modes."""
    path, *modes = sys.argv[1:]
    sys.argv = sys.argv[:1]
    try:
        outcome: dict[str, Any] = {"document": document(modes)}
    except MissingFile as error:
        outcome = _failure("import", str(error))
    except (LoadError, CogError) as error:
        outcome = _failure("model", str(error))
    except BaseException as error:
        outcome = _failure("import", logs.error_line(error), logs.format_error(error), _place(error))
    _write(path, outcome)
    # Threads of the model do not keep the process alive.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(0)


def _place(error: BaseException) -> list[Any] | None:
    """Where the model's own code failed: the last frame in the current folder, as file and line."""
    root = os.path.realpath(os.getcwd()) + os.sep
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    for filename, line in reversed(places):
        full = os.path.realpath(filename)
        inside = full[len(root) :].replace(os.sep, "/")
        if full.startswith(root) and "site-packages/" not in inside and line:
            return [inside, line]
    return None


if __name__ == "__main__":
    sys.exit(main())
