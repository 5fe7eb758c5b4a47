"""Cold reads from a Vault-shaped server: what we add to a bare aiohttp session that makes the same requests.

With VAULT_ADDR and VAULT_TOKEN set, that server is measured (names are written below ``benchmark/`` first);
otherwise a stub that answers as fast as an asyncio protocol can. Rows are interleaved, so that whatever else the
machine does hits all of them. ``bare`` reads the body, ``bare + JSON`` also the value. ``client`` is a whole
``SecretsClient.get`` of a name never read before: routing, single flight, retry, deadline, parsing, storing.
``provider`` is the Vault provider alone. hvac runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import aiohttp
import hvac

from asyncsecrets import SecretsClient
from asyncsecrets.providers.vault import VaultProvider
from benchmarks.stub_server import stub_server

Read = Callable[[str], Awaitable[object]]

ROUNDS = 9
READS = 1_500
IN_FLIGHT = 64


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[tuple[str, str]]:
    """Yield the address and token of the server to measure against."""
    if "VAULT_ADDR" in os.environ:
        yield os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"]
    else:
        with stub_server() as url:
            yield url, "hvs.canary"


async def measure() -> dict[str, list[tuple[float, float]]]:
    """Return (seconds, CPU seconds) per read, by row and round."""
    async with _server() as (url, token), contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(url, token))
        if "VAULT_ADDR" in os.environ:
            for number in range(ROUNDS + 1):
                await asyncio.gather(*(client.put(name, "canary-value") for name in _names(number)))
                for name in _names(number):
                    client.invalidate(name)
        provider = VaultProvider.from_settings({"kv_version": "2"}, {"VAULT_ADDR": url, "VAULT_TOKEN": token})
        await provider.open()
        stack.push_async_callback(provider.aclose)
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        threads = stack.enter_context(ThreadPoolExecutor(IN_FLIGHT))
        rows = {
            **_bare(session, url),
            "provider": provider.get,
            "client": client.get,
            "hvac": _hvac(url, token, threads),
        }
        results: dict[str, list[tuple[float, float]]] = {row: [] for row in rows}
        for number in range(ROUNDS + 1):
            names = _names(number)
            for row, read in rows.items():
                taken = await run(read, names[: READS // 5] if row == "hvac" else names)
                if number:  # the first round opens the connections
                    results[row].append(taken)
            for name in names:  # the next round has its own
                client.invalidate(name)
    return results


def _names(number: int) -> list[str]:
    """Those of one round."""
    return [f"benchmark/{number}-{place}" for place in range(READS)]


def _client(url: str, token: str) -> SecretsClient:
    settings = {"kv_version": "2", "access_mode": "read_and_write"}
    config = {
        "general_settings": {"key_management_system": "hashicorp_vault", "key_management_settings": settings},
    }
    return SecretsClient.from_config(config, environ={"VAULT_ADDR": url, "VAULT_TOKEN": token})


def _bare(session: aiohttp.ClientSession, url: str) -> dict[str, Read]:
    async def body(name: str) -> None:
        async with session.get(f"{url}/v1/secret/data/{name}") as response:
            await response.read()

    async def value(name: str) -> str:
        async with session.get(f"{url}/v1/secret/data/{name}") as response:
            return (await response.json())["data"]["data"]["key"]

    return {"bare": body, "bare + JSON": value}


def _hvac(url: str, token: str, threads: ThreadPoolExecutor) -> Read:
    vault = hvac.Client(url=url, token=token)
    read = partial(vault.secrets.kv.v2.read_secret_version, raise_on_deleted_version=True)

    async def threaded(name: str) -> object:
        return await asyncio.get_running_loop().run_in_executor(threads, read, name)

    return threaded


async def run(read: Read, names: list[str]) -> tuple[float, float]:
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
    floor = [statistics.median(column) for column in zip(*results["bare"], strict=True)]
    against = "the server at VAULT_ADDR" if "VAULT_ADDR" in os.environ else "a stub"
    print(f"Cold reads from {against}, {IN_FLIGHT} in flight, medians of {ROUNDS} interleaved rounds of {READS} reads")
    print(f"{'':24}{'reads/s':>10}{'x aiohttp':>11}{'CPU us/read':>13}{'x aiohttp':>11}")
    for row, rounds in results.items():
        wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{row:24}{1 / wall:10,.0f}{floor[0] / wall:11.2f}{cpu * 1e6:13.0f}{cpu / floor[1]:11.2f}")


if __name__ == "__main__":
    main()
