"""The OpenAPI document of the model, made from its source files where they say enough."""

from __future__ import annotations

import json
from typing import Any, Literal

from ..diagnostics import Diagnostic, Note, report
from ..ir.nodes import DEFAULT_PYTHON
from ..record import record
from ..source import SourceFile, Span
from .config import Config, Target
from .files import Files
from .signature import ListOf, OptionalOf, Scalar, Signature, Type, analyse_target, leaves_open, openapi_document

__all__ = ["ModelSchema", "model_schema"]


@record
class ModelSchema:
    """What the source says of the schema: the whole `document` as compact JSON, or None.

    `gaps` are the findings that leave it open; the image can close them, by importing the model. Without a document
    and without gaps there is no target, or an error.
    """

    document: str | None = None
    gaps: tuple[Diagnostic, ...] = ()


def model_schema(
    config: Config, files: Files, given: SourceFile | None = None
) -> tuple[ModelSchema, tuple[Diagnostic, ...]]:
    """The document that is given, or else the one of the source, as far as it can be made without running anything.

    Codes: COG300 for a target file that cannot be read, COG400 to COG432, and COG141 for concurrency without an async
    method; COG442 and COG443 for a given document. A target file that is no file in the project is the business of
    `target_files`.
    """
    written = config.build.python_version
    python = written.value if written is not None else DEFAULT_PYTHON
    predict, found = _signature(config.predict, files, python)
    train, problems = _signature(config.train, files, python)
    found += problems
    if config.concurrency is not None and config.concurrency.max.value > 1 and predict and not predict.is_async:
        message = "concurrency.max > 1 requires an async run() or predict() method"
        notes = [Note(message=f"`{predict.method}` is not async", span=predict.origin)]
        return ModelSchema(), (*found, report("COG141", message, config.concurrency.max.span, notes=notes))
    if given is not None:
        return _given_schema(given, config, predict, train, found)
    known = [signature for signature in (predict, train) if signature is not None and signature.is_complete]
    if not config.targets or len(known) != len(config.targets):
        return ModelSchema(gaps=tuple(finding for finding in found if leaves_open(finding))), found
    document = openapi_document(predict, train)
    return ModelSchema(document=json.dumps(document, ensure_ascii=False, separators=(",", ":"))), found


# What is wrong with a target whatever its schema is.
_TARGET_CODES = {"COG300", "COG400", "COG401", "COG402", "COG403", "COG404", "COG405"}


def _given_schema(
    given: SourceFile,
    config: Config,
    predict: Signature | None,
    train: Signature | None,
    found: tuple[Diagnostic, ...],
) -> tuple[ModelSchema, tuple[Diagnostic, ...]]:
    """The document of a person: the source is not asked for types, but a secret stays one."""
    from .openapi.read import read_document

    found = tuple(finding for finding in found if finding.code in _TARGET_CODES)
    document, problems = read_document(given)
    found += problems
    if document is None:
        return ModelSchema(), found
    schemas = document.get("components", {}).get("schemas", {})
    for target in config.targets:
        signature, name = (train, "TrainingInput") if target.key == "train" else (predict, "Input")
        if name not in schemas:
            message = f"{given.name} has no component `{name}`, so it says nothing about the inputs of `{target.key}`"
            found += (report("COG443", message, Span.of_file(given.name)),)
            continue
        for field in signature.inputs if signature is not None else ():
            if _is_secret(field.type) and _mark_secret(document, name, field.name):
                message = f"the input `{field.name}` is a secret in the source, and is marked as one in the schema"
                hint = f'write "x-cog-secret": true in {given.name}'
                found += (report("COG443", message, field.origin, hint=hint),)
    return ModelSchema(document=json.dumps(document, ensure_ascii=False, separators=(",", ":"))), found


def _is_secret(type_: Type) -> bool:
    match type_:
        case OptionalOf(item=item) | ListOf(item=item):
            return _is_secret(item)
        case _:
            return type_ is Scalar.SECRET


def _mark_secret(document: dict[str, Any], component: str, name: str) -> bool:
    """Mark an input as a secret, so that the server hides its value. False when it is marked, or not there."""
    schema = document["components"]["schemas"][component].get("properties", {}).get(name)
    if schema is None or "$ref" in schema:
        return False
    inner = schema["items"] if isinstance(schema.get("items"), dict) else schema
    if inner.get("x-cog-secret") or inner.get("format") == "password":
        return False
    inner["x-cog-secret"] = True
    return True


def _signature(target: Target | None, files: Files, python: str) -> tuple[Signature | None, tuple[Diagnostic, ...]]:
    if target is None or files.kind(target.file) != "file":
        return None, ()
    mode: Literal["predict", "train"] = "train" if target.key == "train" else "predict"
    return analyse_target(files, target.file, target.name, mode=mode, python_version=python, named_at=target.span)
