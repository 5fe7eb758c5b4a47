"""LiteLLM's key endpoints over HTTP, with all that is behind them but a database. For `make test-litellm`."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

from asyncsecrets.integrations.litellm import shared as sharing
from tests.integrations.litellm.database import Database, client_on

pytest.importorskip("prisma", reason="LiteLLM imports it when a request fails")

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM and what it stands on warn of themselves

MASTER = "sk-canary-master"


@pytest.fixture
async def http(proxy, monkeypatch):
    """A client of the proxy's own application, with the master key."""
    httpx = importlib.import_module("httpx")
    await proxy.start(f"MASTER: {MASTER}, CHAT: canary-chat, OTHER: canary-other")
    monkeypatch.setattr(proxy.server, "master_key", MASTER)
    monkeypatch.setattr(proxy.server, "premium_user", False)
    monkeypatch.setattr(proxy.server, "prisma_client", client_on(Database(), proxy.server.proxy_logging_obj))
    transport = httpx.ASGITransport(app=proxy.server.app)
    bearer = {"authorization": f"Bearer {MASTER}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy", headers=bearer) as client:
        yield client


async def stored() -> dict[str, str]:
    """The keys at the manager, when LiteLLM's hooks have ended: it runs them behind."""
    hooks = [task for task in asyncio.all_tasks() if "KeyManagementEventHooks" in task.get_coro().__qualname__]
    await asyncio.gather(*hooks)
    (shared,) = sharing._shared.values()
    client = shared.resident.client
    provider = client._sources["default"]._connection.provider

    async def all_of() -> dict[str, str]:
        return {name: (await provider.get(name)).reveal() for name in await provider.list("litellm/")}

    return await asyncio.wrap_future(shared.resident.begin(all_of))


async def post(http: Any, path: str, document: dict[str, Any]) -> Any:
    answer = await http.post(path, json=document)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_key_is_stored_renamed_and_deleted(http):
    """As whoever administers the proxy asks for it."""
    key = (await post(http, "/key/generate", {"key_alias": "a"}))["key"]
    assert await stored() == {"litellm/a": key}
    await post(http, "/key/update", {"key": key, "key_alias": "b"})
    assert await stored() == {"litellm/b": key}
    await post(http, "/key/delete", {"keys": [key]})
    assert await stored() == {}


async def test_each_key_has_its_own_name(http):
    """Without an alias too: LiteLLM composes a name of the key's hash."""
    named = (await post(http, "/key/generate", {"key_alias": "team a/one"}))["key"]
    unnamed = await post(http, "/key/generate", {})
    assert sorted((await stored()).values()) == sorted([named, unnamed["key"]])
    assert (await stored())[f"litellm/virtual-key-{unnamed['token_id']}"] == unnamed["key"]
    await post(http, "/key/delete", {"key_aliases": ["team a/one"]})
    assert list((await stored()).values()) == [unnamed["key"]]


async def test_a_key_that_is_not_issued_is_not_stored(http):
    """LiteLLM refuses an alias that is taken."""
    key = (await post(http, "/key/generate", {"key_alias": "a"}))["key"]
    assert (await http.post("/key/generate", json={"key_alias": "a"})).status_code == 400
    assert await stored() == {"litellm/a": key}


async def test_litellm_regenerates_no_key_without_its_licence(http):
    """So what is stored stays; nothing here asks for one."""
    key = (await post(http, "/key/generate", {"key_alias": "a"}))["key"]
    refused = await http.post(f"/key/{key}/regenerate", json={})
    assert refused.status_code >= 400
    assert "Enterprise" in refused.text
    assert await stored() == {"litellm/a": key}


@pytest.mark.parametrize(("asked", "name"), [({}, "a"), ({"key_alias": "b"}, "b")])
async def test_a_key_that_is_regenerated_is_replaced(http, proxy, asked, name):
    """What LiteLLM's endpoint does once it has seen a licence, its hook included."""
    types_ = importlib.import_module("litellm.proxy._types")
    endpoints = importlib.import_module("litellm.proxy.management_endpoints.key_management_endpoints")
    issued = await post(http, "/key/generate", {"key_alias": "a"})
    client = proxy.server.prisma_client
    again = await endpoints._execute_virtual_key_regeneration(
        prisma_client=client,
        key_in_db=await client.db.litellm_verificationtoken.find_first({"token": issued["token_id"]}),
        hashed_api_key=issued["token_id"],
        key=issued["key"],
        data=types_.RegenerateKeyRequest(**asked),
        user_api_key_dict=types_.UserAPIKeyAuth(user_role="proxy_admin"),
        litellm_changed_by=None,
        user_api_key_cache=proxy.server.user_api_key_cache,
        proxy_logging_obj=proxy.server.proxy_logging_obj,
    )
    assert again.key != issued["key"]
    assert await stored() == {f"litellm/{name}": again.key}
