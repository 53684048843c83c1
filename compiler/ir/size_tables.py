"""What the compatibility matrix knows about sizes: the table `sizes`, typed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import record

__all__ = ["PackageSize", "SizeTables", "size_tables"]

_MB = 1000 * 1000
_MIB = 1024 * 1024


@record(kw_only=False)
class PackageSize:
    """A build of a package: with all that it needs, and its own files alone. `brings` are other packages of the table.

    A guess is for all releases, and has only the size of the whole.
    """

    name: str
    version: str | None
    build: str
    architecture: str
    whole_bytes: int
    own_bytes: int | None = None
    brings: frozenset[str] = frozenset()


@record
class SizeTables:
    """Sizes in bytes, once everything is unpacked.

    `images` are (image, flavour, CUDA major version or None, size); `system_packages` (names, release of the
    distribution, size). `server` is the environment of the server with the SDK. `name_factors` are
    (start of a package's name, installed size per byte of the wheel); `pure_factor` and `native_factor` are for others.
    """

    images: tuple[tuple[str, str, str | None, int], ...] = ()
    system_packages: tuple[tuple[frozenset[str], str, int], ...] = ()
    server: int | None = None
    packages: tuple[PackageSize, ...] = ()
    guessed: tuple[PackageSize, ...] = ()
    name_factors: tuple[tuple[str, float], ...] = ()
    pure_factor: float | None = None
    native_factor: float | None = None

    def installed(self, name: str, file: str, wheel_bytes: int) -> int | None:
        """The estimate for a wheel; None for a source archive, and where no factor is known."""
        if not file.endswith(".whl"):
            return None
        own = next((times for start, times in self.name_factors if name.startswith(start)), None)
        factor = own or (self.pure_factor if file.endswith("-any.whl") else self.native_factor)
        return None if factor is None else round(wheel_bytes * factor)


def size_tables(table: Mapping[str, Any]) -> SizeTables:
    """The rows of the table `sizes`."""
    factors = table["unpacking"]
    tags = {row["tag"]: float(row["times"]) for row in factors if "tag" in row}
    return SizeTables(
        images=tuple((row["image"], row["flavour"], row.get("cuda"), row["mb"] * _MB) for row in table["images"]),
        system_packages=tuple(
            (frozenset(row["packages"]), row["release"], row["mb"] * _MB) for row in table["system_packages"]
        ),
        server=table["server"][0]["mb"] * _MB,
        packages=tuple(
            PackageSize(
                row["package"],
                row["version"],
                row["build"],
                row["arch"],
                row["installed_mib"] * _MIB,
                row["own_mib"] * _MIB,
                frozenset(row["with"]),
            )
            for row in table["packages"]
        ),
        guessed=tuple(
            PackageSize(row["package"], None, row["build"], row["arch"], row["mb"] * _MB)
            for row in table["guessed_packages"]
        ),
        name_factors=tuple((row["name"], float(row["times"])) for row in factors if "name" in row),
        pure_factor=tags.get("any"),
        native_factor=tags.get("native"),
    )
