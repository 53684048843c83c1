"""The scope of the running prediction: its metrics and the context of its request.

The worker sets the scope; model code asks for it with `current_scope()`, from any thread. Outside a prediction
there is a scope that forgets everything.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Dict, Iterator, Mapping

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


@contextmanager
def scope_of_prediction(scope: Scope, *, is_alone: bool) -> Iterator[Scope]:
    """Make a scope the current one; `is_alone` when no other prediction can run in this process meanwhile."""
    token = _scope.set(scope)
    if is_alone:
        _of_process.append(scope)
    try:
        yield scope
    finally:
        if is_alone:
            _of_process.remove(scope)
        _scope.reset(token)


def emit_metric(name: str, value: Any) -> None:
    """Record a metric, in the way of older releases."""
    current_scope().record_metric(name, value)
