"""Values of options with several fields, `type=local,"dest=a,b"`: fields between commas, quoted as in CSV."""

from __future__ import annotations

import re

__all__ = ["fields_of"]

_FIELD = re.compile(r'(?:"((?:[^"]|"")*)")?([^,]*)')


def fields_of(text: str) -> list[str]:
    """The fields, which may have line breaks: names of files have them. None of an empty text.

    >>> fields_of('type=local,"dest=a,b"')
    ['type=local', 'dest=a,b']
    """
    found: list[str] = []
    position = 0 if text else 1
    while position <= len(text):
        field = _FIELD.match(text, position)
        assert field is not None  # it matches nothing at all
        found.append((field[1] or "").replace('""', '"') + field[2])
        position = field.end() + 1
    return found
