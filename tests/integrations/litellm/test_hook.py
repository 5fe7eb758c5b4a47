"""The class that LiteLLM loads, beside a base class with LiteLLM's signatures. The real one is in test_proxy.py."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import types

import pytest

from asyncsecrets.errors import ConfigError, ResolveError
from asyncsecrets.integrations import litellm as integration
from asyncsecrets.integrations.litellm import shared as sharing
from asyncsecrets.integrations.litellm.quiet import keep_quiet
from tests.frames import leaks

CONFIG = """
general_settings:
  master_key: os.environ/MASTER
  key_management_system: custom
  key_management_settings: {custom_secret_manager: secret_manager.AsyncSecrets, access_mode: read_and_write}
asyncsecrets:
  sources:
    default: {key_management_system: memory, key_management_settings: {secrets: {MASTER: canary-master}}}
"""


class CustomSecretManager:
    def __init__(self, secret_manager_name: str | None = None) -> None:
        self.secret_manager_name = secret_manager_name


@pytest.fixture
def hook(monkeypatch, tmp_path):
    """The class, with a configuration of its own; what its instances share is closed at the end."""
    base = types.ModuleType("litellm.integrations.custom_secret_manager")
    base.CustomSecretManager = CustomSecretManager
    monkeypatch.setitem(sys.modules, base.__name__, base)
    for parent in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.delitem(sys.modules, "asyncsecrets.integrations.litellm.hook", raising=False)
    monkeypatch.setattr(sharing, "_shared", {})
    monkeypatch.setenv("WORKER_CONFIG", str(tmp_path / "config.yaml"))
    (tmp_path / "config.yaml").write_text(CONFIG)
    yield integration.AsyncSecrets
    for one in sharing._shared.values():
        one.resident.close()
    sys.modules.pop("asyncsecrets.integrations.litellm.hook")


def test_importing_the_integration_imports_neither_litellm_nor_the_client():
    """Only who takes the class out of it needs LiteLLM."""
    with pytest.raises(AttributeError, match="Nothing"):
        integration.Nothing  # noqa: B018
    assert "AsyncSecrets" in integration.__all__


async def test_litellm_reads_and_stores_through_it(hook):
    """As LiteLLM calls it: by name, with its own settings and the team's beside."""
    manager = hook()
    assert manager.secret_manager_name == "asyncsecrets"
    assert manager.sync_read_secret(secret_name="MASTER", optional_params={"hosted_keys": None}) == "canary-master"
    written = await manager.async_write_secret(
        secret_name="litellm/a", secret_value="canary-a1", description=None, tags=None, optional_params=None
    )
    assert written == {"name": "litellm/a", "version": "1"}
    assert await manager.async_read_secret(secret_name="litellm/a", optional_params=None) == "canary-a1"
    for value in ("canary-a2", "canary-a3"):
        told = await manager.async_rotate_secret(
            current_secret_name="litellm/a",
            new_secret_name="litellm/a",
            new_secret_value=value,
            optional_params=None,
        )
    assert told == {"name": "litellm/a", "version": "3"}
    assert await manager.async_read_secret("litellm/a") == "canary-a3"
    assert await manager.async_delete_secret(secret_name="litellm/a", optional_params=None) == {"name": "litellm/a"}
    assert await manager.async_read_secret("litellm/a") is None
    assert await manager.async_health_check()


async def test_a_team_s_settings_are_those_of_its_own_place(hook):
    """LiteLLM hands them on as they stand in the team's metadata; a typo is an error, and not another place."""
    manager = hook()
    with pytest.raises(ConfigError, match="mout"):
        await manager.async_write_secret("litellm/a", "canary-a", optional_params={"mout": "team"})
    await manager.async_write_secret("litellm/a", "canary-a", optional_params={"mount": "team"})
    assert await manager.async_read_secret("litellm/a", optional_params={"secret_manager_settings": {}}) == "canary-a"


def test_every_instance_shares_one_client(hook):
    """LiteLLM makes two in one process."""
    assert hook()._shared is hook()._shared


def test_a_hook_that_cannot_have_what_it_needs_is_not_made(hook, tmp_path):
    """LiteLLM does not start; what it logs of this has no value in it."""
    (tmp_path / "config.yaml").write_text(CONFIG.replace("MASTER: canary-master", "OTHER: canary-other"))
    with pytest.raises(ResolveError) as caught:
        hook()
    assert set(caught.value.failures) == {"MASTER"}
    assert leaks(caught.value) == []


async def test_a_hook_that_is_cancelled_goes_on(hook, monkeypatch):
    """LiteLLM has issued the key, and its task ends with the request."""
    manager = hook()
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()

    async def write(*_: object) -> None:
        begun.set()
        await asyncio.to_thread(gate.wait, 10)
        done.set()

    monkeypatch.setattr(manager._shared.keys, "write", write)
    writing = asyncio.ensure_future(manager.async_write_secret("litellm/a", "canary-a1"))
    assert await asyncio.to_thread(begun.wait, 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    gate.set()
    assert await asyncio.to_thread(done.wait, 10)


@pytest.fixture
def log(caplog):
    """What LiteLLM's logger lets through."""
    logger = logging.getLogger("LiteLLM")
    before = list(logger.filters)
    yield caplog
    for one in set(logger.filters) - set(before):
        logger.removeFilter(one)


def complain(name: str) -> None:
    logging.getLogger("LiteLLM").error(
        "Defaulting to os.environ value for key=%s. An exception occurred - %s.\n\n%s", name, "error", "traceback"
    )


def test_litellm_does_not_log_what_is_absent_on_purpose(log):
    """One line with a traceback for each feature flag at each request would hide what is wrong."""
    keep_quiet({"OLD"}.__contains__)
    keep_quiet({"FLAG"}.__contains__)
    for name in ("FLAG", "OLD", "KEY"):
        complain(name)
    logging.getLogger("LiteLLM").error("something else of %s", "FLAG")
    logging.getLogger("LiteLLM").error("Defaulting to os.environ value for key=%s", "FLAG")  # and nothing of why
    messages = [record.getMessage() for record in log.records]  # a filter of LiteLLM's may have used up the arguments
    assert [next(name for name in ("OLD", "KEY", "FLAG") if name in message) for message in messages] == [
        "OLD",
        "KEY",
        "FLAG",
        "FLAG",
    ]
    log.clear()
    logging.getLogger("LiteLLM").error("Defaulting to os.environ value for key=FLAG. An exception occurred - error.")
    logging.getLogger("LiteLLM").error("Defaulting to os.environ value for key=KEY. An exception occurred - error.")
    assert len(log.records) == 1
