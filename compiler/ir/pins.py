"""Which exact version a requirement asks for, if it asks for one.

Comes in: a `Requirement`. Goes out: version texts. Ranges, and two-part pins that mean a family of releases,
are the business of the resolver.
"""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .requirement import Requirement

__all__ = ["local_build", "pinned_version"]


def pinned_version(requirement: Requirement) -> str | None:
    """The version that the one `==` or `===` specifier names, its local suffix included; None without a pin.

    `torch==2.1.0+cu121` → `2.1.0+cu121`. A wildcard is no pin, a direct URL is none, and neither are two
    `==` specifiers; other specifiers beside the one `==` do not matter, nor does an environment marker.
    """
    if requirement.url is not None or requirement.path is not None or not requirement.specifier:
        return None
    try:
        specifiers = SpecifierSet(requirement.specifier)
    except InvalidSpecifier:
        return None
    exact = [specifier.version for specifier in specifiers if specifier.operator in ("==", "===")]
    return exact[0] if len(exact) == 1 and "*" not in exact[0] else None


def local_build(version: str) -> str | None:
    """The local suffix of a version, in lower case: `2.1.0+cu121` → `cu121`; None without one."""
    _, plus, local = version.partition("+")
    return local.lower() if plus and local else None
