"""The project's files → the directories and files that get an image layer of their own.

Comes in: the entries of one walk, and the .dockerignore. Goes out: `Weights` and remarks. Large files that
change seldom are kept apart from code that changes often; where code lies beside them that is not possible.

A file is a candidate when it is at least 10 MiB large and does not look like code or media. The directories
of candidates are taken, the topmost ones only, unless code lies anywhere below; candidates in the root are
taken one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..diagnostics import Diagnostic, report
from ..record import record
from .dockerignore import Dockerignore
from .files import FileEntry

__all__ = ["MIN_WEIGHT_BYTES", "Weights", "find_weights"]

MIN_WEIGHT_BYTES = 10 * 1024 * 1024
"""From this size on, inclusive, a file is a candidate."""

_CODE_SUFFIXES = (".py", ".ipynb")
_EXCLUDED_PREFIXES = (".cog", ".git", "__pycache__")
_EXCLUDED_SUFFIXES = (
    *(".py", ".ipynb", ".whl", ".log"),
    *(".jpg", ".jpeg", ".png", ".webp", ".svg", ".gif", ".avif", ".heic"),
    *(".mp4", ".mov", ".avi", ".wmv", ".mkv", ".webm"),
    *(".mp3", ".wav", ".ogg", ".flac", ".aac", ".m4a"),
)


@record(kw_only=False)
class Weights:
    """What gets its own layer. Paths are relative to the project root, shallow ones first, then by name.

    `sizes` are (path, bytes) pairs in the order of `directories` and then `root_files`; the size of a
    directory is that of its large files, small ones beside them not counted.
    """

    directories: tuple[str, ...] = ()
    root_files: tuple[str, ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True, repr=False, eq=False)
class _Found:
    """What one walk shows: candidates with their sizes, and one code file for each directory with code below."""

    candidates: list[tuple[str, int]] = field(default_factory=list)
    code: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def find_weights(entries: Iterable[FileEntry], ignored: Dockerignore) -> tuple[Weights, tuple[Diagnostic, ...]]:
    """Find the weights among `entries`, which are gone through once, in any order.

    Files that `ignored` excludes neither are weights nor count as code.

    Errors, none of which stops: COG304 what was found, COG305 directories left in the code layer, COG306
    large files in the root, COG311 directories that cannot be read.
    """
    found = _survey(entries, ignored)
    ordered = sorted(found.candidates, key=lambda candidate: (candidate[0].count("/"), candidate[0].split("/")))
    root_files = tuple(path for path, _ in ordered if "/" not in path)
    topmost = _topmost(path.rpartition("/")[0] for path, _ in ordered if "/" in path)
    directories = tuple(directory for directory in topmost if directory not in found.code)
    sizes = _sizes(ordered, directories, root_files)
    dropped = [(directory, found.code[directory]) for directory in topmost if directory in found.code]
    weights = Weights(directories, root_files, sizes)
    return weights, tuple(_remarks(weights, dropped, found.unreadable))


def _survey(entries: Iterable[FileEntry], ignored: Dockerignore) -> _Found:
    found = _Found()
    for entry in entries:
        path = entry.path
        if entry.kind == "directory" or path.startswith(".git/") or "/.git/" in path:
            continue
        if entry.kind == "unreadable":
            if not ignored.excludes(path):
                found.unreadable.append(path)
        elif path.endswith(_CODE_SUFFIXES):
            _note_code(found.code, path, ignored)
        elif _is_candidate(entry) and not ignored.excludes(path):
            found.candidates.append((path, entry.size_bytes))
    return found


def _note_code(code: dict[str, str], path: str, ignored: Dockerignore) -> None:
    """Note a code file for its directory and all above, of which the first one found is kept."""
    directory = path.rpartition("/")[0]
    # Most code files lie beside another one: they are not worth a question to .dockerignore.
    if not directory or directory in code or ignored.excludes(path):
        return
    while directory and directory not in code:
        code[directory] = path
        directory = directory.rpartition("/")[0]


def _is_candidate(entry: FileEntry) -> bool:
    return (
        entry.kind == "file"
        and entry.size_bytes >= MIN_WEIGHT_BYTES
        and not entry.path.startswith(_EXCLUDED_PREFIXES)
        and not entry.path.endswith(_EXCLUDED_SUFFIXES)
    )


def _topmost(directories: Iterable[str]) -> tuple[str, ...]:
    """Those not inside another one. Comes in with parents before children."""
    kept: dict[str, None] = {}
    for directory in directories:
        if not any(above in kept for above in _up_from(directory)):
            kept[directory] = None
    return tuple(kept)


def _up_from(directory: str) -> Iterator[str]:
    """The directory itself and those above it, the root not among them."""
    while directory:
        yield directory
        directory = directory.rpartition("/")[0]


def _sizes(
    candidates: Iterable[tuple[str, int]], directories: tuple[str, ...], root_files: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    totals = dict.fromkeys((*directories, *root_files), 0)
    for path, size_bytes in candidates:
        for place in _up_from(path):
            if place in totals:
                totals[place] += size_bytes
    return tuple(totals.items())


def _remarks(weights: Weights, dropped: list[tuple[str, str]], unreadable: list[str]) -> Iterator[Diagnostic]:
    if weights.sizes:
        listed = ", ".join(f"`{path}` ({size_bytes / 1024**2:.0f} MiB)" for path, size_bytes in weights.sizes)
        yield report("COG304", f"large files get a layer of their own: {listed}")
    for directory, code_file in dropped:
        message = f"`{directory}` stays in the code layer: it holds large files, but also `{code_file}`"
        yield report("COG305", message, hint="keep large files in a directory without code")
    for path in weights.root_files:
        message = f"large file `{path}` lies in the project's root"
        yield report("COG306", message, hint="move it to a directory for weights only")
    for path in sorted(unreadable):
        yield report("COG311", f"`{path}` cannot be read; large files in it are not seen")
