"""`examples` → predictions with what is expected of them, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ...diagnostics import Diagnostic, report
from ..config import Example
from ..parse import MappingNode, ScalarNode, SequenceNode, TreeNode
from .reading import items_of, text_of

__all__ = ["bind_examples"]

_CHECKS = ("output", "contains", "matches", "close_to", "media_type", "error")


def bind_examples(root: MappingNode) -> tuple[tuple[Example, ...], tuple[Diagnostic, ...]]:
    """The examples in order. Error: COG651 for one that says nothing to compare, or contradicts itself."""
    examples: list[Example] = []
    found: list[Diagnostic] = []
    for number, node in enumerate(items_of(root, "examples"), 1):
        if not isinstance(node, MappingNode):
            continue
        found += _problems(node)
        name = text_of(node, "name")
        expected = {entry.key: _value(entry.value) for entry in node.entries if entry.key in (*_CHECKS, "tolerance")}
        inputs = node.get("input")
        examples.append(
            Example(
                name=name.value if name is not None else f"example {number}",
                input=json.dumps(_value(inputs.value) if inputs is not None else {}),
                expected=json.dumps(expected),
                span=node.span,
            )
        )
    return tuple(examples), tuple(found)


def _problems(node: MappingNode) -> Iterator[Diagnostic]:
    given = [entry.key for entry in node.entries if entry.key in _CHECKS]
    if not given:
        hint = f"give one of {', '.join(_CHECKS)}"
        yield report("COG651", "the example does not say what to expect", node.span, hint=hint)
    if "error" in given and len(given) > 1:
        others = ", ".join(f"`{key}`" for key in given if key != "error")
        yield report("COG651", f"an example that fails has no output: remove `error` or {others}", node.span)
    if node.get("tolerance") and "close_to" not in given:
        yield report("COG651", "`tolerance` is about `close_to`, which is missing", node.span)
    pattern = text_of(node, "matches")
    if pattern is not None:
        try:
            re.compile(pattern.value)
        except re.error as error:
            yield report("COG651", f"`matches` is not a regular expression: {error}", pattern.span)


def _value(node: TreeNode) -> Any:
    """What YAML means by it."""
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [_value(item) for item in node.items]
        case MappingNode():
            return {entry.key: _value(entry.value) for entry in node.entries}
