"""The C library's memory, for a server through which bodies of megabytes pass at irregular times."""

from __future__ import annotations

import contextlib

__all__ = ["return_freed_memory"]

# From <malloc.h> of glibc. Other libraries have no mallopt().
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
LARGE_BYTES = 256 * 1024
ARENAS = 2


def return_freed_memory() -> None:
    """Have large blocks given back when they are freed.

    Left alone, glibc takes ever larger ones from its heap, where small blocks that live on keep them from being given
    back: under a mixed load the process grows to several times what it uses.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in (
            (_M_MMAP_THRESHOLD, LARGE_BYTES),
            (_M_TRIM_THRESHOLD, LARGE_BYTES),
            (_M_ARENA_MAX, ARENAS),
        ):
            mallopt(parameter, value)
