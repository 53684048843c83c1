"""The scope of the running prediction: its metrics and the context of its request.

The worker sets the scope; model code asks for it with `current_scope()`, from any thread. Outside a prediction
there is a scope that forgets everything.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Dict, Mapping

from .metrics import Metrics

__all__ = ["Scope", "current_scope", "emit_metric", "scope_of_prediction"]


class Scope:
    """What a prediction may record, and what its request told about its surroundings."""

    def __init__(self, metrics: Metrics | None = None, context: Mapping[str, str] | None = None) -> None:
        self.metrics = Metrics() if metrics is None else metrics
        self.context: Dict[str, str] = dict(context or {})

    def record_metric(self, name: str, value: Any, mode: str = "replace") -> None:
        """Record a metric; `mode` is `replace`, `incr` or `append`. Errors: `ValueError`, `TypeError`."""
        self.metrics.record(name, value, mode)

    def __repr__(self) -> str:
        return "Scope(metrics=%r, context=%r)" % (self.metrics, self.context)


_scope: ContextVar[Scope | None] = ContextVar("cog_scope", default=None)
# Threads that a model starts do not inherit context variables: they find the only running prediction here.
_of_process: list[Scope] = []


def current_scope() -> Scope:
    """The scope of the prediction that is running here."""
    found = _scope.get()
    if found is not None:
        return found
    try:
        return _of_process[-1]
    except IndexError:
        return Scope()


class scope_of_prediction:  # noqa: N801  (used like a function)
    """Make a scope the current one; `is_alone` when no other prediction can run in this process meanwhile."""

    # A class: a generator's context manager would cost as much again as the call of a small model.

    __slots__ = ("_is_alone", "_scope", "_token")

    def __init__(self, scope: Scope, *, is_alone: bool) -> None:
        self._scope = scope
        self._is_alone = is_alone

    def __enter__(self) -> Scope:
        self._token = _scope.set(self._scope)
        if self._is_alone:
            _of_process.append(self._scope)
        return self._scope

    def __exit__(self, *_: Any) -> None:
        if self._is_alone:
            _of_process.remove(self._scope)
        _scope.reset(self._token)


def emit_metric(name: str, value: Any) -> None:
    """Record a metric, in the way of older releases."""
    current_scope().record_metric(name, value)
