"""What other programs write where a token or a secret id is expected."""

from __future__ import annotations

import contextlib
import json
import traceback
from functools import partial

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.errors import AuthenticationError, ConfigError
from asyncsecrets.providers.vault import VaultSettings
from asyncsecrets.providers.vault.auth.written import secret_id_in, token_in
from tests.providers.vault.backend import Backend

SINK = {
    "token": "hvs.canary",
    "accessor": "canary",
    "ttl": 300,
    "creation_time": "2024-01-01T00:00:00Z",
    "creation_path": "sys/wrapping/wrap",
    "wrapped_accessor": "",
}


@pytest.mark.parametrize(
    "document",
    [
        {"client_token": "canary-root"},
        {"token": "canary-root"},
        {"request_id": "1", "auth": {"client_token": "canary-root\n", "policies": ["root"]}, "wrap_info": None}
        | {"data": None},
    ],
    ids=["client_token", "token", "vault login -format=json"],
)
@pytest.mark.parametrize("indent", [None, 2])
async def test_a_token_in_json(server, provider_at, tmp_path, document, indent):
    """Where a usable token is in there, it is used."""
    server.write_secret("name", {"key": "canary-value"})
    document = {key: value for key, value in document.items() if value is not None}
    (tmp_path / "sink").write_text(json.dumps(document, indent=indent) + "\n")
    async with provider_at(server.url, token_file=str(tmp_path / "sink")) as provider:
        assert (await provider.get("name")).field("key").equals("canary-value")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps(SINK), "holds a wrapped token, .* wrap_ttl"),
        (json.dumps(SINK, separators=(",", ":")) + "\n", "holds a wrapped token"),
        (json.dumps({"wrap_info": {"token": "hvs.canary", "ttl": 60}}), "holds a wrapped token"),
        (json.dumps({"curve25519_public_key": "canary", "nonce": "canary", "encrypted_payload": "canary"}), "dh_type"),
        ('{"client_token": 5}', "without a client_token"),
        ('{"auth": ["canary"]}', "without a client_token"),
        ('{"client_token": "canary\\ncanary"}', "has a line break inside"),
        ('{"client_token": "canary"', "holds JSON"),
        ('["canary"]', "holds JSON"),
        ('"canary"', "in quotation marks"),
        ("VAULT_TOKEN=canary\nVAULT_ADDR=canary", "has a line break inside"),
        ("Bearer canary", "has a blank inside"),
    ],
)
async def test_a_file_without_a_token(server, provider_at, tmp_path, content, says):
    """It is said what is there instead and in which file; nothing is sent."""
    (tmp_path / "sink").write_text(content)
    async with provider_at(server.url, token_file=str(tmp_path / "sink")) as provider:
        with pytest.raises(AuthenticationError, match=f"token_file '{tmp_path}/sink' .*{says}") as caught:
            await provider.get("name")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert server.requests == []


@pytest.mark.parametrize("setting", ["kubernetes_token_file", "jwt_file"])
async def test_a_job_token_in_json(server, provider_at, tmp_path, setting):
    """A CI's answer that was saved as a whole is no token."""
    (tmp_path / "jwt").write_text('{"count": 1, "value": "canary.canary.canary"}')
    role = "kubernetes_role" if setting == "kubernetes_token_file" else "jwt_role"
    async with provider_at(
        server.url, **{setting: str(tmp_path / "jwt"), role: "r"}, auth_method=role[:-5]
    ) as provider:
        with pytest.raises(AuthenticationError, match=f"{setting} '.*' holds JSON"):
            await provider.get("name")


