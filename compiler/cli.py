"""The command line: which command, its arguments, exit codes. Each command is imported only when it is chosen.

Exit codes: 0 fine, 1 the input is wrong, 2 the command line is wrong, 3 a bug of cogc; 130 after Ctrl-C and
141 when the reader of a pipe went away.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from . import __version__
from .suggest import closest

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "compile": "compile cog.yaml to a Dockerfile",
    "check": "check cog.yaml and what it names, without writing anything",
    "lock": "write cog.lock: every decision and file of a build, by hash",
    "size": "estimate the size of the image before it is built",
    "diff": "compare two builds: what changes, which steps are made anew",
    "ir": "show the intermediate representation of a build",
    "explain": "explain a diagnostic code, or every line of the Dockerfile",
    "why": "say why a version of Python, CUDA or a package was chosen",
    "why-not": "say what would come of another version",
    "matrix": "show, check and compare the tables of versions, use newer ones",
    "schema": "print the OpenAPI schema of the model, or compare two",
    "build": "build the image with Docker",
    "push": "build the image and push it to its registry",
    "login": "log in to a registry",
    "inspect": "show the labels, schema, sizes and versions of an image",
    "debug": "print the Dockerfile that build would use",
    "test": "run the examples of cog.yaml and compare what comes out",
    "doctor": "look for problems in the project and on this machine",
    "init": "write a new project: cog.yaml, predict.py and more",
    "predict": "run a prediction",
    "train": "run a training",
    "serve": "serve the model over HTTP",
    "run": "run a program in the model's environment",
    "exec": "the same as run",
    "completion": "print a completion script for a shell",
    "version": "print the version",
}
_SYNONYMS = {
    "new": "init",
    "start": "init",
    "lint": "check",
    "validate": "check",
    "infer": "predict",
    "http": "serve",
    "auth": "login",
    "authenticate": "login",
    "authorize": "login",
}
# Commands of Cog that are not here yet, and what does their work.
_LATER = {
    "playground": "cogc serve, and its page /docs",
    "ui": "cogc serve, and its page /docs",
    "gui": "cogc serve, and its page /docs",
}

_HELP = """\
usage: cogc COMMAND [options]

Compile cog.yaml to Dockerfiles for machine-learning models.

commands:
{commands}

options:
  -h, --help     show this help; `cogc COMMAND --help` shows that of a command
  --version      print the version
  --no-color     no colour; so do NO_COLOR and a stream that is no terminal
  --debug        show the programs that run, and tracebacks of cogc itself

examples:
  cogc init                              start a project
  cogc predict -i prompt="a cat"         run its model
  cogc compile cog.yaml > Dockerfile     then: docker build .
  cogc compile --check Dockerfile        in CI: is the Dockerfile up to date?
  cogc check --fix                       find problems, mend what is safe
  cogc explain COG124                    what a diagnostic means
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; never a traceback unless --debug asks for it."""
    if arguments is None:  # a process of our own, and a short one: collecting cycles costs a tenth of its time
        gc.disable()
    words = list(sys.argv[1:] if arguments is None else arguments)
    flags = argparse.Namespace(debug=False)
    _open_streams()
    for stream in (sys.stdout, sys.stderr):  # names and messages have any character, whatever the locale
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _flushed(_run(words, flags))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt as interrupt:
        print("cogc: interrupted", file=sys.stderr)
        status = getattr(interrupt, "status", 130)  # another one where a signal other than Ctrl-C was it
        return status if isinstance(status, int) else 130
    except BrokenPipeError:
        _discard_output()
        return 141
    except OSError as error:
        if flags.debug:
            raise
        print(f"cogc: error: {error.strerror or error}", file=sys.stderr)
        _discard_output()
        return 1
    except Exception as error:
        if flags.debug:
            raise
        print(
            f"cogc: internal error: {type(error).__name__}: {error}\n"
            "This is a bug of cogc. Run the command again with --debug and report what it prints.",
            file=sys.stderr,
        )
        return 3


def _open_streams() -> None:
    """Give the streams that were closed before we started (`>&-`) an end: output then fails, messages go nowhere.

    Python has None in their places, and prints to standard output what is for None.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _flushed(status: int) -> int:
    """The status, after standard output is written; a command that failed has said why, and that may have been it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        if status == 0:
            raise
        _discard_output()
    return status


def _discard_output() -> None:
    """What standard output could not take goes nowhere, so that the interpreter does not complain of it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str], flags: argparse.Namespace) -> int:
    while words and words[0] in ("--debug", "--no-color"):
        if words[0] == "--debug":
            flags.debug = True
        else:
            os.environ["NO_COLOR"] = "1"
        words = words[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        return _help(words[1:])
    if words[0] in ("--version", "-V"):
        print(f"cogc version {__version__}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        return _unknown_command(name)
    from .commands._parser import CommandParser

    command = import_module(f".commands.{name.replace('-', '_')}", __package__)
    parser = CommandParser(f"cogc {name}", command.__doc__, command.EXAMPLES)
    command.add_arguments(parser)
    parser.complete()
    arguments = parser.parse_args(words[1:], flags)
    if arguments.no_color:
        os.environ["NO_COLOR"] = "1"
    status: int = command.run(arguments)
    return status


def _help(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        return _run([words[0], "--help"], argparse.Namespace())
    commands = "\n".join(f"  {name:<12} {summary}" for name, summary in COMMANDS.items())
    print(_HELP.format(commands=commands), end="")
    return 0


def _unknown_command(name: str) -> int:
    if name in _LATER:
        message = f"there is no `cogc {name}` yet; in its place: {_LATER[name]}"
        print(f"cogc: error: {message}\nTry `cogc --help`.", file=sys.stderr)
        return 2
    near = _SYNONYMS.get(name) or closest(name, COMMANDS)
    suggestion = f"; did you mean `cogc {near}`?" if near else ""
    what = "option" if name.startswith("-") else "command"
    print(f"cogc: error: unknown {what} {name}{suggestion}\nTry `cogc --help`.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
