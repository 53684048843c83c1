"""The parts of `cogc doctor`: a check looks at one thing and gives findings; an examination runs all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from ..diagnostics import Diagnostic, Severity
from ..record import record
from ..source import Span

__all__ = ["Check", "Finding", "Group", "Outcome", "Skipped", "findings_of", "run_check"]

Group: TypeAlias = Literal["Config", "Python", "Environment"]
Level: TypeAlias = Literal["error", "warning"]


@record
class Finding:
    """What a check has found. `place` is `file:line` where there is one; `fix` is what --fix may do about it."""

    level: Level
    message: str
    span: Span | None = None
    remedy: str | None = None
    diagnostic: Diagnostic | None = None

    @property
    def is_fixable(self) -> bool:
        """Whether --fix can do something about it."""
        return self.diagnostic is not None and self.diagnostic.fix is not None


class Skipped(Exception):
    """A check has nothing to look at; the text says why."""


@record(kw_only=False)
class Check:
    """A check: its name, its group, and what it does. It returns a remark for a line of its own, or findings."""

    name: str
    group: Group
    look: Callable[[], str | Iterable[Finding]]


@record
class Outcome:
    """What became of a check."""

    name: str
    group: Group
    findings: tuple[Finding, ...] = ()
    remark: str = ""
    is_skipped: bool = False

    @property
    def state(self) -> Literal["ok", "warning", "error", "skipped"]:
        """The worst of its findings."""
        if self.is_skipped:
            return "skipped"
        levels = {finding.level for finding in self.findings}
        return "error" if "error" in levels else "warning" if levels else "ok"


def run_check(check: Check) -> Outcome:
    """Run one check; a crash of it is an error of its own, and the others go on."""
    try:
        found = check.look()
        found = found if isinstance(found, str) else tuple(found)
    except Skipped as skipped:
        return Outcome(name=check.name, group=check.group, remark=str(skipped), is_skipped=True)
    except Exception as error:
        message = f"the check itself failed: {type(error).__name__}: {error}"
        return Outcome(name=check.name, group=check.group, findings=(Finding(level="error", message=message),))
    if isinstance(found, str):
        return Outcome(name=check.name, group=check.group, remark=found)
    return Outcome(name=check.name, group=check.group, findings=found)


def findings_of(diagnostics: Iterable[Diagnostic], *, remarks_count: bool = False) -> Iterable[Finding]:
    """Diagnostics as findings; remarks only where they count as warnings."""
    for found in diagnostics:
        if found.severity is Severity.INFO and not remarks_count:
            continue
        yield Finding(
            level="error" if found.severity is Severity.ERROR else "warning",
            message=found.message,
            span=found.span,
            remedy=found.hint,
            diagnostic=found,
        )
