"""The hooks of a proxy: a key that was issued is stored, renamed, replaced in place and deleted, in the order asked."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import AccessModeError, ConflictError, InvalidNameError, UnavailableError
from asyncsecrets.integrations.litellm.keys import Keys
from asyncsecrets.secret import Secret
from asyncsecrets.testing.vault_server import VaultServer
from tests.client.support import ONCE, Manager, client_of, down


def key(text: str) -> Secret:
    return Secret(text, name="litellm/a")


def operations(manager: Manager) -> list[tuple[str, str]]:
    return [call for call in manager.calls if call[0] in {"put", "delete"}]


@pytest.fixture
async def keys(manager):
    """Keys at a manager that may be written to."""
    async with client_of(manager, retry=ONCE) as client:
        yield Keys(client)


async def test_a_key_is_stored_read_and_deleted(keys, manager):
    """What is written is there, and what is deleted is not."""
    written = await keys.write("litellm/a", key("canary-a1"))
    assert written.version == "1"
    assert (await keys.read("litellm/a")).reveal() == "canary-a1"
    await keys.delete("litellm/a")
    await keys.delete("litellm/a")
    assert await keys.read("litellm/a") is None
    assert await keys.read("litellm/never") is None


async def test_the_same_name_is_updated_in_place_and_never_deleted(keys, manager):
    """LiteLLM's own base class deletes what it has just written."""
    await keys.write("litellm/a", key("canary-a1"))
    rotated = await keys.rotate("litellm/a", "litellm/a", key("canary-a2"))
    assert rotated.version == "2"
    assert (await keys.read("litellm/a")).reveal() == "canary-a2"
    assert ("delete", "litellm/a") not in operations(manager)


async def test_another_name_is_read_back_before_the_old_one_goes(keys, manager):
    """At each moment there is a key that works."""
    await keys.write("litellm/a", key("canary-a1"))
    manager.calls.clear()
    await keys.rotate("litellm/a", "litellm/b", key("canary-b"))
    assert manager.calls == [("put", "litellm/b"), ("get", "litellm/b"), ("delete", "litellm/a")]
    assert await keys.read("litellm/a") is None
    assert (await keys.read("litellm/b")).reveal() == "canary-b"


async def test_a_key_that_was_never_stored_is_stored_when_it_is_replaced(keys, manager):
    """It was issued before keys were stored here."""
    await keys.rotate("litellm/unknown", "litellm/b", key("canary-b"))
    assert (await keys.read("litellm/b")).reveal() == "canary-b"


async def test_the_old_key_stays_if_the_new_one_is_not_what_was_written(keys, manager, monkeypatch):
    """Somebody else wrote that name in the same moment."""
    await keys.write("litellm/a", key("canary-a1"))
    put = manager.put

    async def put_and_lose(name, value, **options):
        written = await put(name, value, **options)
        manager.set(name, "canary-other")
        return written

    monkeypatch.setattr(manager, "put", put_and_lose)
    with pytest.raises(ConflictError, match="kept"):
        await keys.rotate("litellm/a", "litellm/b", key("canary-b"))
    assert (await keys.read("litellm/a")).reveal() == "canary-a1"


async def test_the_old_key_stays_if_the_new_one_is_not_written(keys, manager):
    """A manager that is down loses nothing."""
    await keys.write("litellm/a", key("canary-a1"))
    manager.failure = down
    with pytest.raises(UnavailableError):
        await keys.rotate("litellm/a", "litellm/b", key("canary-b"))
    manager.failure = None
    assert (await keys.read("litellm/a")).reveal() == "canary-a1"


async def test_a_key_is_read_as_it_is_now(keys, manager):
    """Another worker has replaced it: what is renamed must be the new one."""
    await keys.write("litellm/a", key("canary-a1"))
    await keys.read("litellm/a")
    manager.set("litellm/a", "canary-a2")
    assert (await keys.read("litellm/a")).reveal() == "canary-a2"


async def test_a_key_is_read_for_a_rename_where_nothing_else_may_be_read(manager):
    """``write_only`` keeps programs from reading, and LiteLLM's hook from nothing that is its own."""
    async with client_of(manager, access_mode="write_only") as client:
        keys = Keys(client)
        await keys.write("litellm/a", key("canary-a1"))
        found = await keys.read("litellm/a")
        assert found.reveal() == "canary-a1"
        await keys.rotate("litellm/a", "litellm/b", found)
        assert (await keys.read("litellm/b")).reveal() == "canary-a1"


