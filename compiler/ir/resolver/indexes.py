"""Which package indexes a build has, as far as options in requirement lines say."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...record import record
from ..requirement import Requirement

__all__ = ["TORCH_INDEX", "Indexes", "indexes_of"]

# PyTorch's own index: one sub-index per build, as in https://pytorch.org/get-started/previous-versions/
TORCH_INDEX = "https://download.pytorch.org/whl"

_OF_A_BUILD = re.compile(r"/(cpu|cu\d{2,3})(?:/(?:torch_stable\.html)?)?$")


@record
class Indexes:
    """The indexes besides, or instead of, the one that the installer uses by itself.

    `builds` are pairs of a build and the line that names its sub-index; `all_builds` are lines that name a page
    with every build; `others` are lines with an index of which nothing is known. `is_replaced` says that the usual
    index is not used.
    """

    builds: tuple[tuple[str, Requirement], ...] = ()
    all_builds: tuple[Requirement, ...] = ()
    others: tuple[Requirement, ...] = ()
    is_replaced: bool = False

    @property
    def is_usual(self) -> bool:
        """Whether there is only the usual index, and PyTorch's where cogc adds it."""
        return not (self.builds or self.all_builds or self.others or self.is_replaced)


def indexes_of(requirements: Iterable[Requirement]) -> Indexes:
    """Read `--index-url`, `--extra-index-url`, `--find-links` and `--no-index` of all lines."""
    builds: list[tuple[str, Requirement]] = []
    all_builds: list[Requirement] = []
    others: list[Requirement] = []
    is_replaced = False
    for line in requirements:
        for name, value in line.options:
            if name == "--no-index" or (name == "--index-url" and line.kind == "option"):
                is_replaced = True
            if name not in ("--index-url", "--extra-index-url", "--find-links"):
                continue
            of_a_build = _OF_A_BUILD.search(value)
            if of_a_build is not None and "/nightly/" not in value:
                builds.append((of_a_build[1], line))
            elif value.rstrip("/") in (TORCH_INDEX, f"{TORCH_INDEX}/torch_stable.html"):
                all_builds.append(line)
            else:
                others.append(line)
    return Indexes(builds=tuple(builds), all_builds=tuple(all_builds), others=tuple(others), is_replaced=is_replaced)
