"""Signatures to the OpenAPI document that the server serves at `/openapi.json`.

Comes in: the signature of the prediction target, of the training target, or both. Goes out: the document as plain
dicts and lists, ready for `json.dumps`, with the same order of keys every time.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from .checks import allowed_values
from .types import (
    Absent,
    DictOf,
    InputField,
    IteratorOf,
    Json,
    ListOf,
    LiteralOf,
    Mode,
    ObjectField,
    ObjectOf,
    OptionalOf,
    Scalar,
    Signature,
    Type,
    UnionOf,
    thaw,
)

__all__ = ["openapi_document"]

Schema: TypeAlias = dict[str, Any]

_SCALARS: dict[Scalar, Schema] = {
    Scalar.STR: {"type": "string"},
    Scalar.INT: {"type": "integer"},
    Scalar.FLOAT: {"type": "number"},
    Scalar.BOOL: {"type": "boolean"},
    Scalar.PATH: {"type": "string", "format": "uri"},
    Scalar.FILE: {"type": "string", "format": "uri"},
    Scalar.SECRET: {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True},
    Scalar.ANY: {},
    # OpenAPI 3.0 has no type "null".
    Scalar.NONE: {"nullable": True},
    Scalar.UNKNOWN: {},
}
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
_STATUSES = ["starting", "processing", "succeeded", "canceled", "failed"]
_EVENTS = ["start", "output", "logs", "completed"]


def openapi_document(predict: Signature | None, train: Signature | None) -> Schema:
    """The OpenAPI 3.0.2 document of a model; without a signature the paths of its target are left out."""
    enums = _Enums()
    schemas: dict[str, Schema] = {}
    paths: dict[str, Schema] = {
        "/": {"get": _get("Root", "root__get")},
        "/health-check": {"get": _get("Healthcheck", "healthcheck_health_check_get")},
    }
    for mode, signature in (("predict", predict), ("train", train)):
        if signature is not None:
            paths |= _target_paths(_NAMES[mode], signature)
            schemas |= _target_schemas(_NAMES[mode], signature, enums)
    paths["/shutdown"] = {"post": _get("Start Shutdown", "start_shutdown_shutdown_post")}
    if predict is not None or train is not None:
        schemas |= _shared_schemas()
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted({**enums.schemas, **schemas}.items()))},
    }


class _Names:
    """How the parts of the document are called for one kind of target."""

    def __init__(self, mode: Mode, verb: str, noun: str, prefix: str) -> None:
        self.mode: Mode = mode
        self.verb = verb
        self.path = f"/{noun}s"
        self.noun = noun
        self.input = f"{prefix}Input"
        self.output = f"{prefix}Output"
        self.request = f"{prefix or 'Prediction'}Request"
        self.response = f"{prefix or 'Prediction'}Response"
        self.cancel = "cancel" if mode == "predict" else "cancel_training"


_NAMES: dict[str, _Names] = {
    "predict": _Names("predict", "predict", "prediction", ""),
    "train": _Names("train", "train", "training", "Training"),
}
_RESERVED = {
    *(name for names in _NAMES.values() for name in (names.input, names.output, names.request, names.response)),
    "Status",
    "WebhookEvent",
    "HTTPValidationError",
    "ValidationError",
}


class _Enums:
    """The components of inputs with a fixed list of values, each named like its input."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def add(self, name: str, values: tuple[Json, ...], mode: Mode) -> str:
        """Add a component and return its name, which differs where that one is taken by something else."""
        component = f"{name}_choices" if name in _RESERVED else name
        schema: Schema = {"title": component, "description": "An enumeration.", "enum": _distinct(values)}
        types = {_JSON_TYPES.get(type(value)) for value in values}
        if len(types) == 1 and None not in types:
            schema["type"] = types.pop()
        elif types == {"integer", "number"}:
            schema["type"] = "number"
        if self.schemas.get(component, schema) != schema and mode == "train":
            component += "_training"
            schema["title"] = component
        self.schemas[component] = schema
        return component


def _distinct(values: tuple[Json, ...]) -> list[object]:
    return [thaw(value) for value in {(type(value), value): value for value in values}.values()]


