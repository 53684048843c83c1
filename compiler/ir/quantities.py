"""Sizes as people write and read them."""

from __future__ import annotations

import re

__all__ = ["parse_size", "readable_size"]

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgt", 1)
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


def parse_size(text: str) -> int | None:
    """Bytes of `6GB`, `500 MB`, `1.5GiB` or `1000`; None for anything else. `GB` is 1000³, `GiB` 1024³.

    >>> parse_size("6GB"), parse_size("1.5 GiB"), parse_size("many")
    (6000000000, 1610612736, None)
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-zA-Z]{0,3})\s*", text)
    factor = _UNITS.get(found[2].lower()) if found else None
    return round(float(found[1]) * factor) if found and factor else None


def readable_size(size_bytes: int) -> str:
    """A size for people, in decimal units.

    >>> readable_size(999), readable_size(20_000_000), readable_size(4_200_000_000)
    ('999 bytes', '20 MB', '4.2 GB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    value, unit = size_bytes / 1e3, "kB"
    for larger in ("MB", "GB", "TB"):
        if round(value) >= 1000:
            value, unit = value / 1e3, larger
    return f"{value:.1f} {unit}" if value < 10 and round(value, 1) % 1 else f"{value:.0f} {unit}"
