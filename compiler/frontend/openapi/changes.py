"""What a new version of a model changes for those who call it: two OpenAPI documents → a list of changes.

A change of an input breaks callers when something that they may send is refused or means something else; one of an
output when they may get something that they could not get before. The rest is compatible, or about documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from ...record import record
from ...suggest import closest
from .keywords import (
    Effect,
    by_type,
    constraint_changes,
    documentation_changes,
    equal,
    includes,
    shown,
    type_change,
    type_name,
)
from .nodes import SchemaNode, component, json_path, resolve

__all__ = ["Change", "Kind", "compare"]

Kind: TypeAlias = Literal["breaking", "compatible", "docs"]
Direction: TypeAlias = Literal["input", "output"]

MAX_DEPTH = 24
# Pairs of schemas; real documents have a few hundred, those that refer to themselves in circles any number.
MAX_PAIRS = 20_000

_KINDS: dict[tuple[Direction, Effect], Kind] = {
    ("input", "narrower"): "breaking",
    ("input", "wider"): "compatible",
    ("input", "other"): "breaking",
    ("output", "narrower"): "compatible",
    ("output", "wider"): "breaking",
    ("output", "other"): "breaking",
}
_TARGETS = (
    ("predictions", "/predictions", "Input", "Output", "PredictionRequest", "PredictionResponse"),
    ("trainings", "/trainings", "TrainingInput", "TrainingOutput", "TrainingRequest", "TrainingResponse"),
)


@record
class Change:
    """One change. `path` is the JSON path in the new document, or in the old one for what is gone.

    `old` and `new` are the values as JSON text, None where there is none.
    """

    kind: Kind
    path: str
    message: str
    old: str | None = None
    new: str | None = None


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """All changes from `old` to `new`, inputs before outputs, each once."""
    found: list[Change] = []
    for target in _TARGETS:
        found += _compare_target(old, new, *target)
    found += _compare_other_paths(old, new)
    for key in ("title", "description", "version"):
        before, after = _at(old, "info", key), _at(new, "info", key)
        if before != after:
            found.append(_change("docs", json_path("$.info", key), "changed", before, after))
    return tuple(dict.fromkeys(found))


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _compare_target(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    noun: str,
    path: str,
    inputs: str,
    output: str,
    request: str,
    response: str,
) -> Iterator[Change]:
    before, after = component(old, inputs) is not None, component(new, inputs) is not None
    if before != after:
        kind: Kind = "breaking" if before else "compatible"
        what = f"{noun} are no longer offered" if before else f"{noun} are offered"
        yield Change(kind=kind, path=json_path("$.paths", path), message=what)
    if not (before and after):
        return
    streams = [bool(_at(document, "paths", path, "post", "x-cog-streaming")) for document in (old, new)]
    if streams[0] != streams[1]:
        place = json_path("$.paths", path, "post", "x-cog-streaming")
        kind = "breaking" if streams[0] else "compatible"
        yield Change(kind=kind, path=place, message="no longer streams events" if streams[0] else "streams events")
    pairs: tuple[tuple[str, Direction], ...] = (
        (inputs, "input"),
        (output, "output"),
        (request, "input"),
        (response, "output"),
    )
    comparison = _Comparison(old, new, skipped=inputs)
    for name, direction in pairs:
        nodes = component(old, name), component(new, name)
        if nodes[0] is not None and nodes[1] is not None:
            yield from comparison.compare(nodes[0], nodes[1], direction)
    if comparison.is_cut_short:
        yield Change(kind="breaking", path="$", message="too many schemas refer to each other to compare them all")


def _compare_other_paths(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Paths and methods that came or went, besides those of a target that did so as a whole."""
    operations = [set(_operations(document)) for document in (old, new)]
    whole = {
        noun for noun, _, inputs, *_ in _TARGETS if (component(old, inputs) is None) != (component(new, inputs) is None)
    }
    for path, method in sorted(operations[0] ^ operations[1]):
        if path.split("/")[1:2] and path.split("/")[1] in whole:
            continue
        is_gone = (path, method) in operations[0]
        kind: Kind = "breaking" if is_gone else "compatible"
        place = json_path("$.paths", path, method)
        yield Change(kind=kind, path=place, message="removed" if is_gone else "added")


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in item if isinstance(item, dict) else ():
            if method in ("get", "put", "post", "delete", "options", "head", "patch", "trace"):
                yield path, method


def _change(kind: Kind, path: str, message: str, old: Any = None, new: Any = None) -> Change:
    return Change(kind=kind, path=path, message=message, old=_text(old), new=_text(new))


def _keyword_change(kind: Kind, keyword: str, message: str, old: SchemaNode, new: SchemaNode) -> Change:
    """A change of one keyword, at its place in the new document where it has one there."""
    place = new.place(keyword) if keyword in new.keywords else old.place(keyword)
    return _change(kind, place, message, old.keywords.get(keyword), new.keywords.get(keyword))


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


