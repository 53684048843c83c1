"""Look into the compatibility matrix, check tables, and use newer ones in a project without a new release of cogc.

Tables that a project uses stand in `cog.matrix` beside cog.yaml. They belong under version control: the same project
then decides the same everywhere. The Dockerfile and the lock name the matrix that was used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from ..diagnostics import Diagnostic, has_errors, report
from ..frontend.project_matrix import DIRECTORY
from ._matrix_files import Tables, bundled_tables, project_root, tables_at, used_tables
from ._project import add_config_name, fail, show

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = f"""\
examples:
  cogc matrix show torch                     every release: Pythons, CUDA, builds
  cogc matrix show torch==2.8.0              everything that is known about one, and how it is known
  cogc matrix versions                       the matrices there are here, and their tables
  cogc matrix diff bundled newer/            what newer tables say differently
  cogc matrix check torch.json               is a table well formed?
  cogc matrix use newer/                     decide with these tables in this project
  cogc matrix use --add my-rows.json         add the rows of a table to those in use
  cogc matrix use bundled                    decide with the tables of cogc again: removes {DIRECTORY}
"""

_ACTIONS = ("show", "versions", "diff", "check", "use")
_OPERANDS = {"show": 1, "versions": 0, "diff": 2, "check": 1, "use": 1}
_TAKES = {
    "show": "a package, such as torch or torch==2.8.0",
    "versions": "nothing",
    "diff": "two of bundled, project, FILE and DIR",
    "check": "FILE or DIR",
    "use": "FILE, DIR, bundled or --add FILE",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc matrix`."""
    parser.add_argument("action", choices=_ACTIONS, metavar="|".join(_ACTIONS), help="what to do")
    parser.add_argument(
        "operands",
        nargs="*",
        metavar="bundled|project|PACKAGE|FILE|DIR",
        help="for show a package; for diff, check and use a table (FILE), a folder of tables (DIR), or those that cogc "
        "brings (bundled) or the project uses (project)",
    )
    parser.add_argument("--add", metavar="FILE", help="with use: add the rows of a table to those in use")
    add_config_name(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")


def run(arguments: argparse.Namespace) -> int:
    """Do one of the actions and give the exit code."""
    from ._matrix_use import use

    action = arguments.action
    if arguments.add is not None and action != "use":
        print("cogc matrix: error: --add is for use", file=sys.stderr)
        return 2
    if len(arguments.operands) != _OPERANDS[action] - (arguments.add is not None):
        print(f"cogc matrix: error: {action} takes {_TAKES[action]}", file=sys.stderr)
        return 2
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "show": _show,
        "versions": _versions,
        "diff": _diff,
        "check": _check,
        "use": use,
    }
    return actions[action](arguments)


def _show(arguments: argparse.Namespace) -> int:
    from ..ir.matrix import Matrix
    from ._matrix_show import is_shown, package_of, show_package

    wanted = arguments.operands[0]
    tables, found = _in_use(arguments)
    if tables is None:
        return fail(found, None, arguments.format)
    documents = tables.documents()

    def table(name: str) -> dict[str, object]:
        return documents[name]

    text = show_package(Matrix(tables.version, table), wanted, arguments.format)
    if text is None:
        names = [name for name in documents if is_shown(documents[name])]
        package = package_of(wanted)
        if package in names:
            hint = f"`cogc matrix show {package}` lists those it has"
            return fail([report("COG503", f"the matrix has no release {wanted}", hint=hint)], None, arguments.format)
        message = f"the matrix has nothing about {wanted}; it has {', '.join(names)}"
        return fail([report("COG503", message)], None, arguments.format)
    print(text)
    return 0


def _versions(arguments: argparse.Namespace) -> int:
    bundled = bundled_tables()
    matrices = [bundled]
    tables, found = _in_use(arguments)
    if tables is None:
        return fail(found, None, arguments.format)
    if tables.version != bundled.version:
        matrices.append(tables)
    if arguments.format == "json":
        listed = [each.as_document(is_used=each is matrices[-1]) for each in matrices]
        print(json.dumps({"matrices": listed}, indent=2))
        return 0
    for position, each in enumerate(matrices):
        used = " (in use)" if each is matrices[-1] else ""
        print(f"{each.version}  {each.origin}{used}")
        print(f"  sha256 {each.checksum}")
        for line in each.summaries(own_alone=position > 0):
            print(f"  {line}")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from ..ir.matrix_diff import table_change

    sides: list[Tables] = []
    for operand in arguments.operands:
        tables, found = _side(operand, arguments)
        if tables is None:
            return fail(found, None, arguments.format)
        sides.append(tables)
    old, new = (side.documents() for side in sides)
    is_whole = all(side.is_whole for side in sides)
    names = sorted(old.keys() | new.keys() if is_whole else old.keys() & new.keys())
    changes = [table_change(name, old.get(name), new.get(name)) for name in names]
    changes = [change for change in changes if change.rows]
    if arguments.format == "json":
        listed = [
            {
                "table": change.table,
                "matrix": list(change.matrix),
                "rows": [{"kind": row.kind, "row": row.row, "details": list(row.details)} for row in change.rows],
            }
            for change in changes
        ]
        print(json.dumps({"old": sides[0].version, "new": sides[1].version, "tables": listed}, indent=2))
        return 0
    if not names:
        print("the two have no table in common")
    elif not changes:
        print(f"no row differs in {', '.join(names)}")
    for change in changes:
        counts = (f"{change.count(kind)} {kind}" for kind in ("added", "removed", "changed") if change.count(kind))
        print(f"{change.table}: {', '.join(counts)}")
        for row in change.rows:
            details = f": {'; '.join(row.details)}" if row.details else ""
            print(f"  {'+-~'[('added', 'removed', 'changed').index(row.kind)]} {row.row}{details}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from ..render.json_ import as_document

    tables, found = tables_at(arguments.operands[0])
    is_document = arguments.format == "json"
    if is_document:
        names = sorted(tables.raw) if tables is not None else []
        print(json.dumps({"tables": names, **as_document(found)}, indent=2))
    else:
        show(found, None, to_stdout=True)
        if tables is not None and not has_errors(found):
            print(f"{', '.join(sorted(tables.raw))}: nothing wrong (matrix {tables.version})")
    return 1 if tables is None or has_errors(found) else 0


def _side(operand: str, arguments: argparse.Namespace) -> tuple[Tables | None, tuple[Diagnostic, ...]]:
    if operand == "bundled":
        return bundled_tables(), ()
    return _in_use(arguments) if operand == "project" else tables_at(operand)


def _in_use(arguments: argparse.Namespace) -> tuple[Tables | None, tuple[Diagnostic, ...]]:
    """The tables of the project that we are in; those of cogc outside of any."""
    root = project_root(arguments.file)
    return (bundled_tables(), ()) if root is None else used_tables(root)
