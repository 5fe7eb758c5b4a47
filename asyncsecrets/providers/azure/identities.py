"""What tokens are for."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["AHEAD_OF_A_CACHE", "Target"]

AHEAD_OF_A_CACHE: Final = 285.0
"""Seconds: machines and logins keep a token, and give the same one until five minutes before its end."""


class Target(NamedTuple):
    """What a token is for, as a vault's challenge says: the ``scope``, and the vault's ``tenant`` (may be empty)."""

    scope: str
    tenant: str = ""

    @property
    def resource(self) -> str:
        """The scope, as it was called before version 2 of Entra ID's endpoints."""
        return self.scope.removesuffix("/.default")
