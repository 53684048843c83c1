"""Signatures to the OpenAPI document that the server serves.

Comes in: the signature of the prediction target, of the training target, or both. Goes out: the document as plain
dicts and lists. It is the document that the compiler makes without running the model, key for key.
"""

from __future__ import annotations

from typing import Any, Dict

from .inputs import MISSING
from .kinds import (
    ANY,
    UNKNOWN,
    CoderOf,
    DictOf,
    IteratorOf,
    ListOf,
    LiteralOf,
    ObjectField,
    ObjectOf,
    OptionalOf,
    Scalar,
    UnionOf,
)
from .signature import InputField, Signature, allowed_values

__all__ = ["openapi_document", "type_schema"]

Schema = Dict[str, Any]

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


class _Names:
    """How the parts of the document are called for one kind of target."""

    def __init__(self, mode: str, noun: str, prefix: str) -> None:
        self.mode = mode
        self.path = "/%ss" % noun
        self.noun = noun
        self.input = prefix + "Input"
        self.output = prefix + "Output"
        self.request = (prefix or "Prediction") + "Request"
        self.response = (prefix or "Prediction") + "Response"
        self.cancel = "cancel" if mode == "predict" else "cancel_training"


_NAMES = {"predict": _Names("predict", "prediction", ""), "train": _Names("train", "training", "Training")}
_RESERVED = {
    "Status",
    "WebhookEvent",
    "HTTPValidationError",
    "ValidationError",
    *(name for names in _NAMES.values() for name in (names.input, names.output, names.request, names.response)),
}


def openapi_document(predict: Signature | None, train: Signature | None) -> Schema:
    """The OpenAPI 3.0.2 document of a model; without a signature the paths of its target are left out."""
    enums: dict[str, Schema] = {}
    schemas: dict[str, Schema] = {}
    paths: dict[str, Schema] = {
        "/": {"get": _get("Root", "root__get")},
        "/health-check": {"get": _get("Healthcheck", "healthcheck_health_check_get")},
    }
    for mode, signature in (("predict", predict), ("train", train)):
        if signature is not None:
            paths.update(_target_paths(_NAMES[mode], signature))
            schemas.update(_target_schemas(_NAMES[mode], signature, enums))
    paths["/shutdown"] = {"post": _get("Start Shutdown", "start_shutdown_shutdown_post")}
    if predict is not None or train is not None:
        schemas.update(_shared_schemas())
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted({**enums, **schemas}.items()))},
    }


def _title(name: str) -> str:
    """`train_data` is shown as `Train Data`."""
    return " ".join(word[:1].upper() + word[1:].lower() for word in name.split("_")).strip() or name


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(value == other and type(value) is type(other) for other in found):
            found.append(value)
    return found


def _add_enum(enums: dict[str, Schema], name: str, values: tuple[Any, ...], mode: str) -> str:
    """Add the component of an input with a fixed list of values and return its name."""
    component = name + "_choices" if name in _RESERVED else name
    schema: Schema = {"title": component, "description": "An enumeration.", "enum": _distinct(values)}
    types = {_JSON_TYPES.get(type(value)) for value in values}
    if len(types) == 1 and None not in types:
        schema["type"] = types.pop()
    elif types == {"integer", "number"}:
        schema["type"] = "number"
    if enums.get(component, schema) != schema and mode == "train":
        component += "_training"
        schema["title"] = component
    enums[component] = schema
    return component


def type_schema(type_: Any) -> Schema:
    """The JSON Schema of a type, without a title."""
    if isinstance(type_, Scalar):
        return dict(_SCALARS[type_])
    if isinstance(type_, ListOf):
        return {"type": "array", "items": type_schema(type_.item)}
    if isinstance(type_, CoderOf) or (isinstance(type_, DictOf) and type_.value in (ANY, UNKNOWN)):
        return {"type": "object"}
    if isinstance(type_, DictOf):
        return {"type": "object", "additionalProperties": type_schema(type_.value)}
    if isinstance(type_, OptionalOf):
        return {**type_schema(type_.item), "nullable": True}
    if isinstance(type_, UnionOf):
        return {"anyOf": [type_schema(member) for member in type_.members]}
    if isinstance(type_, LiteralOf):
        return _literal_schema(type_.values)
    if isinstance(type_, ObjectOf):
        return _object_schema(type_)
    assert isinstance(type_, IteratorOf)
    schema: Schema = {"type": "array", "items": type_schema(type_.item), "x-cog-array-type": "iterator"}
    return {**schema, "x-cog-array-display": "concatenate"} if type_.is_concatenated else schema


def _literal_schema(values: tuple[Any, ...]) -> Schema:
    types = {_JSON_TYPES.get(type(value)) for value in values}
    schema: Schema = {"enum": _distinct(values)}
    return {"type": types.pop(), **schema} if len(types) == 1 and None not in types else schema


def _object_schema(type_: ObjectOf) -> Schema:
    schema: Schema = {"type": "object"}
    required = [field.name for field in type_.fields if field.is_required]
    if required:
        schema["required"] = required
    return {**schema, "properties": {field.name: _property(field) for field in type_.fields}}


def _property(field: ObjectField) -> Schema:
    schema = {"title": _title(field.name), **type_schema(field.type)}
    if field.default is not None:
        schema["default"] = field.default
    if field.description is not None:
        schema["description"] = field.description
    return schema


_ANYTHING: Schema = {"type": "object", "x-cog-any": True}


