"""The docker program: how it is called, what is shown of a call, and its failures as diagnostics.

Called here is what objects.py cannot do through its library: builds with the events of their steps, programs that are
attached to this process or have to end with it, and what is asked before the library is there. See docs/adr/0012.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from ...diagnostics import report
from ...record import record
from .. import EngineFailure, Reporter
from ..processes import ends_with_parent
from .problems import diagnose

__all__ = ["DockerCli", "Finished"]

# Options whose value is `NAME=value` with a value that may be a secret.
_MASKED = ("--build-arg", "--env", "-e")
_MOST_SHOWN = 200  # characters of one word


@record(kw_only=False)
class Finished:
    """A call that came to its end: exit code, standard output and standard error."""

    status: int
    output: str
    errors: str


@record(kw_only=False)
class DockerCli:
    """Calls of the docker program."""

    reporter: Reporter
    program: str = "docker"

    def attempt(self, *words: str, input: bytes | None = None, timeout_seconds: float | None = None) -> Finished:
        """Run to the end. Error: COG620 when there is no such program; subprocess.TimeoutExpired."""
        self.show(words)
        try:
            done = subprocess.run(
                [self.program, *words],
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
            )
        except FileNotFoundError as error:
            raise self.missing() from error
        return Finished(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def capture(self, *words: str) -> str:
        """Standard output of a call that works; otherwise its failure as EngineFailure."""
        done = self.attempt(*words)
        if done.status:
            raise EngineFailure(diagnose(done.errors, " ".join(words[:2])))
        return done.output

    def follow(self, *words: str) -> None:
        """Run to the end with its progress on standard error; an interruption ends it. Error: EngineFailure."""
        process = self.start(*words, stdout=sys.stderr.fileno())
        try:
            _, errors = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            raise EngineFailure(diagnose(errors.decode("utf-8", "replace"), words[0]))

    def start(
        self,
        *words: str,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
        own_group: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a call and leave it running.

        In a process group of its own it takes no part in Ctrl-C; should this process be killed, it ends too (on Linux).
        """
        self.show(words)
        try:
            return subprocess.Popen(
                [self.program, *words],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(environment or {})},
                process_group=0 if own_group else None,
                preexec_fn=ends_with_parent() if own_group else None,
            )
        except FileNotFoundError as error:
            raise self.missing() from error

    def show(self, words: Sequence[str]) -> None:
        """Tell that the program is called with these words."""
        self.reporter.program([self.program, *shown(words)])

    def missing(self) -> EngineFailure:
        """COG620: there is no such program."""
        hint = "install Docker, or use --engine local where the command has it"
        return EngineFailure(report("COG620", f"there is no program `{self.program}` on the PATH", hint=hint))


def shown(words: Iterable[str]) -> list[str]:
    """The words as they may be shown: values of variables masked, long words cut.

    >>> shown(["build", "--build-arg", "TOKEN=x", "--label", "a=" + "b" * 300])[2:]
    ['TOKEN=***', '--label', 'a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…']
    """
    result: list[str] = []
    option = ""
    for word in words:
        if option in _MASKED and "=" in word:
            word = word.partition("=")[0] + "=***"
        elif len(word) > _MOST_SHOWN:
            word = word[:60] + "…"
        result.append(word)
        option = word
    return result