class _Comparison:
    """Compares schemas of two documents. A pair of components is compared once in each direction."""

    def __init__(
        self, old: Mapping[str, Any], new: Mapping[str, Any], skipped: str, budget: Iterator[int] | None = None
    ) -> None:
        self._old = old
        self._new = new
        self._budget = budget if budget is not None else iter(range(MAX_PAIRS))
        self.is_cut_short = False
        # What an answer says about its input is what was asked for.
        self._skipped = skipped
        self._seen: set[tuple[tuple[str, ...], tuple[str, ...], Direction]] = set()
        self._depth = 0

    def compare(
        self, old: SchemaNode, new: SchemaNode, direction: Direction, may_be_left_out: bool = False
    ) -> Iterator[Change]:
        """The changes from one schema to another. `may_be_left_out`: in both, so that the default matters."""
        key = (old.references, new.references, direction)
        self.is_cut_short = self.is_cut_short or next(self._budget, None) is None
        if self._depth > MAX_DEPTH or self.is_cut_short:
            return
        if old.is_reference and new.is_reference:
            if key in self._seen:
                return
            self._seen.add(key)
        self._depth += 1
        yield from self._compare(old, new, direction, may_be_left_out)
        self._depth -= 1

    def _compare(
        self, old: SchemaNode, new: SchemaNode, direction: Direction, may_be_left_out: bool
    ) -> Iterator[Change]:
        if old.alternatives or new.alternatives:
            yield from self._unions(old, new, direction)
            yield from self._rest(old, new, direction, may_be_left_out)
            return
        found = type_change(old, new)
        if found is not None:
            effect, message, keyword = found
            place = new.place(keyword)
            yield _change(_KINDS[direction, effect], place, message, type_name(old), type_name(new))
            if effect == "other":  # the rest is about other values
                yield from self._documentation(old, new)
                return
        yield from self._rest(old, new, direction, may_be_left_out)

    def _rest(self, old: SchemaNode, new: SchemaNode, direction: Direction, may_be_left_out: bool) -> Iterator[Change]:
        for keyword, effect, message in constraint_changes(old, new):
            yield _keyword_change(_KINDS[direction, effect], keyword, message, old, new)
        yield from _default(old, new, direction, may_be_left_out)
        yield from _marks(old, new)
        yield from self._children(old, new, direction)
        yield from self._documentation(old, new)

    @staticmethod
    def _documentation(old: SchemaNode, new: SchemaNode) -> Iterator[Change]:
        for keyword, message in documentation_changes(old, new):
            yield _keyword_change("docs", keyword, message, old, new)

    def _unions(self, old: SchemaNode, new: SchemaNode, direction: Direction) -> Iterator[Change]:
        """Alternatives are told apart by their type; what stands in no alternative applies to all."""
        members = [by_type(node) for node in (old, new)]
        for name in filter(members[1].__contains__, members[0]):
            yield from self.compare(members[0][name], members[1][name], direction)
        gone = [name for name in members[0] if not any(includes(other, name) for other in members[1])]
        come = [name for name in members[1] if not any(includes(other, name) for other in members[0])]
        shown_members = [" or ".join(each) for each in members]
        for name in gone:
            yield _change(_KINDS[direction, "narrower"], old.path, f"no longer allows {name}", *shown_members)
        for name in come:
            yield _change(_KINDS[direction, "wider"], new.path, f"allows {name}", *shown_members)

    def _children(self, old: SchemaNode, new: SchemaNode, direction: Direction) -> Iterator[Change]:
        if "properties" in old.keywords or "properties" in new.keywords:
            yield from self._properties(old, new, direction)
        for keyword in ("items", "additionalProperties"):
            if keyword in old.keywords or keyword in new.keywords:
                yield from self._child(old, new, keyword, direction)

    def _child(self, old: SchemaNode, new: SchemaNode, keyword: str, direction: Direction) -> Iterator[Change]:
        before, after = old.keywords.get(keyword, {}), new.keywords.get(keyword, {})
        if before is False or after is False:
            if before is not after:
                effect: Effect = "wider" if before is False else "narrower"
                message = "other properties are allowed" if before is False else "other properties are refused"
                yield _change(_KINDS[direction, effect], new.place(keyword), message, before, after)
            return
        yield from self.compare(
            resolve(self._old, before, old.place(keyword)), resolve(self._new, after, new.place(keyword)), direction
        )

    def _properties(self, old: SchemaNode, new: SchemaNode, direction: Direction) -> Iterator[Change]:
        before, after = self._members(self._old, old), self._members(self._new, new)
        renamed = self._renamed(before, after)
        required: list[set[str]] = [set(node.keywords.get("required") or ()) for node in (old, new)]
        noun = "input" if direction == "input" else "field"
        for name, node in before.items():
            if name in renamed:
                place = after[renamed[name]].path
                yield _change("breaking", place, f"{noun} `{name}` renamed to `{renamed[name]}`", name, renamed[name])
            elif name not in after:
                yield _change("breaking", node.path, f"{noun} `{name}` removed", node.keywords)
            else:
                yield from self._required(name, after[name].path, required, direction)
                if not (direction == "output" and self._skipped in node.references):
                    may_be_left_out = name not in required[0] | required[1]
                    yield from self.compare(node, after[name], direction, may_be_left_out)
        for name, node in after.items():
            if name not in before and name not in renamed.values():
                is_needed = direction == "input" and name in required[1]
                message = f"{noun} `{name}` added" + (", required" if is_needed else "")
                yield _change("breaking" if is_needed else "compatible", node.path, message, None, node.keywords)

    @staticmethod
    def _members(document: Mapping[str, Any], node: SchemaNode) -> dict[str, SchemaNode]:
        properties = node.keywords.get("properties")
        place = node.place("properties")
        return {
            name: resolve(document, schema, json_path(place, name))
            for name, schema in (properties.items() if isinstance(properties, dict) else ())
        }

    @staticmethod
    def _required(name: str, path: str, required: list[set[str]], direction: Direction) -> Iterator[Change]:
        if (name in required[0]) == (name in required[1]):
            return
        is_required = name in required[1]
        if direction == "input":
            kind: Kind = "breaking" if is_required else "compatible"
            message = "is required now" if is_required else "may be left out now"
        else:
            kind = "compatible" if is_required else "breaking"
            message = "is always there now" if is_required else "may be missing now"
        yield Change(kind=kind, path=path, message=message)

    def _renamed(self, before: Mapping[str, SchemaNode], after: Mapping[str, SchemaNode]) -> dict[str, str]:
        """Old name → new name, where one is gone and another that says the same has come."""
        come = [name for name in after if name not in before]
        renamed: dict[str, str] = {}
        for name in before:
            if name in after:
                continue
            free = [other for other in come if other not in renamed.values()]
            same = [other for other in free if self._allow_the_same(before[name], after[other])]
            likely = [other for other in same if _are_alike(before[name], after[other])]
            near = closest(name, same)
            if len(likely) == 1 or near is not None:
                renamed[name] = likely[0] if len(likely) == 1 else str(near)
        return renamed

    def _allow_the_same(self, old: SchemaNode, new: SchemaNode) -> bool:
        apart = _Comparison(self._old, self._new, self._skipped, self._budget)
        return all(change.kind == "docs" for change in apart.compare(old, new, "input", may_be_left_out=True))


