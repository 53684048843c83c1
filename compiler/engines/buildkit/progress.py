"""The status messages of a daemon → what `BuildProgress` reads: the same documents as those of buildx."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["progress_document"]

_START = datetime(1970, 1, 1, tzinfo=UTC)


def progress_document(message: dict[str, Any]) -> dict[str, Any]:
    """A StatusResponse as a document of lists `vertexes`, `statuses` and `logs`."""
    return {
        "vertexes": [
            {**vertex, "started": _time(vertex.get("started")), "completed": _time(vertex.get("completed"))}
            for vertex in message.get("vertexes", ())
        ],
        "statuses": message.get("statuses", []),
        "logs": [
            {"vertex": log.get("vertex", ""), "data": base64.b64encode(log.get("msg", b"")).decode()}
            for log in message.get("logs", ())
        ],
    }


def _time(stamp: dict[str, int] | None) -> str | None:
    """A moment in the form of RFC 3339."""
    if stamp is None:
        return None
    moment = _START + timedelta(seconds=stamp.get("seconds", 0), microseconds=stamp.get("nanos", 0) // 1000)
    return moment.isoformat()
