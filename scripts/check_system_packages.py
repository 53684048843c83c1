"""Compare `compatibility/system-packages.json` with package lists of Debian releases.

In: a folder of package lists, the files apt downloads, each named after its release:
`bookworm.Packages`, `trixie.Packages.xz`, `forky.Packages.gz`. Out: the differences, one
per line, and exit status 1 if there are any. Only releases with a list in the folder are
looked at; the folder is filled by hand, nothing is fetched here.

    python scripts/check_system_packages.py FOLDER
    python scripts/check_system_packages.py FOLDER --names new.txt   # adds rows, then checks

`--names` takes a file of package names, one per line. Names the table lacks are added with
what the lists say and with no replacement: that part, and the note, are written by hand.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

Record = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "compatibility" / "system-packages.json"

# What apt does with a name: `virtual` has one provider and installs, `choice` has several
# and is refused.
MISSING = ("absent", "choice")
NEW_NOTE = "To be written."

OPENERS: dict[str, Callable[[Path], Any]] = {
    ".Packages": partial(open, encoding="utf-8"),
    ".xz": partial(lzma.open, mode="rt", encoding="utf-8"),
    ".gz": partial(gzip.open, mode="rt", encoding="utf-8"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageList:
    """The names of one release: real packages, and who provides each virtual one."""

    real: frozenset[str]
    providers: dict[str, frozenset[str]]

    def status(self, name: str) -> str:
        """`present`, `virtual`, `choice` or `absent`."""
        if name in self.real:
            return "present"
        count = len(self.providers.get(name, ()))
        return ("absent", "virtual")[count] if count < 2 else "choice"


def provided_names(field: str) -> Iterator[str]:
    """Names of a Provides field: `a (= 1), b:any` gives `a`, `b`."""
    for item in field.split(","):
        yield item.strip().partition(" ")[0].partition(":")[0]


def parse_packages(lines: Iterable[str]) -> PackageList:
    """A package list from its lines; only `Package` and `Provides` are read."""
    real: set[str] = set()
    providers: dict[str, set[str]] = {}
    name = ""
    for line in lines:
        field, _, value = line.partition(":")
        if field == "Package":
            name = value.strip()
            real.add(name)
        elif field == "Provides":
            for virtual in provided_names(value):
                providers.setdefault(virtual, set()).add(name)
    return PackageList(
        real=frozenset(real),
        providers={virtual: frozenset(names) for virtual, names in providers.items()},
    )


def read_lists(folder: Path) -> dict[str, PackageList]:
    """Release name to package list, for every list in a folder."""
    lists = {}
    for path in sorted(folder.iterdir()):
        release, separator, _ = path.name.partition(".Packages")
        if separator and path.suffix in OPENERS:
            with OPENERS[path.suffix](path) as lines:
                lists[release] = parse_packages(lines)
    return lists


def row_differences(row: Record, release: str, packages: PackageList) -> Iterator[str]:
    """What a row says about a release that its package list does not."""
    name = row["name"]
    stated, found = row["releases"].get(release), packages.status(name)
    if stated != found:
        yield f"{release}: {name} is {found}, the table says {stated}"
    replacement = row.get("replacement", {})
    if found in MISSING and release not in replacement:
        yield f"{release}: {name} is {found} and its replacement is not stated"
    for other in replacement.get(release) or ():
        if packages.status(other) in MISSING:
            yield f"{release}: {name} is replaced by {other}, which is {packages.status(other)}"


def differences(rows: Iterable[Record], lists: dict[str, PackageList]) -> list[str]:
    """All differences, in the order of the table."""
    return [
        text for row in rows for release, packages in lists.items() for text in row_differences(row, release, packages)
    ]


def new_row(name: str, lists: dict[str, PackageList]) -> Record:
    """A row for a name the table lacks, with availability only."""
    releases = {release: packages.status(name) for release, packages in lists.items()}
    missing: Record = {release: None for release, found in releases.items() if found in MISSING}
    row: Record = {"name": name, "releases": releases, "replacement": missing}
    return row | {"note": NEW_NOTE, "src": "lists"}


def add_names(table: Record, names: Iterable[str], lists: dict[str, PackageList]) -> Record:
    """The table with a row for every name, sorted by name."""
    known = {row["name"] for row in table["rows"]}
    added = [new_row(name, lists) for name in names if name not in known]
    return table | {"rows": sorted([*table["rows"], *added], key=lambda row: str(row["name"]))}


def format_table(table: Record) -> str:
    """The table as text: one source and one row per line."""

    def one_line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    head = [f"  {one_line({key: table[key]})[1:-1]}" for key in ("schema", "matrix")]
    sources = [f"    {one_line({key: value})[1:-1]}" for key, value in table["sources"].items()]
    rows = [f"    {one_line(row)}" for row in table["rows"]]
    blocks = [
        *head,
        '  "sources": {\n' + ",\n".join(sources) + "\n  }",
        '  "rows": [\n' + ",\n".join(rows) + "\n  ]",
    ]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main(arguments: list[str]) -> int:
    """0 when table and lists agree, 1 when not, 2 when there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of package lists")
    parser.add_argument("--names", type=Path, help="file of names to add, one per line")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args(arguments)
    lists = read_lists(options.folder)
    if not lists:
        print(f"no package lists in {options.folder}", file=sys.stderr)
        return 2
    table = json.loads(options.table.read_text("utf-8"))
    if options.names:
        names = dict.fromkeys(options.names.read_text("utf-8").split())
        table = add_names(table, names, lists)
        options.table.write_text(format_table(table), "utf-8")
    found = differences(table["rows"], lists)
    for text in found:
        print(text)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