def _title(name: str) -> str:
    """`train_data` is shown as `Train Data`."""
    return " ".join(word[:1].upper() + word[1:].lower() for word in name.split("_")).strip() or name


def type_schema(type_: Type) -> Schema:
    """The JSON Schema of a type, without a title."""
    match type_:
        case Scalar():
            return dict(_SCALARS[type_])
        case ListOf(item=item):
            return {"type": "array", "items": type_schema(item)}
        case DictOf(value=Scalar.ANY | Scalar.UNKNOWN):
            return {"type": "object"}
        case DictOf(value=value):
            return {"type": "object", "additionalProperties": type_schema(value)}
        case OptionalOf(item=item):
            return {**type_schema(item), "nullable": True}
        case UnionOf(members=members):
            return {"anyOf": [type_schema(member) for member in members]}
        case LiteralOf(values=values):
            return _literal_schema(values)
        case ObjectOf():
            return _object_schema(type_)
        case IteratorOf(item=item, is_concatenated=is_concatenated):
            schema: Schema = {"type": "array", "items": type_schema(item), "x-cog-array-type": "iterator"}
            return {**schema, "x-cog-array-display": "concatenate"} if is_concatenated else schema


def _literal_schema(values: tuple[Json, ...]) -> Schema:
    types = {_JSON_TYPES.get(type(value)) for value in values}
    schema: Schema = {"enum": _distinct(values)}
    return {"type": types.pop(), **schema} if len(types) == 1 and None not in types else schema


def _object_schema(type_: ObjectOf) -> Schema:
    schema: Schema = {"type": "object"}
    if required := [field.name for field in type_.fields if field.is_required]:
        schema["required"] = required
    return {**schema, "properties": {field.name: _property(field) for field in type_.fields}}


def _property(field: ObjectField) -> Schema:
    schema = {"title": _title(field.name), **type_schema(field.type)}
    if field.default is not None:
        schema["default"] = thaw(field.default)
    if field.description is not None:
        schema["description"] = field.description
    return schema


_ANYTHING: Schema = {"type": "object", "x-cog-any": True}


def _input_schema(field: InputField, enums: _Enums, mode: Mode) -> Schema:
    """The property of one input; keys in the order title, type, limits, default, description, extensions."""
    values = allowed_values(field)
    inner = field.type.item if isinstance(field.type, OptionalOf) else field.type
    if values:
        component = enums.add(field.name, values, mode)
        schema: Schema = {"allOf": [{"$ref": f"#/components/schemas/{component}"}]}
    else:
        # Unlike an output, an input is never just anything; the server takes any JSON for it all the same.
        described = _ANYTHING if inner is Scalar.ANY else type_schema(inner)
        schema = {"title": _title(field.name), **described}
        limited = schema.get("items", schema) if isinstance(inner, ListOf) else schema
        limited.update({key: value for key, value in _limits(field) if value is not None})
    if field.default is not None and not isinstance(field.default, Absent):
        schema["default"] = thaw(field.default)
    if field.description is not None:
        schema["description"] = field.description
    if field.deprecated:
        schema["deprecated"] = True
    if field.is_nullable:
        schema["nullable"] = True
    if field.accept is not None:
        schema["x-cog-accept"] = field.accept
    schema["x-order"] = field.order
    return schema


def _limits(field: InputField) -> tuple[tuple[str, Any], ...]:
    return (
        ("minimum", field.ge),
        ("maximum", field.le),
        ("minLength", field.min_length),
        ("maxLength", field.max_length),
        ("pattern", field.regex),
    )


