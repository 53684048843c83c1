"""What cog.lock holds: what was asked for, what was decided, and every file that is installed.

The lock keeps the decisions themselves, not only what they were made from: a build from a lock asks neither the
resolver nor the compatibility matrix, so that it stays the same whatever matrix is installed.
"""

from __future__ import annotations

from typing import Literal

from ..record import record
from .nodes import Resolution

__all__ = ["Lock", "LockedFile", "LockedImage", "LockedInputs", "LockedPackage", "LockedPlatform", "PackageSource"]

PackageSource = Literal["index", "url", "project", "git"]


@record
class LockedInputs:
    """Everything in the configuration and the options that decisions depend on, in one spelling.

    `settings` are the parts of the request that differ from their defaults, as (name, value) pairs. Requirement lines
    are sorted, with passwords in URLs masked, constraints behind `-c `. `commands` are those of `build.run`.
    """

    settings: tuple[tuple[str, str | bool], ...] = ()
    requirements: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@record
class LockedImage:
    """An image that the build starts from or takes files from; without a digest it is not pinned."""

    reference: str
    digest: str | None = None


@record
class LockedPackage:
    """A Python package with the one file that is installed.

    - `index`: `file` is its name there, a wheel or a source archive
    - `url`: the file at `location`
    - `project`: the file at `location`, relative to the project's root
    - `git`: what `commit` of the repository `location` holds, below `subdirectory`; there is no file, and no hash

    Passwords in `location` are masked.
    """

    name: str
    version: str
    source: PackageSource = "index"
    file: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    location: str | None = None
    commit: str | None = None
    subdirectory: str | None = None

    @property
    def is_built(self) -> bool:
        """Whether the image build makes the installed files, with tools that no hash covers."""
        return self.source == "git" or not (self.file or self.location or "").endswith(".whl")


@record
class LockedPlatform:
    """All decisions for one platform, such as `linux/amd64`.

    The requirements of `resolution` are the options about indexes alone, passwords masked; `packages` are all
    packages, those that others pull in included, sorted by name.
    """

    platform: str
    resolution: Resolution
    images: tuple[LockedImage, ...] = ()
    packages: tuple[LockedPackage, ...] = ()


@record
class LockedFile:
    """A file of the weights."""

    path: str
    size_bytes: int
    sha256: str


@record
class Lock:
    """A whole cog.lock. `cogc` is the version that wrote it; `matrix_sha256` the checksum of all tables it used."""

    cogc: str
    matrix: str
    matrix_sha256: str
    inputs: LockedInputs
    weights: tuple[LockedFile, ...] = ()
    platforms: tuple[LockedPlatform, ...] = ()

    def platform(self, name: str) -> LockedPlatform | None:
        """The decisions for a platform."""
        return next((entry for entry in self.platforms if entry.platform == name), None)
