"""Version specifiers: two of them together, and without the builds that they name."""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import Version

__all__ = ["public_specifier", "specifiers_meet"]


@lru_cache(maxsize=4096)
def specifiers_meet(first: str, second: str) -> bool:
    """Whether some version can satisfy both, judged by the versions that they name.

    >>> specifiers_meet("==9.3.0.75", "==9.10.2.21"), specifiers_meet("<10.0,>=9.3.0.75", "==9.10.2.21")
    (False, True)
    """
    ours, theirs = SpecifierSet(first), SpecifierSet(second)
    floors = [clause.version for clause in (*ours, *theirs) if clause.operator in ("==", "===", ">=", "~=")]
    if not floors:
        return True
    return any(_both(Version(text.removesuffix(".*")), ours, theirs) for text in floors)


def _both(version: Version, ours: SpecifierSet, theirs: SpecifierSet) -> bool:
    return ours.contains(version, prereleases=True) and theirs.contains(version, prereleases=True)


@lru_cache(maxsize=4096)
def public_specifier(specifier: str) -> SpecifierSet:
    """The specifier without local parts: a demand for `==2.0.0+cu117` is one for that release."""
    return SpecifierSet(re.sub(r"\+[\w.]+", "", specifier))
