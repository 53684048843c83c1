"""From settings to a running queue worker, and to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Mapping, NoReturn, Sequence

from ..logs import configure_logging
from ..main import leave, make_documents
from ..settings import Settings
from .connection import Unusable
from .settings import PROGRAM, QueueSettings, parse_settings

__all__ = ["main"]

logger = logging.getLogger("cog_server.redis")

CLOSE_SECONDS = 0.3


def main(arguments: Sequence[str]) -> NoReturn:
    """Run predictions until a signal. The process ends with 0, or with 1 if it could not, or can no longer."""
    import cog

    # Until the event loop has its own handlers there is nothing to wait for: a worker ends with its socket.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    environment = dict(os.environ)
    configure_logging(environment)
    settings, queue = parse_settings(arguments, environment, cog.__version__)
    if settings.target is None:
        leave(1, "there is no `predict` in cog.yaml, and COG_PREDICT_TYPE_STUB is not set", PROGRAM)
    try:
        leave(_run(settings, queue, environment, cog.__version__))
    except Unusable as error:
        leave(1, str(error), PROGRAM)


def _run(settings: Settings, queue: QueueSettings, environment: Mapping[str, str], version: str) -> int:
    import uvloop

    from ..client import Client
    from ..metrics import Metrics
    from ..runner import Runner, Services
    from ..scratch import Scratch
    from ..streams import StreamCopier
    from .answers import Answers
    from .connection import Connection
    from .of_2021 import NamedFiles
    from .worker import QueueWorker

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    client, metrics, scratch, streams = Client(settings.allows_private_urls), Metrics(), Scratch(), StreamCopier()

    async def run() -> int:
        connection = Connection(queue.url)
        answers = Answers(settings, client, metrics, version, scratch, connection, queue)
        files = NamedFiles(settings, client, version, scratch)
        services = Services(settings, scratch, files, answers, metrics, streams)
        assert settings.target is not None
        runner = Runner(services, settings.mode, settings.target, environment)
        runner.spawn()  # the model loads while the rest of the worker does
        documents = make_documents(settings, [settings.mode])
        try:
            return await QueueWorker(settings, queue, answers, runner, connection, documents).run()
        finally:
            await connection.close()
            await client.close()

    try:
        return loop.run_until_complete(run())
    finally:
        streams.close(CLOSE_SECONDS)
        scratch.close()
