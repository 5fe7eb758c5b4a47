"""The provider that answers for a source of a program under test, with the secrets of the test."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from asyncsecrets.declared import SourceConfig
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.kit.held import held

__all__ = ["Document", "FakeProvider", "Store", "payload_of", "provider_class"]

Before = Callable[[str, str], Awaitable[None]]


class Document(str):
    """The JSON text of a secret that the test gave as a mapping: its members are the manager's fields."""

    __slots__ = ()


class Store(MemoryProvider):
    """What one source of the program has: versions by name, shared by every client that has such a source."""

    def copied(self) -> Store:
        """Another store with the same versions."""
        other = Store(now=self._now)
        other._secrets = {name: [*versions] for name, versions in self._secrets.items()}
        return other

    def current(self, name: str) -> Payload | None:
        """The value that is there, or None."""
        versions = self._secrets.get(name)
        return versions[-1].payload if versions and versions[-1].state == "enabled" else None

    def texts(self) -> dict[str, str]:
        """Every value that is text, by name."""
        found = {name: self.current(name) for name in self._secrets}
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def shared(self) -> tuple[dict[str, Any], Callable[[], datetime]]:
        """What is in here, now and later, and its clock."""
        return self._secrets, self._now


@guarded
class FakeProvider(MemoryProvider):
    """Answers for the source ``declared`` with what is in ``store``, spelled as its manager spells it.

    ``beside`` is asked for what is not there; ``clock`` tells the age of what is handed out.
    """

    concurrency = 1_000  # nothing is waited for but delays of the test's own

    def __init__(
        self,
        declared: SourceConfig,
        store: Store,
        *,
        before: Before,
        beside: EnvironmentProvider | None,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(before=before)
        self._secrets, self._now = store.shared()
        self._store = store
        self._beside = beside
        self._clock = clock
        self._primary = declared.primary_secret_name
        if declared.system == "hashicorp_vault":
            self.default_field = str(declared.settings.get("secret_field", "key")) or None

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Return what the test has set."""
        await self._begin("get", name)
        made = self._made(name) if version is None and self._store.current(name) is None else None
        return self._spelled(self._read(name, version) if made is None else made)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        """Add a version, to the secrets of the test."""
        held.add(payload, name)
        return self._spelled(await super().put(name, payload, cas=cas, token=token))

    def _made(self, name: str) -> Secret | None:
        """What is there without having been set: the secret that all names are members of, or a variable."""
        if name == self._primary:
            return Secret(Document(json.dumps(self._store.texts())), name=name)
        return None if self._beside is None else self._beside.lookup(name)

    def _spelled(self, secret: Secret) -> Secret:
        payload = payload_of(secret)
        if self.default_field is not None and isinstance(payload, str) and not isinstance(payload, Document):
            payload = json.dumps({self.default_field: payload})
        return Secret(payload, name=secret.name, version=secret.version, created=secret.created, clock=self._clock)


@cache
def provider_class(system: str) -> type[FakeProvider]:
    """The class for a manager, by whose name errors and logs call it."""
    return type("FakeProvider", (FakeProvider,), {"system": system})


def payload_of(value: object) -> Payload:
    """What is stored for a value that a test gave. Raises ConfigError, without showing it."""
    if isinstance(value, Secret):
        return value.reveal_bytes() if value.is_binary else value.reveal()
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        document = _document(value)
        if document is not None:
            return Document(document)
    raise ConfigError(
        f"the value of a secret is a text, bytes, a mapping that JSON can hold, or None where there is to be no such "
        f"secret, and not {type(value).__name__}"
    )


def _document(value: Mapping[Any, Any]) -> str | None:
    try:
        return json.dumps(dict(value))
    except (TypeError, ValueError):  # holds the value
        return None
