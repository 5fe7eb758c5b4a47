"""A memory manager that counts its calls, and fails where it is told to, and keys in it."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable
from typing import Any

from asyncsecrets import SecretsClient, VirtualKeys
from asyncsecrets.errors import UnsupportedOperationError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Payload, Secret

CHANGES = ("put", "delete", "restore", "destroy", "delete_versions")


class Times:
    """A clock that is moved by whoever sleeps, or by hand. Meanwhile others do what they have begun."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        for _ in range(100):
            await asyncio.sleep(0)


class Manager(MemoryProvider):
    """It keeps a list of its calls, and ``fail`` says which of them fail. What is given up does not arrive late."""

    attempt_timeout = 0.01

    def __init__(self, secrets: dict[str, Payload] | None = None) -> None:
        super().__init__(secrets, before=self._note)
        self.calls: list[tuple[str, str]] = []
        self.fail: Callable[[str, str], BaseException | None] = lambda operation, name: None

    async def _note(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        if (failure := self.fail(operation, name)) is not None:
            raise failure

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] in CHANGES]

    @property
    def values(self) -> dict[str, Payload]:
        """What is current."""
        return {name: kept[-1].payload for name, kept in self._secrets.items() if kept[-1].state == "enabled"}


class Plain(Manager):
    """It has no compare-and-set, as Azure."""

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        if cas is not None:
            raise UnsupportedOperationError("plain: there is no compare-and-set")
        return await super().put(name, payload)


class Unversioned(Plain):
    """Its versions have no numbers, as those of Vault's KV version 1."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        assert version is None
        found = await super().get(name)
        return Secret(found.reveal(), name=name)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        await super().put(name, payload, cas=cas)
        return Secret(payload, name=name)


def randomness() -> Callable[[int], bytes]:
    """Random bytes of which the keys are canaries: ``sk-canary…``."""
    numbers = itertools.count()

    def make(count: int) -> bytes:
        text = f"canary{next(numbers):05}".ljust(count * 4 // 3 + 1, "A")
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))[:count]

    return make


def client_of(manager: MemoryProvider, **options: Any) -> SecretsClient:
    return SecretsClient.from_provider(
        manager, environ={}, **{"retry": RetryPolicy(attempts=1), "read_your_writes": 0.0, **options}
    )


def keys_of(client: SecretsClient, times: Times, **options: Any) -> VirtualKeys:
    made = {"randomness": randomness(), "now": times, "clock": times, "sleep": times.sleep}
    return VirtualKeys(client, **{**made, **options})
