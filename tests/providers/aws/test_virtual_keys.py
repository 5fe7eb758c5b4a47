"""Virtual keys in Secrets Manager; a team in another region; an alias within the recovery window of another key."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError
from asyncsecrets.retry import RetryPolicy
from tests.virtual_keys.scenarios import document, life
from tests.virtual_keys.support import Times, keys_of

PATIENT = RetryPolicy(attempts=3, deadline=60.0, backoff=(0.001, 0.01))


def client_of(environ, **settings):
    found = document("aws_secret_manager", attempt_timeout="15", **settings)
    return SecretsClient.from_config(found, environ=environ, retry=PATIENT)


async def test_life(aws, environ):
    """Aliases that were deleted are free again, where that is configured."""
    async with client_of(environ, recover_deleted="true") as client:
        await life(client)


async def test_a_name_that_is_scheduled_for_deletion(aws, environ):
    """It is not restored in silence; but a record of ours, which holds no key any more, is no hindrance."""
    async with client_of(environ) as client:
        keys = keys_of(client, Times())
        first = await keys.create("team-a")
        await keys.rotate("team-a")
        await keys.rename("team-a", "team-b")
        with pytest.raises(ConflictError, match="restore"):
            await keys.create("team-a")
        await keys.rename("team-b", "team-c")
        await client.restore("keys/of/team-b")
        second = (await keys.rotate("team-b")).key
        assert (await keys.verify(second.reveal(), "team-b")).which == "current"
        assert await keys.verify(first.reveal(), "team-b") is None
        assert (await keys.verify(first.reveal(), "team-c")).which == "previous"


async def test_a_team_in_another_region(aws, environ):
    """Its keys are there."""
    async with client_of(environ) as client:
        keys = keys_of(client, Times())
        team = keys.team({"aws_region_name": "us-west-2", "namespace": "of Vault"})
        await team.store("key", "sk-canary-of-the-team")
        assert await keys.list() == []
        assert await team.list() == ["key"]
