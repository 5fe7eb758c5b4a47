"""The short forms of ``python -m benchmarks.linear_writes`` and ``python -m benchmarks.virtual_keys_crash``."""

from __future__ import annotations

import random

import pytest

from asyncsecrets.providers.memory import MemoryProvider
from benchmarks import virtual_keys_crash
from benchmarks.linear_writes import Faults, Scale, run, run_at


@pytest.mark.parametrize(("manager", "operations"), [("memory", 150), ("local", 30)])
async def test_what_is_said_of_a_write_is_true(manager, operations):
    """Acknowledged, failed, unknown: each is, of every write."""
    report = await run_at(manager, Scale(operations=operations, writers=4, seed=1))
    assert report.holds, (report.lost, report.false, report.older)
    assert report.faults > operations / 8
    assert report.outcomes["acknowledged"] > operations / 4
    assert report.reads > operations / 8


@pytest.mark.parametrize("flaw", ["forgets", "repeats"])
async def test_a_manager_that_lies_would_be_found(flaw):
    """One that acknowledges and stores nothing, or writes an older value once more."""
    shared = {}
    dice = random.Random(1)

    class Lying(MemoryProvider):
        async def put(self, name, payload, *, cas=None, token=""):
            lies = dice.random() < 0.2
            if lies and flaw == "forgets" and name in shared:
                return await self.get(name)
            written = await super().put(name, payload, cas=cas, token=token)
            if lies and flaw == "repeats":
                self.set(name, shared[name][0].payload)
            return written

    def make():
        provider = Lying()
        provider._secrets = shared
        return provider

    report = await run(Scale(operations=150, writers=4, faults=0.0, seed=1), make, Faults(0.0, dice))
    assert not report.holds


@pytest.mark.soak
@pytest.mark.parametrize("manager", ["memory", "local", "hashicorp_vault", "google_secret_manager", "azure_key_vault"])
async def test_five_thousand_writes(manager):
    """At each manager whose stand-in is here by itself."""
    assert (await run_at(manager, Scale(seed=1))).holds


@pytest.mark.soak
@pytest.mark.parametrize("manager", virtual_keys_crash.MANAGERS)
def test_two_hundred_kills(manager):
    """At every step of a rotation."""
    with virtual_keys_crash.MANAGERS[manager]() as make:
        report = virtual_keys_crash.run(make, 200)
    assert report.holds, (report.lost, report.unfinished)
