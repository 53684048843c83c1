"""The outer ring's hands: the project on disk, read as `Files`; output written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from .frontend.files import FileEntry, FileProblem

__all__ = [
    "ProjectFiles",
    "cache_directory",
    "describe",
    "find_upward",
    "stage_files",
    "user_cache_directory",
    "write_atomically",
]

MAX_PARENTS = 100
MAX_READ_BYTES = 64 * 1024 * 1024


def describe(error: OSError) -> str:
    """What went wrong, as a phrase that follows a path, such as `does not exist` or `is a directory`."""
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, IsADirectoryError):
        return "is a directory"
    if isinstance(error, PermissionError):
        return "cannot be accessed: permission denied"
    return f"cannot be accessed: {(error.strerror or str(error)).lower()}"


def find_upward(name: str, start: Path) -> Path | None:
    """The nearest file `name` in `start` or one of its parents (at most 100 levels)."""
    directory = start
    for _ in range(MAX_PARENTS):
        candidate = directory / name
        if os.path.lexists(candidate):
            return candidate
        if directory.parent == directory:
            return None
        directory = directory.parent
    return None


class ProjectFiles:
    """The files below a root directory, as the front end sees them (`cogc.frontend.files.Files`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)

    def read(self, path: str) -> bytes:
        """The content of a regular file of at most 64 MiB. Errors: `FileProblem`."""
        full = self.root / path
        try:
            status = full.stat()
            if stat.S_ISDIR(status.st_mode):
                raise FileProblem(path, "is a directory")
            if not stat.S_ISREG(status.st_mode):
                raise FileProblem(path, "is not a regular file")
            if status.st_size > MAX_READ_BYTES:
                raise FileProblem(path, "is larger than 64 MiB")
            return full.read_bytes()
        except (OSError, ValueError) as error:
            raise _problem(path, error) from error

    def digest(self, path: str) -> str:
        """The SHA-256 of a regular file of any size. Errors: `FileProblem`."""
        try:
            with open(self.root / path, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise FileProblem(path, "is not a regular file")
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            raise _problem(path, error) from error

    def kind(self, path: str) -> Literal["file", "directory", "missing", "outside", "other"]:
        """What `path` is behind symbolic links."""
        full = self.root / path
        try:
            mode = full.stat().st_mode
            real = os.path.realpath(full)
        except (OSError, ValueError):
            return "missing"
        if real != self._real_root and not real.startswith(self._real_root.rstrip(os.sep) + os.sep):
            return "outside"
        return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "other"

    def walk(self) -> Iterator[FileEntry]:
        """Everything below the root, sorted within each directory; the insides of `.git` and `.cog` are skipped."""
        yield from self._walk("")

    def _walk(self, directory: str) -> Iterator[FileEntry]:
        pending = [directory]
        while pending:
            current = pending.pop()
            try:
                with os.scandir(self.root / current) as found:
                    children = sorted(found, key=lambda child: child.name)
            except OSError:
                yield FileEntry(current or ".", "unreadable")
                continue
            prefix = f"{current}/" if current else ""
            directories = []
            for child in children:
                entry = _entry(prefix + child.name, child)
                yield entry
                if entry.kind == "directory" and child.name != ".git" and entry.path != ".cog":
                    directories.append(entry.path)
            pending.extend(reversed(directories))


def _problem(path: str, error: OSError | ValueError) -> FileProblem:
    return FileProblem(path, describe(error) if isinstance(error, OSError) else "is not a valid path")


def _entry(path: str, child: os.DirEntry[str]) -> FileEntry:
    try:
        if child.is_symlink():
            return FileEntry(path, "symlink", link_target=os.readlink(child.path))
        if child.is_dir(follow_symlinks=False):
            return FileEntry(path, "directory")
        if child.is_file(follow_symlinks=False):
            return FileEntry(path, "file", child.stat(follow_symlinks=False).st_size)
    except OSError:
        pass  # it vanished, or cannot be looked at: it is something else
    return FileEntry(path, "other")


def user_cache_directory() -> str | None:
    """A directory of the user for what may be lost at any time; None where there is none to write to."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    directory = os.path.join(home, "cogc")
    if not os.path.isabs(directory):
        return None
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError:
        return None
    owned = os.stat(directory).st_uid == os.getuid() if hasattr(os, "getuid") else True
    return directory if owned and os.access(directory, os.W_OK) else None


def cache_directory() -> str | None:
    """The same for compiled templates, which PYTHONDONTWRITEBYTECODE switches off as Python's own bytecode."""
    return None if sys.dont_write_bytecode else user_cache_directory()


def write_atomically(path: Path, content: bytes, *, syncs: bool = True) -> None:
    """Write a file whole: to a temporary name beside it, then renamed. Errors: OSError, nothing half-written.

    `syncs=False` does not wait for the disk, for files that can be made again. A symbolic link is written
    through, and the permissions of a file that is there are kept.
    """
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a device or a pipe, such as /dev/stdout
        return
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(path.parent))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            if syncs:
                os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # not the name of a file that nobody asked for
        raise


