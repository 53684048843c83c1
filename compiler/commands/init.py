"""Write a new project: cog.yaml, predict.py, requirements.txt and .dockerignore.

Files that exist already are never overwritten: they are reported as skipped.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from ..diagnostics import report
from ..disk import describe
from ._project import fail

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc init                              in the current directory
  cogc init my-model --train             with a training function as well
  cogc init --ci github                  with a workflow that checks the project
"""

_TEMPLATES = Path(__file__).with_name("templates")
_WORKFLOW = ".github/workflows/cogc.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc init`."""
    parser.add_argument(
        "directory", nargs="?", default=".", metavar="DIRECTORY", help="where to write (default: here); made if missing"
    )
    parser.add_argument("--train", action="store_true", help="also write train.py and the key `train`")
    parser.add_argument(
        "--runner", action="store_true", help="use the newer names: run.py with Runner instead of predict.py"
    )
    parser.add_argument("--ci", choices=("github",), help="also write a workflow that checks the project")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print what was done")


def run(arguments: argparse.Namespace) -> int:
    """Write what is not there yet, print what was done, and give the exit code. Error: COG501."""
    root = Path(arguments.directory)
    created: list[str] = []
    skipped: list[str] = []
    for name, template in _files(arguments).items():
        try:
            is_new = _write_new(root / name, _render(template, arguments))
        except OSError as error:
            problem = describe(error).replace("accessed", "written")
            return fail([report("COG501", f"{error.filename or root / name} {problem}")], None)
        (created if is_new else skipped).append(name)
    if arguments.format == "json":
        print(json.dumps({"directory": str(root), "created": created, "skipped": skipped}, indent=2))
    else:
        _print(root, created, skipped)
    return 0


def _files(arguments: argparse.Namespace) -> dict[str, str]:
    """Path in the project → name of its template."""
    code = "run.py" if arguments.runner else "predict.py"
    files = {"cog.yaml": "cog.yaml", code: code}
    if arguments.train:
        files["train.py"] = "train.py"
    files |= {"requirements.txt": "requirements.txt", ".dockerignore": "dockerignore"}
    if arguments.ci == "github":
        files[_WORKFLOW] = "github.yaml"
    return files


def _render(template: str, arguments: argparse.Namespace) -> bytes:
    text = (_TEMPLATES / f"{template}.tmpl").read_text("utf-8")
    if template == "cog.yaml":
        from jinja2 import Environment, StrictUndefined

        environment = Environment(
            undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False
        )
        text = environment.from_string(text).render(is_runner=arguments.runner, has_train=arguments.train)
    return text.encode()


def _write_new(path: Path, content: bytes) -> bool:
    """Whether the file was written: it is not where anything of that name exists, broken links included."""
    if os.path.lexists(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _print(root: Path, created: list[str], skipped: list[str]) -> None:
    for name in created:
        print(f"created {root / name}")
    for name in skipped:
        print(f"skipped {root / name}: it exists already")
    if "cog.yaml" in created:
        where = "" if root == Path() else f"cd {root} && "
        print(f"\nNext: `{where}cogc predict -i image=@FILE` runs the model,")
        print("      `cogc compile -o Dockerfile` packs it")
    if _WORKFLOW in created:
        print(f"Then commit {root / 'Dockerfile'}: the workflow compares it with cog.yaml")
