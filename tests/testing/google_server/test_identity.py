"""Who asks: google-auth's own credentials get their tokens of the fake, in each way, and renew what has expired."""

from __future__ import annotations

import asyncio
import json
import stat

import google.auth
import google.auth.crypt
import google.auth.jwt
import grpc.aio
import pytest
import requests
from google.auth.compute_engine import _metadata
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import credentials as oauth2

from asyncsecrets.testing.google_server import GoogleServer

from .conftest import async_clients, channel_to, refused

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


@pytest.fixture
async def server():
    """A fake that asks for tokens that it has issued."""
    async with GoogleServer(tokens={"static-canary"}) as running:
        running.add("NAME", "canary-value")
        yield running


@pytest.fixture
async def read(server):
    """Read NAME with a token; the principal whose it was."""
    async with channel_to(server) as channel:
        secrets = async_clients(channel).secrets

        async def call(token):
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            name = f"projects/{server.project}/secrets/NAME/versions/latest"
            await secrets.access_secret_version(name=name, retry=None, metadata=metadata)
            return server.requests[-1].principal

        yield call


async def renewed(credentials):
    """Refresh, in a thread; without a connection that is kept."""

    def refresh():
        with requests.Session() as session:
            credentials.refresh(Request(session))

    await asyncio.to_thread(refresh)
    return credentials.token


def load(path):
    """The credentials of a file, as google-auth finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        patch.setenv("GOOGLE_CLOUD_PROJECT", "any")
        return google.auth.default(scopes=SCOPES)[0]


async def test_tokens_that_are_none(read):
    """Google's reasons: none, one that never was, one that has expired."""
    for token, reason in ((None, "CREDENTIALS_MISSING"), ("canary", "ACCESS_TOKEN_TYPE_UNSUPPORTED")):
        error = await refused(read(token))
        assert (error.grpc_status_code.name, error.reason) == ("UNAUTHENTICATED", reason)
        assert error.domain == "googleapis.com"
        assert error.metadata == {
            "service": "secretmanager.googleapis.com",
            "method": "google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion",
        }
    assert await read("static-canary") == "tester@example.com"


async def test_tokens_end(server, read):
    """By the server's clock, on command, and when they are revoked."""
    token = server.identity.issue("me@example.com", 60.0)
    server.advance(59)
    assert await read(token) == "me@example.com"
    server.advance(1)
    assert (await refused(read(token))).reason == "ACCESS_TOKEN_EXPIRED"
    early = server.identity.issue("me@example.com")
    server.identity.expire()
    assert (await refused(read(early))).reason == "ACCESS_TOKEN_EXPIRED"
    other = server.identity.issue("me@example.com")
    server.identity.revoke("me@example.com")
    assert (await refused(read(other))).reason == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    server.tokens.clear()
    assert (await refused(read("static-canary"))).code == 401


async def test_a_service_account(server, read):
    """Its assertion is verified with its key; a new token comes when the old one has expired."""
    path = server.identity.service_account_file("app")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    credentials = load(path)
    first = await renewed(credentials)
    assert await read(first) == f"app@{server.project}.iam.gserviceaccount.com"
    server.advance(3601)
    assert (await refused(read(first))).reason == "ACCESS_TOKEN_EXPIRED"
    assert await read(await renewed(credentials)) == f"app@{server.project}.iam.gserviceaccount.com"
    assert server.count("token") == 2
    stranger = json.loads(path.read_text()) | {"client_email": "stranger@example.com"}
    path.write_text(json.dumps(stranger))
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        await renewed(load(path))
    server.identity.service_account_file("app")  # a new key: that of the old file is none of its
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        await renewed(credentials)


async def test_assertions_that_are_not_for_this_server(server):
    """For somebody else, for more than an hour, of an account that was revoked: no token for it."""
    path = server.identity.service_account_file("app")
    signer = google.auth.crypt.RSASigner.from_service_account_file(str(path))
    email = f"app@{server.project}.iam.gserviceaccount.com"

    async def status(**claims):
        payload = {"iss": email, "aud": server.token_uri, "iat": 1_000, "exp": 4_600} | claims
        assertion = google.auth.jwt.encode(signer, payload).decode()
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        return (await asyncio.to_thread(requests.post, server.token_uri, form, timeout=5)).status_code

    assert [await status(), await status(aud="https://example.com"), await status(exp=4_601)] == [200, 400, 400]
    server.identity.revoke(email)
    assert await status() == 400


async def test_a_denial_of_one_principal(server, read):
    """Others may."""
    server.deny(principal="me@example.com")
    assert (await refused(read(server.identity.issue("me@example.com")))).reason == "IAM_PERMISSION_DENIED"
    assert await read(server.identity.issue("you@example.com")) == "you@example.com"


