"""Who asks: the credentials of azure-identity, async and sync, and what Entra ID and a machine refuse."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jwt
import msal.managed_identity
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
    aio,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .conftest import NOW, codes, refused

SCOPE = "https://vault.azure.net/.default"


@pytest.fixture
def blocking(server):
    """Options of a sync credential that finds the fake."""
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, server.adapter())
        yield {"transport": RequestsTransport(session=session, session_owner=False), "retry_total": 0}


@pytest.fixture
def holder(server):
    """Whose a token is."""
    return lambda token: server.entra.holder(f"Bearer {token}", "https://vault.azure.net", server.tenant)


async def told(credential, scope=SCOPE):
    """What a sync credential is refused with."""
    with pytest.raises(ClientAuthenticationError) as caught:
        await asyncio.to_thread(credential.get_token, scope)
    return str(caught.value)


async def test_a_client_secret_of_a_sync_credential(server, blocking, holder):
    """By discovery and configuration, as msal does it; the lifetime is the fake's."""
    credential = ClientSecretCredential(server.tenant, server.client_id, server.client_secret, **blocking)
    token = await asyncio.to_thread(credential.get_token_info, SCOPE)
    assert holder(token.token) == server.client_id
    assert [record.method for record in server.requests if record.method != "discovery"] == ["configuration", "token"]
    server.entra.lifetime = 86_400
    long = ClientSecretCredential(server.tenant, server.client_id, server.client_secret, **blocking)
    info = await asyncio.to_thread(long.get_token_info, SCOPE)
    assert info.expires_on - info.refresh_on == pytest.approx(43_200, abs=2)


async def test_what_entra_refuses(server, blocking):
    """A wrong secret, one that is too old, an application and a tenant that are not there: by their numbers."""
    old = server.entra.add("old", expires=NOW)
    for tenant, client, secret, number in (
        (server.tenant, server.client_id, "canary-wrong", "AADSTS7000215: Invalid client secret provided."),
        (server.tenant, "old", old, "AADSTS7000222: "),
        (server.tenant, "nobody", "canary", "AADSTS700016: Application with identifier 'nobody' was not found"),
    ):
        assert number in await told(ClientSecretCredential(tenant, client, secret, **blocking))
    async with aio.ClientSecretCredential(
        "absent", server.client_id, "canary", transport=_over(server), retry_total=0
    ) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS90002: Tenant 'absent' not found"):
            await credential.get_token(SCOPE)
    absent = ClientSecretCredential("absent", server.client_id, "canary", **blocking)
    assert "Unable to get authority configuration" in await told(absent)  # that is msal's, which asks for that first


def _over(server):
    import aiohttp
    from azure.core.pipeline.transport import AioHttpTransport

    return AioHttpTransport(session=aiohttp.ClientSession(connector=server.connector()))


async def test_what_entra_refuses_of_the_form(server):
    """Other grants, and nothing that proves anything; in the form of Entra ID."""
    with requests.Session() as session:
        session.mount("https://", server.adapter())
        url = f"https://login.microsoftonline.com/{server.tenant}/oauth2/v2.0/token"

        async def ask(**form):
            return await asyncio.to_thread(session.post, url, data=form)

        answer = await ask(grant_type="password", client_id=server.client_id)
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
        assert answer.json()["error_codes"] == [70003]
        answer = await ask(grant_type="client_credentials", client_id=server.client_id)
        assert (answer.status_code, answer.json()["error_codes"]) == (401, [7000218])
        assert {"timestamp", "trace_id", "correlation_id", "error_description"} <= answer.json().keys()


async def test_an_authority_that_is_not_known(server, blocking):
    """The discovery of instances knows the clouds; msal asks it about all others."""
    make = ClientSecretCredential
    credential = make(server.tenant, server.client_id, "canary", authority="https://login.example.com", **blocking)
    assert "is not well-known" in await told(credential)
    for host in ("login.chinacloudapi.cn", "login.microsoftonline.us"):
        credential = make(server.tenant, server.client_id, server.client_secret, authority=host, **blocking)
        assert (await asyncio.to_thread(credential.get_token, SCOPE)).token


@pytest.mark.parametrize("password", [None, "canary-password"])
async def test_a_certificate(server, blocking, holder, transport, password):
    """What it signs is verified, by async and sync credentials; one that is not the application's is refused."""
    file = str(server.entra.certificate_file(server.client_id, password=password))
    options = {"password": password} if password else {}
    made = CertificateCredential(server.tenant, server.client_id, file, **options, **blocking)
    assert holder((await asyncio.to_thread(made.get_token, SCOPE)).token) == server.client_id
    async with aio.CertificateCredential(
        server.tenant, server.client_id, file, transport=transport(), **options
    ) as credential:
        assert holder((await credential.get_token(SCOPE)).token) == server.client_id
    assert Path(file).stat().st_mode & 0o777 == 0o600
    server.entra.add("other")
    wrong = CertificateCredential(server.tenant, "other", file, **options, **blocking)
    assert "AADSTS700027: Client assertion contains an invalid signature." in await told(wrong)
    server.advance(3600)
    late = CertificateCredential(server.tenant, server.client_id, file, **options, **blocking)
    assert "AADSTS700024: Client assertion is not within its valid time range." in await told(late)


