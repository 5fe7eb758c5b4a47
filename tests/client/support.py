"""A manager that counts, waits and fails as told, and clients of it that touch nothing of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar, TypeVar

from asyncsecrets.client import SecretsClient
from asyncsecrets.config import Config, SourceConfig
from asyncsecrets.errors import AccessDeniedError, ProviderError, UnavailableError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.virtual_time import VirtualClock

T = TypeVar("T")

ONCE = RetryPolicy(attempts=1)
Failure = Callable[[str], Exception]


def down(name: str) -> ProviderError:
    """The manager cannot be reached."""
    return UnavailableError(f"memory: cannot be reached for {name!r}; is it running?", provider="memory", name=name)


def denied(name: str) -> ProviderError:
    """The manager says no."""
    return AccessDeniedError(f"memory: may not read {name!r}; ask for a policy", provider="memory", name=name)


class Manager(MemoryProvider):
    """MemoryProvider that keeps a list of its calls, and has a gate and a failure to be set."""

    system: ClassVar[str] = "memory"

    def __init__(self, secrets: Mapping[str, Payload] | None = None) -> None:
        super().__init__(secrets, before=self._before)
        self.calls: list[tuple[str, str]] = []
        self.gate: asyncio.Event | None = None
        self.failure: Failure | None = None
        self.opened = self.closed = self.abandoned = 0

    async def open(self) -> None:
        self.opened += 1
        await super().open()

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()

    def abandon(self) -> None:
        self.abandoned += 1

    async def _before(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure(name)


class FieldManager(Manager):
    """A manager whose secrets are JSON objects with the value in ``key``, as Vault's are."""

    default_field = "key"


def client_of(manager: MemoryProvider, environ: Mapping[str, str] | None = None, **options: Any) -> SecretsClient:
    """A client with ``manager`` as its only source, and an environment of its own."""
    return SecretsClient.from_provider(manager, environ=environ or {}, **options)


def client_with(
    sources: Mapping[str, tuple[SourceConfig, MemoryProvider]], environ: Mapping[str, str] | None = None, **options: Any
) -> SecretsClient:
    """A client with these sources."""
    config = Config(sources={name: declared for name, (declared, _) in sources.items()})
    providers = {name: provider for name, (_, provider) in sources.items()}
    return SecretsClient(config, providers=providers, environ=environ or {}, **options)


def in_virtual_time(main: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """Run ``main`` on a loop whose time passes when nothing else is left to do."""
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=clock.new_loop, debug=True) as runner:
        return runner.run(main(clock))


def virtual_client(clock: VirtualClock, manager: MemoryProvider, **options: Any) -> SecretsClient:
    """A client that goes by ``clock``, with every jitter at its middle."""
    return client_of(manager, **virtual_options(clock), **options)


def virtual_options(clock: VirtualClock) -> dict[str, Any]:
    """What makes a client go by ``clock``."""
    return {"cache_options": {"clock": clock.boot_time, "guarded": False}, "jitter": lambda: 0.5}


NOON = 1_800_000_000.0 - 1_000.0  # Unix time; a virtual clock begins a thousand seconds later, 2027-01-15 08:00:00Z


def watched_client(clock: VirtualClock, manager: MemoryProvider, **options: Any) -> SecretsClient:
    """A client that goes by ``clock`` also where people read the time."""
    return virtual_client(clock, manager, wall_clock=lambda: NOON + clock.boot_time(), **options)


async def settled() -> None:
    """Let everything run that can run."""
    for _ in range(20):
        await asyncio.sleep(0)


def value(secret: Secret | None) -> str | None:
    """What a secret says."""
    return None if secret is None else secret.reveal()


async def text_of(client: SecretsClient, name: str) -> str:
    """Read a secret and reveal it."""
    return (await client.get(name)).reveal()
