"""Commands to Redis. One that fails for want of Redis is tried again, with pauses that grow.

Answers are as Redis sends them: bytes, whole numbers, lists, None. The library is imported when this is opened.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
from typing import Any, Optional, Union

__all__ = ["Connection", "Refused", "Unreachable", "Unusable"]

logger = logging.getLogger("cog_server.redis")

CONNECT_SECONDS, ANSWER_SECONDS = 5, 30
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
# What Redis answers while it is starting, full, a replica, or without a majority: it may pass.
_PASSING = ("LOADING", "OOM", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS", "BUSY")

Argument = Union[str, bytes, int, float]


class Unusable(Exception):
    """There is no library for Redis, or the URL is none."""


class Unreachable(Exception):
    """Redis cannot be asked now."""


class Refused(Exception):
    """Redis does not carry out the command, however often it is asked."""


class Connection:
    """A pool of connections to one Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None
        self._is_down = False
        self._gave_up = asyncio.Event()

    async def open(self) -> None:
        """Load the library, beside the event loop: that takes a moment. Nothing is connected yet. Errors: Unusable."""
        loop = asyncio.get_running_loop()
        try:
            library = await loop.run_in_executor(None, importlib.import_module, "redis.asyncio")
        except ImportError as error:
            raise Unusable("the server's environment lacks the Redis library: %s" % error) from error
        self._errors = importlib.import_module("redis.exceptions")
        no_retries = importlib.import_module("redis.asyncio.retry").Retry(
            importlib.import_module("redis.backoff").NoBackoff(), 0
        )
        # Nothing is tried again behind our back: what the answer to a read was may be lost.
        try:
            self._client = library.Redis.from_url(
                self._url,
                retry=no_retries,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                socket_keepalive=True,
                protocol=2,
            )
            self._client.connection_pool.make_connection()  # options in the URL that are none show here
        except (ValueError, TypeError) as error:
            raise Unusable("COGC_REDIS_URL cannot be used: %s" % error) from error
        self._client.response_callbacks.clear()

    async def ask(self, *command: Argument) -> Any:
        """The answer to a command. Errors: Unreachable, Refused."""
        errors = self._errors
        try:
            answer = await self._client.execute_command(*command)
        except (errors.ResponseError, errors.DataError, UnicodeError) as error:
            if not self._is_passing(error):
                raise Refused(str(error)) from error
            self._note(error)
            raise Unreachable(str(error)) from error
        except (errors.RedisError, OSError, asyncio.TimeoutError, EOFError) as error:
            self._note(error)
            raise Unreachable(str(error)) from error
        self._note(None)
        return answer

    def _is_passing(self, error: Exception) -> bool:
        errors = self._errors
        known = (errors.ReadOnlyError, errors.OutOfMemoryError, errors.ClusterDownError, errors.TryAgainError)
        return isinstance(error, known) or str(error).startswith(_PASSING)

    def _note(self, error: Optional[Exception]) -> None:
        """Say once that Redis is away, and once that it is back."""
        if error is not None and not self._is_down:
            logger.error("Redis cannot be used: %s; trying again", error)
        elif error is None and self._is_down:
            logger.warning("Redis can be used again")
        self._is_down = error is not None

    async def insist(self, *command: Argument) -> Any:
        """The answer, however long it takes to get one. Errors: Refused; Unreachable after `give_up`."""
        delay = FIRST_DELAY
        while True:
            try:
                return await self.ask(*command)
            except Unreachable:
                if self._gave_up.is_set():
                    raise
            # Consumers that lost the same Redis do not come back at the same moment.
            await self._pause(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LONGEST_DELAY)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._gave_up.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    def give_up(self) -> None:
        """From now on what fails is not tried again."""
        self._gave_up.set()

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.connection_pool.disconnect()