async def test_an_assertion_is_of_its_application_and_for_its_tenant(server, blocking, holder):
    """The key alone is not enough."""
    key = Path(server.entra.certificate_file(server.client_id)).read_bytes()
    good = {"sub": server.client_id, "aud": f"https://login.microsoftonline.com/{server.tenant}/v2.0", "exp": 2**40}
    for claims in ({"sub": "other"}, {"aud": "https://login.microsoftonline.com/other/v2.0"}, {}):
        made = jwt.encode(good | claims, load_pem_private_key(key, None), "PS256")
        credential = ClientAssertionCredential(server.tenant, server.client_id, lambda made=made: made, **blocking)
        if claims:
            assert "AADSTS700027" in await told(credential)
    assert holder((await asyncio.to_thread(credential.get_token, SCOPE)).token) == server.client_id


async def test_a_federated_token(server, blocking, holder):
    """A workload's token, read anew from its file; one that is too old, and one of nobody's."""
    file = server.entra.federated_token_file(server.client_id, lifetime=600)
    facts = {"tenant_id": server.tenant, "client_id": server.client_id, "token_file_path": str(file)}
    credential = WorkloadIdentityCredential(**facts, **blocking)
    assert holder((await asyncio.to_thread(credential.get_token, SCOPE)).token) == server.client_id
    server.advance(600)
    assert "AADSTS700024" in await told(WorkloadIdentityCredential(**facts, **blocking))
    assert server.entra.federated_token_file(server.client_id) == file
    renewed = WorkloadIdentityCredential(**facts, **blocking)
    assert holder((await asyncio.to_thread(renewed.get_token, SCOPE)).token) == server.client_id
    file.write_text("nobody.knows.it", encoding="utf-8")
    assert "AADSTS700027" in await told(WorkloadIdentityCredential(**facts, **blocking))


async def test_tokens_are_looked_at(server, client, connect):
    """Too old, revoked, of another audience or tenant: 401 with Key Vault's wording."""
    server.add("NAME", "canary")
    await client.get_secret("NAME")
    for end in (server.entra.expire, lambda: server.entra.revoke(server.client_id)):
        end()
        before = server.count("token")
        error = await refused(client.get_secret("NAME"))  # azure-identity gives it the same token again
        assert (error.status_code, server.count("token")) == (401, before)
    expected = {
        "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com.": {
            "audience": "https://management.azure.com"
        },
        "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/": {"tenant": "other"},
    }
    for message, how in expected.items():
        token = server.entra.issue("somebody", **how)
        error = await refused(connect(credential=_Given(token)).get_secret("NAME"))
        assert error.message.startswith(f"(Unauthorized) {message}")
    error = await refused(connect(credential=_Given("canary-of-nobody")).get_secret("NAME"))
    assert error.message.startswith("(Unauthorized) AKV10000")
    assert (await connect(credential=_Given(server.entra.issue("somebody"))).get_secret("NAME")).value == "canary"
    assert server.requests[-1].principal == "somebody"


class _Given:
    """A credential with one token."""

    def __init__(self, token):
        self._token = token

    async def get_token(self, *_, **__):
        """For a long time."""
        from azure.core.credentials import AccessToken

        return AccessToken(self._token, 2**40)

    async def close(self):
        """Nothing is held."""

    __aenter__ = __aexit__ = close


async def test_the_challenge(server, client):
    """Its form; a vault that has moved to another tenant says so; claims are demanded, and brought by the SDK."""
    server.add("NAME", "canary")
    await client.get_secret("NAME")
    server.entra.demand_claims(server.client_id)
    assert (await client.get_secret("NAME")).value == "canary"
    assert [record.code for record in server.requests if record.method == "GetSecret"] == ["OK", "Unauthorized", "OK"]
    assert server.count("token") == 2
    with requests.Session() as session:
        session.mount("https://", server.adapter())
        answer = await asyncio.to_thread(session.get, f"{server.uri}/secrets/NAME?api-version=7.5")
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization="https://login.microsoftonline.com/{server.tenant}", resource="https://vault.azure.net"'
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Unauthorized")


async def test_who_may_not(server, client):
    """By firewall, by role, by access policy: by Azure's innererror and wording, for a method and a name."""
    server.add("NAME", "canary")
    wording = {
        "ForbiddenByFirewall": "Client address is not authorized and caller is not a trusted service.",
        "ForbiddenByRbac": "Caller is not authorized to perform action on resource.",
        "ForbiddenByPolicy": f"The user, group or application 'appid={server.client_id}' does not have secrets get "
        "permission on key vault 'demo;location=local'.",
    }
    for inner, message in wording.items():
        server.deny(inner, method="GetSecret", name="NAME")
        error = await refused(client.get_secret("NAME"))
        assert codes(error) == (403, "Forbidden", inner)
        assert message in error.message
        server.allow()
    server.deny(principal="another")
    server.deny(name="OTHER")
    server.deny(method="SetSecret", principal=server.client_id)
    assert (await client.get_secret("NAME")).value == "canary"
    error = await refused(client.set_secret("NAME", "canary"))
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/setSecret/action'" in error.message
    server.deny()
    assert codes(await refused(client.list_properties_of_secrets().__anext__())) == (
        403,
        "Forbidden",
        "ForbiddenByRbac",
    )


