"""`python -m cog.server.http`: the command of every image. Starts the server in its private environment.

Runs in the model's interpreter and imports nothing but the standard library. It hands over that interpreter's path, so
that the worker is started with it and not with whatever `python` is first on PATH. The options are the server's own.

The server's interpreter is $COGC_SERVER_PYTHON, else /opt/cogc/server/bin/python, else this interpreter when it has
the server's libraries.
"""

import os
import re
import sys

DEFAULT_PYTHON = "/opt/cogc/server/bin/python"
LIBRARIES = ("uvloop", "httptools", "msgspec", "aiohttp")
STUBS = {"predict": "COG_PREDICT_TYPE_STUB", "run": "COG_PREDICT_TYPE_STUB", "train": "COG_TRAIN_TYPE_STUB"}

_TARGET = re.compile(
    r"""(?m)^(predict|run|train)[ \t]*:[ \t]+(?:"([^"\\\n]+)"|'([^'\n]+)'|([^\s"'#\[{&*!|>%@`][^\n]*?))[ \t]*(?:[ \t]#[^\n]*)?\r?$"""
)


def read_targets(text):
    """Targets in the text of a cog.yaml, as variable → value. Reads single lines only, and needs no YAML library.

    >>> read_targets('build:\\n  run: x\\npredict: "predict.py:P"  # c\\ntrain: t.py:f\\n')
    {'COG_PREDICT_TYPE_STUB': 'predict.py:P', 'COG_TRAIN_TYPE_STUB': 't.py:f'}
    """
    found = {}
    for key, double, single, plain in _TARGET.findall(text):
        found.setdefault(STUBS[key], double or single or plain)
    return found


def _environment():
    """The environment with targets: what is set already wins over cog.yaml."""
    environment = dict(os.environ)
    for path in ("cog.yaml", "/src/cog.yaml"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                targets = read_targets(file.read())
        except OSError:
            continue
        for name, value in targets.items():
            if not environment.get(name):
                environment[name] = value
        break
    return environment


def _server_python(libraries):
    """The interpreter that has the server's libraries, or None."""
    configured = os.environ.get("COGC_SERVER_PYTHON") or DEFAULT_PYTHON
    if os.access(configured, os.X_OK):
        return configured
    from importlib.util import find_spec

    return sys.executable if all(find_spec(name) for name in libraries) else None


def _server_program(sdk):
    """The server's code: beside the SDK, or beside the SDK's folder."""
    for folder in (sdk, os.path.dirname(sdk)):
        program = os.path.join(folder, "cog_server", "__main__.py")
        if os.path.isfile(program):
            return program
    return None


def main(arguments=None):
    """Become the server. Returns only when that is impossible: 1."""
    return start("cog.server.http", sys.argv[1:] if arguments is None else arguments)


def start(name, arguments, door=(), libraries=LIBRARIES):
    """Become the server program, which takes predictions from the `door` that its first options name."""
    if list(arguments) in (["-v"], ["--version"]):
        from cog import __version__

        print(name + " " + __version__)
        return 0
    sdk = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    python, program = _server_python(libraries), _server_program(sdk)
    if python is None or program is None:
        missing = "its Python environment (%s)" % DEFAULT_PYTHON if python is None else "its program (cog_server)"
        sys.stderr.write("%s: the server cannot be started, %s is missing.\n" % (name, missing))
        return 1
    command = [python, "-I", program, *door, "--model-python", sys.executable, "--sdk", sdk]
    sys.stdout.flush()
    os.execve(python, command + list(arguments), _environment())


if __name__ == "__main__":
    sys.exit(main())
