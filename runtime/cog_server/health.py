"""The health document and the probes."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .runner import Runner
from .trainings import Trainings

__all__ = ["health_document", "health_state"]

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
