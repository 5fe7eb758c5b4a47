"""Writes of several writers under injected faults, at every manager that can be written to: whether what the client
said of each is true of the manager.

Each writer, through a client of its own, puts values under shared names and under one of its own, some by
compare-and-set, and reads in between. Nearly a third of the writes fail: lost on the way, or applied and the answer
lost. Each write ends as acknowledged, failed, or of unknown outcome. What is read, and what is there in the end, must
be explained by that:

* *lost*: a write was acknowledged, and nothing is there;
* *false*: a value is there whose write failed, or one version was replaced by two that were both acknowledged;
* *older over newer*: a value is there although a later write was acknowledged after it had ended.

``python -m benchmarks.linear_writes [OPERATIONS] [MANAGER ...]``: 5,000 operations at each by default, over the fakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError, ProviderError, SecretNotFoundError, UnavailableError
from asyncsecrets.registry import load
from asyncsecrets.retry import RetryPolicy

__all__ = ["MANAGERS", "Report", "Scale", "run"]

_RETRY = RetryPolicy(attempts=3, deadline=30.0, backoff=(0.001, 0.005))


@dataclass(frozen=True)
class Scale:
    """How much; ``faults`` is the share of calls that fail."""

    writers: int = 8
    operations: int = 5_000
    shared: int = 4
    faults: float = 0.3
    seed: int | None = None


@dataclass(slots=True)
class Write:
    """One write: when it was begun and had ended, in turns of one clock, and how it ended."""

    name: str
    value: str
    begun: int
    ended: float = float("inf")
    outcome: str = "unknown"
    cas: str | None = None


@dataclass
class Report:
    """What happened, and what cannot be explained."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    reads: int = 0
    lost: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything can be explained, and there was something to be."""
        return bool(self.outcomes["acknowledged"]) and not (self.lost or self.false or self.older)


class Faults:
    """Fails calls by chance: before they are made, or after."""

    def __init__(self, share: float, dice: random.Random) -> None:
        self.share = share
        self.count = 0
        self._dice = dice

    def subclass(self, cls: type) -> type:
        """The provider class, whose calls may fail."""
        faults = self

        async def put(provider: Any, *args: Any, **options: Any) -> Any:
            return await faults.around(provider, lambda: cls.put(provider, *args, **options), write=True)

        async def get(provider: Any, *args: Any, **options: Any) -> Any:
            return await faults.around(provider, lambda: cls.get(provider, *args, **options), write=False)

        # What is lost here arrives never, and not late.
        return type(cls.__name__, (cls,), {"put": put, "get": get, "attempt_timeout": 0.05})

    async def around(self, provider: Any, call: Any, *, write: bool) -> Any:
        """Make ``call``, and see that it fails, maybe."""
        chance = self._dice.random()
        share = self.share if write else self.share / 3
        if chance < share / 2:
            raise self._failure(provider, write)
        result = await call()
        if chance < share:
            raise self._failure(provider, write)
        return result

    def _failure(self, provider: Any, write: bool) -> UnavailableError:
        self.count += 1
        text = f"{provider.system}: not answered"
        return UnavailableError(text, provider=provider.system, outcome_unknown=write)


class History:
    """All writes, and what was read of them."""

    def __init__(self) -> None:
        self.report = Report()
        self.writes: dict[str, dict[str, Write]] = {}
        self._turn = 0

    def turn(self) -> int:
        """The next moment."""
        self._turn += 1
        return self._turn

    def begin(self, name: str, value: str, cas: str | None) -> Write:
        """A write that begins now."""
        write = Write(name, value, self.turn(), cas=cas)
        self.writes.setdefault(name, {})[value] = write
        return write

    def end(self, write: Write, outcome: str) -> None:
        """It ended; one of unknown outcome may still be applied."""
        write.outcome = outcome
        write.ended = float("inf") if outcome == "unknown" else self.turn()
        self.report.outcomes[outcome] += 1

    def see(self, name: str, value: str | None, begun: int) -> None:
        """``value`` was read by what ``begun`` then."""
        self.report.reads += 1
        known = self.writes.get(name, {})
        acknowledged = [one for one in known.values() if one.outcome == "acknowledged" and one.ended < begun]
        if value is None:
            self.report.lost += [f"{name}: nothing is there"] if acknowledged else []
            return
        seen = known.get(value)
        if seen is None or seen.outcome in {"failed", "conflict"}:
            self.report.false.append(f"{name}: {value} was never written, as was said")
            return
        for later in acknowledged:
            if later.begun > seen.ended:
                self.report.older.append(f"{name}: {value} is there, and {later.value} came after it")

    def check_swaps(self) -> None:
        """No version was replaced by two."""
        for name, known in self.writes.items():
            won = Counter(one.cas for one in known.values() if one.cas and one.outcome == "acknowledged")
            self.report.false += [f"{name}: version {cas} was replaced {n} times" for cas, n in won.items() if n > 1]


async def run(scale: Scale, make: Callable[[], Any], faults: Faults) -> Report:
    """Write, each writer through a client of its own, at what ``make`` makes; it fails by ``faults``."""
    history, left = History(), [scale.operations]
    dice = random.Random(scale.seed)
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(SecretsClient.from_provider(make(), environ={}, retry=_RETRY))
            for _ in range(scale.writers)
        ]
        work = (_writer(client, number, scale, history, dice, left) for number, client in enumerate(clients))
        await asyncio.gather(*work)
        faults.share = 0.0
        for name in history.writes:
            await _look(clients[0], name, history)
    history.check_swaps()
    history.report.faults = faults.count
    return history.report


async def _writer(
    client: SecretsClient, number: int, scale: Scale, history: History, dice: random.Random, left: list[int]
) -> None:
    count = 0
    while left[0] > 0:
        left[0] -= 1
        count += 1
        name = f"own-{number}" if dice.random() < 0.5 else f"shared-{dice.randrange(scale.shared)}"
        cas = None
        if dice.random() < 0.4 or (_compares_among_those_who_do(client) and name.startswith("shared")):
            cas = await _look(client, name, history)
            if cas is None and _compares_among_those_who_do(client):
                continue
        await _write(client, history, name, f"{number}:{count}", cas)


async def _write(client: SecretsClient, history: History, name: str, value: str, cas: str | None) -> None:
    write = history.begin(name, value, cas)
    try:
        await client.put(name, value, cas=cas)
    except ConflictError:
        history.end(write, "conflict")
    except ProviderError as error:
        history.end(write, "unknown" if error.outcome_unknown else "failed")
    else:
        history.end(write, "acknowledged")


async def _look(client: SecretsClient, name: str, history: History) -> str | None:
    """Read anew; the version, where the manager compares with it."""
    begun = history.turn()
    try:
        found = await client.refresh(name, source="default")
    except SecretNotFoundError:
        history.see(name, None, begun)
        return "0" if _compares(client) else None
    except ProviderError:
        return None
    history.see(name, found.reveal(), begun)
    return found.version if _compares(client) else None


def _compares(client: SecretsClient) -> bool:
    return client.status()[1].system != "azure_key_vault"


def _compares_among_those_who_do(client: SecretsClient) -> bool:
    """Google's compare-and-set is a claim: who writes without one may come in between, and the error says so."""
    return client.status()[1].system == "google_secret_manager"