async def test_any_alias_has_a_name(keys, manager):
    """The key is issued by then; no alias is refused, and none meets another's key."""
    aliases = ["team a", "ümläut", "a/../b", ".rotation/x", "x" * 200, "_2e-rotation", "-", " ", "virtual-key-hash"]
    for alias in aliases:
        await keys.write(f"litellm/{alias}", key(f"canary-{alias}"))
    for alias in aliases:
        assert (await keys.read(f"litellm/{alias}")).reveal() == f"canary-{alias}"


async def test_a_team_s_keys_are_where_its_settings_say():
    """Flat as LiteLLM hands them on, or as they stand in its metadata; others' keys stay where they are."""
    async with VaultServer(namespaces=["acme"]) as vault:
        settings = {"addr": vault.url, "token": vault.root_token, "access_mode": "read_and_write"}
        general = {"key_management_system": "hashicorp_vault", "key_management_settings": settings}
        async with SecretsClient.from_config({"general_settings": general}) as client:
            keys, flat = Keys(client), {"namespace": "acme", "path_prefix": "team", "data": "password"}
            await keys.write("litellm/a", key("canary-ours"))
            await keys.write("litellm/a", key("canary-team"), flat)
            there = vault.read_secret("team/litellm/a", namespace="acme")
            assert there == {"password": "canary-team"}
            found = await keys.read("litellm/a", {"secret_manager_settings": flat})
            assert found.reveal() == "canary-team"
            await keys.rotate("litellm/a", "litellm/b", found, flat)
            assert vault.read_secret("team/litellm/b", namespace="acme") == there
            assert vault.read_secret("team/litellm/a", namespace="acme") is None
            assert vault.read_secret("litellm/a") == {"key": "canary-ours"}


async def test_a_name_that_is_none_of_litellm_s_is_refused(keys, manager):
    """The prefix keeps the hooks off everything else."""
    manager.set("DB_PASSWORD", "canary-db")
    with pytest.raises(InvalidNameError, match="prefix"):
        await keys.delete("DB_PASSWORD")
    assert operations(manager) == []


async def test_the_name_of_a_deleted_key_is_used_again(manager, monkeypatch):
    """Where the manager keeps it for some days, it is restored and gets the new value, as LiteLLM does."""
    put = manager.put
    restored: list[str] = []

    async def put_unless_deleted(name, value, **options):
        if not restored:
            raise ConflictError("scheduled for deletion", provider="memory", name=name)
        return await put(name, value, **options)

    async def restore(name, versions=None):
        restored.append(name)

    monkeypatch.setattr(manager, "put", put_unless_deleted)
    monkeypatch.setattr(manager, "restore", restore)
    async with client_of(manager, retry=ONCE) as client:
        keys = Keys(client)
        await keys.write("litellm/a", key("canary-a2"))
        assert (await keys.read("litellm/a")).reveal() == "canary-a2"
    assert restored == ["litellm/a"]


async def test_no_key_stays_in_the_cache(keys, manager):
    """A proxy mints thousands, and none is to be renewed day by day."""
    await keys.write("litellm/a", key("canary-a1"))
    await keys.rotate("litellm/a", "litellm/b", key("canary-b"))
    await keys.read("litellm/b")
    assert [source.secrets for source in keys._client.status() if source.system == "memory"] == [()]


async def test_what_overlaps_for_one_name_is_done_in_the_order_asked(keys, manager):
    """LiteLLM's hooks are background tasks; each waits for those before it."""
    manager.gate = asyncio.Event()
    hooks = [
        asyncio.ensure_future(keys.write("litellm/a", key("canary-a1"))),
        asyncio.ensure_future(keys.rotate("litellm/a", "litellm/b", key("canary-b"))),
        asyncio.ensure_future(keys.rotate("litellm/b", "litellm/a", key("canary-a2"))),
        asyncio.ensure_future(keys.delete("litellm/a")),
        asyncio.ensure_future(keys.write("litellm/a", key("canary-a3"))),
    ]
    await asyncio.sleep(0)
    manager.gate.set()
    await asyncio.gather(*hooks)
    assert (await keys.read("litellm/a")).reveal() == "canary-a3"
    assert await keys.read("litellm/b") is None
    assert operations(manager) == [
        ("put", "litellm/a"),
        ("put", "litellm/b"),
        ("delete", "litellm/a"),
        ("put", "litellm/a"),
        ("delete", "litellm/b"),
        ("delete", "litellm/a"),
        ("put", "litellm/a"),
    ]


async def test_a_source_that_is_read_only_is_not_written_to(manager):
    """Nothing is sent."""
    async with client_of(manager, access_mode="read_only") as client:
        with pytest.raises(AccessModeError):
            await Keys(client).write("litellm/a", key("canary-a"))
    assert manager.calls == []
