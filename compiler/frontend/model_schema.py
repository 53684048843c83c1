"""The OpenAPI document of the model, made from its source files where they say enough."""

from __future__ import annotations

import json

from ..diagnostics import Diagnostic
from .config import Config, Target
from .files import Files
from .signature import Signature, analyse_target, openapi_document

__all__ = ["model_schema"]


def model_schema(config: Config, files: Files) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """Compact JSON of the document; None when there is no target, or its source does not say everything.

    Codes: COG4xx. A target file that does not exist was reported when the configuration was read.
    """
    predict, found = _signature(config.predict, files)
    train, problems = _signature(config.train, files)
    found += problems
    wanted = [target for target in (config.predict, config.train) if target is not None]
    known = [signature for signature in (predict, train) if signature is not None and signature.is_complete]
    if not wanted or len(known) != len(wanted):
        return None, found
    document = openapi_document(predict, train)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")), found


def _signature(target: Target | None, files: Files) -> tuple[Signature | None, tuple[Diagnostic, ...]]:
    if target is None or files.kind(target.file) != "file":
        return None, ()
    return analyse_target(files, target.file, target.name, mode="train" if target.key == "train" else "predict")
