"""Compile every project below a folder and print a Markdown table of outcomes by diagnostic code.

    python scripts/corpus_table.py FOLDER > docs/corpus.md

The folder holds one directory per project, with cog.yaml (or cog.yml) and the requirements that it names, but not
the code: for that there is a stand-in. Only counts are printed: the projects stay the work of their authors.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Literal

from cogc._data import matrix_version
from cogc.catalogue import CATALOGUE, Entry
from cogc.diagnostics import Severity
from cogc.disk import ProjectFiles
from cogc.driver import Compilation, Source, bundled_matrix, compile_project, read_config
from cogc.frontend.config import Target
from cogc.frontend.lower import BuildOptions

_STAND_INS = {
    "predict": "class {name}:\n    def predict(self, prompt: str) -> str: ...\n",
    "train": "def {name}(prompt: str) -> str: ...\n",
}


class _WithStandIns(ProjectFiles):
    """A project's files, with a small model in the place of each target whose file is missing."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._stand_ins: dict[str, str] = {}

    def add(self, target: Target) -> None:
        """Stand in for a target, if its file is missing."""
        if super().kind(target.file) == "missing":
            text = _STAND_INS["train" if target.key == "train" else "predict"].format(name=target.name)
            self._stand_ins[target.file] = self._stand_ins.get(target.file, "") + text

    def read(self, path: str) -> bytes:
        return self._stand_ins[path].encode() if path in self._stand_ins else super().read(path)

    def kind(self, path: str) -> Literal["file", "directory", "missing", "outside", "other"]:
        return "file" if path in self._stand_ins else super().kind(path)


def projects(folder: Path) -> list[Path]:
    """The configurations of all projects, sorted."""
    return sorted(path for pattern in ("cog.yaml", "cog.yml") for path in folder.glob(f"*/{pattern}"))


def compiled(config: Path) -> Compilation:
    """One project, compiled as `cogc compile` does."""
    root = config.parent
    files = _WithStandIns(root)
    source = Source(config=config.read_bytes(), name=config.name, directory=root.name, files=files)
    read, _ = read_config(source)
    for target in read.targets if read is not None else ():
        files.add(target)
    return compile_project(source, BuildOptions(), bundled_matrix())


def table(folder: Path) -> str:
    """The page: outcomes, base images, and how many projects get each code."""
    outcomes: Counter[str] = Counter()
    bases: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for config in projects(folder):
        compilation = compiled(config)
        found = {d.code: d.severity for d in compilation.diagnostics}
        codes.update(found.keys())
        if compilation.resolved is None:
            outcomes["refused"] += 1
            continue
        outcomes["compiles with warnings" if Severity.WARNING in found.values() else "compiles"] += 1
        image = compilation.resolved.resolution.base_image
        bases["nvidia/cuda" if image.startswith("nvidia/") else "python slim"] += 1
    lines = [
        "# What becomes of public projects",
        "",
        f"Made by `scripts/corpus_table.py` with matrix {matrix_version()} from {sum(outcomes.values())} projects",
        "that others published. The projects' code is not there; a small model stands in for it.",
        "",
        *_rows("outcome", outcomes),
        "",
        *_rows("base image", bases),
        "",
        "| code | severity | name | projects |",
        "| --- | --- | --- | --: |",
        *(f"| {code} | {entry.severity} | {entry.name} | {codes[code]} |" for code, entry in _entries(codes)),
        "",
    ]
    return "\n".join(lines)


def _entries(codes: Counter[str]) -> list[tuple[str, Entry]]:
    return [(code, CATALOGUE[code]) for code in sorted(codes)]


def _rows(title: str, counts: Counter[str]) -> list[str]:
    rows = [f"| {name} | {count} |" for name, count in sorted(counts.items())]
    return [f"| {title} | projects |", "| --- | --: |", *rows]


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        raise SystemExit(2)
    print(table(Path(sys.argv[1])), end="")
