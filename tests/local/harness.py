"""Projects whose models really run: `cogc` in a process of its own, the local engine, no container and no network.

The server's libraries are those of this environment. What is made is kept in a cache directory of the test session.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = ".".join(map(str, sys.version_info[:2]))
CONFIG = f'build:\n  python_version: "{HERE}"\npredict: "predict.py:Predictor"\n'
MARK = "COGC_TEST_MARK"
SECONDS = 120.0


@dataclass
class Done:
    status: int
    out: str
    err: str


class Project:
    """A folder in which `cogc` runs. Every process that it starts carries a mark of this project."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.mark = uuid.uuid4().hex
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("COG_", "COGC_", "PYTHON"))
        }
        self.environment |= {
            "XDG_CACHE_HOME": str(cache),
            "COGC_SERVER_PYTHON": sys.executable,
            "MARK_OF_TEST": self.mark,
            "COVERAGE_PROCESS_START": "",
        }
        self.write("cog.yaml", CONFIG)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        return path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "cogc", *words]

    def run(self, *words: str, stdin: str | None = None, **environment: str) -> Done:
        """`cogc` to its end."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.root,
            env={**self.environment, **environment},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """`cogc`, left running; it leads a process group as it does in a terminal."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            process_group=0,
            **options,
        )

    def in_terminal(self, *words: str) -> Terminal:
        """`cogc` in a terminal of its own."""
        return Terminal(self.command(*words), self.root, self.environment)

    def processes(self) -> list[str]:
        """Command lines of everything that runs with the mark of this project."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if self.mark.encode() in environment and words:
                found.append(words.replace(b"\0", b" ").decode("utf-8", "replace"))
        return found

    def nothing_runs(self) -> bool:
        """Whether all processes are gone, or will be in a moment."""
        return until(lambda: not self.processes(), 15)

    def kill(self) -> None:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes():
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue


class Terminal:
    """A program in a terminal of its own, as a person has it."""

    def __init__(self, words: list[str], root: Path, environment: dict[str, str]) -> None:
        self.shown = b""
        self._waited = 0
        self._child, self._descriptor = pty.fork()
        if self._child == 0:
            os.chdir(root)
            os.execve(words[0], words, environment)

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def wait_for(self, text: bytes) -> None:
        """Wait until the text has come, after all that was waited for before."""
        while (found := self.shown.find(text, self._waited)) < 0:
            assert self._read(), self.shown
        self._waited = found + len(text)

    def end(self) -> int:
        """Wait for the end of the program: its exit code, negative for a signal."""
        while self._read():
            pass
        os.close(self._descriptor)
        _, status = os.waitpid(self._child, 0)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        """Take what is shown next; False once the program has closed its terminal."""
        ready, _, _ = select.select([self._descriptor], [], [], SECONDS)
        if not ready:
            os.kill(self._child, signal.SIGKILL)
            raise AssertionError(f"nothing was shown for {SECONDS:.0f} s after {self.shown!r}")
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # what Linux says of a terminal that all its users have closed
            return False
        self.shown += data
        return bool(data)


def until(look: Callable[[], Any], seconds: float = 60) -> Any:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    return look()
