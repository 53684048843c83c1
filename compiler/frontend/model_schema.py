"""The OpenAPI document of the model, made from its source files where they say enough."""

from __future__ import annotations

import json
from typing import Literal

from ..diagnostics import Diagnostic, Note, report
from ..ir.nodes import DEFAULT_PYTHON
from ..record import record
from .config import Config, Target
from .files import Files
from .signature import Signature, analyse_target, leaves_open, openapi_document

__all__ = ["ModelSchema", "model_schema"]


@record
class ModelSchema:
    """What the source says of the schema: the whole `document` as compact JSON, or None.

    `gaps` are the findings that leave it open; the image can close them, by importing the model. Without a document
    and without gaps there is no target, or an error.
    """

    document: str | None = None
    gaps: tuple[Diagnostic, ...] = ()


def model_schema(config: Config, files: Files) -> tuple[ModelSchema, tuple[Diagnostic, ...]]:
    """The document, as far as it can be made without running anything.

    Codes: COG300 for a target file that cannot be read, COG4xx, and COG141 for concurrency without an async method.
    A target file that is no file in the project is the business of `target_files`.
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
    known = [signature for signature in (predict, train) if signature is not None and signature.is_complete]
    if not config.targets or len(known) != len(config.targets):
        return ModelSchema(gaps=tuple(finding for finding in found if leaves_open(finding))), found
    document = openapi_document(predict, train)
    return ModelSchema(document=json.dumps(document, ensure_ascii=False, separators=(",", ":"))), found


def _signature(target: Target | None, files: Files, python: str) -> tuple[Signature | None, tuple[Diagnostic, ...]]:
    if target is None or files.kind(target.file) != "file":
        return None, ()
    mode: Literal["predict", "train"] = "train" if target.key == "train" else "predict"
    return analyse_target(files, target.file, target.name, mode=mode, python_version=python, named_at=target.span)
