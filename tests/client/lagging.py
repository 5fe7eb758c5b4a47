"""A manager of which a node that lags answers the reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from asyncsecrets.errors import ProviderError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Payload, Secret
from tests.client.able import Able

__all__ = ["Lagging", "LaggingBatches", "LaggingCluster", "Simple"]


class Lagging(Able):
    """Able, whose reads are answered by another node. ``lag(seconds)``: from now on that one knows of nothing new."""

    get_current = None  # type: ignore[assignment]  # there is no other place to ask
    may_lag = None  # type: ignore[assignment]

    def __init__(self, *script: str, **secrets: Payload) -> None:
        super().__init__(*script, **secrets)
        self._until = float("-inf")
        self._standby = MemoryProvider()

    def lag(self, seconds: float = float("inf")) -> None:
        """Answer with what is true now, whatever happens, for so long."""
        self._until = asyncio.get_running_loop().time() + seconds
        self._standby = MemoryProvider()
        self._standby._secrets = {name: list(versions) for name, versions in self._secrets.items()}

    async def get(self, name: str, version: str | None = None) -> Secret:
        if asyncio.get_running_loop().time() < self._until:
            await self._begin("get", name)
            return _by_loop_time(await self._standby.get(name, version))
        return _by_loop_time(await super().get(name, version))

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        return _by_loop_time(await super().put(name, payload, cas=cas, token=token))


def _by_loop_time(secret: Secret) -> Secret:
    """``secret``, which ages as the loop's time passes."""
    clock = asyncio.get_running_loop().time
    payload = secret.reveal_bytes() if secret.is_binary else secret.reveal()
    return Secret(payload, name=secret.name, version=secret.version, created=secret.created, clock=clock)


class LaggingCluster(Lagging):
    """One whose leader can be asked. ``alone``: whether nobody else could have answered."""

    alone = False

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        self.calls.append(("get_current", name))
        return _by_loop_time(await MemoryProvider.get(self, name, version))

    async def may_lag(self) -> bool:
        return not self.alone


class LaggingBatches(Lagging):
    """One that answers for several names in one call."""

    batch_size: ClassVar[int] = 10

    async def get_many(self, names: Sequence[str]) -> Mapping[str, Secret | ProviderError]:
        self.calls.append(("get_many", ",".join(names)))
        return {name: await self.get(name) for name in names}


class Simple:
    """A manager that has neither versions nor times, and answers with what ``answers`` holds before what it has."""

    system: ClassVar[str] = "simple"
    default_field: str | None = None

    def __init__(self, **secrets: Payload) -> None:
        self.secrets = dict(secrets)
        self.stale: dict[str, Any] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""

    def abandon(self) -> None:
        """Nothing to do."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        value = self.stale.get(name, self.secrets.get(name))
        if isinstance(value, ProviderError):
            raise value
        if value is None:
            raise MemoryProvider()._not_found(name, version)
        return Secret(value, name=name)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        self.secrets[name] = payload
        return Secret(payload, name=name)

    async def delete(self, name: str) -> None:
        self.secrets.pop(name, None)
