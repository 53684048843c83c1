"""The OpenAPI document of a model → what a client needs to know: the inputs, the output, whether it streams.

Schemas are normalised: references are followed, single members of `allOf` merged, and null is a type like others.
Both generations of documents are read, those of Cog's servers included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from ..record import record

__all__ = ["InputField", "Mode", "Operation", "OutputKind", "Schema", "alternatives", "is_file", "read_operation"]

Schema: TypeAlias = Mapping[str, Any]
Mode: TypeAlias = Literal["predict", "train"]
OutputKind: TypeAlias = Literal["file", "files", "text", "pieces", "other"]

_MAX_DEPTH = 32
_NAMES = {"predict": ("/predictions", "Input", "Output"), "train": ("/trainings", "TrainingInput", "TrainingOutput")}
_NOT_CHECKED = ("title", "description", "default", "x-order", "deprecated")


@record
class InputField:
    """One input. An optional one may be left out, and may be null."""

    name: str
    schema: Schema
    is_required: bool = False


@record
class Operation:
    """How a model is asked. `path` is that of the HTTP interface; `fields` are in the order of the signature."""

    mode: Mode
    path: str
    fields: tuple[InputField, ...]
    output: Schema
    is_streaming: bool = False

    @property
    def output_kind(self) -> OutputKind:
        """What becomes of the output: a file, files, text, pieces of one text, or anything else."""
        return _output_kind(self.output)


def read_operation(document: Mapping[str, Any], mode: Mode) -> Operation | None:
    """The prediction or the training of a model; None when the document has none."""
    path, input_name, output_name = _NAMES[mode]
    schemas = _mapping(_mapping(document.get("components")).get("schemas"))
    paths = _mapping(document.get("paths"))
    if input_name not in schemas and path not in paths:
        return None
    normaliser = _Normaliser(schemas)
    inputs = normaliser.normalised(schemas.get(input_name))
    listed = inputs.get("required")
    required = listed if isinstance(listed, list) else []
    properties = _mapping(inputs.get("properties"))
    names = sorted(properties, key=lambda name: _order(_mapping(properties[name])))
    return Operation(
        mode=mode,
        path=path,
        fields=tuple(
            InputField(name=name, schema=properties[name], is_required=name in required)
            for name in names
            if isinstance(properties[name], Mapping)
        ),
        output=normaliser.normalised(schemas.get(output_name)),
        is_streaming=_mapping(_mapping(paths.get(path)).get("post")).get("x-cog-streaming") is True,
    )


def alternatives(schema: Schema) -> tuple[Schema, ...]:
    """The members of a union, null left out; a schema that is none is the only one.

    >>> alternatives({"anyOf": [{"type": "string"}, {"type": "null"}]})
    ({'type': 'string'},)
    """
    members = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(members, list):
        return tuple(inner for member in members for inner in alternatives(member) if inner.get("type") != "null")
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return tuple({**schema, "type": kind} for kind in kinds if kind != "null")
    return (schema,)


def is_file(schema: Schema) -> bool:
    """Whether the value is a URL that stands for a file, in at least one of the alternatives."""
    return any(one.get("type") == "string" and one.get("format") == "uri" for one in alternatives(schema))


def _output_kind(schema: Schema) -> OutputKind:
    members = alternatives(schema)
    if len(members) != 1:
        return "other"
    (only,) = members
    if is_file(only):
        return "file"
    if only.get("type") == "string":
        return "text"
    items = _mapping(only.get("items"))
    if only.get("type") != "array":
        return "other"
    if is_file(items):
        return "files"
    return "pieces" if only.get("x-cog-array-display") == "concatenate" else "other"


def _order(schema: Schema) -> tuple[bool, int]:
    order = schema.get("x-order")
    return (False, order) if isinstance(order, int) else (True, 0)


class _Normaliser:
    """Follows references within one document. Each component is read once, and a circle ends as any value."""

    def __init__(self, components: Schema) -> None:
        self._components = components
        self._known: dict[str, dict[str, Any]] = {}

    def normalised(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return {}
        merged: dict[str, Any] = {}
        for part in self._parts(schema, depth):
            merged |= part
        merged |= {name: value for name, value in schema.items() if name not in ("$ref", "allOf", "nullable")}
        for name in ("anyOf", "oneOf"):  # those of parts are normalised
            if isinstance(schema.get(name), list):
                merged[name] = [self.normalised(member, depth + 1) for member in schema[name]]
        if isinstance(schema.get("properties"), Mapping):
            properties = schema["properties"].items()
            merged["properties"] = {name: self.normalised(inner, depth + 1) for name, inner in properties}
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), Mapping):
                merged[name] = self.normalised(schema[name], depth + 1)
        return _with_null(merged) if schema.get("nullable") is True else merged

    def _parts(self, schema: Schema, depth: int) -> Iterator[dict[str, Any]]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield self._component(reference.rpartition("/")[2], depth)
        if isinstance(schema.get("allOf"), list):
            yield from (self.normalised(part, depth + 1) for part in schema["allOf"])

    def _component(self, name: str, depth: int) -> dict[str, Any]:
        if name not in self._known:
            self._known[name] = {}  # what a circle finds
            self._known[name] = self.normalised(self._components.get(name), depth + 1)
        return self._known[name]


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    if not schema.keys() - _NOT_CHECKED:
        return schema  # any value
    outer = {name: value for name, value in schema.items() if name in _NOT_CHECKED}
    inner = {name: value for name, value in schema.items() if name not in _NOT_CHECKED}
    return {**outer, "anyOf": [inner, {"type": "null"}]}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
