"""One line of a Python requirements list, as the resolver sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias
from urllib.parse import unquote

from ..record import record
from .node import Node

__all__ = ["Requirement", "RequirementKind", "path_of_url", "requirement_over_ssh"]

RequirementKind: TypeAlias = Literal["package", "url", "vcs", "artifact", "editable", "option", "constraint", "opaque"]


@record
class Requirement(Node):
    """A logical line (continuations joined, comments removed), with file and line in `origin`.

    `text` is the line as it goes into the requirements file of the build. What `kind` says:

    - `package`: `name[extras] specifier; marker`, with `name` in PEP 503 form
    - `url`: `name @ https://…` or a bare http(s) URL (`name` may be None)
    - `vcs`: `git+https://…` and the like (`name` from `name @` or `#egg=`, else None)
    - `artifact`: a wheel or source archive of the project; `path` is relative to the project root
    - `editable`: `-e` with a VCS URL
    - `option`: a line of options only, such as `--extra-index-url …`; `options` holds it as pairs
    - `constraint`: a line of a constraints file (`-c`); it limits versions and installs nothing
    - `opaque`: not understood; passed on as it is

    `options` are the (name, value) pairs of the line in their long spelling, per-line options of
    `python_packages` items included; a flag without a value has the value ''.
    """

    text: str
    kind: RequirementKind
    name: str | None = None
    extras: tuple[str, ...] = ()
    specifier: str = ""
    marker: str | None = None
    url: str | None = None
    path: str | None = None
    options: tuple[tuple[str, str], ...] = ()


def path_of_url(url: str) -> str:
    """What a URL names, unquoted, without its query and fragment.

    >>> path_of_url("https://example.com/torch-2.8.0%2Bcu126.whl?raw#sha256=0")
    'https://example.com/torch-2.8.0+cu126.whl'
    """
    return unquote(url.partition("#")[0].partition("?")[0])


def requirement_over_ssh(requirements: Iterable[Requirement]) -> Requirement | None:
    """The first requirement that git fetches over ssh, or None."""
    return next((item for item in requirements if (item.url or "").lower().startswith("git+ssh:")), None)
