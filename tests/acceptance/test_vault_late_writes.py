"""A write whose answer never came may still be applied, much later: the server was frozen, a proxy held it back.

``python -m benchmarks.vault_chaos`` with a real server that is stopped and continued makes such writes; here they are
made one by one.
"""

from __future__ import annotations

import contextlib

import pytest

from asyncsecrets.errors import ConflictError, ProviderError, UnavailableError, WriteOutcomeUnknownError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings


class Late(VaultProvider):
    """Its first write is not answered, and reaches the server when ``land`` is called; by itself at ``moment``."""

    def __init__(self, stage, moment=None):
        super().__init__(VaultSettings(addr=stage.url, token=stage.token, path_prefix=stage.own))
        self.moment = moment
        self.held = None
        self.writes = 0

    async def put(self, name, payload, *, cas=None, token=""):
        self.writes += 1
        if self.writes == 1:
            self.held = name, payload, cas, token
            raise UnavailableError("no answer", provider=self.system, name=name, outcome_unknown=True)
        if self.moment == "before the second":
            await self.land()
        written = await super().put(name, payload, cas=cas, token=token)
        if self.moment == "after the second":
            await self.land()
        return written

    async def land(self):
        """What was sent arrives."""
        if self.held is not None:
            (name, payload, cas, token), self.held = self.held, None
            with contextlib.suppress(ProviderError):
                await super().put(name, payload, cas=cas, token=token)


async def stored(stage, name="x"):
    """Every version's value, oldest first."""
    async with stage.provider() as provider:
        versions = [version.version for version in await provider.versions(name)]
        return [(await provider.get(name, version)).field("key").reveal() for version in versions]


@pytest.fixture
async def seeded(stage):
    """One version is there."""
    async with stage.provider() as provider:
        await provider.put("x", "canary-1")


async def test_compare_and_set_is_done_once(stage, seeded):
    """The second try is applied and answered, so the first, which arrives later, is not."""
    late = Late(stage, "after the second")
    async with stage.client(late) as client:
        assert (await client.put("x", "canary-2", cas="1")).version == "2"
        assert (await client.get("x")).equals("canary-2")
    assert await stored(stage) == ["canary-1", "canary-2"]


async def test_an_equal_value_is_not_proof(stage, seeded):
    """The first try arrives before the second, whose conflict may as well be with somebody who wrote the same."""
    late = Late(stage, "before the second")
    async with stage.client(late) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("x", "canary-2", cas="1")
        assert (await client.get("x")).equals("canary-2")
    assert await stored(stage) == ["canary-1", "canary-2"]


async def test_a_conflict_with_somebody_else_is_not_ours(stage, seeded):
    """The next version holds somebody else's value: ours was not applied, and never will be."""

    class Overtaken(Late):
        async def land(self):
            await VaultProvider.put(self, "x", "canary-theirs")

    async with stage.client(Overtaken(stage, "before the second")) as client:
        with pytest.raises(ConflictError):
            await client.put("x", "canary-2", cas="1")
        assert (await client.get("x")).equals("canary-theirs")


async def test_a_conflict_at_the_first_try_is_a_conflict(stage, seeded):
    """Nothing of ours was sent before: it is as it always was."""
    late = Late(stage)
    late.writes = 1
    async with stage.client(late) as client:
        with pytest.raises(ConflictError):
            await client.put("x", "canary-2", cas="7")


@pytest.mark.parametrize("moment", ["before the second", "after the second"])
async def test_a_plain_write_is_done_once(stage, seeded, moment):
    """The version that it replaced was known: there is one new version, not two."""
    late = Late(stage, moment)
    async with stage.client(late) as client:
        await client.get("x")
        await client.put("x", "canary-2")
    assert await stored(stage) == ["canary-1", "canary-2"]


async def test_an_older_write_does_not_land_on_a_newer_one(stage, seeded):
    """What arrives after a later, acknowledged write of ours changes nothing."""
    late = Late(stage)
    async with stage.client(late) as client:
        await client.get("x")
        await client.put("x", "canary-2")
        await client.put("x", "canary-3")
        await late.land()
        assert (await client.refresh("x")).equals("canary-3")


async def test_the_last_one_wins_where_nobody_asked_for_more(stage, seeded):
    """Somebody else has written since we read: a plain put replaces that, whatever we knew."""
    async with stage.provider() as provider, stage.client(provider) as client:
        await client.get("x")
        await stage.write(f"{stage.own}/x", "canary-theirs")
        assert (await client.put("x", "canary-2")).version == "3"
        assert (await client.get("x")).equals("canary-2")
    assert await stored(stage) == ["canary-1", "canary-theirs", "canary-2"]


async def test_a_plain_write_over_somebody_elses_that_is_not_answered(stage, seeded):
    """It is not repeated: what it would replace is not what we knew."""
    async with stage.client(Late(stage)) as client:
        await client.get("x")
        await stage.write(f"{stage.own}/x", "canary-theirs")
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("x", "canary-2")
    assert await stored(stage) == ["canary-1", "canary-theirs"]
