"""Counters and gauges of the server, as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Dict, List, Tuple

__all__ = ["Metrics"]

BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Metrics:
    """What is counted. Values of gauges are passed in when the text is made."""

    def __init__(self) -> None:
        self.completed: "Counter[Tuple[str, str]]" = Counter()
        self.refused: "Counter[str]" = Counter()
        self.webhooks: "Counter[str]" = Counter()
        self.open_webhooks = 0
        self.restarts = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def prediction(self, kind: str, status: str, seconds: float) -> None:
        """One prediction or training ended."""
        self.completed[(kind, status)] += 1
        self._seconds += seconds
        self._buckets[bisect_left(BUCKETS, seconds)] += 1

    def refusal(self, reason: str) -> None:
        """One request was refused: `busy`, `not_ready` or `invalid`."""
        self.refused[reason] += 1

    def webhook(self, result: str) -> None:
        """One delivery: `sent`, `refused` or `error`."""
        self.webhooks[result] += 1

    def text(self, gauges: Dict[str, Tuple[str, float]]) -> str:
        """The page. `gauges`: name → (help, value)."""
        lines: List[str] = []
        _family(lines, "cog_completed_total", "counter", "Predictions and trainings that ended.")
        for (kind, status), count in sorted(self.completed.items()):
            lines.append('cog_completed_total{kind="%s",status="%s"} %d' % (kind, status, count))
        _family(lines, "cog_refused_total", "counter", "Requests that were refused.")
        for reason, count in sorted(self.refused.items()):
            lines.append('cog_refused_total{reason="%s"} %d' % (reason, count))
        _family(lines, "cog_webhook_deliveries_total", "counter", "Tries to deliver a webhook.")
        for result, count in sorted(self.webhooks.items()):
            lines.append('cog_webhook_deliveries_total{result="%s"} %d' % (result, count))
        _family(lines, "cog_worker_restarts_total", "counter", "Workers that were replaced.")
        lines.append("cog_worker_restarts_total %d" % self.restarts)
        _family(lines, "cog_predict_seconds", "histogram", "Seconds in the model's code.")
        total = 0
        for edge, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets):
            total += count
            lines.append('cog_predict_seconds_bucket{le="%s"} %d' % (edge, total))
        lines.append("cog_predict_seconds_sum %r" % self._seconds)
        lines.append("cog_predict_seconds_count %d" % total)
        for name, (description, value) in sorted(gauges.items()):
            _family(lines, name, "gauge", description)
            lines.append("%s %r" % (name, value))
        return "\n".join(lines) + "\n"


def _family(lines: List[str], name: str, kind: str, description: str) -> None:
    lines.append("# HELP %s %s" % (name, description))
    lines.append("# TYPE %s %s" % (name, kind))
