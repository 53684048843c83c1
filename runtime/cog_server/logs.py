"""The server's own log on standard error: JSON lines, or text for people (`LOG_FORMAT=console` or `development`)."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Mapping

__all__ = ["configure_logging"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "warning": logging.WARNING,
           "error": logging.ERROR}  # fmt: skip


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "timestamp": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "logger": record.name,
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document)


def configure_logging(environment: Mapping[str, str]) -> None:
    """Send all loggers to standard error, in the format and from the level that the environment asks for."""
    handler = logging.StreamHandler(sys.stderr)
    if environment.get("LOG_FORMAT") in ("console", "development"):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    else:
        handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS.get(environment.get("COG_LOG_LEVEL", "info").lower(), logging.INFO))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
