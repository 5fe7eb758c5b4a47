"""The six steps of the demo. Whatever is printed was measured a moment ago; what was promised is checked."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from asyncsecrets import get_secret
from asyncsecrets.cli.demo.backend import Backend
from asyncsecrets.cli.demo.measure import Readers, StallProbe, TtlDict, nanoseconds, stampede
from asyncsecrets.client import SecretsClient

__all__ = ["Outcome", "tell"]

_NAME: Final = "DB_PASSWORD"
_OTHER: Final = "OTHER"
_STAMPEDE: Final = 1_000
_READERS: Final = 100
_REFRESH: Final = 0.5  # s
_SEEN_WITHIN: Final = 5.0  # s; a promise broken by a machine that is busy elsewhere proves nothing
_OUTAGE: Final = 0.8  # s, or until a refresh has failed, if that is later

Say = Callable[[str], None]
Read = Callable[[str], Awaitable[Any]]


@dataclass(slots=True)
class Outcome:
    """What was measured, and which promises did not hold."""

    measured: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def promise(self, held: bool, what: str) -> None:
        """Record whether ``what`` was so."""
        if not held:
            self.broken.append(what)

    @property
    def ending(self) -> str:
        """The last lines."""
        seconds = self.measured["seconds"]
        if self.broken:
            return "\n".join(["", *(f"NOT KEPT: {what}" for what in self.broken), f"done in {seconds:.1f} s"])
        return f"\nevery promise held, in {seconds:.1f} s.   Next: asyncsecrets init"


async def tell(say: Say, backend: Backend | None = None) -> Outcome:
    """Run every step against a server of its own (``backend``: a stand-in for tests)."""
    outcome = Outcome()
    say("asyncsecrets demo: nothing is written to disk, nothing leaves 127.0.0.1\n")
    async with backend or Backend() as server:
        await server.write(_NAME, secrets.token_hex(16))
        await server.write(_OTHER, secrets.token_hex(16))
        ready = outcome.measured["ready_seconds"] = time.perf_counter() - outcome.started
        say(f"1  dev vault      ready on {server.url} in {ready:.2f} s (a fake: real HTTP, in memory, its own process)")
        await _many_readers(server, outcome, say)
        async with _client(server, refresh_interval=_REFRESH) as client:
            await _warm_read(outcome, say)
            readers = Readers(get_secret, _NAME)
            async with StallProbe() as probe, readers.running(_READERS):
                await _rotation(server, readers, outcome, say)
                await _outage(server, client, readers, outcome, say)
                await _recovery(server, readers, outcome)
        _say_recovery(outcome, probe, say)
    outcome.measured["seconds"] = time.perf_counter() - outcome.started
    return outcome


def _client(server: Backend, **settings: Any) -> SecretsClient:
    # Only the server is asked for the name: whatever .env lies in the working directory is not the demo's business.
    vault = {"addr": server.url, "token": server.token, "hosted_keys": [_NAME, _OTHER], **settings}
    config = {"general_settings": {"key_management_system": "hashicorp_vault", "key_management_settings": vault}}
    return SecretsClient.from_config(config, environ={})


async def _many_readers(server: Backend, outcome: Outcome, say: Say) -> None:
    say(f"2  {_STAMPEDE:,} readers  of one cold key           backend calls        ms")
    calls = 0
    for label, cached, wrap in (("no cache", False, _as_it_is), _plain_cache(), ("asyncsecrets", True, _as_it_is)):
        # Each has a client of its own that is connected already, so that nobody pays for who came before.
        async with _client(server, always_read_secret_manager=not cached) as client:
            await client.get(_OTHER)
            before = await server.count(_NAME)
            seconds = await stampede(wrap(client.get), _NAME, _STAMPEDE)
            calls = await server.count(_NAME) - before
        outcome.measured.setdefault("cold_key", {})[label] = {"backend_calls": calls, "seconds": seconds}
        say(f"     {label:<37} {calls:>14,} {seconds * 1000:>9.1f}")
    outcome.promise(calls == 1, f"one backend call for {_STAMPEDE:,} readers of a cold key (there were {calls})")


def _plain_cache() -> tuple[str, bool, Callable[[Read], Read]]:
    """What a program would put in front of an uncached client: async-lru, or a dict where that is not there."""
    try:
        alru_cache = import_module("async_lru").alru_cache
    except ModuleNotFoundError:
        return "a plain cache (dict with a TTL)", False, lambda fetch: TtlDict(fetch, ttl=60)

    def wrap(fetch: Read) -> Read:
        async def fetch_plainly(name: str) -> Any:
            return await fetch(name)

        cached: Read = alru_cache(ttl=60)(fetch_plainly)
        return cached

    return "a plain cache (async-lru)", False, wrap


def _as_it_is(read: Read) -> Read:
    return read


async def _warm_read(outcome: Outcome, say: Say) -> None:
    known = {_NAME: await get_secret(_NAME)}

    async def lookup(name: str) -> str:
        return known[name]

    ours, bare = await nanoseconds(_NAME, get_secret, lookup)
    outcome.measured["warm_read_ns"] = {"get_secret": ours, "bare_coroutine_dict_lookup": bare}
    say(f"3  warm read      await get_secret() {ours:.0f} ns; await of a bare dict lookup {bare:.0f} ns")


async def _rotation(server: Backend, readers: Readers, outcome: Outcome, say: Say) -> None:
    seconds = await _rotate(server, readers, time.perf_counter())
    outcome.measured["rotation_seen_seconds"] = seconds
    outcome.promise(seconds is not None, f"a rotation is seen within {_SEEN_WITHIN:g} s")
    say(f"4  rotation       seen {_after(seconds)}, no restart (refresh_interval {_REFRESH:g} s)")


async def _rotate(server: Backend, readers: Readers, since: float, value: str = "") -> float | None:
    """Write a new value, unless it is written already; the seconds from ``since`` until a reader has it."""
    if not value:
        value = secrets.token_hex(16)
        await server.write(_NAME, value)
    try:
        async with asyncio.timeout(_SEEN_WITHIN):
            return await readers.when(value) - since
    except TimeoutError:
        return None


async def _outage(server: Backend, client: SecretsClient, readers: Readers, outcome: Outcome, say: Say) -> None:
    failed_before, served_before = _failed(client), readers.served
    await server.kill()
    started = time.perf_counter()
    while (lasted := time.perf_counter() - started) < _SEEN_WITHIN:
        await asyncio.sleep(0.05)
        if lasted > _OUTAGE and _failed(client) > failed_before:
            break
    served, failed, errors = readers.served - served_before, _failed(client) - failed_before, dict(readers.errors)
    outcome.measured["outage"] = {"seconds": lasted, "reads_served": served, "failed_refreshes": failed}
    outcome.measured["outage"]["errors"] = errors
    outcome.promise(failed > 0, "an outage is noticed: at least one refresh fails")
    outcome.promise(served > 0 and not errors, f"no reader sees an outage (there were {errors or 'no reads'})")
    count = sum(errors.values())
    say(
        f"5  vault is down  {served:,} reads in {lasted:.1f} s served from the last good value, "
        f"{failed} failed refresh{'es' if failed != 1 else ''}, {count} errors"
    )


def _failed(client: SecretsClient) -> int:
    return sum(source.failures for source in client.status())


async def _recovery(server: Backend, readers: Readers, outcome: Outcome) -> None:
    value = secrets.token_hex(16)
    await server.write(_NAME, value)
    await server.start()
    outcome.measured["recovery_seen_seconds"] = await _rotate(server, readers, time.perf_counter(), value)


def _say_recovery(outcome: Outcome, probe: StallProbe, say: Say) -> None:
    seconds = outcome.measured["recovery_seen_seconds"]
    outcome.measured["worst_stall_seconds"] = probe.worst
    outcome.promise(
        seconds is not None, f"a manager that comes back is used within {_SEEN_WITHIN:g} s, without a restart"
    )
    say(
        f"6  vault is back  what was rotated meanwhile was seen {_after(seconds)}; "
        f"worst event-loop stall during 4-6: {probe.worst * 1000:.1f} ms"
    )


def _after(seconds: float | None) -> str:
    return f"{seconds:.2f} s later" if seconds is not None else f"NOT within {_SEEN_WITHIN:g} s"
