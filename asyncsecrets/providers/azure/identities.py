"""What gives tokens, and what they are for."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Identity", "Target"]


class Target(NamedTuple):
    """What a token is for, as a vault's challenge says: the ``scope``, and the vault's ``tenant`` (may be empty)."""

    scope: str
    tenant: str = ""

    @property
    def resource(self) -> str:
        """The scope, as it was called before version 2 of Entra ID's endpoints."""
        return self.scope.removesuffix("/.default")


class Identity(Protocol):
    """Gives tokens. ``ahead``: how many seconds before the end of one another is to be had."""

    ahead: float

    def token(self, target: Target, claims: str) -> tuple[str, float]:
        """A token and its end, in seconds since the epoch. Blocks. ``claims`` are those of a challenge, or empty."""


AHEAD_OF_A_CACHE = 285.0
"""Seconds: machines and logins keep a token, and give the same one until five minutes before its end."""
