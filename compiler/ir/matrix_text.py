"""A table of the matrix as text: one build or row per line, so that a new release is a block of lines in a diff."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["render_table"]

_HEAD = ("schema", "matrix", "package")


def render_table(table: Mapping[str, Any]) -> str:
    """The text of a table; the same document gives the same bytes."""
    parts = [f"  {_members({key: table[key]})}" for key in _HEAD if key in table]
    cited = ",\n".join(f"    {_members({key: value})}" for key, value in table["sources"].items())
    parts.append('  "sources": {\n' + cited + "\n  }")
    render = _package_row if "package" in table else _row
    for name, rows in table.items():
        if name not in (*_HEAD, "sources"):
            parts.append(_list(name, map(render, rows)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _list(name: str, rows: Iterable[str]) -> str:
    return f'  "{name}": [\n' + ",\n".join(rows) + "\n  ]"


def _row(row: Mapping[str, Any]) -> str:
    return f"    {_on_a_line(row)}"


def _package_row(row: Mapping[str, Any]) -> str:
    """Head, one line per build, tail."""
    keys = list(row)
    at = keys.index("builds")
    head = _members({key: row[key] for key in keys[:at]})
    tail = _members({key: row[key] for key in keys[at + 1 :]})
    builds = [_on_a_line(build) for build in row["builds"]]
    if len(builds) == 1:
        return f'    {{{head},\n     "builds": [{builds[0]}],\n     {tail}}}'
    listed = ",\n       ".join(builds)
    return f'    {{{head},\n     "builds": [\n       {listed}],\n     {tail}}}'


def _on_a_line(value: Any) -> str:
    """JSON on one line, in the keys' own order."""
    return json.dumps(value, ensure_ascii=False)


def _members(record: Mapping[str, Any]) -> str:
    """`"a": 1, "b": 2`, without the braces."""
    return _on_a_line(record)[1:-1]