def _input_schema(field: InputField, enums: dict[str, Schema], mode: str) -> Schema:
    """The property of one input; keys in the order title, type, limits, default, description, extensions."""
    values = allowed_values(field)
    info = field.info
    inner = field.type.item if isinstance(field.type, OptionalOf) else field.type
    if values:
        component = _add_enum(enums, field.name, values, mode)
        schema: Schema = {"allOf": [_ref(component)]}
    else:
        # Unlike an output, an input is never just anything; the server takes any JSON for it all the same.
        described = _ANYTHING if inner is ANY else type_schema(inner)
        schema = {"title": _title(field.name), **described}
        limited = schema.get("items", schema) if isinstance(inner, ListOf) else schema
        limited.update({key: value for key, value in _limits(field) if value is not None})
    if field.default is not None and field.default is not MISSING and field.default is not UNKNOWN:
        schema["default"] = field.default
    if info.description is not None:
        schema["description"] = info.description
    if info.deprecated:
        schema["deprecated"] = True
    if field.is_nullable:
        schema["nullable"] = True
    if info.accept is not None:
        schema["x-cog-accept"] = info.accept
    schema["x-order"] = field.order
    return schema


def _limits(field: InputField) -> tuple[tuple[str, Any], ...]:
    info = field.info
    return (
        ("minimum", _finite(info.ge)),
        ("maximum", _finite(info.le)),
        ("minLength", info.min_length),
        ("maxLength", info.max_length),
        ("pattern", info.regex),
    )


def _finite(bound: Any) -> Any:
    """A bound, unless it is infinite and so bounds nothing."""
    return None if bound in (float("inf"), float("-inf")) else bound


def _target_schemas(names: _Names, signature: Signature, enums: dict[str, Schema]) -> dict[str, Schema]:
    inputs: Schema = {"title": names.input, "type": "object"}
    required = [field.name for field in signature.inputs if field.is_required]
    if required:
        inputs["required"] = required
    inputs["properties"] = {field.name: _input_schema(field, enums, names.mode) for field in signature.inputs}
    return {
        names.input: inputs,
        names.output: {"title": names.output, **type_schema(signature.output)},
        names.request: _request_schema(names),
        names.response: _response_schema(names),
    }


def _ref(name: str) -> Schema:
    return {"$ref": "#/components/schemas/" + name}


def _object(title: str, properties: Schema) -> Schema:
    return {"title": title, "type": "object", "properties": properties}


def _time(title: str) -> Schema:
    return {"title": title, "type": "string", "format": "date-time"}


def _request_schema(names: _Names) -> Schema:
    webhook = {"title": "Webhook", "type": "string", "format": "uri", "minLength": 1, "maxLength": 65536}
    events = {"type": "array", "items": _ref("WebhookEvent"), "default": list(_EVENTS)}
    return _object(names.request, {
        "input": _ref(names.input),
        "id": {"title": "Id", "type": "string"},
        "created_at": _time("Created At"),
        "context": {"title": "Context", "type": "object", "additionalProperties": {"type": "string"}},
        "output_file_prefix": {"title": "Output File Prefix", "type": "string"},
        "webhook": webhook,
        "webhook_events_filter": {"title": "Webhook Events Filter", **events},
    })  # fmt: skip


def _response_schema(names: _Names) -> Schema:
    return _object(names.response, {
        "input": _ref(names.input),
        "output": _ref(names.output),
        "id": {"title": "Id", "type": "string"},
        "version": {"title": "Version", "type": "string", "nullable": True},
        "created_at": _time("Created At"),
        "started_at": _time("Started At"),
        "completed_at": _time("Completed At"),
        "logs": {"title": "Logs", "type": "string", "default": ""},
        "error": {"title": "Error", "type": "string", "nullable": True},
        "status": _ref("Status"),
        "metrics": {"title": "Metrics", "type": "object"},
    })  # fmt: skip


def _enumeration(title: str, values: list[str]) -> Schema:
    return {"title": title, "description": "An enumeration.", "enum": list(values), "type": "string"}


def _shared_schemas() -> dict[str, Schema]:
    location = {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}
    detail = {"title": "Detail", "type": "array", "items": _ref("ValidationError")}
    return {
        "Status": _enumeration("Status", _STATUSES),
        "WebhookEvent": _enumeration("WebhookEvent", _EVENTS),
        "HTTPValidationError": _object("HTTPValidationError", {"detail": detail}),
        "ValidationError": {
            "title": "ValidationError",
            "type": "object",
            "required": ["loc", "msg", "type"],
            "properties": {
                "loc": location,
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
    identifier = names.noun + "_id"
    single = "%s/{%s}" % (names.path, identifier)
    mangled = "%ss__%s_" % (names.noun, identifier)
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
        "summary": names.mode.capitalize(),
        "operationId": "%s_%ss_post" % (names.mode, names.noun),
        "parameters": [prefer],
        "requestBody": {"content": body},
        "responses": answers,
    }
    if signature.is_streaming:
        post["x-cog-streaming"] = True
    put = {
        "summary": names.mode.capitalize() + " Idempotent",
        "operationId": "%s_idempotent_%s_put" % (names.mode, mangled),
        "parameters": [in_path, prefer],
        "requestBody": {"content": body, "required": True},
        "responses": answers,
    }
    stop = {
        "summary": _title(names.cancel),
        "operationId": "%s_%s_cancel_post" % (names.cancel, mangled),
        "parameters": [in_path],
        "responses": {"200": _response("Successful Response", {}), "422": invalid},
    }
    return {names.path: {"post": post}, single: {"put": put}, single + "/cancel": {"post": stop}}
