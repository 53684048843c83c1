"""What a new lock takes over from the one before it: decisions about lines that have not changed."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from .credentials import without_credentials
from .lock import Lock, LockedPackage, LockedPlatform
from .lock_inputs import spelled
from .nodes import Request
from .pins import pinned_version
from .requirement import Requirement

__all__ = ["keep_decisions"]

_REVISION = re.compile(r"(?P<repository>\w+\+\w+://(?:[^/@]+@)?[^/@]*/[^@#]+)(?:@[^#]+)?(?P<fragment>(?:#.*)?)$")


def keep_decisions(request: Request, lock: Lock, entry: LockedPlatform, upgraded: Collection[str]) -> Request:
    """The request with what the lock has decided written into it: Python, versions of known packages, commits of git.

    `upgraded` are names of packages that are decided anew. Lines that the lock does not know stay as they are.
    """
    known = {name: version for name, version, _ in entry.resolution.packages if name not in upgraded}
    commits = [package for package in entry.packages if package.source == "git" and package.name not in upgraded]
    unchanged = set(lock.inputs.requirements)
    requirements = tuple(
        _kept(requirement, known, commits) if spelled(requirement) in unchanged else requirement
        for requirement in request.requirements
    )
    python = request.python_version or entry.resolution.python
    return replace(request, requirements=requirements, python_version=python)


def _kept(requirement: Requirement, known: dict[str, str], commits: list[LockedPackage]) -> Requirement:
    if requirement.kind in ("vcs", "editable"):
        commit = next((package for package in commits if _is_from(requirement, package)), None)
        return requirement if commit is None else _at_commit(requirement, commit)
    if requirement.kind != "package" or requirement.name not in known:
        return requirement
    pin = pinned_version(requirement)
    if pin is not None and not re.fullmatch(r"\d+\.\d+", pin):
        return requirement
    specifier = f"=={known[requirement.name]}"
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return replace(requirement, specifier=specifier, text=f"{requirement.name}{extras}{specifier}{marker}")


def _is_from(requirement: Requirement, package: LockedPackage) -> bool:
    if requirement.name is not None:
        return requirement.name == package.name
    return without_credentials(requirement.url or "").startswith(f"git+{package.location}")


def _at_commit(requirement: Requirement, package: LockedPackage) -> Requirement:
    """The same repository at the locked commit, in place of the revision that the URL may name."""
    at_commit = _REVISION.sub(rf"\g<repository>@{package.commit}\g<fragment>", requirement.url or "")
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return replace(requirement, kind="vcs", text=f"{package.name}{extras} @ {at_commit}{marker}", url=at_commit)
