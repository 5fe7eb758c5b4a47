"""A process killed by SIGKILL in the middle of a rotation, at every step: whether anybody's key is lost.

A child rotates a key, and is killed right before or right after one of the calls of its provider, each in turn. Then
the key that was valid before must be accepted, whatever the step was; reconcile must end what was left; and both the
key before and the one that is current must be accepted, of which the first was handed out and the second is the one
that is stored.

``python -m benchmarks.virtual_keys_crash`` kills 200 children at the local store, and 200 at the dev server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncsecrets import SecretsClient, VirtualKeys
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.local import LocalProvider, generate_key, init_store
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.testing.vault_server import VaultServer

__all__ = ["MANAGERS", "Report", "run"]

ALIAS = "team-a"
_CALLS = ("get", "get_current", "put", "delete")
_STEPS = 8  # calls of a rotation


@dataclass
class Report:
    """``lost``: kills after which a key that had been handed out was not accepted, or the name was gone."""

    kills: int = 0
    ended_first: int = 0
    left: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, and everything came to an end."""
        return not self.lost and not self.unfinished


def deadly(make: Callable[[], Any], at: int, *, before: bool) -> Any:
    """A provider in whose call number ``at`` this process is killed, before or after it is made."""
    provider, calls, is_within = make(), 0, False

    def wrapped(method: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            nonlocal calls, is_within
            if is_within:  # one of its methods calls another
                return await method(*args, **options)
            calls, is_within = calls + 1, True
            if calls == at and before:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                result = await method(*args, **options)
            finally:
                is_within = False
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in _CALLS:
        setattr(provider, name, wrapped(getattr(provider, name)))
    return provider


def client_of(provider: Provider) -> SecretsClient:
    """A client of it, which touches nothing of this machine."""
    return SecretsClient.from_provider(provider, environ={})


async def _rotate(provider: Provider) -> None:
    async with client_of(provider) as client:
        await VirtualKeys(client, patience=0).rotate(ALIAS, grace=3600)


def _killed(make: Callable[[], Any], at: int, *, before: bool) -> bool:
    """Rotate in a child that is killed; whether it was, and had not come to its end."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_rotate(deadly(make, at, before=before)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


async def _look(make: Callable[[], Any], report: Report, what: str, known: str, finish: bool) -> str:
    """See what was left, and bring it to an end; the key that is current then."""
    async with client_of(make()) as client:
        keys = VirtualKeys(client, patience=0)
        if await keys.verify(known, ALIAS) is None:
            report.lost.append(f"{what}: the old key is not accepted")
        found = await keys.reconcile("finish" if finish else "undo")
        report.left.update(one.state for one in found)
        report.unfinished += [f"{what}: {one.state}: {one.problem}" for one in await keys.reconcile() if one.is_open]
    async with client_of(make()) as client:
        keys = VirtualKeys(client, patience=0)
        current = (await keys.get(ALIAS)).reveal()
        for name, key in (("old", known), ("current", current)):
            if await keys.verify(key, ALIAS) is None:
                report.lost.append(f"{what}: the {name} key is not accepted in the end")
    return current


async def _created(make: Callable[[], Any]) -> str:
    async with client_of(make()) as client:
        return (await VirtualKeys(client).create(ALIAS)).reveal()


def run(make: Callable[[], Any], kills: int) -> Report:
    """Kill, look, reconcile: with ``finish`` and ``undo`` in turn."""
    report = Report()
    current = asyncio.run(_created(make))
    number = 0
    while report.kills < kills:
        at, before, finish = number // 2 % _STEPS + 1, number % 2 == 0, number // 16 % 2 == 0
        number += 1
        was_killed = _killed(make, at, before=before)
        report.kills += was_killed
        report.ended_first += not was_killed
        what = f"{'before' if before else 'after'} call {at}, {'finish' if finish else 'undo'}"
        current = asyncio.run(_look(make, report, what, current, finish))
        if report.ended_first > kills:
            report.unfinished.append("most children came to their end before they were killed")
            break
    return report


@contextlib.contextmanager
def local() -> Iterator[Callable[[], Any]]:
    """The local store."""
    secret, public = generate_key()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secrets.yaml"
        init_store(path, public)
        yield lambda: LocalProvider(path, key=secret)


@contextlib.contextmanager
def vault() -> Iterator[Callable[[], Any]]:
    """The dev server, in a thread."""
    with VaultServer().run_in_thread() as server:
        settings = VaultSettings(addr=server.url, token=server.root_token)
        yield lambda: VaultProvider(settings)


MANAGERS = {"local": local, "hashicorp_vault": vault}


def main(argv: list[str] | None = None) -> int:
    """Print what happened; 1 if anything was lost."""
    kills = int((argv or ["200"])[0])
    reports = {}
    for name, manager in MANAGERS.items():
        with manager() as make:
            report = reports[name] = run(make, kills)
        sys.stdout.write(
            f"{name}: {report.kills} children killed in a rotation ({report.ended_first} had come to its end)\n"
            f"  found and ended           {dict(report.left)}\n"
            f"  lost                      {len(report.lost)}\n"
            f"  not brought to an end     {len(report.unfinished)}\n"
        )
        for line in [*report.lost, *report.unfinished][:5]:
            sys.stdout.write(f"    {line}\n")
    return 0 if all(report.holds for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
