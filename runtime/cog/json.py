"""Outputs to JSON, under the names of older releases."""

from __future__ import annotations

from typing import Any

from .values import encode_inline

__all__ = ["make_encodeable"]


def make_encodeable(value: Any) -> Any:
    """The value in terms of JSON; files inside become data URLs. Errors: `OutputError`."""
    return encode_inline(value)