@pytest.mark.parametrize("how", ["text", "data", "secret_id", "wrapped text", "wrap_info"])
async def test_a_secret_id_in_json(server, provider_at, tmp_path, how):
    """`vault write -format=json auth/approle/role/…/secret-id` writes JSON, wrapped or not."""
    backend = Backend(server.url, server.root_token)
    await backend.write()
    login = await backend.approle()
    secret_id, wrapped = login.pop("approle_secret_id"), how.startswith("wrap")
    if wrapped:
        secret_id = await _wrapped(server)
    content = {
        "data": json.dumps({"data": {"secret_id": secret_id, "secret_id_accessor": "canary"}}),
        "secret_id": json.dumps({"secret_id": secret_id}),
        "wrap_info": json.dumps({"data": None, "wrap_info": {"token": secret_id, "ttl": 60}}, indent=1),
    }.get(how, f"{secret_id}\r\n")
    (tmp_path / "id").write_text(content)
    settings = {**login, "approle_secret_id_file": str(tmp_path / "id"), "approle_secret_id_wrapped": wrapped}
    async with provider_at(server.url, **settings) as provider:
        assert (await provider.get("name")).field("key").equals("canary-value")


async def _wrapped(server):
    headers = {"X-Vault-Token": server.root_token, "X-Vault-Wrap-TTL": "60s"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{server.url}/v1/auth/approle/role/canary/secret-id") as answer,
    ):
        return (await answer.json(content_type=None))["wrap_info"]["token"]


@pytest.mark.parametrize(
    ("content", "wrapped", "says"),
    [
        ({"wrap_info": {"token": "canary"}}, False, "is wrapped: set approle_secret_id_wrapped: true"),
        ({"data": {"secret_id": "canary"}}, True, "is not wrapped: set approle_secret_id_wrapped: false"),
        ({"data": {"secret_id_accessor": "canary"}}, False, "without a secret_id"),
    ],
)
def test_a_secret_id_of_the_other_kind(content, wrapped, says):
    """The setting that would make it right is named."""
    with pytest.raises(ConfigError, match=says) as caught:
        secret_id_in(json.dumps(content), "approle_secret_id_file", wrapped=wrapped)
    assert "canary" not in str(caught.value)


MEMBERS = st.sampled_from(["token", "client_token", "auth", "data", "secret_id", "wrap_info", "creation_path", "x"])
DOCUMENTS = st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(MEMBERS, inner))


@given(st.text(max_size=40) | DOCUMENTS.map(json.dumps))
def test_whatever_is_in_a_file(text):
    """It is one word of printable ASCII, or an error."""
    for parse in (token_in, partial(secret_id_in, wrapped=False)):
        with contextlib.suppress(ConfigError):
            assert all("!" <= character <= "~" for character in parse(text, "the file"))


@pytest.mark.parametrize("variable", ["HCP_VAULT_TOKEN", "VAULT_TOKEN"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("canary\ncanary", "line break"),
        ("canary canary", "blank"),
        ("'canary'", "quotation marks"),
        (json.dumps(SINK), "JSON"),
    ],
)
def test_a_variable_is_named(variable, value, says):
    """Which of them it is, and not what is in it."""
    with pytest.raises(ConfigError, match=f"^{variable} .*{says}") as caught:
        VaultSettings.from_mapping({}, {"VAULT_ADDR": "http://127.0.0.1", variable: value})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t"])
def test_blanks_around(around):
    """Of variables and settings alike they are left out; of a password line breaks alone, as they may be meant."""
    environ = {"VAULT_ADDR": "http://127.0.0.1", "HCP_VAULT_TOKEN": " \n", "VAULT_TOKEN": around.format("canary")}
    environ["HCP_VAULT_CLIENT_KEY_PASSWORD"] = around.format("canary")
    found = VaultSettings.from_mapping({}, environ)
    assert found.token == "canary"
    assert found.client_key_password == around.format("canary").rstrip("\r\n")
    assert VaultSettings(addr="http://127.0.0.1", token=around.format("canary")).token == "canary"


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_empty_variables(value):
    """Every variable of Vault that is empty counts as unset."""
    names = ["TOKEN", "NAMESPACE", "CACERT", "CAPATH", "TLS_SERVER_NAME", "CLIENT_CERT", "CLIENT_KEY"]
    environ = {f"VAULT_{name}": value for name in names}
    environ |= {f"HCP_VAULT_{name.upper()}": value for name in VaultSettings.__dataclass_fields__}
    found = VaultSettings.from_mapping({}, {**environ, "VAULT_ADDR": "http://127.0.0.1", "HOME": "/canary"})
    assert found == VaultSettings(addr="http://127.0.0.1", token_file="/canary/.vault-token", auth_method="token_file")
