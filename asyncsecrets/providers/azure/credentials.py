"""Who we are at Azure: access tokens of Entra ID, kept off the event loop, and shared by who has them in common."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from asyncsecrets.credential import Credential
from asyncsecrets.errors import AuthenticationError, ClosedError
from asyncsecrets.providers.azure.entra import WAYS, Application, is_given
from asyncsecrets.providers.azure.identities import Target
from asyncsecrets.providers.azure.logins import Login
from asyncsecrets.providers.azure.machine import Machine
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.renewal import Renewal
from asyncsecrets.providers.wire import Wire

__all__ = ["TRUST", "BearerTokens", "Shown", "Tokens", "find"]

Clock = Callable[[], float]

TRUST: Final = "azure_ca_cert (or REQUESTS_CA_BUNDLE)"
_NOT_READY: Final = 20.0
"""Seconds for which the service beside a machine is waited for."""


def find(settings: AzureSettings, call: Call, patience: Patience) -> Application | Machine | Login:
    """Whose tokens these are, by ``auth_method`` and what there is in settings and environment.

    Blocks, for about a second at most. Raises AuthenticationError, ConfigError.
    """
    way, wire = settings.auth_method, Wire.of(settings, call, TRUST)
    if way == "default":
        way = next((known for known in WAYS if is_given(settings, known)), way)
    if way in WAYS:
        return Application(settings, wire, way)
    machine = Machine(settings.client_id, wire, patience)
    if way == "managed_identity" or (way == "default" and machine.is_there()):
        return machine
    login = Login(settings.variables(), settings.tenant_id, call)
    if way == "cli" or login.is_there():
        return login
    raise call.error(AuthenticationError, _NONE)


_NONE: Final = (
    "there are no Azure credentials: set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, give the machine, "
    "app or pod an identity, or run `az login` (no identity endpoint answers, and no az, azd or pwsh is in PATH)"
)


class Shown:
    """The token that is shown to a vault, in the shape that Azure's client takes it in. It does not show itself.

    ``ends`` is in seconds since the epoch.
    """

    __slots__ = ("_token", "ends", "target")
    expires_on = 0  # for Azure's client, which so asks for each request

    def __init__(self, token: str, target: Target, ends: float = 0.0) -> None:
        self._token = Credential(token)
        self.target = target
        self.ends = ends

    @property
    def token(self) -> str:
        """What stands in the header."""
        return self._token.reveal()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shown) and self._token == other._token

    def __hash__(self) -> int:
        return hash(self._token)


class BearerTokens(Renewal):
    """The access tokens for one ``target``, of the identity that ``settings`` lead to. ``now`` is the time of day in
    seconds since the epoch; ``options`` are those of ``Renewal``."""

    what: ClassVar[str] = "Azure credentials"
    may_hang: ClassVar[str] = "Entra ID, the machine's identity endpoint or the program of a login"

    def __init__(
        self, settings: AzureSettings, target: Target, call: Call, *, now: Clock = time.time, **options: Any
    ) -> None:
        super().__init__(call, **options)
        self._settings = settings
        self._target = target
        self._now = now
        self._waiting = Patience(_NOT_READY)
        self._claims = ""

    async def renew(self, rejected: Shown, claims: str = "") -> bool:
        """As ``Renewal.renew``. ``claims`` are what the vault wants of the next token, where it has said so."""
        if claims and self._frozen == rejected:  # otherwise there is another already
            self._claims = claims
        return await super().renew(rejected)

    def _find(self) -> Application | Machine | Login:
        return find(self._settings, self._call, self._waiting)

    def _show(self, identity: Any) -> Shown:
        claims = self._claims
        token, ends = identity.token(self._target, claims)
        if claims == self._claims:
            self._claims = ""
        return Shown(self._token(token), self._target, ends)

    def _has_ended(self, failure: Exception) -> bool:
        return self._settings.auth_method == "default" and isinstance(failure, AuthenticationError)

    def _left(self, _: Any) -> float:
        return float(self._frozen.ends - self._now())

    def _delay(self) -> str:
        return "the machine's identity endpoint does not answer yet" if self._waiting.is_tried else super()._delay()


@dataclass(eq=False)
class _Pool:
    """The tokens of one identity on one event loop, and how many sources use them."""

    users: int = 0
    tokens: dict[Target, BearerTokens] = field(default_factory=dict)


# By loop, and there by process too: a fork inherits loops. They hold what somebody uses.
_pools: WeakKeyDictionary[Any, WeakValueDictionary[Hashable, _Pool]] = WeakKeyDictionary()


class Tokens:
    """What one source shows to its vault. Sources with the same identity share it, as long as one of them is open.

    ``options`` are those of ``BearerTokens``.
    """

    def __init__(self, settings: AzureSettings, call: Call, **options: Any) -> None:
        self._settings = settings
        self._call = call
        self._options = options
        self._pool: _Pool | None = None
        self._last: BearerTokens | None = None

    def join(self) -> None:
        """Share what there is on the running loop, until this is closed."""
        pools = _pools.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
        self._pool = pools.setdefault((os.getpid(), self._settings.identity()), _Pool())
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
            found = self._pool.tokens[target] = BearerTokens(self._settings, target, self._call, **self._options)
        self._last = found
        return found

    def _left(self) -> Iterable[BearerTokens]:
        pool, self._pool, self._last = self._pool, None, None
        if pool is None:
            return ()
        pool.users -= 1
        return () if pool.users else pool.tokens.values()
