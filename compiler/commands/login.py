"""Log in to a registry; docker's credential store or helper keeps the password.

Without HOST: COG_REGISTRY_HOST, else the registry of `image` in cog.yaml, else Docker Hub.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys

from ..diagnostics import Diagnostic, report
from ._project import fail, load_project
from ._reporter import StandardErrorReporter

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc login registry.example.com
  echo "$TOKEN" | cogc login registry.example.com --username me --password-stdin
"""
_HUB = "docker.io"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc login`."""
    parser.add_argument("host", nargs="?", metavar="HOST", help="the registry, such as registry.example.com")
    parser.add_argument("--registry", metavar="HOST", help=argparse.SUPPRESS)
    parser.add_argument("-u", "--username", metavar="NAME", help="the user's name (default: it is asked for)")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--token-stdin", action="store_true", help="the same, for a token")


def run(arguments: argparse.Namespace) -> int:
    """Log in, and give the exit code."""
    from ..engines import EngineFailure
    from ..engines.docker.cli import DockerCli
    from ..engines.docker.problems import diagnose

    host = arguments.host or arguments.registry or _default_host()
    reads = arguments.password_stdin or arguments.token_stdin
    try:
        username = arguments.username or _ask("Username: ", hidden=False, reads=reads)
        password = sys.stdin.read().strip("\r\n") if reads else _ask("Password: ", hidden=True, reads=False)
    except EOFError:
        username = password = ""
    except KeyboardInterrupt:
        print(file=sys.stderr)  # off the line of the question
        raise
    if not username or not password:
        what = "name" if not username else "password"
        hint = "write --username NAME --password-stdin where there is no terminal"
        return fail([report("COG503", f"the user's {what} is empty", hint=hint)], None)
    docker = DockerCli(StandardErrorReporter(debug=arguments.debug))
    words = ["login", "--username", username, "--password-stdin", *([] if host == _HUB else [host])]
    try:
        done = docker.attempt(*words, input=password.encode())
    except EngineFailure as failure:
        return fail(failure.diagnostics, None)
    if done.status:
        return fail([_refused(diagnose(done.errors, "login"), host)], None)
    print(f"Login succeeded for {host}", file=sys.stderr)
    for line in done.errors.splitlines():
        if line.startswith("WARNING"):  # where the password is kept in plain text
            print(line, file=sys.stderr)
    return 0


def _refused(found: Diagnostic, host: str) -> Diagnostic:
    if found.code != "COG640":
        return found
    return report("COG640", f"{host} refuses the name or the password", hint="check both; some want a token")


def _ask(prompt: str, *, hidden: bool, reads: bool) -> str:
    """Ask on the terminal; an empty answer where there is none to ask on."""
    if reads or not sys.stdin.isatty():
        return ""
    if hidden:
        return getpass.getpass(prompt, stream=sys.stderr)
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _default_host() -> str:
    """From the environment, else from the project here where there is one that can be read."""
    from ..driver import read_config
    from ._project import source_of

    host = os.environ.get("COG_REGISTRY_HOST")
    if host:
        return host
    project, _ = load_project(argparse.Namespace(path=None, file="cog.yaml"))
    source, _ = source_of(project) if project is not None else (None, ())
    config, _ = read_config(source) if source is not None else (None, ())
    return _host_of(config.image.value) if config is not None and config.image is not None else _HUB


def _host_of(image: str) -> str:
    """The registry in an image's name, as docker reads it.

    >>> _host_of("localhost:5000/a/b"), _host_of("user/model"), _host_of("ghcr.io/user/model:v1")
    ('localhost:5000', 'docker.io', 'ghcr.io')
    """
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _HUB