async def test_a_service_account_signs_its_own_tokens(server, read):
    """As the official clients let it: no token endpoint is asked; they expire, too."""
    credentials = load(server.identity.service_account_file("app"))
    credentials = credentials.with_always_use_jwt_access(True)
    credentials._create_self_signed_jwt(None)
    token = await renewed(credentials)
    assert await read(token) == f"app@{server.project}.iam.gserviceaccount.com"
    assert server.count("token") == 0
    server.advance(3601)
    assert (await refused(read(token))).reason == "ACCESS_TOKEN_EXPIRED"
    assert (await refused(read(token[:-4] + "AAAA"))).reason == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


async def test_a_user(server, read):
    """With a refresh token, which can be revoked."""
    credentials = load(server.identity.authorized_user_file("me", quota_project_id="billed"))
    assert credentials.quota_project_id == "billed"
    credentials = credentials.with_token_uri(server.token_uri)
    assert await read(await renewed(credentials)) == "me@example.com"
    server.identity.revoke("me@example.com")
    with pytest.raises(RefreshError, match="invalid_grant"):
        await renewed(credentials)


@pytest.mark.parametrize("source", ["file", "url"])
async def test_a_workload_of_another_cloud(server, read, source):
    """Its subject token is exchanged; it may act as a service account."""
    path = server.identity.external_account_file("job", source=source)
    assert (await read(await renewed(load(path)))).endswith("/workloadIdentityPools/pool/subject/job")
    assert server.count("exchange") == 1
    assert server.count("subject") == (source == "url")
    path = server.identity.external_account_file("job", source=source, account="app@example.com")
    assert await read(await renewed(load(path))) == "app@example.com"
    assert server.count("impersonate") == 1
    server.identity.revoke(
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/subject/job"
    )
    with pytest.raises(GoogleAuthError, match="invalid_grant" if source == "file" else "Missing subject_token"):
        await renewed(load(path))


async def test_impersonation(server, read):
    """One service account acts as another."""
    credentials = load(server.identity.impersonated_file("other@example.com"))
    credentials._iam_endpoint_override = server.identity.impersonation_url("other@example.com")
    assert await read(await renewed(credentials)) == "other@example.com"
    async with asyncio.timeout(5):
        answer = await asyncio.to_thread(requests.post, server.identity.impersonation_url("x@example.com"), timeout=5)
    assert answer.status_code == 401


async def test_the_metadata_server(server, read, monkeypatch):
    """google-auth finds it, and gets what it asks for; not ready, it is asked again; without the header, nothing."""
    host = server.url.removeprefix("http://")
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "NO_GCE_CHECK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(server.folder))
    with requests.Session() as session:
        credentials, project = await asyncio.to_thread(google.auth.default, SCOPES, Request(session))
        assert project == server.project
        server.faults.status("UNAVAILABLE", method="metadata", times=1)
        assert await read(await renewed(credentials)) == server.identity.default_account
        assert await asyncio.to_thread(lambda: credentials.universe_domain) == "googleapis.com"
        assert credentials.service_account_email == server.identity.default_account
        bare = await asyncio.to_thread(session.get, f"{server.url}/computeMetadata/v1/project/project-id", timeout=5)
        assert bare.status_code == 403
        headers = {"Metadata-Flavor": "Google"}
        url = f"{server.url}/computeMetadata/v1/nothing"
        assert (await asyncio.to_thread(session.get, url, headers=headers, timeout=5)).status_code == 404
    assert "UNAVAILABLE" in [record.code for record in server.requests if record.method == "metadata"]


async def test_faults_of_the_http_side(server):
    """Only where they are named: a fault without a method is one of gRPC."""
    credentials = load(server.identity.service_account_file("app"))
    server.faults.status("UNAVAILABLE")
    assert await renewed(credentials)
    server.faults.corrupt("garbage", method="token", times=1)
    with pytest.raises(TypeError):  # google-auth takes a page for a document
        await renewed(credentials)
    server.faults.drop(method="token", times=1)
    with pytest.raises(TransportError):
        await renewed(credentials)
    assert await renewed(credentials)


async def test_tls_with_credentials_that_expire_under_way(monkeypatch):
    """A secure channel with call credentials, as in production: the token is renewed between two calls."""
    async with GoogleServer(tls=True, tokens=()) as server:
        name = server.add("NAME", "canary-value")
        held = oauth2.Credentials(token=server.identity.issue("me@example.com"))
        call = grpc.metadata_call_credentials(lambda _, done: done((("authorization", f"Bearer {held.token}"),), None))
        with open(server.ca_file, "rb") as file:  # noqa: PTH123
            secure = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(file.read()), call)
        async with grpc.aio.secure_channel(server.endpoint, secure) as channel:
            secrets = async_clients(channel).secrets
            assert (await secrets.access_secret_version(name=name)).payload.data == b"canary-value"
            server.advance(3601)
            assert (await refused(secrets.access_secret_version(name=name))).reason == "ACCESS_TOKEN_EXPIRED"
            held.token = server.identity.issue("me@example.com")
            assert (await secrets.access_secret_version(name=name)).payload.data == b"canary-value"
        assert server.endpoint.startswith("localhost:")
