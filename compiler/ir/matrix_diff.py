"""Two versions of a table → what is new, gone and different in it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..record import record

__all__ = ["RowChange", "TableChange", "table_change"]

# What a row is about, for each kind of row: the first of these whose members it all has.
_IDENTITIES = (
    ("package", "version", "arch", "build"),
    ("package", "build", "arch"),
    ("version", "arch"),
    ("image", "cuda", "flavour"),
    ("image", "flavour"),
    ("packages", "release"),
    ("cuda", "ubuntu"),
    ("cudnn", "cuda_major"),
    ("name", "versions"),
    ("name",),
    ("sm",),
    ("cuda_from",),
    ("python",),
    ("cuda",),
    ("distribution",),
    ("prefix",),
    ("text",),
    ("packages",),
    ("tag",),
)


@record
class RowChange:
    """A row that was added, removed or changed; `details` are the members that differ, as `name: old → new`."""

    kind: Literal["added", "removed", "changed"]
    row: str
    details: tuple[str, ...] = ()


@record
class TableChange:
    """What differs in one table; `matrix` are the versions it belonged to and belongs to, None for no table."""

    table: str
    matrix: tuple[str | None, str | None]
    rows: tuple[RowChange, ...] = ()

    def count(self, kind: Literal["added", "removed", "changed"]) -> int:
        """How many rows of a kind there are."""
        return sum(change.kind == kind for change in self.rows)


def table_change(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> TableChange:
    """What differs between two documents of a table, in the order of the rows. Where rows come from does not count."""
    before, after = _rows(old), _rows(new)
    changes: list[RowChange] = []
    for identity in (*after, *(each for each in before if each not in after)):
        was, now = before.get(identity), after.get(identity)
        shown = " ".join(identity)
        if was is None:
            changes.append(RowChange(kind="added", row=shown))
        elif now is None:
            changes.append(RowChange(kind="removed", row=shown))
        elif details := tuple(_details(was, now, "")):
            changes.append(RowChange(kind="changed", row=shown, details=details))
    versions = (old["matrix"] if old is not None else None, new["matrix"] if new is not None else None)
    return TableChange(table=name, matrix=versions, rows=tuple(changes))


def _rows(table: Mapping[str, Any] | None) -> dict[tuple[str, ...], Mapping[str, Any]]:
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for name, rows in (table or {}).items():
        if isinstance(rows, list):
            head = () if name == "rows" else (name,)
            found |= {(*head, *_identity(row)): row for row in rows}
    return found


def _identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = next((names for names in _IDENTITIES if row.keys() >= set(names)), ())
    return tuple(_text(row[name]) for name in names) or (_text(row),)


def _details(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        was, now = old.get(name), new.get(name)
        if was == now or name == "src" or name.endswith("_src"):
            continue
        if name == "builds":
            yield from _builds(was or (), now or ())
        elif isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _details(was, now, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}: {_text(was)} → {_text(now)}"


def _builds(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    before, after = {build["id"]: build for build in old}, {build["id"]: build for build in new}
    for identity in (*after, *(each for each in before if each not in after)):
        if identity not in before:
            yield f"build {identity}: new"
        elif identity not in after:
            yield f"build {identity}: gone"
        else:
            yield from _details(before[identity], after[identity], f"build {identity} ")


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
