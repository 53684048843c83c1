"""Trainings: the first worker in train mode; beside predictions, a second worker that starts when it is needed.

The two never run at the same time: a model and its training rarely fit into one GPU.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Callable, Optional

from .predictions import Prediction
from .runner import Busy, Runner

__all__ = ["Trainings"]

logger = logging.getLogger("cog_server.trainings")


class Trainings:
    """Where trainings run. `runner` is None while there is no training worker."""

    def __init__(self, make_runner: Optional[Callable[[], Runner]], idle_seconds: float) -> None:
        """`make_runner` is None when no training target is configured."""
        self.runner: Optional[Runner] = None
        self.predictions: Optional[Runner] = None
        self._make_runner = make_runner
        self._idle_seconds = idle_seconds
        self._idle_timer: Optional[asyncio.TimerHandle] = None

    @property
    def is_configured(self) -> bool:
        """Whether the model can be trained."""
        return self._make_runner is not None or self.runner is not None

    @property
    def is_busy(self) -> bool:
        """Whether a training runs or waits for its setup."""
        return self.runner is not None and not self.runner.is_idle

    def submit(self, prediction: Prediction, room: int = 0) -> None:
        """Run a training. Errors: Busy, NotReady."""
        if self.predictions is not None and not self.predictions.is_idle:
            raise Busy
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        is_own_worker = self._make_runner is not None
        if self._make_runner is not None and (self.runner is None or self.runner.state not in ("starting", "ready")):
            self.runner = self._make_runner()
            self.runner.on_idle = self._became_idle
            asyncio.ensure_future(self.runner.start())
        assert self.runner is not None
        # The setup of a second worker is part of the training that asked for it.
        room = max(room, 1) if is_own_worker and self.runner.state == "starting" else room
        self.runner.submit(prediction, room=room, waits_for_setup=is_own_worker)

    def _became_idle(self) -> None:
        loop = asyncio.get_running_loop()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = loop.call_later(self._idle_seconds, self._stop_if_idle)

    def _stop_if_idle(self) -> None:
        runner = self.runner
        if runner is not None and runner.is_idle and not runner.active:
            logger.info("the training worker is stopped: it was idle")
            self.runner = None
            asyncio.ensure_future(runner.stop(0, 0))
