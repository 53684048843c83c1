"""Values of a mapping by key, with where they stand; None or nothing where the shape is wrong.

Shapes are checked by the schema. Reading goes on all the same, so that one run reports everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..config import Located
from ..parse import MappingNode, ScalarNode, SequenceNode, TreeNode

__all__ = ["items_of", "minor_of", "non_empty_text_of", "text_of", "texts_of"]


def text_of(node: MappingNode, key: str) -> Located[str] | None:
    """The scalar at `key`, as it was written."""
    entry = node.get(key)
    if entry is None or not isinstance(entry.value, ScalarNode) or entry.value.value is None:
        return None
    return Located(entry.value.text, entry.value.span)


def non_empty_text_of(node: MappingNode, key: str) -> Located[str] | None:
    """The same, or None when it is the empty text."""
    text = text_of(node, key)
    return text if text and text.value else None


def items_of(node: MappingNode, key: str) -> tuple[TreeNode, ...]:
    """The items of the list at `key`."""
    entry = node.get(key)
    return entry.value.items if entry and isinstance(entry.value, SequenceNode) else ()


def texts_of(node: MappingNode, key: str) -> Iterator[Located[str]]:
    """The scalars among them, as they were written."""
    for item in items_of(node, key):
        if isinstance(item, ScalarNode):
            yield Located(item.text, item.span)


def whole_number(node: TreeNode) -> int | None:
    """The number, written 4 or 4.0: JSON Schema takes both for an integer. None for anything else."""
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def minor_of(version: str) -> tuple[int, int]:
    """Major and minor number of a version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
