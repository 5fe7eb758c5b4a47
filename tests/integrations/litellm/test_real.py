"""With LiteLLM itself, in one process: its loader, its resolver, its key hooks, its router. For `make test-litellm`."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os

import pytest

from asyncsecrets.errors import ResolveError
from asyncsecrets.integrations.litellm import shared as sharing
from asyncsecrets.providers.memory import MemoryProvider

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM and what it stands on warn of themselves


def manager() -> MemoryProvider:
    """Where the secrets are."""
    (shared,) = sharing._shared.values()
    return shared.resident.client._sources["default"]._connection.provider


async def rotate(name: str, value: str) -> None:
    """Somebody else has written it, and the client has renewed it."""
    (shared,) = sharing._shared.values()
    manager().set(name, value)
    await asyncio.wrap_future(shared.resident.begin(lambda: shared.resident.client.refresh(name)))
    await asyncio.sleep(0)
    if shared._rotated._changing is not None:
        await shared._rotated._changing


async def test_litellm_resolves_its_file_through_us(proxy):
    """Its own loader finds the class beside the file; the master key is the manager's."""
    config = await proxy.start()
    assert config["general_settings"]["master_key"] == "canary-master"
    assert [entry["litellm_params"]["api_key"] for entry in config["model_list"]] == [
        "canary-chat",
        "canary-chat",
        "canary-other",
    ]
    assert proxy.litellm._key_management_system.value == "custom"


async def test_litellm_does_not_start_without_its_master_key(proxy, monkeypatch):
    """Although an old one is in the environment."""
    monkeypatch.setenv("MASTER", "canary-stale")
    with pytest.raises(ResolveError) as caught:
        await proxy.start("CHAT: canary-chat, OTHER: canary-other", "hosted_keys: [MASTER]")
    assert set(caught.value.failures) == {"MASTER"}


async def test_a_feature_flag_that_is_not_set_is_no_line_in_litellm_s_log(proxy, caplog):
    """LiteLLM would log a traceback for each."""
    await proxy.start()
    get_secret = importlib.import_module("litellm.secret_managers.main").get_secret
    with caplog.at_level(logging.ERROR, "LiteLLM"):
        assert get_secret("USE_LITELLM_PROXY") is None
        assert get_secret("os.environ/CHAT") == "canary-chat"
    assert [record for record in caplog.records if record.name == "LiteLLM" and record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("access_mode", ["read_and_write", "write_only"])
async def test_the_key_hooks_store_rename_rotate_and_delete(proxy, access_mode):
    """As LiteLLM's endpoints call them."""
    if access_mode == "write_only":
        os.environ.update(MASTER="canary-m", CHAT="canary-c", OTHER="canary-o")
    try:
        await proxy.start(access_mode=access_mode)
    finally:
        for name in ("MASTER", "CHAT", "OTHER"):
            os.environ.pop(name, None)
    types_ = importlib.import_module("litellm.proxy._types")
    hooks = importlib.import_module("litellm.proxy.hooks.key_management_event_hooks").KeyManagementEventHooks
    user = types_.UserAPIKeyAuth()
    store = manager()

    def row(alias):
        return types_.LiteLLM_VerificationToken(token="hash", key_alias=alias)

    def issued(key, alias):
        return types_.GenerateKeyResponse(key=key, key_alias=alias, token_id="hash")

    async def names() -> dict[str, str]:
        (shared,) = sharing._shared.values()

        async def all_of() -> dict[str, str]:
            return {name: (await store.get(name)).reveal() for name in await store.list("litellm/")}

        return await asyncio.wrap_future(shared.resident.begin(all_of))

    await hooks.async_key_generated_hook(types_.GenerateKeyRequest(key_alias="a"), issued("canary-a1", "a"), user)
    assert await names() == {"litellm/a": "canary-a1"}
    await hooks.async_key_rotated_hook(types_.RegenerateKeyRequest(), row("a"), issued("canary-a2", "a"), user)
    assert await names() == {"litellm/a": "canary-a2"}
    await hooks.async_key_updated_hook(types_.UpdateKeyRequest(key="hash", key_alias="b c"), row("a"), None, user)
    (renamed,) = (await names()).items()
    assert renamed[1] == "canary-a2"
    await hooks.async_key_rotated_hook(
        types_.RegenerateKeyRequest(key_alias="d"), row("b c"), issued("canary-d", "d"), user
    )
    assert await names() == {"litellm/d": "canary-d"}
    await hooks.async_key_deleted_hook(types_.KeyRequest(keys=["hash"]), [row("d")], {}, user)
    assert await names() == {}


async def test_a_rotated_key_reaches_the_router_and_stays_there(proxy):
    """Every deployment has it, under the id that LiteLLM computes of the file resolved anew, so its clean-up with a
    database takes none away."""
    config = await proxy.start()
    router = proxy.server.llm_router = proxy.litellm.Router(model_list=config["model_list"])

    def keys() -> dict[str, str]:
        return {entry["model_name"]: entry["litellm_params"]["api_key"] for entry in router.get_model_list()}

    for value in ("canary-chat-2", "canary-chat-3"):
        await rotate("CHAT", value)
        assert keys() == {"plain": value, "named": value, "other": "canary-other"}
        await proxy.server.proxy_config._delete_deployment(db_models=[])
        assert keys() == {"plain": value, "named": value, "other": "canary-other"}
    plain = next(entry for entry in router.get_model_list() if entry["model_name"] == "plain")
    assert plain["litellm_params"]["rpm"] == 5
    assert "own" in router.get_model_ids()
