"""What the rooms of LiteLLM's hook are tried with: clients on threads of their own, closed at the end."""

from __future__ import annotations

import importlib
import os
import types
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from asyncsecrets.integrations.litellm import shared as sharing
from asyncsecrets.integrations.litellm.resident import Resident
from tests.client.support import ONCE, Manager, client_of

if find_spec("litellm") is None:  # LiteLLM wants other versions of much: make test-litellm
    collect_ignore = ["test_real.py", "test_endpoints.py"]

PROXY = """
model_list:
  - {model_name: plain, litellm_params: {model: openai/a, api_key: os.environ/CHAT, rpm: 5}}
  - {model_name: named, litellm_params: {model: openai/b, api_key: os.environ/CHAT}, model_info: {id: own}}
  - {model_name: other, litellm_params: {model: openai/c, api_key: os.environ/OTHER}}
general_settings:
  master_key: os.environ/MASTER
  key_management_system: custom
  key_management_settings:
    custom_secret_manager: secret_manager.AsyncSecrets
    access_mode: %(access_mode)s
    store_virtual_keys: true
    %(hosted)s
asyncsecrets:
  sources:
    default:
      key_management_system: memory
      key_management_settings: {refresh_interval: 3600, secrets: {%(secrets)s}}
"""
PROXY_SECRETS = "MASTER: canary-master, CHAT: canary-chat, OTHER: canary-other"


@pytest.fixture
def reside():
    """Make a Resident of a manager's client."""
    made: list[Resident] = []

    def reside(manager: Manager, moved_in=None, **options) -> Resident:
        async def nothing() -> None:
            pass

        resident = Resident(client_of(manager, retry=ONCE, **options), moved_in or nothing)
        made.append(resident)
        return resident

    yield reside
    for resident in made:
        resident.close()


@pytest.fixture
def manager() -> Manager:
    return Manager({"KEY": "canary-1", "OTHER": "canary-other"})


@pytest.fixture(scope="module")
def litellm():
    """The package, which warns of itself when it is imported."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = importlib.import_module("litellm")
        importlib.import_module("litellm.proxy.proxy_server")
    return found


@pytest.fixture
def proxy(litellm, tmp_path: Path, monkeypatch):
    """What LiteLLM does when it starts with a configuration: the resolved document comes back."""
    server = importlib.import_module("litellm.proxy.proxy_server")
    monkeypatch.setattr(sharing, "_shared", {})
    monkeypatch.setattr(litellm, "secret_manager_client", None)
    monkeypatch.setattr(litellm, "_key_management_system", None)
    monkeypatch.setattr(litellm, "_key_management_settings", litellm._key_management_settings)
    monkeypatch.setattr(server, "llm_router", None)
    monkeypatch.setattr(server, "proxy_config", server.ProxyConfig())
    monkeypatch.setattr(server, "user_config_file_path", None)
    monkeypatch.setattr(os, "environ", os.environ)

    async def start(secrets: str = PROXY_SECRETS, hosted: str = "", access_mode: str = "read_and_write"):
        path = tmp_path / "config.yaml"
        path.write_text(PROXY % {"secrets": secrets, "hosted": hosted, "access_mode": access_mode})
        (tmp_path / "secret_manager.py").write_text("from asyncsecrets.integrations.litellm import AsyncSecrets\n")
        return await server.proxy_config.get_config(config_file_path=str(path))

    yield types.SimpleNamespace(start=start, server=server, litellm=litellm)
    for one in sharing._shared.values():
        one.resident.close()
