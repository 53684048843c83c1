"""One build of a project at a time: a lock in its state directory, which the system drops with the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["project_lock"]


@contextmanager
def project_lock(root: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the project; `on_wait` is called once when another process has it. Errors: OSError."""
    try:
        import fcntl
    except ImportError:  # Windows, where containers are built from WSL
        yield
        return
    directory = root / ".cog"
    directory.mkdir(exist_ok=True)
    with open(directory / "cog.lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
