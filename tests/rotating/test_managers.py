"""At every manager: a value that its consumer has first, a member whose others stay, and what is there already."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError, DecodeError, PartialRotationError
from asyncsecrets.rotating import PENDING, rotate
from asyncsecrets.secret import Secret
from tests.managers import PATIENT, place  # noqa: F401  # a fixture
from tests.rotating.test_rotation import Consumer, Values
from tests.virtual_keys.support import Times


def client_of(place, **settings):  # noqa: F811
    return SecretsClient.from_config(
        {"general_settings": place.section(**settings)}, environ=place.environ, retry=PATIENT
    )


async def rotated(client, name, generator, **options):
    """Where it would wait, a clock is moved."""
    return await rotate(client, name, generator, sleep=Times().sleep, **options)


async def test_again_and_again(place):  # noqa: F811
    """With a hook that fails, and one that does not, and once more at once: what was deleted a moment ago is no
    hindrance, and holds no value any more."""
    name, consumer, values = "often/DB", Consumer(), Values()
    async with client_of(place) as client:
        await client.put(name, "canary-old")
        consumer.failure = OSError()
        with pytest.raises(PartialRotationError) as caught:
            await rotated(client, name, values, set_at_consumer=consumer.set)
        assert caught.value.created == f"{name}{PENDING}"
        assert f"{name}{PENDING}" in await client.list("often/")
        assert (await client.refresh(name)).equals("canary-old")
        consumer.failure = None
        for count in (1, 2, 3):
            done = await rotated(client, name, values, set_at_consumer=consumer.set)
            assert done.equals(f"canary-new-{count}")
            assert (await client.get(name)).equals(consumer.value)
        assert (await rotated(client, name, values)).equals("canary-new-4")
        if place.kind not in {"vault 1", "google", "local"}:
            await client.restore(f"{name}{PENDING}")
            kept = (await client.get(f"{name}{PENDING}")).json()
            assert kept["value"] is None
        assert consumer.calls == 4


async def test_a_member(place):  # noqa: F811
    """Of a JSON text, which Vault has in a field of its own: the others stay as they were written, in their order."""
    name = "member/DB"
    text = '{"user": "canary-user", "password": "canary-old", "n": 1.10, "a": [true]}'
    async with client_of(place) as client:
        await client.put(name, text)
        consumer = Consumer()
        await rotated(client, name, Values(), field="password", set_at_consumer=consumer.set)
        assert (await client.get(name, field="password")).equals("canary-new-1")
        found = (await client.get(name)).reveal()
        assert found == '{"user":"canary-user","password":"canary-new-1","n":1.10,"a":[true]}'


async def test_a_member_of_the_primary_secret(place):  # noqa: F811
    """What is read as a member of it is rotated there: that is what its readers get."""
    settings = {"primary_secret_name": "primary/all"}
    if place.system == "hashicorp_vault":
        settings["secret_field"] = ""
    async with client_of(place, **settings) as client:
        await client.put("primary/all", json.dumps({"DB": "canary-old", "OTHER": "canary-other"}))
        assert (await client.get("DB")).equals("canary-old")
        consumer = Consumer()
        done = await rotated(client, "DB", Values(), set_at_consumer=consumer.set)
        assert done.equals("canary-new-1")
        assert (await client.get("DB")).equals(consumer.value)
        assert (await client.get("OTHER")).equals("canary-other")
        assert await client.list("DB") == []


async def test_what_could_not_be_kept_is_said_before_the_consumer_is_told(place):  # noqa: F811
    """A secret that is nearly as large as can be, with a longer password in it."""
    most = {"azure": 25_600, "aws": 65_536, "google": 65_536}.get(place.kind)
    if most is None:
        return  # the limit of these is of their server's requests, or of a whole file
    name, consumer = "large/DB", Consumer()
    padding = "x" * (most - len('{"password":"canary-old","padding":""}'))
    async with client_of(place) as client:
        await client.put(name, f'{{"password":"canary-old","padding":"{padding}"}}')
        with pytest.raises(DecodeError, match="bytes"):
            await rotated(client, name, Values(), field="password", set_at_consumer=consumer.set)
        assert consumer.calls == 0
        assert await client.list(f"{name}-") == []


async def test_a_secret_of_somebodys_where_the_value_would_be_kept(place):  # noqa: F811
    """It is neither promoted nor deleted; without a hook it is not in the way."""
    name, consumer = "own/DB", Consumer()
    async with client_of(place) as client:
        await client.put(name, "canary-old")
        await client.put(f"{name}{PENDING}", "canary-theirs")
        with pytest.raises(ConflictError, match="a secret of somebody's"):
            await rotated(client, name, Values(), set_at_consumer=consumer.set)
        assert (consumer.calls, (await client.refresh(name)).reveal()) == (0, "canary-old")
        await rotated(client, name, Values())
        assert (await client.refresh(f"{name}{PENDING}")).equals("canary-theirs")


@pytest.mark.parametrize("place", ["vault 2", "aws", "google", "local"], indirect=True)
async def test_two_at_once(place):  # noqa: F811
    """Consumer and manager agree, and whoever is told that he is done is."""
    name, consumer, numbers = "two/DB", Consumer(), itertools.count(1)

    async def attempt(client):
        values = Values()
        values._numbers = numbers
        return await rotated(client, name, values, set_at_consumer=consumer.set)

    async with client_of(place) as one, client_of(place) as other:
        await one.put(name, "canary-old")
        done = await asyncio.gather(attempt(one), attempt(other), return_exceptions=True)
        assert {type(each) for each in done} <= {Secret, ConflictError, PartialRotationError}
        assert Secret in map(type, done)
        assert (await one.refresh(name)).equals(consumer.value)
