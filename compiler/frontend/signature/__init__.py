"""The signature of a model, read from its source as text, and the OpenAPI document made from it.

Comes in: the project's files and a target such as `predict.py:Predictor`. Goes out: a `Signature` with
diagnostics COG4xx, and from one or two signatures the document that the server serves. User code is never run.
"""

from __future__ import annotations

from .analyse import analyse_target
from .openapi import openapi_document
from .report import leaves_open
from .types import (
    Absent,
    Default,
    DictOf,
    InputField,
    IteratorOf,
    Json,
    JsonObject,
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
    freeze,
    thaw,
)

__all__ = [
    "Absent",
    "Default",
    "DictOf",
    "InputField",
    "IteratorOf",
    "Json",
    "JsonObject",
    "ListOf",
    "LiteralOf",
    "Mode",
    "ObjectField",
    "ObjectOf",
    "OptionalOf",
    "Scalar",
    "Signature",
    "Type",
    "UnionOf",
    "analyse_target",
    "freeze",
    "leaves_open",
    "openapi_document",
    "thaw",
]
