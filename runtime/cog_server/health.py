"""The health document and the probes."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import msgspec

from .exchange import Response
from .runner import Runner
from .trainings import Trainings

__all__ = ["HealthPage", "health_document", "health_state"]

_encode = msgspec.json.Encoder().encode

_STATES = {"starting": "STARTING", "setup_failed": "SETUP_FAILED", "defunct": "DEFUNCT", "stopped": "DEFUNCT"}


def health_state(runner: Optional[Runner], trainings: Trainings) -> str:
    """One of UNKNOWN, STARTING, READY, BUSY, SETUP_FAILED, DEFUNCT."""
    if runner is None:
        return "UNKNOWN"
    if runner.state != "ready":
        return _STATES[runner.state]
    other = trainings.runner if trainings.runner is not runner else None
    is_busy = not runner.has_free_slot or (other is not None and not other.is_idle)
    return "BUSY" if is_busy else "READY"


def health_document(
    runner: Optional[Runner], trainings: Trainings, version: str, is_trusted: bool, complaint: Optional[str] = None
) -> Dict[str, Any]:
    """The body of GET /health-check. Who is not trusted does not see logs. `complaint` is that of the model's own check."""
    state = health_state(runner, trainings)
    document: Dict[str, Any] = {"status": state}
    if runner is None:
        return document
    if complaint is not None and state in ("READY", "BUSY"):
        document["status"] = "UNHEALTHY"
        if is_trusted:
            document["user_healthcheck_error"] = complaint
    setup = runner.setup.document()
    if not is_trusted:
        setup.pop("logs", None)
    document["setup"] = setup
    document["version"] = {"cog": version}
    if runner.loaded is not None and runner.loaded.python:
        document["version"]["python"] = runner.loaded.python
    return document


class HealthPage:
    """GET /health-check: asked for often, and the same as before as a rule, so that it is kept until it changes."""

    def __init__(self, runner: Optional[Runner], trainings: Trainings, version: str) -> None:
        self._runner = runner
        self._trainings = trainings
        self._version = version
        self._made_of: Tuple[Any, ...] = ()
        self._response = Response(200, b"{}")

    def response(self, is_trusted: bool, complaint: Optional[str]) -> Response:
        """The response for this client, with the complaint of the model's own check."""
        runner = self._runner
        parts: Tuple[Any, ...] = (health_state(runner, self._trainings), is_trusted, complaint)
        if runner is not None:
            setup = runner.setup
            parts += (setup, setup.status, len(setup.logs), runner.loaded)
        if parts != self._made_of:
            document = health_document(runner, self._trainings, self._version, is_trusted, complaint)
            self._response = Response(200, _encode(document))
            self._made_of = parts
        return self._response