@pytest.mark.parametrize("kind", ["imds", "app_service"])
async def test_managed_identity(server, blocking, holder, monkeypatch, kind):
    """The machine's own, one that is assigned, and none; async and sync."""
    for name, text in server.environ(kind).items():
        monkeypatch.setenv(name, text)
    own = ManagedIdentityCredential(**blocking)
    assert holder((await asyncio.to_thread(own.get_token, SCOPE)).token) == server.machine.system
    async with aio.ManagedIdentityCredential(retry_total=0) as credential:
        token = await credential.get_token(SCOPE)
        assert holder(token.token) == server.machine.system
    assert token.expires_on == pytest.approx(server.entra.wall() + 3599, abs=5)
    server.machine.assigned.add("web")
    web = ManagedIdentityCredential(client_id="web", **blocking)
    assert holder((await asyncio.to_thread(web.get_token, SCOPE)).token) == "web"
    for gone in (ManagedIdentityCredential(client_id="nobody", **blocking), ManagedIdentityCredential(**blocking)):
        with pytest.raises((ClientAuthenticationError, CredentialUnavailableError)):
            await asyncio.to_thread(gone.get_token, SCOPE)
        server.machine.system = None
    assert [record.code for record in server.requests if record.method == kind][-2:] == ["invalid_request"] * 2
    assert "x-identity-header" not in server.requests[-1].metadata


async def test_a_machine_that_is_not_ready(server, blocking, monkeypatch):
    """IMDS answers 410 while it is updated, 404 before there is an identity, 429; by faults, as often as asked."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.machine_url)
    for status in (410, 404, 429, 500):
        server.faults.status(status, method="imds", times=1)
        credential = ManagedIdentityCredential(**blocking)
        with pytest.raises((HttpResponseError, ClientAuthenticationError)):
            await asyncio.to_thread(credential.get_token, SCOPE)
        credential = ManagedIdentityCredential(**blocking)  # msal keeps a 429 for a while
        assert (await asyncio.to_thread(credential.get_token, SCOPE)).token
    assert server.count("imds") == 8


async def test_who_does_not_come_from_the_machine(server):
    """Without the header of metadata, with another one of App Service's, for no resource."""
    url = server.machine_url
    for path, headers in (("/metadata/identity/oauth2/token", {}), ("/msi/token", {"X-IDENTITY-HEADER": "wrong"})):
        answer = await asyncio.to_thread(requests.get, f"{url}{path}?resource=x&api-version=1", headers=headers)
        assert answer.status_code in {400, 401}
    answer = await asyncio.to_thread(
        requests.get, f"{url}/metadata/identity/oauth2/token", headers={"Metadata": "true"}
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await asyncio.to_thread(requests.get, f"{url}/elsewhere")).status_code == 404


async def test_azure_arc(server, blocking, holder, monkeypatch):
    """Whoever can read the file that the challenge names; each key is good for one call."""
    folder = f"{server.machine.arc_folder}"
    monkeypatch.setattr(msal.managed_identity, "_supported_arc_platforms_and_their_prefixes", {"linux": folder})
    for name, text in server.environ("arc").items():
        monkeypatch.setenv(name, text)
    for _ in range(2):
        credential = ManagedIdentityCredential(**blocking)
        assert holder((await asyncio.to_thread(credential.get_token, SCOPE)).token) == server.machine.system
    assert [record.code for record in server.requests] == ["unauthorized", "OK"] * 2
    used = [file.read_text(encoding="utf-8") for file in Path(folder).glob("*.key")]
    headers = {"Metadata": "true", "Authorization": f"Basic {used[0]}"}
    url = f"{server.machine_url}/arc/token?resource=x&api-version=1"
    assert (await asyncio.to_thread(requests.get, url, headers=headers)).status_code == 401


async def test_the_variables_of_a_program(server, blocking, holder, monkeypatch):
    """What a program is configured by, for each kind of identity."""
    from azure.identity import EnvironmentCredential

    for kind in ("client_secret", "client_certificate"):
        with monkeypatch.context() as patch:
            for name, text in server.environ(kind).items():
                patch.setenv(name, text)
            credential = EnvironmentCredential(**blocking)
        assert holder((await asyncio.to_thread(credential.get_token, SCOPE)).token) == server.client_id
    for name, text in server.environ("workload_identity").items():
        monkeypatch.setenv(name, text)
    credential = WorkloadIdentityCredential(**blocking)
    assert holder((await asyncio.to_thread(credential.get_token, SCOPE)).token) == server.client_id
    assert server.environ()["AZURE_KEY_VAULT_URI"] == "https://demo.vault.azure.net"
    with pytest.raises(ValueError, match="there is no identity of the kind 'nonsense'"):
        server.environ("nonsense")
    assert json.dumps(server.environ("arc"))
