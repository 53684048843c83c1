"""The only reader of files that are shipped with the package: tables, schemas, templates, runtime, pages."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "diagnostic_page",
    "load_schema",
    "load_table",
    "load_table_schema",
    "matrix_checksum",
    "matrix_digests",
    "matrix_version",
    "runtime_files",
    "schema_names",
    "table_names",
]

_HERE = Path(__file__).parent
# Folder of the repository → its name inside the installed package (see pyproject.toml).
_INSTALLED = {
    "compatibility": "compatibility",
    "schemas": "schemas",
    "runtime": "_runtime",
    "docs/diagnostics": "_pages",
}


def _folder(name: str) -> Path:
    """A data folder: inside the package when installed, beside it in a checkout."""
    installed = _HERE / _INSTALLED[name]
    return installed if installed.is_dir() else _HERE.resolve().parent / name


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The published JSON Schema `name`, such as `cog`, `ir`."""
    schema: dict[str, Any] = json.loads((_folder("schemas") / f"{name}.schema.json").read_bytes())
    return schema


def schema_names() -> tuple[str, ...]:
    """The names of all published schemas, sorted."""
    return tuple(sorted(path.name.removesuffix(".schema.json") for path in _folder("schemas").glob("*.schema.json")))


@cache
def load_table(name: str) -> dict[str, Any]:
    """The compatibility table `name`, such as `torch`, as its JSON document."""
    table: dict[str, Any] = json.loads((_folder("compatibility") / f"{name}.json").read_bytes())
    return table


@cache
def matrix_version() -> str:
    """The version of the bundled compatibility matrix, such as `2026.11`."""
    return (_folder("compatibility") / "MATRIX").read_text("utf-8").strip()


@cache
def table_names() -> tuple[str, ...]:
    """The names of all tables of the bundled matrix, sorted."""
    return tuple(sorted(path.stem for path in _folder("compatibility").glob("*.json")))


@cache
def load_table_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the table `name`: its own, or the one that all packages share."""
    folder = _folder("compatibility") / "schema"
    own = folder / f"{name}.schema.json"
    schema: dict[str, Any] = json.loads((own if own.is_file() else folder / "matrix.schema.json").read_bytes())
    return schema


@cache
def matrix_digests() -> dict[str, str]:
    """The SHA-256 of each table of the bundled matrix, by the name of the table."""
    folder = _folder("compatibility")
    return {name: hashlib.sha256((folder / f"{name}.json").read_bytes()).hexdigest() for name in table_names()}


def matrix_checksum(others: Mapping[str, str] | None = None) -> str:
    """The SHA-256 over all tables, by name and content; `others` are the SHA-256 of tables in place of bundled ones."""
    digests = {**matrix_digests(), **(others or {})}
    whole = hashlib.sha256()
    for name in sorted(digests):
        whole.update(f"{name}.json\0".encode() + bytes.fromhex(digests[name]))
    return whole.hexdigest()


@cache
def runtime_files() -> tuple[tuple[str, bytes], ...]:
    """What goes into images as /opt/cogc: (path relative to the runtime folder, content), sorted by path."""
    root = _folder("runtime")
    wanted = {"cog": (".py", ".typed"), "cog_server": (".py",), "requirements": (".txt", ".in")}
    found = [
        (place.removeprefix(f"{root}{os.sep}").split(os.sep), os.path.join(place, name))
        for folder, kinds in wanted.items()
        for place, _, names in os.walk(root / folder)
        for name in names
        if name.endswith(kinds)
    ]
    return tuple(("/".join([*parts, os.path.basename(path)]), _content(path)) for parts, path in sorted(found))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def diagnostic_page(code: str) -> str | None:
    """The page of a diagnostic code as Markdown, or None when the code has none."""
    page = _folder("docs/diagnostics") / f"{code}.md"
    return page.read_text("utf-8") if page.is_file() else None
