"""Short ways to analyse sources that stand in a test."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from cogc.diagnostics import Diagnostic
from cogc.frontend.signature import Mode, Signature, analyse_target, openapi_document
from tests.memory_files import MemoryFiles

HEADER = (
    "from typing import *\nfrom cog import *\nfrom cog import AsyncConcatenateIterator, concurrent, input, streaming\n"
)


def analyse(
    source: str | bytes,
    name: str = "Predictor",
    mode: Mode = "predict",
    *,
    others: dict[str, str] | None = None,
    path: str = "predict.py",
    python_version: str | None = None,
) -> tuple[Signature | None, tuple[Diagnostic, ...]]:
    content = dedent(source) if isinstance(source, str) else source
    files = MemoryFiles({path: content, **{key: dedent(text) for key, text in (others or {}).items()}})
    return analyse_target(files, path, name, mode=mode, python_version=python_version)


def signature(source: str, name: str = "Predictor", mode: Mode = "predict", **options: Any) -> Signature:
    """The signature of a source that must be free of findings."""
    found, diagnostics = analyse(source, name, mode, **options)
    assert diagnostics == ()
    assert found is not None
    assert found.is_complete
    return found


def predictor(parameters: str, returns: str = "str", before: str = "") -> str:
    """A predictor with these parameters."""
    arguments = ", ".join(part for part in ("self", parameters) if part)
    return (
        f"{HEADER}{dedent(before)}\nclass Predictor(BasePredictor):\n    def predict({arguments}) -> {returns}: ...\n"
    )


def inputs(parameters: str, before: str = "", **options: Any) -> Any:
    """The properties of `Input` for these parameters."""
    return schemas(predictor(parameters, before=before), **options)["Input"]["properties"]


def output(returns: str, before: str = "") -> Any:
    """The schema of `Output` for this return annotation."""
    return schemas(predictor("", returns, before))["Output"]


def schemas(source: str, name: str = "Predictor", mode: Mode = "predict", **options: Any) -> Any:
    """The components of the OpenAPI document."""
    found = signature(source, name, mode, **options)
    document = openapi_document(found, None) if mode == "predict" else openapi_document(None, found)
    return document["components"]["schemas"]


def codes(source: str | bytes, name: str = "Predictor", mode: Mode = "predict", **options: Any) -> list[str]:
    return [diagnostic.code for diagnostic in analyse(source, name, mode, **options)[1]]


def only(source: str, name: str = "Predictor", mode: Mode = "predict", **options: Any) -> Diagnostic:
    """The single finding in a source."""
    (diagnostic,) = analyse(source, name, mode, **options)[1]
    return diagnostic
