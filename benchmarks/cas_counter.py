"""A counter that several clients increase by compare-and-set, over a network that loses and delays.

Every increment is acknowledged, lost to another (and tried again), known not to be applied, or of unknown outcome. The
counter must end at no less than what was acknowledged, and at no more than that and what is unknown.

``python -m benchmarks.cas_counter`` runs 8 writers of 300 increments against the dev server: with a client for each,
and with one for all.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError, ProviderError, WriteOutcomeUnknownError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.vault_server import VaultServer
from benchmarks.relay import Relay

__all__ = ["Report", "Scale", "run"]

NAME = "counter"


@dataclass(frozen=True)
class Scale:
    """How much, with which patience, and over how bad a network: see ``Relay``."""

    writers: int = 8
    clients: int = 8
    increments: int = 300
    resets: float = 0.1
    late: float = 0.02
    delay: float = 0.005
    seed: int | None = None
    retry: RetryPolicy = RetryPolicy()  # noqa: RUF009  # frozen


@dataclass
class Report:
    """How the increments ended, and what the counter says."""

    outcomes: Counter[str] = field(default_factory=Counter)
    final: int = 0
    spoilt: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether nothing was acknowledged that is not there, and nothing is there that nobody heard of."""
        return self.outcomes["acknowledged"] <= self.final <= self.outcomes["acknowledged"] + self.outcomes["unknown"]

    @property
    def unknown_share(self) -> float:
        """Of the increments, those whose outcome is unknown."""
        return self.outcomes["unknown"] / max(1, self.outcomes["acknowledged"] + self.outcomes["unknown"])


async def run(scale: Scale | None = None) -> Report:
    """Count."""
    scale, report = scale or Scale(), Report()
    began = time.perf_counter()
    async with VaultServer() as server:
        dice = random.Random(scale.seed)
        relay = Relay(server.url, resets=scale.resets, late=scale.late, delay=scale.delay, dice=dice)
        async with relay, _client(server.url, server.root_token, scale) as direct:
            await direct.put(NAME, "0")
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(_client(relay.url, server.root_token, scale))
                           for _ in range(scale.clients)]  # fmt: skip
                await asyncio.gather(
                    *(_count(clients[number % scale.clients], scale, report) for number in range(scale.writers))
                )
            await asyncio.sleep(2 * scale.delay)
            report.final = int((await direct.refresh(NAME)).reveal())
        report.spoilt = relay.spoilt
    report.seconds = time.perf_counter() - began
    return report


def _client(url: str, token: str, scale: Scale) -> SecretsClient:
    provider = VaultProvider(VaultSettings(addr=url, token=token))
    return SecretsClient.from_provider(provider, environ={}, retry=scale.retry)


async def _count(client: SecretsClient, scale: Scale, report: Report) -> None:
    done = 0
    while done < scale.increments:
        outcome = await _increase(client)
        report.outcomes[outcome] += 1
        done += outcome in {"acknowledged", "unknown"}


async def _increase(client: SecretsClient) -> str:
    try:
        read = await client.refresh(NAME)
    except ProviderError:
        return "not read"
    try:
        await client.put(NAME, str(int(read.reveal()) + 1), cas=read.version)
    except WriteOutcomeUnknownError:
        return "unknown"
    except ConflictError:
        return "lost"
    except ProviderError:
        return "not applied"
    return "acknowledged"


def main() -> int:
    """Print what happened; 1 if the counter is not where it must be."""
    reports = {clients: asyncio.run(run(Scale(clients=clients))) for clients in (8, 1)}
    for clients, report in reports.items():
        most = report.outcomes["acknowledged"] + report.outcomes["unknown"]
        sys.stdout.write(
            f"{clients} clients\n"
            f"  increments                {dict(report.outcomes)}, {report.spoilt} requests spoilt\n"
            f"  acknowledged <= counter   {report.outcomes['acknowledged']} <= {report.final} <= {most}\n"
            f"  unknown outcomes          {report.unknown_share:.2%}\n"
        )
    return 0 if all(report.holds for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
