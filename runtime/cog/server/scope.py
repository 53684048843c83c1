"""The scope of a prediction under the module name of older releases."""

from __future__ import annotations

from ..scope import Scope, current_scope, emit_metric

__all__ = ["Scope", "current_scope", "emit_metric"]
