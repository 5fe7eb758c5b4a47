"""Every access mode, operation, prefix and manager: what is forbidden sends nothing, and builds no provider."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient, registry
from asyncsecrets.config import load_config
from asyncsecrets.errors import AccessModeError, UnsupportedOperationError
from tests.virtual_keys.support import Manager, Times, keys_of

MANAGERS = ("aws_secret_manager", "azure_key_vault", "google_secret_manager", "hashicorp_vault", "local", "memory")
MODES = ("read_only", "write_only", "read_and_write")
CHANGES = {
    "create": lambda keys: keys.create("new"),
    "store": lambda keys: keys.store("other", "sk-canary-other"),
    "replace": lambda keys: keys.store("team-a", "sk-canary-replaced", replace=True),
    "rotate": lambda keys: keys.rotate("team-a"),
    "rename": lambda keys: keys.rename("team-a", "team-b"),
    "rename and rotate": lambda keys: keys.rename("team-b", "team-c", "sk-canary-third"),
    "delete": lambda keys: keys.delete("team-c"),
    "finish": lambda keys: keys.reconcile("finish"),
    "undo": lambda keys: keys.reconcile("undo"),
}
READS = {
    "get": lambda keys: keys.get("team-a"),
    "list": lambda keys: keys.list(),
    "verify": lambda keys: keys.verify("sk-canary-first"),
    "verify of an alias": lambda keys: keys.verify("sk-canary-first", "team-a"),
}


@pytest.fixture
def built(monkeypatch):
    """Every provider that is built: a memory manager in the place of each, with a key under each prefix."""
    made = []

    def build(system, settings, environ, **options):
        made.append(Manager({"litellm/team-a": "sk-canary-first", "keys/team-a": "sk-canary-first"}))
        return made[-1]

    monkeypatch.setattr(registry, "build", build)
    return made


def client_of(system, mode, *, stores, prefix):
    settings = {"access_mode": mode, "store_virtual_keys": stores}
    if prefix is not None:
        settings["prefix_for_stored_virtual_keys"] = prefix
    document = {"general_settings": {"key_management_system": system, "key_management_settings": settings}}
    return SecretsClient.from_config(document, environ={})


@pytest.mark.parametrize("stores", [True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("system", MANAGERS)
async def test_what_is_forbidden_sends_nothing(built, system, mode, stores):
    """And what is allowed does what it says, under the prefix and nowhere else."""
    may_read, may_change = mode != "write_only", stores and mode != "read_only"
    for prefix in (None, "keys", "keys/"):
        client = client_of(system, mode, stores=stores, prefix=prefix)
        keys = keys_of(client, Times())
        operations = [(make, may_read) for make in READS.values()] + [(make, may_change) for make in CHANGES.values()]
        for make, allowed in operations:
            if not allowed:
                with pytest.raises(AccessModeError, match=r"access_mode|store_virtual_keys"):
                    await make(keys)
        assert built == []
        for make, allowed in operations:
            if allowed:
                await make(keys)
        assert await keys.reconcile() == []
        await client.aclose()
        beginning = "litellm/" if prefix is None else "keys/"
        assert {name for _, name in built[0].calls if not name.startswith(beginning)} == set()
        assert bool(built[0].changes) is may_change
        assert f"{beginning}new" in built[0].values or not may_change
        built.clear()


async def test_the_environment_keeps_no_keys():
    """Nor can it be told to."""
    async with SecretsClient.from_config({}, environ={}) as client:
        keys = keys_of(client, Times())
        with pytest.raises(UnsupportedOperationError, match="read only"):
            await keys.create("team-a")


@pytest.mark.parametrize(
    ("written", "meant"), [("keys", "keys/"), ("keys/", "keys/"), ("a/b", "a/b/"), ("", "litellm/")]
)
def test_a_missing_slash_is_added(written, meant):
    """As LiteLLM adds it; an empty prefix is none."""
    settings = {"prefix_for_stored_virtual_keys": written}
    document = {"general_settings": {"key_management_system": "memory", "key_management_settings": settings}}
    assert load_config(document, {}).sources["default"].virtual_key_prefix == meant


async def test_in_write_only_nothing_is_kept_or_handed_out():
    """A change reads what it is about; the client's own reads come from the environment as before."""
    manager = Manager()
    async with SecretsClient.from_provider(manager, environ={}, access_mode="write_only") as client:
        keys = keys_of(client, Times())
        await keys.store("team-a", "sk-canary-first")
        await keys.rename("team-a", "team-b")
        assert [one.state for one in await keys.reconcile(known=["team-b"])] == []
        with pytest.raises(AccessModeError):
            await client.get("litellm/team-b", source="default")
        with pytest.raises(AccessModeError):
            await keys.get("team-b")
        assert client.peek("litellm/team-b") is None
