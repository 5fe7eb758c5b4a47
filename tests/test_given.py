"""environment_variables: what a file says that variables are, for whoever asks the environment."""

from __future__ import annotations

import dataclasses
import pprint
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets import SecretsClient
from asyncsecrets.config import load_config
from asyncsecrets.errors import ConfigError, SecretNotFoundError, UnsupportedOperationError
from asyncsecrets.providers.memory import MemoryProvider


def configured(variables: Any, system: str = "env", **manager: Any) -> dict[str, Any]:
    general = {"key_management_system": system, "key_management_settings": manager}
    return {"environment_variables": variables, "general_settings": general}


async def read(config: Any, *names: str, environ: dict[str, str] | None = None) -> list[str]:
    async with SecretsClient.from_config(config, environ=environ or {}) as client:
        return [(await client.get(name)).reveal() for name in names]


@pytest.mark.parametrize("null", ["", "null", "~"])
async def test_what_a_file_leaves_out(tmp_path: Path, null: str):
    """null means none to every program that shares the file, also where a section or a manager would be."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"environment_variables: {{EMPTY: {null}}}\nasyncsecrets: {null}\n"
        f"general_settings: {{key_management_system: {null}, key_management_settings: {null}}}\n"
    )
    assert await read(path, "EMPTY", environ={"EMPTY": "canary-real"}) == ["canary-real"]
    path.write_text(
        "general_settings: {key_management_system: hashicorp_vault,\n"
        f"  key_management_settings: {{addr: 'https://v', namespace: {null}}}}}\nenvironment_variables: {null}\n"
    )
    assert "namespace" not in load_config(path, {}).sources["default"].settings


async def test_values():
    """They win over what the process has, as in LiteLLM; a number is its text, and an empty one is none."""
    config = configured({"HOST": "canary-host", "PORT": 6379, "TLS": True, "EMPTY": None})
    environ = {"HOST": "canary-real", "EMPTY": "canary-real"}
    assert await read(config, "HOST", "os.environ/PORT", "TLS", "EMPTY", environ=environ) == [
        "canary-host",
        "6379",
        "true",
        "canary-real",
    ]


async def test_references():
    """A variable is what it refers to: a name, a field of a secret at another source, another variable of the file."""
    secrets = {"B": "canary-b", "db": '{"password": "canary-password"}', "C": "canary-c"}
    config = configured(
        {
            "A": "os.environ/B",
            "P": "secret:///db?field=password",
            "T": "secret://team/C",
            "AA": "os.environ/A",
            "C": "os.environ/C",
        },
        "memory",
        secrets=secrets,
    )
    team = {"key_management_system": "memory", "key_management_settings": {"secrets": {"C": "canary-team"}}}
    config["asyncsecrets"] = {"sources": {"team": team}}
    names = ("A", "P", "T", "AA", "C", "os.environ/A")
    values = ["canary-b", "canary-password", "canary-team", "canary-b", "canary-c", "canary-b"]
    assert await read(config, *names) == values
    async with SecretsClient.from_config(config, environ={}) as client:
        assert client.explain("A").rule.startswith(
            "environment_variables says that it is os.environ/B: source 'default'"
        )
        assert (client.explain("P").entry, client.explain("P").field) == ("db", "password")
        assert client.explain("C").rule.startswith("source 'default' is asked")
        await client.get("A")
        assert client.peek("A").equals("canary-b")
        with pytest.raises(ConfigError, match="is a field or a version already"):
            await client.get("P", field="x")
        with pytest.raises(SecretNotFoundError):
            await client.get("A", source="default")


async def test_the_manager_goes_first():
    """A value is the environment's, which stands in for what is absent; hosted_keys are the manager's alone."""
    config = configured({"A": "canary-given", "B": "canary-given"}, "memory", secrets={"A": "canary-manager"})
    assert await read(config, "A", "B") == ["canary-manager", "canary-given"]
    settings = {"secrets": {"A": "canary-manager", "X": "canary-x"}, "hosted_keys": ["A"]}
    config = configured({"A": "os.environ/X", "B": "os.environ/A"}, "memory", **settings)
    assert await read(config, "A", "B") == ["canary-manager", "canary-manager"]


async def test_what_is_another_one_is_not_written():
    """It would not be read afterwards."""
    config = configured({"A": "os.environ/B"}, "memory", secrets={}, access_mode="read_and_write")
    async with SecretsClient.from_config(config, environ={}) as client:
        with pytest.raises(UnsupportedOperationError, match=r"'A' is read as os\.environ/B \(environment_variables"):
            await client.put("A", "canary")
        await client.put("B", "canary-b")
        assert (await client.get("A")).equals("canary-b")


async def test_ciphertext_of_a_key_service_may_stand_there():
    """The environment is what it decrypts from, the file's variables included."""
    from asyncsecrets.providers.additions import Additions
    from asyncsecrets.providers.ciphertext import CiphertextProvider

    class Reversing(CiphertextProvider):
        system = "reversing"
        largest = 100

        async def decrypt(self, ciphertext: bytes, name: str | None = None) -> bytes:
            return ciphertext[::-1]

        async def _encrypt(self, plaintext: bytes) -> bytes:
            return plaintext[::-1]

    settings = SimpleNamespace(max_connections=1, variables=dict)
    service = AsyncMock()
    provider = Reversing(settings, service, dotenv=Additions(given={"A": "eXJhbmFj"}))
    await provider.open()
    assert (await provider.get("A")).equals("canary")
    service.open.assert_awaited_once_with()


