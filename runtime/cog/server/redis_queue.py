"""`python -m cog.server.redis_queue`: starts the server, in its private environment, on a Redis queue instead of HTTP.

Runs in the model's interpreter and imports nothing but the standard library, as `cog.server.http` does.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from .http import LIBRARIES, start

__all__ = ["RedisQueueWorker", "main"]

NAME = "cog.server.redis_queue"


def main(arguments: list[str] | None = None) -> int:
    """Become the queue worker. Returns only when that is impossible: 1."""
    given = sys.argv[1:] if arguments is None else arguments
    return int(start(NAME, given, ("--redis-queue",), (*LIBRARIES, "redis")))


class RedisQueueWorker:
    """The interface of 2021: `RedisQueueWorker(Predictor(), "localhost", 6379, "queue", …).start()`."""

    def __init__(
        self,
        predictor: Any,
        redis_host: str,
        redis_port: int,
        input_queue: str,
        upload_url: str,
        consumer_id: str,
        model_id: str | None = None,
        log_queue: str | None = None,
        predict_timeout: float | None = None,
        redis_db: int = 0,
    ) -> None:
        self.predictor = predictor
        options = {
            "--redis-host": redis_host,
            "--redis-port": redis_port,
            "--redis-db": redis_db,
            "--input-queue": input_queue,
            "--upload-url": upload_url,
            "--consumer-id": consumer_id,
            "--model-id": model_id,
            "--log-queue": log_queue,
            "--predict-timeout": predict_timeout,
        }
        self._arguments = ["%s=%s" % (name, value) for name, value in options.items() if value not in (None, "")]

    def start(self) -> None:
        """Become the queue worker, with a model made anew from the predictor's class. Errors: `TypeError`."""
        os.environ["COG_PREDICT_TYPE_STUB"] = _reference(self.predictor)
        sys.exit(main(self._arguments))


def _reference(predictor: Any) -> str:
    """`file.py:Name` of a predictor or its class."""
    class_ = predictor if isinstance(predictor, type) else type(predictor)
    path = getattr(sys.modules.get(class_.__module__), "__file__", None)
    if path is None or "." in class_.__qualname__:
        raise TypeError("%s must be a class at the top level of a file" % class_.__qualname__)
    return "%s:%s" % (os.path.abspath(path), class_.__name__)


if __name__ == "__main__":
    sys.exit(main())
