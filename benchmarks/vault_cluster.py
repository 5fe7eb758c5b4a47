"""A cluster whose standbys answer reads, and whose leader is killed: what one client reads after its own changes.

Writers change names of their own (``put``, ``put`` with ``cas``, ``patch``, ``delete``); readers of the same client
read the same names, from memory and past it. Each reader notes which change of its name was acknowledged before it
asked, and holds what it gets against that. Afterwards every acknowledged version is read from the leader.

``python -m benchmarks.vault_cluster`` wants a cluster that is there already: BENCH_CLUSTER_ADDRS, separated by commas,
the client's own node first (a standby); BENCH_CLUSTER_TOKEN, a token that may do everything; BENCH_CLUSTER_CA, a file.
BENCH_CLUSTER_KILL is a command that kills the leader, run after a third of BENCH_CLUSTER_SECONDS (60). With
BENCH_CLUSTER_KNOWN=1 the client knows all nodes (``cluster_addrs``), else the first one only.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from asyncsecrets import SecretsClient
from asyncsecrets.errors import AsyncSecretsError, SecretNotFoundError, WriteOutcomeUnknownError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.secret import Secret

__all__ = ["Cluster", "Report", "Scale", "run"]

FOLDER = "cluster"
GONE = -1  # what is read of a name that was deleted


@dataclass(frozen=True)
class Cluster:
    """Where the nodes are. ``known``: whether the client is told of all of them."""

    addrs: tuple[str, ...]
    token: str
    ca: str = ""
    kill: str = ""
    known: bool = False


@dataclass(frozen=True)
class Scale:
    """How much load, and for how long."""

    seconds: float = 60.0
    writers: int = 8
    names_per_writer: int = 4
    readers: int = 50


@dataclass
class Change:
    """One change of a name, and what is read after it. ``outcome``: begun, acknowledged, failed or unknown."""

    kind: str
    leaves: int
    outcome: str = "begun"
    version: str | None = None


@dataclass
class Report:
    """What happened. ``behind``, ``lost`` and ``twice`` must be empty."""

    reads: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    behind: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    @property
    def unknown_share(self) -> float:
        """Of the changes that were made or may have been, those whose outcome is unknown."""
        return self.changes["unknown"] / max(1, self.changes["unknown"] + self.changes["acknowledged"])


class Ledger:
    """The changes of one name, in order. Only one is under way at a time."""

    def __init__(self) -> None:
        self.changes: list[Change] = [Change("nothing", GONE, "acknowledged")]
        self.acknowledged = 0

    def begin(self, kind: str, leaves: int) -> Change:
        """A change is about to be sent."""
        self.changes.append(Change(kind, leaves))
        return self.changes[-1]

    def end(self, change: Change, outcome: str, version: str | None = None) -> None:
        """How it ended."""
        change.outcome, change.version = outcome, version
        if outcome == "acknowledged":
            self.acknowledged = len(self.changes) - 1

    def allows(self, since: int, read: int) -> bool:
        """Whether whoever asked when the ``since``-th change was acknowledged may read this."""
        return any(change.leaves == read for change in self.changes[since:] if change.outcome != "failed")


class Run:
    """One run."""

    def __init__(self, cluster: Cluster, scale: Scale) -> None:
        self.cluster = cluster
        self.scale = scale
        self.report = Report()
        self.ledgers: dict[str, Ledger] = defaultdict(Ledger)
        self._numbers = iter(range(1, 10**9))
        self._ending = False

    async def run(self) -> Report:
        """The whole story."""
        for name in self._names():
            _ = self.ledgers[name]
        await self._prepare()
        async with SecretsClient.from_provider(self._provider(), environ={}, refresh_interval=2.0) as client:
            readers = [asyncio.create_task(self._read(client)) for _ in range(self.scale.readers)]
            writers = [asyncio.create_task(self._write(client, number)) for number in range(self.scale.writers)]
            await asyncio.sleep(self.scale.seconds / 3)
            await self._kill()
            await asyncio.sleep(self.scale.seconds * 2 / 3)
            self._ending = True
            await asyncio.gather(*writers, *readers)
        for name, ledger in self.ledgers.items():
            await self._settle(name, ledger)
        return self.report

    def _names(self) -> list[str]:
        scale = self.scale
        return [
            f"{FOLDER}/w{writer}n{number}"
            for writer in range(scale.writers)
            for number in range(scale.names_per_writer)
        ]

    def _provider(self) -> VaultProvider:
        own, *others = self.cluster.addrs
        settings: dict[str, Any] = {"addr": own, "token": self.cluster.token, "ca_cert": self.cluster.ca}
        if self.cluster.known:
            settings["cluster_addrs"] = tuple(others)
        return VaultProvider(VaultSettings(**settings))

    async def _kill(self) -> None:
        if self.cluster.kill:
            process = await asyncio.create_subprocess_shell(self.cluster.kill)
            await process.wait()

    # -- writing

    async def _write(self, client: SecretsClient, writer: int) -> None:
        names = [name for name in self._names() if name.startswith(f"{FOLDER}/w{writer}n")]
        versions: dict[str, str | None] = {}
        while not self._ending:
            name = random.choice(names)
            await self._change(client, name, versions)

    async def _change(self, client: SecretsClient, name: str, versions: dict[str, str | None]) -> None:
        ledger, number = self.ledgers[name], next(self._numbers)
        there = ledger.changes[-1].leaves != GONE
        kind = random.choice(["put", "put", "cas", "patch", "delete"] if there and versions.get(name) else ["put"])
        change = ledger.begin(kind, GONE if kind == "delete" else number)
        ways: dict[str, Callable[[], Awaitable[Secret | None]]] = {
            "put": lambda: client.put(name, str(number)),
            "cas": lambda: client.put(name, str(number), cas=versions[name]),
            "patch": lambda: client.patch(name, {"key": str(number)}),
            "delete": lambda: client.delete(name),
        }
        try:
            written = await ways[kind]()
        except WriteOutcomeUnknownError as error:
            self._ended(ledger, change, "unknown", error)
            versions[name] = None
        except AsyncSecretsError as error:
            patched = kind == "patch" and "was patched" in str(error)
            self._ended(ledger, change, "unknown" if patched else "failed", error)
            versions[name] = None
        else:
            version = written.version if written is not None else None
            ledger.end(change, "acknowledged", version)
            self.report.changes["acknowledged"] += 1
            versions[name] = version if written is not None else versions.get(name)

    def _ended(self, ledger: Ledger, change: Change, outcome: str, error: AsyncSecretsError) -> None:
        ledger.end(change, outcome)
        self.report.changes[outcome] += 1
        self.report.errors[f"{change.kind}: {type(error).__name__}"] += 1

    # -- reading

    async def _read(self, client: SecretsClient) -> None:
        names = self._names()
        while not self._ending:
            name = random.choice(names)
            way = random.choice(["get", "get", "refresh", "invalidate"])
            await self._look(client, name, way)
            await asyncio.sleep(random.random() / 50)

    async def _look(self, client: SecretsClient, name: str, way: str) -> None:
        ledger = self.ledgers[name]
        if way == "invalidate":
            client.invalidate(name)
        since = ledger.acknowledged
        try:
            secret = await (client.refresh(name) if way == "refresh" else client.get(name))
            read = int(secret.reveal())
        except SecretNotFoundError:
            read = GONE
        except AsyncSecretsError as error:
            self.report.errors[f"{way}: {type(error).__name__}"] += 1
            return
        self.report.reads[way] += 1
        if not ledger.allows(since, read):
            last = ledger.changes[since]
            self.report.behind.append(f"{way} {name}: {read} after {last.kind} left {last.leaves}")

    # -- the end

    async def _prepare(self) -> None:
        async with self._session() as session:
            for addr in self.cluster.addrs:
                answer = await session.post(f"{addr}/v1/secret/config", json={"max_versions": 100_000})
                if answer.status < 300:
                    break
            for name in self._names():
                await session.delete(f"{self.cluster.addrs[0]}/v1/secret/metadata/{name}")
            await asyncio.sleep(1)

    def _session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=self.cluster.ca or None)
        connector = aiohttp.TCPConnector(ssl=context)
        return aiohttp.ClientSession(connector=connector, headers={"X-Vault-Token": self.cluster.token})

    async def _settle(self, name: str, ledger: Ledger) -> None:
        async with self._session() as session:
            leader = await self._leader(session)
            made = [change for change in ledger.changes if change.outcome == "acknowledged" and change.version]
            versions = Counter(change.version for change in made)
            self.report.twice += [f"{name} version {version}" for version, count in versions.items() if count > 1]
            for change in made:
                found = await self._stored(session, f"{leader}/v1/secret/data/{name}?version={change.version}")
                if found not in {GONE, change.leaves}:
                    self.report.lost.append(f"{name} version {change.version}: {found} instead of {change.leaves}")
            last = await self._stored(session, f"{leader}/v1/secret/data/{name}")
            if not ledger.allows(ledger.acknowledged, last):
                self.report.lost.append(f"{name}: {last} at the end")

    async def _stored(self, session: aiohttp.ClientSession, url: str) -> int:
        async with session.get(url) as answer:
            data = json.loads(await answer.text()).get("data") or {}
            return int(data["data"]["key"]) if data.get("data") else GONE

    async def _leader(self, session: aiohttp.ClientSession) -> str:
        """The node that says so of itself: one of which others say it may be about to become it, and lag."""
        for _ in range(60):
            for addr in self.cluster.addrs:
                try:
                    async with session.get(f"{addr}/v1/sys/leader") as answer:
                        told = json.loads(await answer.text())
                except (aiohttp.ClientError, ValueError):
                    continue
                if told.get("is_self"):
                    return addr
            await asyncio.sleep(1)
        raise SystemExit("no node is the leader")


async def run(cluster: Cluster, scale: Scale | None = None) -> Report:
    """Run the story against ``cluster``."""
    return await Run(cluster, scale or Scale()).run()


def main() -> int:
    """Print what happened; 1 if a promise was broken."""
    environ = os.environ
    if not environ.get("BENCH_CLUSTER_ADDRS"):
        sys.stdout.write("BENCH_CLUSTER_ADDRS names no cluster: see the module\n")
        return 2
    cluster = Cluster(
        addrs=tuple(environ["BENCH_CLUSTER_ADDRS"].split(",")),
        token=environ["BENCH_CLUSTER_TOKEN"],
        ca=environ.get("BENCH_CLUSTER_CA", ""),
        kill=environ.get("BENCH_CLUSTER_KILL", ""),
        known=environ.get("BENCH_CLUSTER_KNOWN") == "1",
    )
    report = asyncio.run(run(cluster, Scale(seconds=float(environ.get("BENCH_CLUSTER_SECONDS", "60")))))
    sys.stdout.write(
        f"reads                        {sum(report.reads.values()):>8}  {dict(report.reads)}\n"
        f"changes                      {sum(report.changes.values()):>8}  {dict(report.changes)}\n"
        f"errors                       {sum(report.errors.values()):>8}  {dict(report.errors)}\n"
        f"unknown outcomes             {report.unknown_share:>8.2%}\n"
        f"reads behind a change        {len(report.behind):>8}  {report.behind[:5]}\n"
        f"acknowledged and lost        {len(report.lost):>8}  {report.lost[:5]}\n"
        f"acknowledged twice           {len(report.twice):>8}  {report.twice[:5]}\n"
    )
    return 1 if report.behind or report.lost or report.twice else 0


if __name__ == "__main__":
    sys.exit(main())
