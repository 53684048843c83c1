"""What two resolutions decide differently, as phrases for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .nodes import Resolution

__all__ = ["decision_changes", "list_changes"]

# The fields that are one value each, and what they are called.
_NAMES = {
    "python": "Python",
    "python_source": "Python comes from",
    "base_image": "base image",
    "tools_image": "image of tools",
    "distribution": "distribution",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "cuda_from": "CUDA comes from",
    "min_driver": "NVIDIA driver at least",
    "installer": "installer",
    "matrix": "matrix",
}


def decision_changes(old: Resolution, new: Resolution) -> tuple[str, ...]:
    """The differences, one phrase each, such as `Python 3.11 → 3.12`. Requirement lines are not looked at."""
    changes = [
        f"{said} {getattr(old, name) or 'none'} → {getattr(new, name) or 'none'}"
        for name, said in _NAMES.items()
        if getattr(old, name) != getattr(new, name)
    ]
    changes += _package_changes(old, new)
    changes += (f"system package {change}" for change in list_changes(old.system_packages, new.system_packages))
    changes += (f"tool {change}" for change in list_changes(old.tools, new.tools))
    changes += (f"installer option {change}" for change in list_changes(old.installer_options, new.installer_options))
    return tuple(changes)


def _package_changes(old: Resolution, new: Resolution) -> Iterator[str]:
    before = {name: _release(version, build) for name, version, build in (*old.packages, *old.brought_along)}
    after = {name: _release(version, build) for name, version, build in (*new.packages, *new.brought_along)}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"


def _release(version: str, build: str) -> str:
    return version if build == "default" else f"{version} (build {build})"


def list_changes(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """What went and what came.

    >>> list(list_changes(("a", "b"), ("b", "c")))
    ['- a', '+ c']
    """
    yield from (f"- {item}" for item in old if item not in new)
    yield from (f"+ {item}" for item in new if item not in old)
