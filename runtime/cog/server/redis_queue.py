"""The queue worker of 2021 under its old name. This runtime serves predictions over HTTP only."""

from __future__ import annotations

from typing import Any

__all__ = ["RedisQueueWorker"]


class RedisQueueWorker:
    """Can be imported, so that old code loads; making one says that there is no queue worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("the Redis queue worker is not part of this runtime; use the HTTP interface")
