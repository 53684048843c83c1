"""Secrets in texts that models write: replaced, also where a secret lies across two pieces of a text."""

from __future__ import annotations

from typing import Iterable, Sequence

__all__ = ["MASK", "Masker", "masked", "worth_masking"]

MASK = "**********"
# Shorter ones would hide half of every text, and are no secrets.
SHORTEST = 4


def worth_masking(secrets: Iterable[str]) -> Sequence[str]:
    """The secrets to look for, the longest first: one may begin with another."""
    return sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)


class Masker:
    """Masks a text that comes in pieces. What may be the beginning of a secret waits for the next piece."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = worth_masking(secrets)
        self._kept = ""

    def piece(self, text: str) -> str:
        """What can be shown now."""
        text = masked(self._kept + text, self._secrets)
        kept = max([_beginning(text, secret) for secret in self._secrets], default=0)
        self._kept = text[len(text) - kept :]
        return text[: len(text) - kept]

    def rest(self) -> str:
        """What was kept, when nothing more comes."""
        text, self._kept = self._kept, ""
        return text


def masked(text: str, secrets: Sequence[str]) -> str:
    """The text without the secrets, which are sorted by `worth_masking`."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def _beginning(text: str, secret: str) -> int:
    """How many characters at the end of `text` could be the beginning of `secret`."""
    for count in range(min(len(secret) - 1, len(text)), 0, -1):
        if text.endswith(secret[:count]):
            return count
    return 0
