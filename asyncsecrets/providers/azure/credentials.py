"""Who we are at Azure: access tokens of Entra ID, kept off the event loop, and shared by who has them in common."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Final, final
from weakref import WeakKeyDictionary

from asyncsecrets.credential import Credential
from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ClosedError
from asyncsecrets.providers.azure.chain import find
from asyncsecrets.providers.azure.identities import Identity, Target
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.renewal import PATIENCE, Renewal

__all__ = ["BearerTokens", "Shown", "Tokens"]

_NOT_READY: Final = 20.0
"""Seconds for which the service beside a machine is waited for."""


@final
class Shown:
    """The token that is shown to a vault. It does not show itself."""

    __slots__ = ("_token", "target")

    def __init__(self, token: str, target: Target) -> None:
        self._token = Credential(token)
        self.target = target

    def token(self) -> str:
        """What stands in the header."""
        return self._token.reveal()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shown) and self._token == other._token

    def __hash__(self) -> int:
        return hash(self._token)


class _Found:
    """An identity, and when the token that it has given last ends, in seconds since the epoch."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.ends: float | None = None


class BearerTokens(Renewal):
    """The access tokens for one ``target``, of the identity that ``settings`` lead to. ``now`` is the time of day in
    seconds since the epoch, ``sleep`` waits for so many seconds in the thread; the rest is as for ``Renewal``."""

    what: ClassVar[str] = "Azure credentials"
    may_hang: ClassVar[str] = "Entra ID, the machine's identity endpoint or the program of a login"

    def __init__(
        self,
        settings: AzureSettings,
        target: Target,
        call: Call,
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        patience: float = PATIENCE,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(call, clock=clock, held=held, patience=patience)
        self._settings = settings
        self._target = target
        self._now = now
        self._waiting = Patience(_NOT_READY, sleep)
        self._claims = ""

    async def renew(self, rejected: Shown, claims: str = "") -> bool:
        """As ``Renewal.renew``. ``claims`` are what the vault wants of the next token, where it has said so."""
        if claims and self._frozen == rejected:  # otherwise there is another already
            self._claims = claims
        return await super().renew(rejected)

    def _find(self) -> _Found:
        return _Found(find(self._settings, self._call, self._waiting))

    def _show(self, found: _Found) -> Shown:
        claims = self._claims
        token, found.ends = found.identity.token(self._target, claims)
        if claims == self._claims:
            self._claims = ""
        return Shown(self._token(token), self._target)

    def _has_ended(self, failure: Exception) -> bool:
        return self._settings.auth_method == "default" and isinstance(failure, AuthenticationError)

    def _translate(self, failure: Exception) -> AsyncSecretsError:
        if isinstance(failure, AsyncSecretsError):
            return failure
        why = f"what was given makes no sense ({type(failure).__name__})"
        return self._call.error(AuthenticationError, f"the Azure credentials could not be obtained: {why}")

    def _left(self, found: _Found) -> float | None:
        return None if found.ends is None else found.ends - self._now()

    def _ahead(self, found: _Found) -> float:
        return found.identity.ahead

    def _delay(self) -> str:
        return "the machine's identity endpoint does not answer yet" if self._waiting.is_tried else super()._delay()


class _Pool:
    """The tokens of one identity on one event loop, and how many sources use them."""

    def __init__(self, among: dict[Hashable, _Pool], key: Hashable) -> None:
        self.users = 0
        self.tokens: dict[Target, BearerTokens] = {}
        self._among = among
        self._key = key

    def is_left(self) -> bool:
        """One user less; whether it was the last one."""
        self.users -= 1
        if not self.users and self._among.get(self._key) is self:
            del self._among[self._key]
        return not self.users


# By loop, and there by process too: a fork inherits loops.
_pools: WeakKeyDictionary[Any, dict[Hashable, _Pool]] = WeakKeyDictionary()


class Tokens:
    """What one source shows to its vault. Sources with the same identity share it, as long as one of them is open."""

    def __init__(
        self,
        settings: AzureSettings,
        call: Call,
        *,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._settings = settings
        self._call = call
        self._held = held
        self._pool: _Pool | None = None
        self._last: BearerTokens | None = None

    def join(self) -> None:
        """Share what there is on the running loop, until this is closed."""
        pools = _pools.setdefault(asyncio.get_running_loop(), {})
        key = os.getpid(), self._settings.identity()
        self._pool = pools.setdefault(key, _Pool(pools, key))
        self._pool.users += 1

    async def current(self, target: Target) -> Shown:
        """What to show now for ``target``. Raises as ``Renewal.current``."""
        shown: Shown = await self._of(target).current()
        return shown

    async def renew(self, rejected: Shown, claims: str = "") -> bool:
        """As ``BearerTokens.renew``."""
        return await self._of(rejected.target).renew(rejected, claims)

    def accepted(self) -> None:
        """The vault took what was shown."""
        if self._last is not None:
            self._last.accepted()

    async def aclose(self) -> None:
        """End renewals that nobody else needs."""
        for tokens in self._left():
            await tokens.aclose()

    def forget(self) -> None:
        """Drop what belongs to a loop, or to the parent of a fork."""
        for tokens in self._left():
            tokens.forget()

    def _of(self, target: Target) -> BearerTokens:
        if self._pool is None:
            raise ClosedError(f"{self._call.system} was closed meanwhile")
        found = self._pool.tokens.get(target)
        if found is None:
            found = self._pool.tokens[target] = BearerTokens(self._settings, target, self._call, held=self._held)
        self._last = found
        return found

    def _left(self) -> list[BearerTokens]:
        pool, self._pool, self._last = self._pool, None, None
        return list(pool.tokens.values()) if pool is not None and pool.is_left() else []
