"""Sizes as people read them."""

from __future__ import annotations

__all__ = ["size_text"]


def size_text(size_bytes: int) -> str:
    """As docker writes sizes: in powers of ten.

    >>> size_text(1_234_000), size_text(999), size_text(2_500_000_000)
    ('1.2 MB', '999 B', '2.5 GB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} GB"
