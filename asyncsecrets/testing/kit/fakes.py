"""`FakeSecrets`: the secrets of a test, wherever its program reads them from."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from asyncsecrets.boundary import afresh
from asyncsecrets.client import SecretsClient, stand_ins
from asyncsecrets.client.places import Key
from asyncsecrets.client.source import Source
from asyncsecrets.config import DEFAULT_SOURCE, AccessMode, Config, SourceConfig
from asyncsecrets.errors import AsyncSecretsError, ConfigError, SecretNotFoundError
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.references import check_name
from asyncsecrets.retry import Retry
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.kit.clocks import clock_now, sleep, wall_now
from asyncsecrets.testing.kit.held import held
from asyncsecrets.testing.kit.provider import FakeProvider, Store, payload_of, provider_class
from asyncsecrets.testing.kit.rules import Call, Fault, Faults, error_of, limit_of
from asyncsecrets.testing.kit.variables import Settings, Variables

__all__ = ["SCOPES", "FakeSecrets", "Scope"]

Scope = Literal["session", "package", "module", "class", "function"]

SCOPES: tuple[Scope, ...] = ("session", "package", "module", "class", "function")
"""From the longest to the shortest."""

_SYSTEM = "fake_secrets"


class FakeSecrets:
    """What a program under test finds when it asks for secrets.

    While it is installed, every client of the process answers with what is set here: those that the program makes from
    its own configuration, those that are there already, and the one that ``get_secret`` opens. The configuration is
    read and obeyed as ever; no manager and no environment is asked, and nothing that is needed to reach one.

    Kits of a longer ``scope`` lie below those of a shorter one, which begins with what is set there. What is set in it
    is gone with it. Every method may be called from any thread, with a running event loop or without.
    """

    def __init__(self, scope: Scope = "function") -> None:
        self.scope = scope
        self.calls: list[Call] = []
        """What managers were asked since this kit was installed, oldest first; not what a client had cached."""
        self._faults = Faults()
        self._set: dict[str, Payload] = {}
        self._stores: dict[str, Store] = {}
        self._asks_environment = False
        self._client: SecretsClient | None = None

    def __repr__(self) -> str:
        return f"<FakeSecrets {self.scope}: {len(self.names())} secrets, {len(self.calls)} calls>"

    @contextmanager
    def installed(self) -> Iterator[FakeSecrets]:
        """Have it answer until the block ends."""
        _stack.append(self)
        _stack.sort(key=lambda kit: SCOPES.index(kit.scope))
        self._begin_with(_stack[: _stack.index(self)])
        stand_ins.put(_stack[-1])
        try:
            yield self
        finally:
            _stack.remove(self)
            if self._client is not None:
                self._client._end()  # noqa: SLF001  # the client is the kit's own
            stand_ins.put(_stack[-1] if _stack else None)

    def _begin_with(self, below: list[FakeSecrets]) -> None:
        for kit in below[-1:]:
            kit._hand_on(self)  # noqa: SLF001  # the same class

    def _hand_on(self, above: FakeSecrets) -> None:
        above._set = {**self._set, **above._set}
        above._stores = {**{name: store.copied() for name, store in self._stores.items()}, **above._stores}
        above._asks_environment = above._asks_environment or self._asks_environment

    # -- what there is

    @afresh
    def set(
        self, name: str, value: str | bytes | Mapping[str, Any] | Secret | None, *, source: str | None = None
    ) -> None:
        """Have the secret ``name`` be ``value`` now: the next read sees it, also where another value is cached.

        A mapping is a secret with fields. None: there is no such secret, as if it had never been. ``source`` is the
        one source of the program's that has it; otherwise each has, and the environment.

        Raises ConfigError for a value that is none, InvalidNameError.
        """
        self._change(name, None if value is None else payload_of(value), source)
        self._forget(name)

    def remove(self, name: str, *, source: str | None = None) -> None:
        """Have no secret ``name`` from now on, as if it had never been: the next read sees that."""
        self.set(name, None, source=source)

    @afresh
    def rotate(
        self, name: str, value: str | bytes | Mapping[str, Any] | Secret | None = None, *, source: str | None = None
    ) -> Secret:
        """Give ``name`` a new version at its manager, as somebody else would: clients see it at their next refresh.

        Without ``value`` it is a random text, which stands in no source line. Returns the new value, which does not
        show itself. Raises ConfigError for a value that is none, InvalidNameError.
        """
        made = secrets.token_urlsafe(24) if value is None else payload_of(value)
        self._change(name, made, source)
        return Secret(made, name=name)

    @afresh
    def value(self, name: str, *, source: str | None = None) -> Secret:
        """Return what the manager has: what was set, or what the program has stored. It does not show itself.

        Raises SecretNotFoundError.
        """
        store = self._stores.get(source or DEFAULT_SOURCE)
        found = self._set.get(name) if store is None else store.current(name)
        if found is None:
            raise SecretNotFoundError(f"{_SYSTEM}: there is no secret {name!r}", provider=_SYSTEM, name=name)
        return Secret(found, name=name)

    def names(self) -> list[str]:
        """The names that are set, or were stored by the program, sorted."""
        return sorted({*self._set, *(name for store in self._stores.values() for name in store.texts())})

    def ask_environment(self) -> None:
        """Have the process environment asked too for what is not set here."""
        self._asks_environment = True
        self._forget(None)

    def _change(self, name: str, payload: Payload | None, source: str | None) -> None:
        check_name(name, _SYSTEM)
        if payload is not None:
            held.add(payload, name)
        for kit in _stack[_stack.index(self) :] if self in _stack else [self]:
            kit._take(name, payload, source)  # noqa: SLF001  # the same class

    def _take(self, name: str, payload: Payload | None, source: str | None) -> None:
        if source is None and payload is None:
            self._set.pop(name, None)
        elif source is None and payload is not None:
            self._set[name] = payload
        for store in [self._store(source)] if source is not None else self._stores.values():
            if payload is None:
                store.remove(name)
            else:
                store.set(name, payload)

    def _store(self, source: str) -> Store:
        if source not in self._stores:
            self._stores[source] = Store(self._set, now=_now)
        return self._stores[source]

    def _forget(self, name: str | None) -> None:
        for source in stand_ins.sources():
            source.home.post(partial(_forget, source, name))

    # -- what goes wrong

    @afresh
    def fail(
        self,
        name: str | None = None,
        *,
        error: AsyncSecretsError | type[AsyncSecretsError] | None = None,
        times: int | None = None,
        source: str | None = None,
        operation: str | None = None,
    ) -> Fault:
        """Have managers fail from now on, for ``times`` calls (None: until it is stopped).

        ``name``, ``source`` and ``operation`` (``get``, ``put``, …) say which calls; all of them, if they are left
        out. ``error`` is a class of ``asyncsecrets.errors`` or an instance; UnavailableError if it is left out, of
        which a client makes several attempts. What is cached is served all the same.

        Returns the fault: ``stop()`` it, or use it in a ``with`` block. Raises ConfigError.
        """
        return self._faults.add(Fault(name, source, operation, limit_of(times), error=error_of(error)))

    @afresh
    def delay(
        self,
        seconds: float,
        name: str | None = None,
        *,
        times: int | None = None,
        source: str | None = None,
        operation: str | None = None,
    ) -> Fault:
        """Have managers answer ``seconds`` later, by the clock of the test where that can be moved. Otherwise as
        ``fail``."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            raise ConfigError("a delay is a number of seconds, 0 or more")
        return self._faults.add(Fault(name, source, operation, limit_of(times), seconds=float(seconds)))

    def recover(self) -> None:
        """Stop every fault of this kit, and have no client hold its readers back any more."""
        self._faults.clear()
        for source in stand_ins.sources():
            source.home.post(source.calls.outage.answered)

    # -- what came

    def count(self, name: str | None = None, *, operation: str | None = None) -> int:
        """How many calls there were, about ``name`` (any), of this ``operation`` (any)."""
        return sum(name in {None, call.name} and operation in {None, call.operation} for call in self.calls)

    @property
    def client(self) -> SecretsClient:
        """A client of these secrets alone, for what is given its client. It is the default of nobody, needs no opening,
        and ends with the kit."""
        if self._client is None:
            declared = SourceConfig(
                name=DEFAULT_SOURCE,
                system="memory",
                access_mode=AccessMode.READ_AND_WRITE,
                store_virtual_keys=True,
            )
            self._client = SecretsClient(Config(sources={DEFAULT_SOURCE: declared}))
        return self._client

    # -- asyncsecrets.client.stand_ins.StandIn

    def provider(self, declared: SourceConfig, beside: EnvironmentProvider | None = None) -> Provider:
        """What answers for a source, and for what ``beside`` has and is not set here."""
        found: FakeProvider = provider_class(declared.system)(
            declared,
            self._store(declared.name),
            before=partial(_meet, declared),
            beside=beside,
            clock=clock_now,
        )
        return found

    def variables(self, environ: Mapping[str, str] | None) -> Mapping[str, str]:
        """What the environment has: nothing, unless it is asked."""
        return Variables(lambda: self._given(environ))

    def settings(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """What a configuration's own settings are looked up in: nobody needs to have set what leads to a manager."""
        return Settings(environ)

    def hurried(self, retry: Retry) -> Retry:
        """Attempts without waits between them."""
        return Retry(retry.policy, jitter=retry.jitter, sleep=_no_sleep)

    def _given(self, environ: Mapping[str, str] | None) -> Mapping[str, str]:
        if not self._asks_environment:
            return {}
        return os.environ if environ is None else environ


async def _meet(declared: SourceConfig, operation: str, name: str) -> None:
    """Note the call in every kit, and let it meet the faults of all of them."""
    call = Call(operation, name, declared.name)
    for kit in [*_stack]:
        kit.calls.append(call)
    for fault in [fault for kit in reversed(_stack) for fault in kit._faults.met(call)]:  # noqa: SLF001
        if fault.error is not None:
            raise fault.error(call, declared.system)
        await sleep(fault.seconds)


async def _no_sleep(_: float) -> None:
    """An attempt is made again at once: what fails here does so on command."""


def _now() -> datetime:
    return datetime.fromtimestamp(wall_now(), UTC)


def _forget(source: Source, name: str | None) -> None:
    """Have no client go by what it knows of ``name`` at this source; None: of anything."""
    names = {name, source.primary_secret_name}

    def concerned(key: Key) -> bool:
        return name is None or (key if isinstance(key, str) else key[0]) in names

    source.cache.invalidate_all(concerned)


_stack: list[FakeSecrets] = []