# -- the managers


@contextlib.asynccontextmanager
async def memory(faults: Faults) -> AsyncIterator[Any]:
    """A dict."""
    shared: dict[str, Any] = {}

    def make() -> Any:
        provider = faults.subclass(load("memory"))()  # type: ignore[arg-type]
        provider._secrets = shared
        return provider

    yield make


@contextlib.asynccontextmanager
async def local(faults: Faults) -> AsyncIterator[Any]:
    """The encrypted file."""
    from asyncsecrets.providers.local import generate_key, init_store

    secret, public = generate_key()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secrets.yaml"
        init_store(path, public)
        yield lambda: faults.subclass(load("local"))(path, key=secret)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def vault(faults: Faults) -> AsyncIterator[Any]:
    """The dev server."""
    from asyncsecrets.testing.vault_server import VaultServer

    async with VaultServer() as server:
        settings = {"addr": server.url, "token": server.root_token}
        yield _made(faults, "hashicorp_vault", settings, {})


@contextlib.asynccontextmanager
async def aws(faults: Faults) -> AsyncIterator[Any]:
    """moto, behind a proxy that sees to it that it answers as AWS does."""
    from moto.server import ThreadedMotoServer

    from tests.providers.aws.proxy import AwsProxy

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        async with AwsProxy(f"http://{host}:{port}") as proxy:
            await proxy.reset()
            environ = {
                "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "example",
                "AWS_REGION_NAME": "eu-central-1",
                "AWS_ENDPOINT_URL": proxy.url,
            }
            yield _made(faults, "aws_secret_manager", {"attempt_timeout": "20"}, environ)
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def google(faults: Faults) -> AsyncIterator[Any]:
    """The fake of Google."""
    from asyncsecrets.testing.google_server import GoogleServer
    from tests.providers.google.support import PROJECT

    async with GoogleServer() as server:
        settings = {
            "google_secret_manager_project_id": PROJECT,
            "google_endpoint": f"http://{server.endpoint}",
            "auth_method": "none",
            "attempt_timeout": "20",
        }
        yield _made(faults, "google_secret_manager", settings, {})


@contextlib.asynccontextmanager
async def azure(faults: Faults) -> AsyncIterator[Any]:
    """The fake of Azure, at the names of Azure."""
    from asyncsecrets.testing.azure_server import AzureServer
    from tests.providers.azure.conftest import known

    async with AzureServer(client_secret="example") as server:
        with known(server.addresses):
            settings = {"azure_ca_cert": server.ca_file, "attempt_timeout": "20"}
            yield _made(faults, "azure_key_vault", settings, server.environ())


def _made(faults: Faults, system: str, settings: dict[str, Any], environ: dict[str, str]) -> Callable[[], Any]:
    return lambda: faults.subclass(load(system)).from_settings(settings, environ)  # type: ignore[arg-type,attr-defined]


MANAGERS = {
    "memory": memory,
    "local": local,
    "hashicorp_vault": vault,
    "aws_secret_manager": aws,
    "google_secret_manager": google,
    "azure_key_vault": azure,
}


async def run_at(manager: str, scale: Scale) -> Report:
    """Run at one of them."""
    faults = Faults(scale.faults, random.Random(scale.seed))
    async with MANAGERS[manager](faults) as make:
        return await run(scale, make, faults)


def main(argv: list[str] | None = None) -> int:
    """Print what happened; 1 if anything cannot be explained."""
    words = sys.argv[1:] if argv is None else argv
    operations = next((int(word) for word in words if word.isdigit()), 5_000)
    reports = {}
    for manager in [word for word in words if not word.isdigit()] or MANAGERS:
        report = reports[manager] = asyncio.run(run_at(manager, Scale(operations=operations)))
        sys.stdout.write(
            f"{manager}\n  writes            {dict(report.outcomes)}, {report.faults} faults, {report.reads} reads\n"
            f"  lost              {len(report.lost)}\n"
            f"  false             {len(report.false)}\n"
            f"  older over newer  {len(report.older)}\n"
        )
        for line in [*report.lost, *report.false, *report.older][:3]:
            sys.stdout.write(f"    {line}\n")
    return 0 if all(report.holds for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
