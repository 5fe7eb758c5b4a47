"""A server killed under 200 readers: what they see, how soon it is over, and how long the event loop stood still.

Every reader reads a warm secret every few milliseconds through ``get_secret``. The refresh interval is one second,
so that the outage is noticed by the renewals at once; ``max_stale`` is a minute. The server is killed, stays away,
and comes back with other values.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter

from asyncsecrets import SecretsClient, get_secret
from benchmarks.vault_process import VaultProcess

READERS = 200
NAMES = 20
BEFORE, OUTAGE = 2.0, 6.0


class Probe:
    """Measures how late a timer of the loop is: the longest time that nobody else could run.

    ``ours`` leaves out what Python's garbage collection took of it: a full one walks over everything that the process
    has imported, whoever caused it.
    """

    def __init__(self) -> None:
        self.worst = self.ours = 0.0
        self._collecting = self._collected = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        gc.callbacks.append(self._note)
        try:
            while True:
                started, self._collected = time.perf_counter(), 0.0
                await asyncio.sleep(0.001)
                late = time.perf_counter() - started - 0.001
                self.worst, self.ours = max(self.worst, late), max(self.ours, late - self._collected)
        finally:
            gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self._collected += time.perf_counter() - self._collecting


async def _read(name: str, seen: Counter[str], errors: Counter[str]) -> None:
    while True:
        try:
            seen[await get_secret(name)] += 1
        except Exception as error:  # what a reader would see is what is measured
            errors[type(error).__name__] += 1
        await asyncio.sleep(0.005)


async def measure(server: VaultProcess) -> None:
    """Run the whole story and print it."""
    names = [f"benchmark/outage-{number}" for number in range(NAMES)]
    for name in names:
        server.write(name, "canary-before")
    settings = {"refresh_interval": "1", "max_stale": "60", "kv_version": "2"}
    config = {
        "general_settings": {"key_management_system": "hashicorp_vault", "key_management_settings": settings},
    }
    environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.token}
    seen: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    probe = Probe()
    async with SecretsClient.from_config(config, environ=environ) as client:
        await client.warm_up(names)
        gc.collect()  # what start-up and its imports left: a server that has run for a minute has that behind it
        tasks = [asyncio.create_task(_read(names[number % NAMES], seen, errors)) for number in range(READERS)]
        tasks.append(asyncio.create_task(probe.run()))
        await asyncio.sleep(BEFORE)
        await asyncio.to_thread(server.kill)
        before = sum(seen.values())
        await asyncio.sleep(OUTAGE)
        during = sum(seen.values()) - before
        failed = sum(source.failures for source in client.status())
        await asyncio.to_thread(server.start)
        for name in names:
            await asyncio.to_thread(server.write, name, "canary-after")
        back = time.perf_counter()
        while any(client.texts.get(name) != "canary-after" for name in names) and time.perf_counter() - back < 90:
            await asyncio.sleep(0.01)
        recovered = time.perf_counter() - back
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(f"{READERS} readers of {NAMES} secrets, refresh interval 1 s, max stale 60 s, server killed for {OUTAGE:g} s")
    print(f"  reads during the outage            {during:,}")
    print(f"  failed renewals during the outage  {failed:,}")
    print(f"  errors seen by readers             {sum(errors.values())} {dict(errors) or ''}")
    print(f"  all new values seen after          {recovered:.1f} s, without a restart")
    print(f"  worst stall of the event loop      {probe.worst * 1e3:.1f} ms")
    print(f"    without garbage collections      {probe.ours * 1e3:.1f} ms")


def main() -> None:
    """Run against the dev server, or the binary that BENCH_VAULT names."""
    with VaultProcess.running() as server:
        asyncio.run(measure(server))


if __name__ == "__main__":
    main()
