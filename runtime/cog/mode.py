"""What a worker is for: predictions or trainings."""

from __future__ import annotations

from enum import Enum

__all__ = ["Mode"]


class Mode(Enum):
    """The two kinds of target in cog.yaml."""

    PREDICT = "predict"
    TRAIN = "train"

    def __str__(self) -> str:
        return self.value
