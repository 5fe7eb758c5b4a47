"""Cold reads from a Vault-shaped server: what we add to a bare aiohttp session that makes the same requests.

Rows are interleaved, so that whatever else the machine does hits all of them. ``client`` is a whole
``SecretsClient.get`` of a name never read before: routing, single flight, retry, deadline, parsing, storing.
``provider`` is the Vault provider alone. hvac runs in threads.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import aiohttp
import hvac

from asyncsecrets import SecretsClient
from asyncsecrets.providers.vault import VaultProvider
from benchmarks.stub_server import stub_server

Read = Callable[[str], Awaitable[object]]

ROUNDS = 9
READS = 1_500
IN_FLIGHT = 64


async def measure() -> dict[str, list[tuple[float, float]]]:
    """Return (seconds, CPU seconds) of READS reads with IN_FLIGHT at once, by row and round."""
    with stub_server() as url, ThreadPoolExecutor(IN_FLIGHT) as threads:
        environ = {"VAULT_ADDR": url, "VAULT_TOKEN": "hvs.canary"}
        config = {
            "general_settings": {
                "key_management_system": "hashicorp_vault",
                "key_management_settings": {"max_entries": "100000", "kv_version": "2"},
            },
        }
        provider = VaultProvider.from_settings({"kv_version": "2"}, environ)
        await provider.open()
        client = SecretsClient.from_config(config, environ=environ)
        vault = hvac.Client(url=url, token="hvs.canary")
        headers = {"X-Vault-Token": "hvs.canary", "X-Vault-Request": "true"}
        async with client, aiohttp.ClientSession(headers=headers) as session:

            async def bare(name: str) -> None:
                async with session.get(f"{url}/v1/secret/data/{name}") as response:
                    await response.read()

            async def threaded(name: str) -> None:
                read = vault.secrets.kv.v2.read_secret_version
                await asyncio.get_running_loop().run_in_executor(
                    threads, lambda: read(name, raise_on_deleted_version=True)
                )

            rows: dict[str, Read] = {
                "bare aiohttp": bare,
                "provider": provider.get,
                "client": client.get,
                "hvac in threads": threaded,
            }
            results: dict[str, list[tuple[float, float]]] = {row: [] for row in rows}
            names = (f"name-{number}" for number in count())
            for number in range(ROUNDS + 1):
                for row, read in rows.items():
                    taken = await _run(read, [next(names) for _ in range(READS // (5 if "hvac" in row else 1))])
                    if number:  # the first round warms connections and caches
                        results[row].append(taken)
        await provider.aclose()
    return results


async def _run(read: Read, names: list[str]) -> tuple[float, float]:
    pending = iter(names)

    async def worker() -> None:
        for name in pending:
            await read(name)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.perf_counter() - started) / len(names), (time.process_time() - cpu) / len(names)


def main() -> None:
    """Print throughput and CPU per read as ratios to the bare session."""
    results = asyncio.run(measure())
    floor = [statistics.median(column) for column in zip(*results["bare aiohttp"], strict=True)]
    print(f"Cold reads, {IN_FLIGHT} in flight, medians of {ROUNDS} interleaved rounds of {READS} reads")
    print(f"{'':24}{'reads/s':>10}{'x aiohttp':>11}{'CPU us/read':>13}{'x aiohttp':>11}")
    for row, rounds in results.items():
        wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{row:24}{1 / wall:10,.0f}{floor[0] / wall:11.2f}{cpu * 1e6:13.0f}{cpu / floor[1]:11.2f}")


if __name__ == "__main__":
    main()
