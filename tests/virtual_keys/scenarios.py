"""What a gateway does with keys, at whatever manager: run by the tests of each."""

from __future__ import annotations

from typing import Any

import pytest

from asyncsecrets import SecretsClient, VirtualKeys
from asyncsecrets.errors import ConflictError, SecretNotFoundError
from tests.virtual_keys.support import Times, keys_of

SETTINGS = {
    "access_mode": "read_and_write",
    "store_virtual_keys": "true",
    "prefix_for_stored_virtual_keys": "keys/of",
    "refresh_interval": "3600",
}
"""The prefix gets its slash."""

ODD = "Tém A//b\n-x20-é%2e"
"""An alias that no manager has in a name as it is."""


async def life(client: SecretsClient, *, anew: bool = True) -> None:
    """A key from its beginning to its end; ``anew``: what was deleted can be created again at once."""
    times = Times()
    keys = keys_of(client, times)
    first = await keys.create("team-a")
    assert (await client.get("keys/of/team-a", source="default")).equals(first)
    with pytest.raises(ConflictError):
        await keys.create("team-a")
    second = (await keys.rotate("team-a", grace=60)).key
    assert (await client.refresh("keys/of/team-a", source="default")).equals(second)
    await both_accepted(keys, "team-a", first.reveal(), second.reveal())
    third = (await keys.rename("team-a", ODD, "sk-canary-third", grace=60)).key
    assert await keys.list() == [ODD]
    await both_accepted(keys, ODD, second.reveal(), third.reveal())
    assert (await keys.verify(first.reveal(), ODD)).which == "previous"
    await keys.rotate(ODD, grace=0)
    assert await keys.verify(third.reveal(), ODD) is None
    assert [one.state for one in await keys.reconcile("finish")] == ["in_grace"]
    times.now += 61
    assert [(one.state, one.fixed) for one in await keys.reconcile("finish")] == [("expired", True)]
    await keys.delete(ODD)
    assert await keys.list() == []
    assert [one for one in await keys.reconcile() if one.is_open] == []
    with pytest.raises(SecretNotFoundError):
        await keys.rotate(ODD)
    if anew:
        again = await keys.create(ODD)
        assert (await keys.rotate(ODD)).key.equals(again) is False


async def both_accepted(keys: VirtualKeys, alias: str, old: str, new: str) -> None:
    """The old key beside the new one, asked for by its alias or not."""
    for given in (alias, None):
        assert (await keys.verify(old, given)).which == "previous"
        assert (await keys.verify(new, given)).which == "current"


def document(system: str, **settings: Any) -> dict[str, Any]:
    """A configuration with one source that stores virtual keys."""
    given = {**SETTINGS, **settings}
    return {"general_settings": {"key_management_system": system, "key_management_settings": given}}
