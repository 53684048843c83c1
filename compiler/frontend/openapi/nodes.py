"""One schema of a document with everything that it refers to merged in, and where each part of it is written.

Comes in: a document and a schema in it. Goes out: a `SchemaNode`. The several spellings of one thing (`$ref`, `allOf`
of one, `anyOf` with null, `const`, a list of types) become one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SchemaNode", "component", "json_path", "resolve"]

MAX_REFERENCES = 16
_PREFIX = "#/components/schemas/"


@dataclass(slots=True)
class SchemaNode:
    """`keywords` are those of the schema itself and of what it refers to, `places` the JSON path of each.

    `path` is that of the schema, `references` the components that were followed; `is_reference` says that there is
    nothing else. `alternatives` are the members of a union, none of them null; empty for a schema of one type.
    """

    path: str
    keywords: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    is_reference: bool = False
    alternatives: list[SchemaNode] = field(default_factory=list)

    @property
    def is_nullable(self) -> bool:
        """Whether null is a value of the schema."""
        return bool(self.keywords.get("nullable"))

    def place(self, keyword: str) -> str:
        """Where a keyword is written, or would be."""
        return self.places.get(keyword) or json_path(self.path, keyword)


def json_path(parent: str, *parts: str | int) -> str:
    """A path in the notation of RFC 9535.

    >>> json_path("$.paths", "/predictions", "post", "x-order"), json_path("$", "a", 0)
    ("$.paths['/predictions'].post['x-order']", '$.a[0]')
    """
    for part in parts:
        if isinstance(part, int):
            parent += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_]\w*", part, re.ASCII):
            parent += f".{part}"
        else:
            escaped = part.replace("\\", "\\\\").replace("'", "\\'")
            parent += f"['{escaped}']"
    return parent


def component(document: Mapping[str, Any], name: str) -> SchemaNode | None:
    """A component by its name, or None when the document has none of that name."""
    schemas = _components(document)
    if not isinstance(schemas.get(name), dict):
        return None
    return resolve(document, {"$ref": _PREFIX + name}, "$")


def resolve(document: Mapping[str, Any], schema: Any, path: str) -> SchemaNode:
    """The node of a schema that stands at `path` of the document. What refers to nothing allows everything."""
    written = schema if isinstance(schema, dict) else {}
    node = SchemaNode(path)
    _merge(node, _components(document), written, path, 0)
    if written.keys() == {"$ref"} and node.references:
        node.path, node.is_reference = json_path("$.components.schemas", node.references[0]), True
    _unify(node, document)
    return node


def _components(document: Mapping[str, Any]) -> Mapping[str, Any]:
    components = document.get("components")
    schemas = components.get("schemas") if isinstance(components, dict) else None
    return schemas if isinstance(schemas, dict) else {}


def _merge(node: SchemaNode, components: Mapping[str, Any], schema: Mapping[str, Any], path: str, depth: int) -> None:
    """What the schema says itself wins over what it refers to."""
    for keyword, value in schema.items():
        if keyword not in ("$ref", "allOf") and keyword not in node.keywords:
            node.keywords[keyword] = value
            node.places[keyword] = json_path(path, keyword)
    for part, place in _parts(schema, path):
        if "$ref" in part and str(part["$ref"]).startswith(_PREFIX) and depth < MAX_REFERENCES:
            name = str(part["$ref"]).removeprefix(_PREFIX)
            node.references += (name,)
            target = components.get(name)
            inner = {**target, **{k: v for k, v in part.items() if k != "$ref"}} if isinstance(target, dict) else {}
            _merge(node, components, inner, json_path("$.components.schemas", name), depth + 1)
        elif "$ref" not in part and depth < MAX_REFERENCES:
            _merge(node, components, part, place, depth + 1)


def _parts(schema: Mapping[str, Any], path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    if isinstance(schema.get("$ref"), str):
        yield {"$ref": schema["$ref"]}, path
    parts = schema.get("allOf")
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        if isinstance(part, dict):
            yield part, json_path(path, "allOf", index)


def _unify(node: SchemaNode, document: Mapping[str, Any]) -> None:
    keywords = node.keywords
    if "const" in keywords:
        keywords["enum"] = [keywords.pop("const")]
        node.places["enum"] = node.places.pop("const")
    if isinstance(keywords.get("type"), list):
        types = keywords.pop("type")
        keywords["anyOf"] = [{"type": name} for name in types]
        node.places["anyOf"] = node.places["type"]
    for keyword in ("anyOf", "oneOf"):
        if isinstance(keywords.get(keyword), list):
            _take_alternatives(node, document, keyword)


def _take_alternatives(node: SchemaNode, document: Mapping[str, Any], keyword: str) -> None:
    written, place = node.keywords.pop(keyword), node.places[keyword]
    members = [resolve(document, member, json_path(place, index)) for index, member in enumerate(written)]
    rest = [member for member in members if member.keywords.get("type") != "null"]
    if len(rest) < len(members):
        node.keywords["nullable"] = True
        node.places.setdefault("nullable", place)
    if len(rest) == 1:
        for name, value in rest[0].keywords.items():
            if name not in node.keywords:
                node.keywords[name], node.places[name] = value, rest[0].places[name]
        node.references += rest[0].references
        node.alternatives = rest[0].alternatives
    else:
        node.alternatives = rest
