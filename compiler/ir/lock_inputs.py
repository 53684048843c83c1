"""`Request` and `Resolution` → what a lock remembers of them, and what changed between two locks' inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields

from .credentials import without_credentials
from .lock import LockedInputs
from .nodes import Request, Resolution, WantedGpu
from .requirement import Requirement

__all__ = ["index_options", "input_changes", "inputs_of", "spelled"]

# Not settings: what has a place of its own, and the platform, for which a lock has separate decisions.
_APART = {"origin", "because", "spans", "architecture", "platform", "requirements", "commands", "system_packages"}


def inputs_of(request: Request) -> LockedInputs:
    """What of a request a lock remembers. Comments, spelling and order of lines, and positions do not count."""
    settings = tuple(
        (field.name, _setting(getattr(request, field.name)))
        for field in sorted(fields(request), key=lambda field: field.name)
        if field.name not in _APART and (field.default is MISSING or getattr(request, field.name) != field.default)
    )
    return LockedInputs(
        settings=settings,
        requirements=tuple(sorted({spelled(requirement) for requirement in request.requirements})),
        system_packages=tuple(sorted({package.name for package in request.system_packages})),
        commands=tuple(command.command for command in request.commands),
    )


def _setting(value: object) -> str | bool:
    if isinstance(value, tuple):  # of nodes with a name
        value = sorted(item.name if isinstance(item, WantedGpu) else str(item) for item in value)
    return value if isinstance(value, (str, bool)) else json.dumps(value, ensure_ascii=False)


def spelled(requirement: Requirement) -> str:
    """A requirement in the spelling of locks.

    >>> line = Requirement(text="Torch == 2.3", kind="package", name="torch", specifier="==2.3")
    >>> spelled(line)
    'torch==2.3'
    """
    text = requirement.text
    if requirement.name is not None and requirement.kind in ("package", "constraint") and requirement.url is None:
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        text = f"{requirement.name}{extras}{requirement.specifier}{marker}"
    if requirement.kind != "option":
        text += "".join(f" {name}={value}" if value else f" {name}" for name, value in sorted(requirement.options))
    return without_credentials(f"-c {text}" if requirement.kind == "constraint" else text)


def index_options(resolution: Resolution) -> tuple[str, ...]:
    """The requirement lines that are options about package indexes, with passwords in URLs masked."""
    lines = (line for line in resolution.requirements if line.startswith("-"))
    return tuple(without_credentials(line) for line in lines if not line.startswith(("-e ", "--editable")))


def input_changes(old: LockedInputs, new: LockedInputs) -> tuple[str, ...]:
    """What changed, one phrase each, such as `torch==2.3.1 → torch==2.4.0` or `+ git`."""
    settings, wanted = dict(old.settings), dict(new.settings)
    names = sorted(settings.keys() | wanted.keys())
    changes = [
        f"{name}: {_shown(settings.get(name))} → {_shown(wanted.get(name))}"
        for name in names
        if settings.get(name) != wanted.get(name)
    ]
    changes += _line_changes(old.requirements, new.requirements)
    changes += _line_changes(old.system_packages, new.system_packages)
    changes += _line_changes(old.commands, new.commands)
    return tuple(changes)


def _shown(value: str | bool | None) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False) if isinstance(value, bool) else value


def _line_changes(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Lines that went and came; a line about the same package takes the place of the one that went."""
    gone = [line for line in old if line not in new]
    come = [line for line in new if line not in old]
    for line in gone:
        same = next((other for other in come if _subject(other) == _subject(line)), None)
        if same is not None:
            come.remove(same)
            yield f"{line} → {same}"
        else:
            yield f"- {line}"
    yield from (f"+ {line}" for line in come)


def _subject(line: str) -> str:
    """What a line is about: `torch` of `torch==2.3`; a command or an option as a whole."""
    found = re.match(r"(?:-c )?[A-Za-z0-9][\w.-]*(?=\s*(?:\[|[<>=!~@;]|$))", line)
    return found[0] if found else line
