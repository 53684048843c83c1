"""The words of the HTTP interface: states of a prediction and events of a webhook."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status", "WebhookEvent"]


class Status(str, Enum):
    """The states of a prediction."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    FAILED = "failed"

    def __str__(self) -> str:
        return str(self.value)

    @staticmethod
    def is_terminal(status: Status | None) -> bool:
        """Whether nothing more happens to a prediction in this state."""
        return status in (Status.SUCCEEDED, Status.CANCELED, Status.FAILED)


class WebhookEvent(str, Enum):
    """The events that a webhook can be told of."""

    START = "start"
    OUTPUT = "output"
    LOGS = "logs"
    COMPLETED = "completed"

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def default_events(cls) -> set[WebhookEvent]:
        """The events that are sent when a request names none."""
        return set(cls)