def test_no_value_is_shown(caplog: pytest.LogCaptureFixture):
    """In no repr, and in nothing that is said."""
    variables = {"A": "canary-a", "B": ["canary"], "C=D": "canary", "": "canary", "R": "canary-file"}
    loaded = load_config(configured(variables), {"R": "canary-real", "A": "canary-a"})
    shown = [repr(loaded), str(dataclasses.asdict(loaded)), pprint.pformat(loaded), *caplog.messages]
    assert not any("canary" in text for text in shown)
    assert set(loaded.given) == {"A", "R"}
    assert sorted(caplog.messages) == [
        "configuration: environment_variables replaces what the environment has: R",
        "configuration: environment_variables: '' cannot name a variable; it is not used",
        "configuration: environment_variables: 'B' is not a text; it is not used",
        "configuration: environment_variables: 'C=D' cannot name a variable; it is not used",
    ]


async def test_what_leads_to_a_manager_is_not_given_by_the_file():
    """A setting is looked up in the real environment only."""
    config = configured({"X": "canary"}, "hashicorp_vault", addr="os.environ/X")
    with pytest.raises(ConfigError, match="needs the environment variable 'X', which is not set"):
        load_config(config, {})
    given = configured({"VAULT_ADDR": "https://v", "VAULT_TOKEN": "canary"}, "hashicorp_vault")
    assert load_config(given, {}).sources["default"].settings == {}


async def test_in_a_file(tmp_path: Path):
    """As LiteLLM has it; the last of duplicate keys holds, as there."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "environment_variables: &e {REDIS_HOST: canary-no, REDIS_HOST: canary-yes}\n"
        "litellm_settings: {cache_params: {<<: *e, host: os.environ/REDIS_HOST}}\n"
    )
    assert await read(path, "os.environ/REDIS_HOST") == ["canary-yes"]


@pytest.mark.parametrize(
    "variables",
    [
        {"A": "os.environ/B", "B": "os.environ/A"},
        {"A": "secret:///A?field=x"},
        {"X": "os.environ/A", "A": "os.environ/B", "B": "secret:///C?version=1", "C": "secret:///A"},
    ],
)
def test_a_circle(variables: dict[str, str]):
    """It would be asked for ever; a variable that is what it is called is none."""
    with pytest.raises(ConfigError, match=r"'[A-C]' is named by a reference that leads back to it"):
        load_config(configured(variables), {})
    assert load_config(configured({"A": "os.environ/A", "B": "secret:///B"}), {}).aliases == {}


async def test_a_text_with_references_in_it():
    """It is not handed on with its references as they stand: run sets it, and resolve() fills it in."""
    text = "db://u:${os.environ/B}@h"
    async with SecretsClient.from_config(configured({"A": text, "B": "canary"}), environ={}) as client:
        with pytest.raises(ConfigError, match="'A' is a text with references in it"):
            await client.get("A")
        assert await client.resolve({"a": text}) == {"a": "db://u:canary@h"}


async def test_a_reference_that_is_none():
    """Whoever asks for it is told; nobody else is."""
    with pytest.raises(ConfigError, match="reference"):
        await read(configured({"A": "secret://?", "B": "canary"}), "A")
    assert await read(configured({"A": "secret://?", "B": "canary"}), "B") == ["canary"]


TEXTS = st.sampled_from(
    ["os.environ/A", "os.environ/B", "os.environ/C", "secret:///A", "secret:///B?field=x", "secret://", "x", ""]
)


@settings(max_examples=200, deadline=2000)
@given(
    st.dictionaries(
        st.sampled_from(["A", "B", "C", "D=E"]), TEXTS | st.none() | st.lists(st.text(max_size=1)) | st.integers()
    )
)
def test_fuzz_every_chain_ends(variables: dict[str, Any]):
    """In a value, a source, or an error of ours."""
    try:
        loaded = load_config(configured(variables), {})
    except ConfigError:
        return
    client = SecretsClient(loaded, environ={}, providers={"default": MemoryProvider({})})
    for name in ("A", "B", "C"):
        try:
            assert client.explain(name).rule
        except ConfigError as error:
            assert error.__context__ is None  # noqa: PT017 - being explained is fine too