def stage_files(root: Path, staging: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Make the staging directory hold exactly `files`: (path, content). Errors: OSError.

    Files that are the same already are left alone, and each other one is replaced whole, so that a build can
    use the directory at any moment. The state directory keeps itself out of version control.
    """
    directory = root / staging
    for place in (directory.parent, directory):
        if place.is_symlink():  # what is behind it is not ours to sweep
            raise OSError(errno.ELOOP, "is a symbolic link; remove it", str(place))
    directory.mkdir(parents=True, exist_ok=True)
    keep_out = directory.parent / ".gitignore"
    if not keep_out.exists():
        write_atomically(keep_out, b"*\n")
    present = _tree(str(directory))
    directories = {path[:end] for path, _ in files for end, character in enumerate(path) if character == "/"}
    for path in sorted(directories):  # parents first
        _make_directory(f"{directory}/{path}", present.get(path))
    for path, content in files:
        _stage(f"{directory}/{path}", content, present.get(path))
    wanted = {path for path, _ in files}
    for path, mode in sorted(present.items(), reverse=True):  # parents last
        with contextlib.suppress(FileNotFoundError):  # another compilation of the project sweeps as well
            if stat.S_ISDIR(mode) and path not in directories:
                with contextlib.suppress(OSError):
                    os.rmdir(f"{directory}/{path}")  # only when it is empty
            elif not stat.S_ISDIR(mode) and path not in wanted | directories and not path.endswith(".tmp"):
                os.unlink(f"{directory}/{path}")


def _tree(directory: str, prefix: str = "") -> dict[str, int]:
    """The modes of everything below a directory, by path; links are not followed."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(directory) as children:
        for child in children:
            with contextlib.suppress(FileNotFoundError):
                found[prefix + child.name] = mode = child.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    found |= _tree(child.path, f"{prefix}{child.name}/")
    return found


def _make_directory(path: str, present: int | None) -> None:
    """A directory of the staging directory; `present` is the mode of what was there."""
    if present is not None and not stat.S_ISDIR(present):
        _remove(path, present)
        present = None
    if present is None:
        os.makedirs(path, exist_ok=True)
    _give_mode(path, 0o755, present)


def _stage(path: str, content: bytes, present: int | None) -> None:
    """A file of the staging directory; `present` is the mode of what was there."""
    if present is not None and not stat.S_ISREG(present):
        _remove(path, present)
        present = None
    if present is None or not _holds(path, content):
        write_atomically(Path(path), content, syncs=False)
        present = None
    _give_mode(path, 0o644, present)


def _remove(path: str, present: int) -> None:
    """Remove what is left over from something else; the staging directory is ours."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(present):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def _give_mode(path: str, mode: int, present: int | None) -> None:
    """Modes end up in the image, so they must not depend on the umask of whoever compiles."""
    if stat.S_IMODE(os.stat(path).st_mode if present is None else present) != mode:
        with contextlib.suppress(PermissionError):  # someone else's file; its content is right
            os.chmod(path, mode)


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except OSError:
        return False
