"""From settings to a running server, and to its end: sockets, signals, the order of starting and stopping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from typing import Any, Dict, Mapping, NoReturn, Optional, Sequence

from .logs import configure_logging
from .settings import Settings, parse_settings

__all__ = ["leave", "main", "make_documents"]

logger = logging.getLogger("cog_server")

CANCEL_SECONDS = 0.7
# How long deliveries of webhooks may take after the last prediction: within these bounds, what is left of the time
# after which `docker stop` kills, or of a grace that is longer.
LEAST_WEBHOOK_SECONDS, MOST_WEBHOOK_SECONDS = 0.8, 3.0
USUAL_GRACE_SECONDS = 8.0


def main(arguments: Sequence[str]) -> NoReturn:
    """Serve until a signal or /shutdown. The process ends with 0, or with 1 if it could not serve."""
    import cog

    # Until the event loop has its own handlers there is nothing to wait for: a worker ends with its socket.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    environment = dict(os.environ)
    configure_logging(environment)
    settings = parse_settings(arguments, environment, cog.__version__)
    if settings.target is None:
        name = "train" if settings.mode == "train" else "predict"
        leave(1, "there is no `%s` in cog.yaml, and COG_%s_TYPE_STUB is not set" % (name, name.upper()))
    if settings.ready_file is not None:
        with contextlib.suppress(OSError):
            os.unlink(settings.ready_file)  # of an earlier start in the same container
    try:
        listening = _bind(settings.host, settings.port)
    except OSError as error:
        leave(1, "cannot listen on %s port %d: %s" % (settings.host, settings.port, error))
    code = _run(settings, listening, environment, cog.__version__)
    leave(code)


def leave(code: int, message: str = "", program: str = "cog.server.http") -> NoReturn:
    """End at once: threads may hang in calls that never return."""
    if message:
        sys.stderr.write("%s: %s\n" % (program, message))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def _bundled_document(path: str) -> Optional[Dict[str, Any]]:
    if not path:  # asked for: the worker's own
        return None
    try:
        with open(path, "rb") as file:
            document = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s is not used: %s", path, error)
        return None
    return document if isinstance(document, dict) else None


def _run(settings: Settings, listening: socket.socket, environment: Mapping[str, str], version: str) -> int:
    from .client import Client
    from .files import Files
    from .memory import return_freed_memory
    from .metrics import Metrics
    from .runner import Runner, Services
    from .scratch import Scratch
    from .streams import StreamCopier
    from .webhooks import Webhooks

    client = Client(settings.allows_private_urls)
    metrics = Metrics()
    scratch = Scratch()
    services = Services(
        settings,
        scratch,
        Files(settings, client, version, scratch),
        Webhooks(settings, client, metrics, version, scratch),
        metrics,
        StreamCopier(),
    )
    assert settings.target is not None
    runner = Runner(services, settings.mode, settings.target, environment)
    runner.spawn()  # the model loads while the rest of the server does
    return_freed_memory()
    import uvloop

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_Life(settings, services, runner, environment, version).run(listening, client))
    finally:
        scratch.close()


class _Life:
    """One server from start to end."""

    def __init__(
        self, settings: Settings, services: Any, runner: Any, environment: Mapping[str, str], version: str
    ) -> None:
        self._settings = settings
        self._services = services
        self._runner = runner
        self._environment = environment
        self._version = version
        self._is_asked = False

    async def run(self, listening: socket.socket, client: Any) -> int:
        """The exit status."""
        self._stopping = asyncio.Event()
        self._trainings = self._make_trainings()
        self._app = self._make_app()
        from .listener import Listener
        from .protocol import Limits

        limits = Limits(self._settings.max_body_bytes, self._settings.request_timeout)
        listener = Listener(self._app, limits)
        self._watch_signals()
        await self._runner.attach()
        await listener.start(listening)
        await self._stopping.wait()
        listener.stop()
        has_failed = self._runner.state in ("setup_failed", "defunct")
        loop = asyncio.get_running_loop()
        grace = max(self._settings.shutdown_grace, USUAL_GRACE_SECONDS)
        end = loop.time() + grace + CANCEL_SECONDS + LEAST_WEBHOOK_SECONDS
        await self._stop()
        left = min(max(end - loop.time(), LEAST_WEBHOOK_SECONDS), MOST_WEBHOOK_SECONDS)
        await self._services.webhooks.close(left)
        await listener.ended(0.7)
        await client.close()
        self._services.streams.close(0.3)
        return 1 if has_failed and not self._settings.awaits_explicit_shutdown else 0

    def _make_trainings(self) -> Any:
        from .runner import Runner
        from .trainings import Trainings

        settings = self._settings
        if settings.mode == "train":
            trainings = Trainings(None, settings.training_idle)
            trainings.runner = self._runner
            self._runner.on_finished = lambda prediction: self._app.remember(prediction, "training")
            return trainings
        target = settings.train_target

        def make_runner() -> Runner:
            assert target is not None
            runner = Runner(self._services, "train", target, self._environment)
            runner.on_finished = lambda prediction: self._app.remember(prediction, "training")
            runner.on_loaded = lambda message: self._documents.add(message.openapi) if message.openapi else None
            return runner

        trainings = Trainings(make_runner if target is not None else None, settings.training_idle)
        trainings.predictions = self._runner
        self._runner.on_finished = lambda prediction: self._app.remember(prediction, "prediction")
        return trainings

    def _make_app(self) -> Any:
        from .app import App

        settings = self._settings
        targets = {"predict": settings.predict_target, "train": settings.train_target}
        modes = tuple(mode for mode, target in targets.items() if target is not None)
        self._documents = make_documents(settings, modes)
        app = App(
            settings,
            self._runner,
            self._trainings,
            self._services.metrics,
            self._version,
            self._documents,
            self._begin_stop,
        )
        if settings.has_legacy_http:
            app.offer_legacy()

        def loaded(message: Any) -> None:
            if message.openapi is not None:
                self._documents.add(message.openapi)
            if not self._is_asked:
                self._is_asked = True
                self._documents.start_asking()
            if message.is_legacy and settings.has_legacy_http is None:
                app.offer_legacy()

        self._runner.on_loaded = loaded
        return app

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        is_patient = self._settings.awaits_explicit_shutdown
        loop.add_signal_handler(signal.SIGTERM, (lambda: None) if is_patient else self._begin_stop)
        loop.add_signal_handler(signal.SIGINT, self._begin_stop)

    def _begin_stop(self) -> None:
        if self._stopping.is_set():
            self._runner.is_hurried = True  # asked twice: do not wait for predictions
        self._stopping.set()

    async def _stop(self) -> None:
        grace = self._settings.shutdown_grace
        self._documents.stop()
        runners = [self._runner]
        if self._trainings.runner is not None and self._trainings.runner is not self._runner:
            runners.append(self._trainings.runner)
        await asyncio.gather(*[runner.stop(grace, CANCEL_SECONDS) for runner in runners])


def make_documents(settings: Settings, modes: Sequence[str]) -> Any:
    """What is known about the inputs of these targets."""
    from .documents import Documents

    return Documents(_bundled_document(settings.schema_path), tuple(modes), lambda mode: _ask_sdk(settings, mode))


async def _ask_sdk(settings: Settings, mode: str) -> bytes:
    """The document of one target, by importing the model in a process of its own. Error: DocumentError."""
    from .documents import DocumentError
    from .workers import kill_group, worker_environment

    process = await asyncio.create_subprocess_exec(
        settings.model_python,
        *("-m", "cog.command.openapi_schema", "--mode", mode),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=worker_environment(os.environ, settings.sdk, ""),
        start_new_session=True,
    )
    try:
        output, errors = await process.communicate()
    finally:
        kill_group(process.pid)
    if process.returncode == 0:
        return output
    text = errors.decode("utf-8", "replace").strip()
    logger.warning("the %s target cannot be imported to see its inputs:\n%s", mode, text[-4000:])
    raise DocumentError(text.rpartition("\n")[2][:500] or "the process ended with %s" % process.returncode)