def _are_alike(old: SchemaNode, new: SchemaNode) -> bool:
    """Whether the description, or without one the position, tells that two inputs are the same under other names."""
    descriptions = [node.keywords.get("description") for node in (old, new)]
    orders = [node.keywords.get("x-order") for node in (old, new)]
    if descriptions != [None, None]:
        return bool(descriptions[0] == descriptions[1])
    return orders[0] is not None and bool(orders[0] == orders[1])


# -- what is not about which values there are ----------------------------------------------------


def _default(old: SchemaNode, new: SchemaNode, direction: Direction, may_be_left_out: bool) -> Iterator[Change]:
    """A default matters to callers who leave the input out, and may do so in both versions."""
    before, after = old.keywords.get("default"), new.keywords.get("default")
    if not equal(before, after):
        kind: Kind = "breaking" if direction == "input" and may_be_left_out else "docs"
        yield _keyword_change(kind, "default", f"default changed from {shown(before)} to {shown(after)}", old, new)


def _marks(old: SchemaNode, new: SchemaNode) -> Iterator[Change]:
    """Secrets, and how an output arrives."""
    secrets = [bool(node.keywords.get("x-cog-secret")) for node in (old, new)]
    if secrets[0] != secrets[1]:
        message = "is a secret now" if secrets[1] else "is no longer hidden as a secret"
        kind: Kind = "compatible" if secrets[1] else "breaking"
        yield Change(kind=kind, path=new.place("x-cog-secret"), message=message)
    iterates = [node.keywords.get("x-cog-array-type") for node in (old, new)]
    if iterates[0] != iterates[1]:
        message = "arrives item by item" if iterates[1] else "no longer arrives item by item"
        kind = "compatible" if iterates[1] else "breaking"
        yield _keyword_change(kind, "x-cog-array-type", message, old, new)
    displays = [node.keywords.get("x-cog-array-display") for node in (old, new)]
    if displays[0] != displays[1]:
        message = "is shown as one text" if displays[1] else "is shown as a list"
        yield _keyword_change("docs", "x-cog-array-display", message, old, new)
