"""Aliases of any characters: a name of the manager for each, and the alias back; two never meet."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncsecrets.errors import InvalidNameError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.registry import load
from asyncsecrets.virtual_keys.names import Names
from tests.virtual_keys.support import Times, client_of, keys_of

SETTINGS = {
    "aws_secret_manager": ({"aws_region_name": "eu-central-1"}, {}),
    "azure_key_vault": ({}, {"AZURE_KEY_VAULT_URI": "https://canary.vault.azure.net"}),
    "google_secret_manager": ({"google_secret_manager_project_id": "shop-1234"}, {}),
    "hashicorp_vault": ({"addr": "https://vault.example", "token": "canary", "path_prefix": "apps"}, {}),
    "memory": ({}, {}),
}
SPECIAL = st.text(st.sampled_from("aA_-./xX20 \n\x00é中#%?\\!@"), min_size=1, max_size=12)
ALIASES = st.one_of(SPECIAL, st.text(min_size=1, max_size=20))


@pytest.fixture(scope="module", params=SETTINGS)
def provider(request):
    """A provider that is built and never opened."""
    return load(request.param).from_settings(*SETTINGS[request.param])


@pytest.fixture(scope="module")
def names(provider):
    return Names("litellm/", provider.system, provider.can_name)


@given(alias=ALIASES)
@example(alias=".rotation/team-a")
@example(alias="..")
@example(alias="a/../b")
@example(alias="a-x20-b")
@example(alias="a b")
@example(alias="-x2D-x20-")
@example(alias="virtual-key-0123456789abcdef")
@example(alias="-")
@example(alias="   ")
@example(alias="../etc/creds")
@example(alias="litellm/../../secret")
@example(alias="foo/..")
@example(alias="foo\n- !grant\n  member: attacker")
@example(alias="foo\rbar\x00")
def test_there_and_back(provider, names, alias):
    """The name is one of the manager, under the prefix, and leads to the alias; so does that of the record."""
    if any("\ud800" <= character <= "\udfff" for character in alias):
        with pytest.raises(InvalidNameError, match="surrogates"):
            names.of(alias)
        return
    try:
        name, record = names.of(alias), names.record(alias)
    except InvalidNameError:
        assume(provider.system != "azure_key_vault")  # it has 127 characters
        raise
    assert name.startswith("litellm/")
    assert provider.can_name(name)
    assert provider.can_name(record)
    assert names.alias(name) == alias
    assert names.alias_of_record(record) == alias
    assert names.alias(record) is None
    assert names.alias_of_record(name) is None


@given(first=SPECIAL, second=SPECIAL)
@example(first="A_B", second="a-b")
@example(first="a b", second="a-x20-b")
@example(first=".rotation/a", second="a")
def test_two_never_meet(provider, names, first, second):
    """Nor in what the manager takes for the same."""
    spelled = getattr(provider, "spelled", str)
    try:
        found = [spelled(one).lower() if provider.system == "azure_key_vault" else spelled(one)
                 for alias in {first, second} for one in (names.of(alias), names.record(alias))]  # fmt: skip
    except InvalidNameError:
        return
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "alias", ["team-a", "virtual-key-0f", "team_a.prod", "a=b+c@d", "org/team", "user/me@example.com", "release-1.0..2"]
)
def test_what_litellm_composes_is_what_it_is(names, alias):
    """Where the manager can have it: keys that LiteLLM stored are found, and the other way round."""
    assert names.of(alias) == f"litellm/{alias}"
    assert names.in_full(f"litellm/{alias}") == alias


async def test_a_provider_that_does_not_say():
    """Gets names that any manager can have."""

    class Silent:
        system = "silent"

        def __getattr__(self, name):
            if name == "can_name":
                raise AttributeError(name)
            return getattr(memory, name)

    memory = MemoryProvider()
    async with client_of(Silent()) as client:
        keys = keys_of(client, Times())
        await keys.create("a b.c")
        assert await keys.list() == ["a b.c"]
        assert await memory.list() == ["litellm/a-x20-b-x2E-c"]
