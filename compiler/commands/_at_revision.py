"""A file or folder of a project as it was in a git revision, unpacked to a temporary directory."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

__all__ = ["RevisionProblem", "at_revision", "split_revision"]


class RevisionProblem(Exception):
    """The revision cannot be had; the text says why."""


def split_revision(text: str) -> tuple[str, str] | None:
    """`REV:path` as its two parts; None for a file that is there, and for what has no colon.

    >>> split_revision("main:model/cog.yaml"), split_revision("v1.0:"), split_revision("cog.yaml")
    (('main', 'model/cog.yaml'), ('v1.0', '.'), None)
    """
    revision, colon, path = text.partition(":")
    if not colon or not revision or revision.startswith("-") or Path(text).exists():
        return None
    return revision, path or "."


@contextmanager
def at_revision(revision: str, path: str, most_bytes: int | None = None) -> Iterator[Path]:
    """The file or folder at `path`, relative to the current directory, as it was. Error: `RevisionProblem`.

    Files of more than `most_bytes` are left out.
    """
    is_file = _git("cat-file", "-t", f"{revision}:./{path}").strip() == "blob"
    folder = PurePosixPath(path).parent if is_file else PurePosixPath(path)
    tree = _git("rev-parse", "--verify", f"{revision}:./{'' if str(folder) == '.' else folder}").strip()
    top = _git("rev-parse", "--show-toplevel").strip()  # `git archive` refuses folders that the tree does not have
    with tempfile.TemporaryDirectory(prefix="cogc-") as place:
        _unpack(top, tree, Path(place), most_bytes)
        yield Path(place, PurePosixPath(path).name) if is_file else Path(place)


def _unpack(top: str, tree: str, place: Path, most_bytes: int | None) -> None:
    words = ["git", "-C", top, "archive", "--format=tar", tree]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            # Links that lead out of the folder, and other oddities, are left out.
            with tarfile.open(fileobj=process.stdout, mode="r|", errorlevel=0) as archive:
                for member in archive:
                    if most_bytes is None or member.size <= most_bytes:
                        _extract(archive, member, place)
        except tarfile.TarError as error:
            raise RevisionProblem(f"the revision cannot be unpacked: {error}") from error


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, place, filter="data")
    elif member.isfile() or member.isdir():  # Python 3.11 before 3.11.4
        archive.extract(member, place)


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise RevisionProblem(f"git cannot be run: {error.strerror or error}") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RevisionProblem((lines[0] if lines else "git failed").removeprefix("fatal: ")) from error
    return done.stdout.decode("utf-8", "replace")
