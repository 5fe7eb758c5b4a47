"""Tokens of our own that another one has replaced and that may still be alive: what a close has to revoke as well."""

from __future__ import annotations

from typing import Final

__all__ = ["RetiredTokens"]

_MOST: Final = 64  # a token beyond that is left to its TTL


class RetiredTokens:
    """Remembers each token until its lease is over. Times are monotonic seconds, ``inf`` for a token without a TTL."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def add(self, token: str, ends: float, now: float) -> None:
        """Remember a token that is valid until ``ends``; forget what is over, and the oldest of too many."""
        self._ends = {text: end for text, end in self._ends.items() if end > now}
        if ends > now:
            self._ends[token] = ends
        while len(self._ends) > _MOST:
            del self._ends[next(iter(self._ends))]

    def take(self, now: float) -> list[str]:
        """The tokens that may still be alive, which are forgotten here."""
        ends, self._ends = self._ends, {}
        return [token for token, end in ends.items() if end > now]
