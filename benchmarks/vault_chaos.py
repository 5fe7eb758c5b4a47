"""A server killed, sealed, frozen and restarted under readers and writers: what the readers saw, and what became of
every write.

Readers read warm secrets through a client that logs in with an AppRole whose tokens live for a few seconds. Each writer
writes rising numbers under names of its own, half of them by compare-and-set, and keeps a ledger: acknowledged (with
which version), failed, or outcome unknown. Afterwards every version of every name is read back over plain HTTP and held
against the ledger.

``python -m benchmarks.vault_chaos`` runs against the dev server, whose data survive a kill; with BENCH_VAULT, against
that binary as a process with Raft storage, killed by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from asyncsecrets import SecretsClient
from asyncsecrets.errors import AsyncSecretsError, ConflictError, WriteOutcomeUnknownError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from benchmarks.vault_servers import Binary, Dev, Server

__all__ = ["Chaos", "Entry", "Report", "Scale", "run"]

FOLDER = "chaos"
_ATTEMPT = 1.0  # seconds
POLICY = f"""
path "secret/data/{FOLDER}/*" {{ capabilities = ["create", "read", "update"] }}
path "secret/metadata/{FOLDER}/*" {{ capabilities = ["read", "list"] }}
"""


@dataclass(frozen=True)
class Scale:
    """How much load, and how long: ``beat`` is the length in seconds of a scene; a round has about ten of them."""

    readers: int = 200
    calm_names: int = 20
    writers: int = 8
    names_per_writer: int = 8
    followers: int = 16
    beat: float = 3.0
    rounds: int = 2


@dataclass
class Entry:
    """One write. ``outcome``: acknowledged, failed or unknown."""

    name: str
    number: int
    outcome: str
    version: str | None = None


@dataclass
class Report:
    """What happened. Everything from ``reader_errors`` on must be empty."""

    reads: int = 0
    reads_in_trouble: int = 0
    renewal_failures: int = 0
    logins: int = 0
    renewals: int = 0
    follower_reads: int = 0
    follower_errors: Counter[str] = field(default_factory=Counter)
    failed_with: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    unknown_there: int = 0
    versions: int = 0
    reader_errors: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    failed_but_there: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    older_read: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, Any]:
        """Which promises were broken, and how."""
        promises = ("reader_errors", "lost", "failed_but_there", "twice", "out_of_order", "older_read")
        return {name: getattr(self, name) for name in promises if getattr(self, name)}


class Chaos:
    """One run against one server."""

    def __init__(self, server: Server, scale: Scale) -> None:
        self.server = server
        self.scale = scale
        self.report = Report()
        self.ledger: list[Entry] = []
        self._acknowledged: dict[str, int] = defaultdict(int)
        self._ending = False

    async def run(self) -> Report:
        """The whole story."""
        async with self._operator() as operator:
            provider = await self._prepare(operator)
            options = {"refresh_interval": 1.0, "max_stale": 60.0, "environ": {}}
            async with SecretsClient.from_provider(provider, **options) as client:
                await client.warm_up(self._calm())
                readers, writers = self._tasks(client)
                for _ in range(self.scale.rounds):
                    await self._round()
                self._ending = True
                await asyncio.gather(*writers)
                for task in readers:
                    task.cancel()
                await asyncio.gather(*readers, return_exceptions=True)
                self.report.renewal_failures = sum(source.failures for source in client.status())
            self.report.logins, self.report.renewals = provider.tokens.logins, provider.tokens.renewals
            self._judge(await self._read_back(operator))
        return self.report

    def _calm(self) -> list[str]:
        return [f"calm-{number}" for number in range(self.scale.calm_names)]

    def _written(self, writer: int) -> list[str]:
        return [f"writer-{writer}-{number}" for number in range(self.scale.names_per_writer)]

    def _tasks(self, client: SecretsClient) -> tuple[list[asyncio.Task[None]], list[asyncio.Task[None]]]:
        scale, start = self.scale, asyncio.create_task
        calm = self._calm()
        readers = [start(self._read(client, calm[number % len(calm)])) for number in range(scale.readers)]
        readers += [start(self._follow(client, number % scale.writers)) for number in range(scale.followers)]
        return readers, [start(self._write(client, writer)) for writer in range(scale.writers)]

    # -- the story

    async def _round(self) -> None:
        server, beat = self.server, self.scale.beat
        await self._pause()
        server.trouble()
        await self._pause()
        before = self.report.reads
        await server.kill()
        await self._pause()
        await server.start_sealed()
        await self._pause()
        await server.unseal()
        self.report.reads_in_trouble += self.report.reads - before
        await self._pause()
        before = self.report.reads
        await server.seal()
        await self._pause()
        await server.unseal()
        server.freeze()
        await asyncio.sleep(beat / 3 + _ATTEMPT)  # longer than an attempt: answers come when nobody waits for them
        server.thaw()
        self.report.reads_in_trouble += self.report.reads - before
        await self._pause()
        for _ in range(3):  # the quicker it is back, the likelier that a write is answered by nobody and yet applied
            await server.kill()
            await server.start_sealed()
            await server.unseal()
            await asyncio.sleep(beat / 3)
        await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self.scale.beat)

    # -- readers

    async def _read(self, client: SecretsClient, name: str) -> None:
        while True:
            try:
                secret = await client.get(name)
            except AsyncSecretsError as error:
                self.report.reader_errors[type(error).__name__] += 1
            else:
                self.report.reads += 1
                if not secret.equals(f"canary-{name}"):
                    self.report.older_read.append(name)
            await asyncio.sleep(0.02)

    async def _follow(self, client: SecretsClient, writer: int) -> None:
        """Reads what is being written: never older than what this reader saw, or than what was acknowledged before."""
        seen: dict[str, int] = defaultdict(int)
        while True:
            for name in self._written(writer):
                least = max(seen[name], self._acknowledged[name])
                if not least:
                    continue
                try:
                    number = _number((await client.get(name)).reveal())
                except AsyncSecretsError as error:
                    self.report.follower_errors[type(error).__name__] += 1
                else:
                    self.report.follower_reads += 1
                    seen[name] = number
                    if number < least:
                        self.report.older_read.append(f"{name}: {number} after {least}")
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)

    # -- writers

    async def _write(self, client: SecretsClient, writer: int) -> None:
        """Until the end, and then until each name has an acknowledged write again: the server is back by itself."""
        names, by_cas = self._written(writer), writer % 2 == 1
        known: dict[str, str] = dict.fromkeys(names, "0")
        number, last = 0, set(names)
        while not self._ending or last:
            number += 1
            name = names[number % len(names)]
            entry = await self._attempt(client, name, number, known[name] if by_cas else None)
            if entry.outcome == "acknowledged":
                known[name] = entry.version or ""
                if self._ending:
                    last.discard(name)
            elif by_cas:
                with contextlib.suppress(AsyncSecretsError):
                    known[name] = (await client.refresh(name)).version or ""
            await asyncio.sleep(0.02)

    async def _attempt(self, client: SecretsClient, name: str, number: int, cas: str | None) -> Entry:
        entry = Entry(name, number, "acknowledged")
        self.ledger.append(entry)
        try:
            written = await client.put(name, f"canary-{number}", cas=cas)
        except WriteOutcomeUnknownError:
            entry.outcome = "unknown"
        except AsyncSecretsError as error:
            entry.outcome = "failed"
            said = " (outcome_unknown)" if getattr(error, "outcome_unknown", False) else ""
            self.report.failed_with[type(error).__name__ + said] += 1
            if isinstance(error, ConflictError) and cas is None:
                raise
        else:
            entry.version = written.version
            self._acknowledged[name] = number
            warm = client.peek(name)
            if warm is not None and _number(warm.reveal()) < number:
                self.report.older_read.append(f"{name}: {warm.version} right after {written.version}")
        return entry

    # -- before and after

    @contextlib.asynccontextmanager
    async def _operator(self) -> AsyncIterator[Any]:
        async with aiohttp.ClientSession(headers={"X-Vault-Token": self.server.token}) as session:

            async def call(method: str, path: str, body: Any = None) -> Any:
                async with session.request(method, f"{self.server.url}/v1/{path}", json=body) as answer:
                    if answer.status >= 400:
                        raise RuntimeError(f"{method} {path}: HTTP {answer.status}")
                    return (await answer.json())["data"] if answer.status == 200 else None

            yield call

    async def _prepare(self, operator: Any) -> VaultProvider:
        await operator("POST", "secret/config", {"max_versions": 100_000})
        for name in self._calm():
            await operator("POST", f"secret/data/{FOLDER}/{name}", {"data": {"key": f"canary-{name}"}})
        await operator("POST", "sys/auth/approle", {"type": "approle"})
        await operator("POST", f"sys/policies/acl/{FOLDER}", {"policy": POLICY})
        role = {"token_policies": FOLDER, "token_ttl": "5s", "token_max_ttl": "20s"}
        await operator("POST", f"auth/approle/role/{FOLDER}", role)
        role_id = (await operator("GET", f"auth/approle/role/{FOLDER}/role-id"))["role_id"]
        secret_id = (await operator("POST", f"auth/approle/role/{FOLDER}/secret-id", {}))["secret_id"]
        login = {"approle_role_id": role_id, "approle_secret_id": secret_id}
        return VaultProvider(VaultSettings(addr=self.server.url, path_prefix=FOLDER, attempt_timeout=_ATTEMPT, **login))

    async def _read_back(self, operator: Any) -> dict[str, dict[str, int]]:
        """Name -> version -> number, of everything that is there."""
        stored: dict[str, dict[str, int]] = {}
        for name in {entry.name for entry in self.ledger}:
            metadata = await operator("GET", f"secret/metadata/{FOLDER}/{name}")
            stored[name] = {}
            for version in sorted(metadata["versions"], key=int):
                data = await operator("GET", f"secret/data/{FOLDER}/{name}?version={version}")
                stored[name][version] = _number(data["data"]["key"])
        return stored

    def _judge(self, stored: dict[str, dict[str, int]]) -> None:
        report = self.report
        report.versions = sum(map(len, stored.values()))
        for entry in self.ledger:
            there = [version for version, number in stored[entry.name].items() if number == entry.number]
            what = f"{entry.name} number {entry.number} ({entry.outcome}, version {entry.version}; is in {there})"
            setattr(report, entry.outcome, getattr(report, entry.outcome) + 1)
            if entry.outcome == "acknowledged" and entry.version not in there:
                report.lost.append(what)
            if entry.outcome == "failed" and there:
                report.failed_but_there.append(what)
            if len(there) > 1:
                report.twice.append(what)
            report.unknown_there += entry.outcome == "unknown" and bool(there)
        for name, versions in stored.items():
            numbers = list(versions.values())
            if numbers != sorted(numbers):
                report.out_of_order.append(f"{name}: {numbers}")


def _number(text: str) -> int:
    return int(text.removeprefix("canary-"))


async def run(kind: type[Binary | Dev], scale: Scale) -> Report:
    """Run against a new server of this kind."""
    async with kind.running() as server:
        return await Chaos(server, scale).run()


def main() -> None:
    """Run at full length; fail if any promise was broken."""
    scale = Scale()
    kind = Binary if os.environ.get("BENCH_VAULT") else Dev
    report = asyncio.run(run(kind, scale))
    print(f"{scale.readers} readers, {scale.writers} writers, {scale.rounds} rounds of: faults, killed, sealed,")
    print("unsealed, sealed again, unsealed, frozen, killed and back three times; tokens live for 5 to 20 s")
    print(f"  reads                               {report.reads:,}")
    print(f"  of them while killed or sealed      {report.reads_in_trouble:,}")
    print(f"  errors seen by readers              {sum(report.reader_errors.values())} {dict(report.reader_errors)}")
    print(f"  failed renewals behind them         {report.renewal_failures:,}")
    print(f"  reads of what was being written     {report.follower_reads:,}, errors {dict(report.follower_errors)}")
    print(f"  logins, token renewals              {report.logins}, {report.renewals}")
    print(f"  writes acknowledged                 {report.acknowledged:,}, lost {len(report.lost)}")
    print(f"  writes failed                       {report.failed:,}, of them there all the same")
    print(f"                                      {len(report.failed_but_there)} {dict(report.failed_with)}")
    print(f"  writes of unknown outcome           {report.unknown}, of them applied {report.unknown_there}")
    print(f"  versions at the server              {report.versions:,}, written twice {len(report.twice)}")
    print(f"  older over newer                    {len(report.out_of_order)} stored, {len(report.older_read)} read")
    for promise, what in report.faults().items():
        print(f"BROKEN: {promise}: {what if isinstance(what, Counter) else what[:5]}")
    sys.exit(1 if report.faults() else 0)


if __name__ == "__main__":
    main()
