"""Passwords in URLs: what is shown or stored must not have them."""

from __future__ import annotations

import re

__all__ = ["without_credentials"]


def without_credentials(line: str) -> str:
    """A requirement line with the user and password of its URLs masked. The user alone of ssh says nothing secret.

    >>> without_credentials("a @ git+https://me:secret@example.com/a")
    'a @ git+https://***@example.com/a'
    >>> without_credentials("a @ git+ssh://git@example.com/a")
    'a @ git+ssh://git@example.com/a'
    """
    return re.sub(r"(?<!ssh)://[^/@\s]+@|(?<=ssh)://[^/@\s:]*:[^/@\s]*@", "://***@", line)
