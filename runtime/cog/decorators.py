"""Marks on a prediction method: `@cog.streaming` and `@cog.concurrent(max=N)`."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

__all__ = ["concurrent", "streaming"]

Function = TypeVar("Function", bound=Callable[..., Any])


def streaming(function: Any = None) -> Any:
    """Mark a method whose output may be read as server-sent events; written with or without parentheses."""
    if function is None:
        return streaming
    function.__cog_streaming__ = True
    return function


def concurrent(*, max: int) -> Callable[[Function], Function]:
    """Let as many as `max` predictions run at once. Errors: `TypeError` when `max` or the function does not fit."""
    if isinstance(max, bool) or not isinstance(max, int):
        raise TypeError("concurrent max must be an integer")
    if max < 1:
        raise ValueError("concurrent max must be at least 1")

    def mark(function: Function) -> Function:
        from .signature import is_async

        if max > 1 and not is_async(function):
            raise TypeError("concurrent max greater than 1 requires an async function")
        function.__cog_concurrent__ = max  # type: ignore[attr-defined]
        return function

    return mark
