"""Outputs of a build: where its result goes besides an engine and a registry; files appear whole or not at all.

Source: https://docs.docker.com/build/exporters/
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from ..record import record

__all__ = ["STANDARD_OUTPUT", "Output", "placed"]

STANDARD_OUTPUT = "-"


@record(kw_only=False)
class Output:
    """One `--output` of a build. `kind` is local, tar, oci, docker, image or cacheonly.

    `attributes` are those of the exporter, without the type and the place. `place` is a path, or `-` for standard
    output; None: nothing comes to this machine.
    """

    kind: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    place: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether files are written and not an archive of them."""
        return self.kind == "local" or (self.kind in ("oci", "docker") and self.attributes.get("tar") == "false")


@contextlib.contextmanager
def placed(outputs: Sequence[Output]) -> Iterator[list[tuple[Output, Path | None]]]:
    """The outputs with the paths to write to; None is no file. What was written takes its place at the end.

    After an exception every place is as it was before. Errors: OSError with the name of a place.
    """
    with contextlib.ExitStack() as stack:
        found: list[tuple[Output, Path | None]] = []
        for output in outputs:
            if output.place in (None, STANDARD_OUTPUT):
                found.append((output, None))
                continue
            place = Path(output.place or "")
            found.append((output, stack.enter_context(_directory(place) if output.is_directory else _file(place))))
        yield found


@contextlib.contextmanager
def _file(place: Path) -> Iterator[Path]:
    if place.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(place))
    if place.exists() and not place.is_file():
        yield place  # a device or a pipe
        return
    target = Path(os.path.realpath(place))
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(place.parent))
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.tmp")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(place)  # not the name of a file that nobody asked for
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _directory(place: Path) -> Iterator[Path]:
    target = Path(os.path.realpath(place))
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(place))
    above = next(parent for parent in target.parents if parent.exists())
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}.", suffix=".tmp", dir=above))
    except OSError as error:
        error.filename = str(place)
        raise
    try:
        temporary.chmod(0o755)
        yield temporary
        _move(temporary, target)
    finally:
        _remove(temporary)


def _move(source: Path, target: Path) -> None:
    """Put a tree into its place: into the directory that is there, whose other files stay."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return
    for entry in source.rglob("*"):
        there = target / entry.relative_to(source)
        if there.is_dir() and not there.is_symlink() and not _is_real_directory(entry):
            raise IsADirectoryError(21, "Is a directory", str(there))
    _merge(source, target)


def _merge(source: Path, target: Path) -> None:
    mode = stat.S_IMODE(source.stat().st_mode)
    source.chmod(0o700)
    for entry in sorted(source.iterdir()):
        there = target / entry.name
        if _is_real_directory(entry) and _is_real_directory(there):
            kept = entry.stat()
            _merge(entry, there)
            there.chmod(stat.S_IMODE(kept.st_mode))
            os.utime(there, ns=(kept.st_atime_ns, kept.st_mtime_ns))
            continue
        if _is_real_directory(entry):
            there.unlink(missing_ok=True)
        _rename(entry, there)
    source.chmod(mode)


def _rename(entry: Path, there: Path) -> None:
    """Also of a directory that may not be written to, whose entry `..` a rename changes."""
    if not _is_real_directory(entry):
        entry.replace(there)
        return
    mode = stat.S_IMODE(entry.stat().st_mode)
    entry.chmod(mode | 0o700)
    entry.rename(there)
    there.chmod(mode)


def _is_real_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove(tree: Path) -> None:
    for directory, _, _ in os.walk(tree):
        with contextlib.suppress(OSError):
            os.chmod(directory, 0o700)
    shutil.rmtree(tree, ignore_errors=True)