def _target_schemas(names: _Names, signature: Signature, enums: _Enums) -> dict[str, Schema]:
    fields = sorted(signature.inputs, key=lambda field: field.order)
    inputs: Schema = {"title": names.input, "type": "object"}
    if required := [field.name for field in fields if field.is_required]:
        inputs["required"] = required
    inputs["properties"] = {field.name: _input_schema(field, enums, names.mode) for field in fields}
    return {
        names.input: inputs,
        names.output: {"title": names.output, **type_schema(signature.output)},
        names.request: _request_schema(names),
        names.response: _response_schema(names),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _request_schema(names: _Names) -> Schema:
    return {
        "title": names.request,
        "type": "object",
        "properties": {
            "input": _ref(names.input),
            "id": {"title": "Id", "type": "string"},
            "created_at": {"title": "Created At", "type": "string", "format": "date-time"},
            "context": {"title": "Context", "type": "object", "additionalProperties": {"type": "string"}},
            "output_file_prefix": {"title": "Output File Prefix", "type": "string"},
            "webhook": {
                "title": "Webhook",
                "type": "string",
                "format": "uri",
                "minLength": 1,
                "maxLength": 65536,
            },
            "webhook_events_filter": {
                "title": "Webhook Events Filter",
                "type": "array",
                "items": _ref("WebhookEvent"),
                "default": list(_EVENTS),
            },
        },
    }


def _response_schema(names: _Names) -> Schema:
    def time(title: str) -> Schema:
        return {"title": title, "type": "string", "format": "date-time"}

    return {
        "title": names.response,
        "type": "object",
        "properties": {
            "input": _ref(names.input),
            "output": _ref(names.output),
            "id": {"title": "Id", "type": "string"},
            "version": {"title": "Version", "type": "string", "nullable": True},
            "created_at": time("Created At"),
            "started_at": time("Started At"),
            "completed_at": time("Completed At"),
            "logs": {"title": "Logs", "type": "string", "default": ""},
            "error": {"title": "Error", "type": "string", "nullable": True},
            "status": _ref("Status"),
            "metrics": {"title": "Metrics", "type": "object"},
        },
    }


def _shared_schemas() -> dict[str, Schema]:
    return {
        "Status": {"title": "Status", "description": "An enumeration.", "enum": list(_STATUSES), "type": "string"},
        "WebhookEvent": {
            "title": "WebhookEvent",
            "description": "An enumeration.",
            "enum": list(_EVENTS),
            "type": "string",
        },
        "HTTPValidationError": {
            "title": "HTTPValidationError",
            "type": "object",
            "properties": {"detail": {"title": "Detail", "type": "array", "items": _ref("ValidationError")}},
        },
        "ValidationError": {
            "title": "ValidationError",
            "type": "object",
            "required": ["loc", "msg", "type"],
            "properties": {
                "loc": {
                    "title": "Location",
                    "type": "array",
                    "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                },
                "msg": {"title": "Message", "type": "string"},
                "type": {"title": "Error Type", "type": "string"},
            },
        },
    }


def _get(summary: str, operation_id: str) -> Schema:
    return {"summary": summary, "operationId": operation_id, "responses": {"200": _response("Successful Response", {})}}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _target_paths(names: _Names, signature: Signature) -> dict[str, Schema]:
    identifier = f"{names.noun}_id"
    single, cancel = f"{names.path}/{{{identifier}}}", f"{names.path}/{{{identifier}}}/cancel"
    mangled = f"{names.noun}s__{identifier}_"
    in_path = {
        "name": identifier,
        "in": "path",
        "required": True,
        "schema": {"title": _title(identifier), "type": "string"},
    }
    prefer = {"name": "prefer", "in": "header", "required": False, "schema": {"title": "Prefer", "type": "string"}}
    invalid = _response("Validation Error", _ref("HTTPValidationError"))
    answers = {"200": _response("Successful Response", _ref(names.response)), "422": invalid}
    body = {"application/json": {"schema": _ref(names.request)}}
    post: Schema = {
        "summary": names.verb.capitalize(),
        "operationId": f"{names.verb}_{names.noun}s_post",
        "parameters": [prefer],
        "requestBody": {"content": body},
        "responses": answers,
    }
    if signature.is_streaming:
        post["x-cog-streaming"] = True
    put = {
        "summary": f"{names.verb.capitalize()} Idempotent",
        "operationId": f"{names.verb}_idempotent_{mangled}_put",
        "parameters": [in_path, prefer],
        "requestBody": {"content": body, "required": True},
        "responses": answers,
    }
    stop = {
        "summary": _title(names.cancel),
        "operationId": f"{names.cancel}_{mangled}_cancel_post",
        "parameters": [in_path],
        "responses": {"200": _response("Successful Response", {}), "422": invalid},
    }
    return {names.path: {"post": post}, single: {"put": put}, cancel: {"post": stop}}
